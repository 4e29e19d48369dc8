/* maker figures: tables, and charts whose horizontal axis is not the run's time */
const READINGS = Object.fromEntries(D.readings.map((r, n) => [r.name, n === 0 ? S : S[r.name]]));
const HORIZONS = ["at_fill", "1s", "5s", "30s", "5min"], AXIS = ["fill", "1 s", "5 s", "30 s", "5 min"];
const val = v => v === null || v === undefined ? null : Number(v);
const bps = v => v === null || v === undefined ? "–" : num(v, 2);
let makerCharts = [];

/* base and pessimistic beside each other */
const B = S.side_by_side, names = D.readings.map(r => r.name);
table("beside", ["", ...names.map(n => n + " fills")], [
  ["net P&L, USD", "net_pnl", v => num(v)], ["largest drawdown, USD", "max_drawdown", v => num(v)], ["fills", "fills", v => num(v, 0)],
  ["traded, USD", "traded_notional", v => num(v, 0)], ["maker share of traded notional", "maker_ratio", v => pct(v)],
  ["fill rate of quotes", "fill_rate", v => pct(v)], ["share of quoted size that filled", "filled_share_of_size", v => pct(v, 2)],
  ["two-sided within 10 bps, share of time", "quote_uptime_within_10_bps", v => pct(v)], ["at the best on either side, share of time", "time_at_best_either", v => pct(v)],
  ["half-spread captured at the fill, bps", "spread_captured_bps", bps], ["markout after 1 s, bps", "markout_1s_bps", bps], ["markout after 5 s, bps", "markout_5s_bps", bps],
  ["markout after 30 s, bps", "markout_30s_bps", bps], ["markout after 5 min, bps", "markout_5min_bps", bps],
  ["adverse selection within 5 s, bps", "adverse_selection_5s_bps", bps], ["average fee, bps", "average_fee_bps", bps], ["rebate, bps of maker notional", "rebate_bps", bps],
  ["implementation shortfall, bps (negative: a gain)", "shortfall_bps", bps], ...["delay", "spread", "impact", "opportunity", "fees"].map(part => ["\u2003of it " + part, "shortfall_" + part + "_bps", bps]),
  ["cancels sent for each fill", "cancel_to_fill", bps],
].map(([label, key, show]) => [label, ...names.map(n => key === "net_pnl" ? [show(B[key][n]), sign(B[key][n])] : show(B[key][n]))]));
$("models").textContent = names.map(n => {
  const m = S.fills_models[n], queue = Object.values(S.exchange_models).includes("queue") ? "queue model " + m.queue_model + ", " : "";
  return n + ": " + queue + "orders take " + m.order_entry_latency + ", answers " + m.response_latency;
}).join("; ") + ". A result that only base fills show should not be believed. Market: " + (S.maker.market === "tape" ? "the tape, venue's clock." : "the journal's views.");

/* what is looked at: everything, an instrument or a strategy; under which fills */
const places = [["everything", s => s.maker], ...Object.keys(S.instruments).map(n => [n, s => s.instruments[n].maker]), ...Object.keys(S.strategies).filter((n, i, all) => all.length > 1).map(n => ["strategy " + n, s => s.strategies[n].maker])];
places.forEach(([label], n) => $("who").append(new Option(label, n)));
names.forEach(n => $("which").append(new Option(n, n)));
if (names.length < 2) $("which_label").style.display = "none";
const chosen = name => places[$("who").value][1](READINGS[name ?? $("which").value]);

function frame(id, title, note) {
  const card = el("div", "", "card"), head = el("header"); head.append(el("b", title), el("small", note)); card.append(head); $(id).append(card); return card;
}
function plot(card, xs, labels, series, bands = [], height = 230, extra = {}) {
  const axis = { stroke: css("--soft"), grid: { stroke: css("--grid"), width: 1 }, ticks: { stroke: css("--grid"), width: 1 }, font: "11px system-ui" };
  const text = (u, list) => list.map(v => Number.isInteger(v) && labels[v] !== undefined ? labels[v] : "");
  const u = new uPlot({
    width: card.clientWidth - 30, height, bands, cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    scales: { x: { time: false, range: (u, a, b) => [a - (extra.pad ?? .25), b + (extra.pad ?? .25)] }, y: { range: (u, a, b) => { const lo = Math.min(a ?? 0, 0), hi = Math.max(b ?? 1, 0), m = (hi - lo || 1) * .08; return [lo < 0 ? lo - m : 0, hi > 0 ? hi + m : 0]; } } },
    axes: [{ ...axis, values: text, splits: () => extra.ticks ?? xs }, { ...axis, size: 62, values: (u, list) => list.map(v => num(v, digits(u))) }],
    series: [{ label: extra.x ?? "after", value: (u, v) => v === null ? "–" : labels[v] ?? "" }, ...series],
  }, [xs, ...series.map(s => s.data)], card);
  makerCharts.push(u); return u;
}
const soft = (colour, share = "22") => css(colour).startsWith("#") ? css(colour) + share : css(colour);
/* one curve with its 95 % band; the band's edges are unseen series */
function curves(card, list) {
  const series = [], bands = [];
  for (const [label, points, colour, dash] of list) {
    const value = key => HORIZONS.map(h => val(points[h]?.[key]));
    const fills = HORIZONS.map(h => points[h]?.fills ?? 0), low = value("low_bps"), high = value("high_bps");
    series.push({ label, data: value("bps"), stroke: css(colour), width: 1.6, dash, points: { show: true, size: 6 },
      value: (u, v, s, i) => i === null ? "–" : v === null ? "–" : num(v) + (low[i] === null ? "" : " [" + num(low[i]) + ", " + num(high[i]) + "]") + ", " + num(fills[i], 0) + " fills" });
    if (low.some(v => v !== null)) {
      const at = series.length + 1, hidden = { stroke: "transparent", points: { show: false }, class: "off" };
      series.push({ ...hidden, label: "", data: high }, { ...hidden, label: "", data: low });
      bands.push({ series: [at, at + 1], fill: soft(colour) });
    }
  }
  const u = plot(card, [0, 1, 2, 3, 4], AXIS, series, bands);
  u.root.querySelectorAll(".u-legend .off").forEach(row => row.style.display = "none");
}
function waterfall(card, parts) {
  const order = ["delay", "impact", "spread", "fees", "opportunity", "total"], width = Math.max(340, card.clientWidth - 30), height = 230, top = 16, foot = 24;
  const steps = []; let sum = 0;
  for (const name of order) { const v = val(parts[name]); if (v === null) { card.append(el("p", "no fills", "fine")); return; } steps.push(name === "total" ? [name, 0, v] : [name, sum, sum + v]); if (name !== "total") sum += v; }
  const ends = steps.flatMap(s => [s[1], s[2], 0]), lo = Math.min(...ends), hi = Math.max(...ends), span = hi - lo || 1;
  const y = v => top + (hi - v) / span * (height - top - foot - 14), slot = width / order.length;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"); svg.setAttribute("width", width); svg.setAttribute("height", height);
  const add = (tag, at, text) => { const e = document.createElementNS("http://www.w3.org/2000/svg", tag); for (const k in at) e.setAttribute(k, at[k]); if (text !== undefined) e.textContent = text; svg.append(e); return e; };
  add("line", { x1: 0, x2: width, y1: y(0), y2: y(0), stroke: css("--line") });
  steps.forEach(([name, from, to], n) => {
    const cost = to - from, x = n * slot + slot * .18, bar = add("rect", { x, y: Math.min(y(from), y(to)), width: slot * .64, height: Math.max(1.5, Math.abs(y(from) - y(to))), rx: 2, fill: css(name === "total" ? "--accent" : cost > 0 ? "--bad" : "--good") });
    const tip = document.createElementNS("http://www.w3.org/2000/svg", "title"); tip.textContent = name + ": " + num(cost, 4) + " bps of filled notional"; bar.append(tip);
    if (n + 1 < steps.length) add("line", { x1: x + slot * .64, x2: x + slot, y1: y(to), y2: y(to), stroke: css("--soft"), "stroke-dasharray": "2 3" });
    add("text", { x: x + slot * .32, y: Math.min(y(from), y(to)) - 4, "text-anchor": "middle", class: "v" }, num(cost));
    add("text", { x: x + slot * .32, y: height - 6, "text-anchor": "middle" }, name);
  });
  card.append(svg);
}
function span(ns) { const s = ns / 1e9; return s < .001 ? num(s * 1e6, 0) + " µs" : s < 1 ? num(s * 1e3, 0) + " ms" : s < 60 ? num(s, 0) + " s" : s < 3600 ? num(s / 60, 0) + " min" : num(s / 3600, 0) + " h"; }
function maker() {
  makerCharts.forEach(c => c.destroy()); makerCharts = []; $("maker").textContent = ""; $("queue").textContent = "";
  const m = chosen(), reading = D.readings.find(r => r.name === $("which").value);
  curves(frame("maker", "Markout by side", "bps of notional; band: 95 %, by blocks of time"), [["bought", m.markouts_by_side.buy, "--good"], ["sold", m.markouts_by_side.sell, "--bad"]]);
  curves(frame("maker", "Markout by fills model", "bps of notional, all maker fills"), names.map((n, i) => [n, chosen(n).markouts, hues[i]]));
  const tones = ["--good", "--accent", "--warn", "--bad", "--text", "--soft"], classes = Object.entries(m.markouts_by_queue_ahead);
  const queue = frame("maker", "Markout by queue position", "by notional ahead on arrival");
  const place = { "nothing": 0, "below 1k": 1, "1k to 10k": 2, "10k to 100k": 3, "100k and more": 4, "unknown": 5 };
  if (classes.length) plot(queue, [0, 1, 2, 3, 4], AXIS, classes.map(([n, points]) => ({ label: n, data: HORIZONS.map(h => val(points[h].bps)), stroke: css(tones[place[n]]), width: 1.5, points: { show: true, size: 6 }, value: (u, v) => bps(v) })));
  else queue.append(el("p", "no maker fills", "fine"));
  if (classes.length) table("queue", ["queue ahead on arrival, USD", "fills", "half-spread", "1 s", "5 s", "30 s", "5 min"], classes.map(([n, points]) => [n, num(points.at_fill.fills, 0), ...HORIZONS.map(h => bps(points[h].bps))]));
  waterfall(frame("maker", "Implementation shortfall", "bps of filled notional; costs up, gains down"), m.shortfall.bps);
  const lives = reading.lifetimes, card = frame("maker", "How long orders rest", "orders by lifetime, all instruments; the filled ones in front");
  const bars = uPlot.paths.bars({ size: [.82] });
  if (lives.length) plot(card, lives.map((_, i) => i), lives.map(l => span(l.from_ns)), [
    { label: "orders", data: lives.map(l => l.orders), stroke: css("--accent"), fill: soft("--accent", "55"), paths: bars, points: { show: false }, value: (u, v) => num(v, 0) },
    { label: "filled", data: lives.map(l => l.filled), stroke: css("--good"), fill: css("--good"), paths: bars, points: { show: false }, value: (u, v) => num(v, 0) },
  ], [], 230, { x: "from", pad: .6, ticks: lives.flatMap((l, i) => Number.isInteger(Math.log10(l.from_ns)) ? [i] : []) });
  else card.append(el("p", "no order rested", "fine"));
  const presence = frame("maker", "Presence", "share of time with a two-sided book"), holder = el("table"); holder.id = "presence"; presence.append(holder);
  const up = m.quote_uptime, best = m.time_at_best, life = m.order_lifetime;
  table("presence", ["", ""], [["two-sided within 5 bps", pct(up.within_5_bps)], ["within 10 bps", pct(up.within_10_bps)], ["within 25 bps", pct(up.within_25_bps)], ["at any distance", pct(up.any_distance)],
    ["at the best bid / ask", pct(best.bid) + " / " + pct(best.ask)], ["median lifetime of orders", life.median_seconds === null ? "–" : span(life.median_seconds * 1e9)], ["fills for each hour a quote rests", num(m.fills_per_quote_hour, 1)], ["rebate, bps of maker notional", bps(m.rebate.bps)]]);
}
function makerOverTime() {
  const t = D.edges_ms.slice(0, -1).map((e, i) => (e + D.edges_ms[i + 1]) / 2);
  lines("Quote uptime", "two-sided within 10 bps, % of the time", D.readings.map(r => ({ t, v: r.uptime_ppm, by: 10000, label: r.name })), 120, 1);
  lines("Cancels sent for each fill", "over the last tenth of the run", D.readings.map(r => {
    const wide = Math.ceil(t.length / 10); let c = 0, f = 0;
    return { t, by: 1, label: r.name, v: t.map((_, i) => { c += r.cancels[i]; f += r.fills[i]; if (i >= wide) { c -= r.cancels[i - wide]; f -= r.fills[i - wide]; } return f ? c / f : null; }) };
  }), 120, 1);
}
table("maker_each", ["", "captured", "1 s", "5 s", "30 s", "5 min", "adverse 5 s", "uptime", "at best", "size filled", "cancels/fill", "shortfall"], names.flatMap(n =>
  places.map(([label, get]) => { const m = get(READINGS[n]), k = m.markouts; return [(names.length > 1 ? n + ": " : "") + label, bps(m.spread_captured.bps), ...HORIZONS.slice(1).map(h => bps(k[h].bps)), bps(m.adverse_selection_bps["5s"]),
    pct(m.quote_uptime.within_10_bps), pct(m.time_at_best.either), pct(m.filled_share_of_size, 2), bps(m.cancel_to_fill), bps(m.shortfall.bps.total)]; })));
$("who").onchange = $("which").onchange = maker;
