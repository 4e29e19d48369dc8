"""What a market looks like: statistics of one instrument of a tape, the same for recordings and the agents' market.

Uses what both have: best prices (bbo channel), book snapshots, prints, and oracle prices where there are some. All
times are the venue's. Prices are in ticks of the grid or basis points of the mid, so that instruments compare.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.tape.format import EXCH, META, PRICE, SIZE, Rows, RowStream, TapeLike, as_rows
from hatmanifesto.model.market_row import (
    BBO,
    BUY_BIT,
    FIRST,
    INSTRUMENT_MASK,
    INSTRUMENT_SHIFT,
    KIND_MASK,
    ORACLE,
    SNAPSHOT,
    TRADE,
)

Floats = NDArray[np.float64]
Curves = dict[str, list[tuple[float, float]]]
DEPTH: Final = 20
HORIZONS_S: Final = (1, 10, 60)
LAGS: Final = (1, 2, 5, 10, 20, 50)
SECOND: Final = 1_000_000_000


@dataclass(frozen=True)
class MarketStatistics:
    """See `measure`; every figure has its unit in its name, `curves` hold what is drawn."""

    minutes: float
    figures: dict[str, float]
    curves: Curves = field(repr=False)


def rows_of(stream: RowStream, instrument: int) -> Rows:
    """Return all rows of one instrument of a stream."""
    parts = []
    for at in range(stream.count):
        rows = as_rows(stream.chunk(at))
        parts.append(rows[(rows[:, META] >> INSTRUMENT_SHIFT & INSTRUMENT_MASK) == instrument])
    return np.concatenate(parts)


def measure(tape: TapeLike, instrument: int) -> MarketStatistics:
    """Return the statistics of one instrument of a tape."""
    rows = rows_of(tape.stream("exchange"), instrument)
    spec = tape.instruments[instrument]
    kind = rows[:, META] & KIND_MASK
    figures: dict[str, float] = {}
    curves: Curves = {}
    minutes = float(rows[-1, EXCH] - rows[0, EXCH]) / 60 / SECOND
    books = _snapshots(rows[kind == SNAPSHOT])
    quotes = _best_prices(rows)
    tick = float(spec.tick_at(int(np.median(quotes.bid))))
    unit = 10.0**-spec.size_scale
    _spread(quotes, tick, figures, curves)
    _depth(books, tick, unit, figures, curves)
    trades = rows[kind == TRADE]
    if len(trades):
        _trades(trades, unit, 10.0**-spec.price_scale, minutes, figures, curves)
    _moves(quotes, minutes, figures, curves)
    oracle = rows[kind == ORACLE]
    if len(oracle) > 2:
        _premium(quotes, oracle, figures)
    return MarketStatistics(minutes, figures, curves)


@dataclass(frozen=True)
class Quotes:
    """Best prices after each change, and since when."""

    time: NDArray[np.int64]
    bid: Floats
    ask: Floats
    bid_size: Floats
    ask_size: Floats

    @property
    def mid(self) -> Floats:
        return (self.bid + self.ask) / 2

    def mid_at(self, times: NDArray[np.int64]) -> Floats:
        """Return the mid in force at each time."""
        at = np.clip(np.searchsorted(self.time, times, side="right") - 1, 0, None)
        return self.mid[at]


def _best_prices(rows: Rows) -> Quotes:
    """Best prices of one instrument's rows: as the venue told them, or of its books where it did not."""
    kind = rows[:, META] & KIND_MASK
    return _quotes(rows[kind == BBO]) if (kind == BBO).any() else _snapshots(rows[kind == SNAPSHOT]).touch()


def _quotes(rows: Rows) -> Quotes:
    """Best prices from BBO rows: one message states one or both sides; take the state after each timestamp."""
    buy = (rows[:, META] & BUY_BIT) != 0
    columns = []
    for mask in (buy, ~buy):
        held = np.where(mask, np.arange(len(rows)), -1)
        held = np.maximum.accumulate(held)
        columns += [rows[held, PRICE], rows[held, SIZE], held >= 0]
    bid, bid_size, bid_ok, ask, ask_size, ask_ok = columns
    last = np.append(np.diff(rows[:, EXCH]) != 0, True)
    keep = last & bid_ok & ask_ok & (bid < ask)
    return Quotes(
        rows[keep, EXCH],
        bid[keep].astype(float),
        ask[keep].astype(float),
        bid_size[keep].astype(float),
        ask_size[keep].astype(float),
    )


@dataclass(frozen=True)
class Books:
    """Snapshots: time, and (n, 20) prices and sizes a side; missing levels are NaN."""

    time: NDArray[np.int64]
    prices: tuple[Floats, Floats]
    sizes: tuple[Floats, Floats]

    def touch(self) -> Quotes:
        return Quotes(self.time, self.prices[0][:, 0], self.prices[1][:, 0], self.sizes[0][:, 0], self.sizes[1][:, 0])


def _snapshots(rows: Rows) -> Books:
    first = (rows[:, META] & FIRST) != 0
    number = np.cumsum(first) - 1
    buy = (rows[:, META] & BUY_BIT) != 0
    count = int(number[-1]) + 1 if len(rows) else 0
    prices, sizes = [], []
    for mask in (buy, ~buy):
        part = rows[mask]
        of = number[mask]
        start = np.searchsorted(of, np.arange(count))
        level = np.arange(len(part)) - start[of]
        keep = level < DEPTH
        price = np.full((count, DEPTH), np.nan)
        size = np.full((count, DEPTH), np.nan)
        price[of[keep], level[keep]] = part[keep, PRICE]
        size[of[keep], level[keep]] = part[keep, SIZE]
        prices.append(price)
        sizes.append(size)
    return Books(rows[first, EXCH], (prices[0], prices[1]), (sizes[0], sizes[1]))


def _spread(quotes: Quotes, tick: float, figures: dict[str, float], curves: Curves) -> None:
    """Time-weighted; a state counts for at most 5 s, so that a gap in a recording weighs little."""
    held = np.minimum(np.diff(quotes.time), 5 * SECOND).astype(float)
    ticks = np.round((quotes.ask - quotes.bid) / tick)[:-1]
    figures["spread_mean_ticks"] = float(np.average(ticks, weights=held))
    figures["spread_mean_bps"] = float(np.average(((quotes.ask - quotes.bid) / quotes.mid)[:-1], weights=held) * 1e4)
    total = held.sum()
    shares = [(float(n), float(held[ticks == n].sum() / total)) for n in range(1, 11)]
    shares.append((11.0, float(held[ticks > 10].sum() / total)))
    curves["spread_share_by_ticks"] = shares
    figures["spread_one_tick_share"] = shares[0][1]
    figures["spread_at_most_3_ticks_share"] = sum(share for n, share in shares if n <= 3)
    figures["spread_above_10_ticks_share"] = shares[-1][1]


def _depth(books: Books, tick: float, unit: float, figures: dict[str, float], curves: Curves) -> None:
    size = np.concatenate(books.sizes) * unit
    levels = int((~np.isnan(size)).any(axis=0).sum())  # fewer than DEPTH where the book is thin
    curves["depth_by_level"] = [(float(n + 1), float(np.nanmean(size[:, n]))) for n in range(levels)]
    curves["depth_median_by_level"] = [(float(n + 1), float(np.nanmedian(size[:, n]))) for n in range(levels)]
    gap = np.concatenate([np.abs(prices - prices[:, :1]) for prices in books.prices]) / tick
    curves["distance_by_level_ticks"] = [(float(n + 1), float(np.nanmean(gap[:, n]))) for n in range(levels)]
    mid = np.concatenate([(books.prices[0][:, 0] + books.prices[1][:, 0]) / 2] * 2)
    away = np.concatenate([np.abs(prices - prices[:, :1]) for prices in books.prices]) / mid[:, None] * 1e4
    cumulated = [
        (float(bps), float(np.nanmean(np.nansum(np.where(away <= bps, size, 0.0), axis=1))))
        for bps in (0.25, 0.5, 1, 1.5, 2)
    ]
    curves["depth_within_bps"] = cumulated
    for level in (1, 2, 5, 10, 20):
        if level <= levels:
            figures[f"depth_level_{level}_mean_coin"] = curves["depth_by_level"][level - 1][1]
    figures["depth_level_1_median_coin"] = curves["depth_median_by_level"][0][1]
    figures["depth_20_levels_coin"] = float(np.nanmean(np.nansum(size, axis=1)))
    figures["level_20_distance_ticks"] = curves["distance_by_level_ticks"][-1][1]
    bid, ask = books.sizes
    imbalance = (bid[:, 0] - ask[:, 0]) / (bid[:, 0] + ask[:, 0])
    figures["touch_imbalance_std"] = float(np.nanstd(imbalance))


def _trades(
    rows: Rows,
    unit: float,
    price_unit: float,
    minutes: float,
    figures: dict[str, float],
    curves: Curves,
) -> None:
    sign = np.where((rows[:, META] & BUY_BIT) != 0, 1.0, -1.0)
    size = rows[:, SIZE] * unit
    notional = size * rows[:, PRICE] * price_unit
    figures["prints_per_minute"] = len(rows) / minutes
    fresh = np.append(True, (np.diff(rows[:, EXCH]) != 0) | (np.diff(sign) != 0))
    starts = np.flatnonzero(fresh)
    orders = np.add.reduceat(notional, starts)
    order_sign = sign[starts]
    order_time = rows[starts, EXCH]
    figures["aggressors_per_minute"] = len(orders) / minutes
    figures["prints_per_aggressor"] = len(rows) / len(orders)
    figures["volume_per_minute_coin"] = float(size.sum()) / minutes
    for name, values in (("print", notional), ("aggressor", orders)):
        for q in (25, 50, 75, 95, 99):
            figures[f"{name}_p{q}_usd"] = float(np.percentile(values, q))
        figures[f"{name}_mean_usd"] = float(values.mean())
    grid = np.logspace(1, 6, 41)
    curves["aggressor_size_above_usd"] = [(float(x), float((orders > x).mean())) for x in grid]
    for lag in LAGS:
        figures[f"sign_autocorrelation_lag_{lag}"] = _correlation(order_sign, lag)
    curves["sign_autocorrelation_by_lag"] = [(float(n), _correlation(order_sign, n)) for n in range(1, 51)]
    wait = np.diff(order_time) / SECOND
    figures["wait_between_aggressors_median_s"] = float(np.median(wait))
    figures["wait_between_aggressors_cv"] = float(wait.std() / wait.mean())
    curves["wait_longer_than_s"] = [(float(x), float((wait > x).mean())) for x in np.logspace(-1, 1.3, 24)]
    second = ((order_time - order_time[0]) // SECOND).astype(int)
    counts = np.bincount(second)
    figures["arrivals_per_second_fano"] = float(counts.var() / counts.mean())
    figures["arrivals_per_second_autocorrelation_lag_1"] = _correlation(counts - counts.mean(), 1)


def _correlation(values: Floats, lag: int) -> float:
    if len(values) <= lag + 2:
        return float("nan")
    left, right = values[:-lag], values[lag:]
    return float(np.corrcoef(left, right)[0, 1])


def _moves(quotes: Quotes, minutes: float, figures: dict[str, float], curves: Curves) -> None:
    figures["touch_changes_per_minute"] = len(quotes.time) / minutes
    moved = (np.diff(quotes.bid) != 0) | (np.diff(quotes.ask) != 0)
    figures["price_changes_per_minute"] = float(moved.sum()) / minutes
    curve = []
    for horizon in (1, 2, 5, 10, 20, 30, 60):
        times = np.arange(quotes.time[0] + SECOND, quotes.time[-1], SECOND)
        mids = quotes.mid_at(times)
        if len(mids) < horizon + 3:
            break
        returns = (mids[horizon:] / mids[:-horizon] - 1) * 1e4
        value = float(returns.std())
        curve.append((float(horizon), value))
        if horizon in HORIZONS_S:
            figures[f"volatility_{horizon}_s_bps"] = value
        if horizon == 1:
            figures["returns_1_s_kurtosis"] = float(((returns - returns.mean()) ** 4).mean() / returns.var() ** 2)
            figures["returns_1_s_autocorrelation"] = _correlation(returns, 1)
            figures["absolute_returns_1_s_autocorrelation"] = _correlation(np.abs(returns), 1)
            figures["absolute_returns_1_s_autocorrelation_lag_10"] = _correlation(np.abs(returns), 10)
    curves["volatility_by_horizon_bps"] = curve


def together(tape: TapeLike, first: int, second: int) -> MarketStatistics:
    """Return how two instruments of a tape move together: correlation of returns, and of their sizes, by horizon."""
    quotes = [_best_prices(rows_of(tape.stream("exchange"), instrument)) for instrument in (first, second)]
    begin = max(int(one.time[0]) for one in quotes) + SECOND
    end = min(int(one.time[-1]) for one in quotes)
    figures: dict[str, float] = {}
    curve = []
    for horizon in (1, 2, 5, 10, 20, 30, 60):
        times = np.arange(begin, end, horizon * SECOND)
        if len(times) < 8:
            break
        one, other = (np.diff(np.log(each.mid_at(times))) for each in quotes)
        value = float(np.corrcoef(one, other)[0, 1])
        curve.append((float(horizon), value))
        if horizon in HORIZONS_S:
            figures[f"returns_correlation_{horizon}_s"] = value
            figures[f"absolute_returns_correlation_{horizon}_s"] = float(np.corrcoef(np.abs(one), np.abs(other))[0, 1])
    return MarketStatistics((end - begin) / 60 / SECOND, figures, {"returns_correlation_by_horizon": curve})


def _premium(quotes: Quotes, oracle: Rows, figures: dict[str, float]) -> None:
    premium = (quotes.mid_at(oracle[:, EXCH]) / oracle[:, PRICE] - 1) * 1e4
    figures["premium_mean_bps"] = float(premium.mean())
    figures["premium_std_bps"] = float(premium.std())
