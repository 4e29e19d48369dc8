// @nktkas/hyperliquid at the loopback exchange: every step prints {"step", "answer"} or {"step", "failed"}.
import WebSocket from "ws";
globalThis.WebSocket ??= WebSocket; // Node before 22 has none

const { ExchangeClient, HttpTransport, InfoClient, SubscriptionClient, WebSocketTransport } = await import(
  "@nktkas/hyperliquid"
);
const { privateKeyToAccount } = await import("viem/accounts");
const stage = JSON.parse(process.env.STAGE);
const { address: user, other } = stage;
const USDC = "USDC:0x6d1e7cde53ba9467b783cb7c530ce054";
const CLOID = "0x" + "ab".repeat(16);

async function step(name, act) {
  try {
    const answer = await act();
    console.log(JSON.stringify({ step: name, answer: answer ?? null }));
    return answer;
  } catch (error) {
    console.log(JSON.stringify({ step: name, failed: `${error.name}: ${error.message}` }));
  }
}
const refused = (act) => async () => {
  try {
    await act();
  } catch (error) {
    return error.message;
  }
  throw new Error("was not refused");
};

const http = new HttpTransport({ apiUrl: stage.url, isTestnet: true });
const socket = new WebSocketTransport({ url: stage.stream_url, isTestnet: true });
const info = new InfoClient({ transport: http });
const agent = new ExchangeClient({ transport: http, wallet: privateKeyToAccount(stage.agent_key) });
const master = new ExchangeClient({ transport: http, wallet: privateKeyToAccount(stage.key) });
const order = (changes) => ({ a: 0, b: true, p: "50000", s: "0.01", r: false, t: { limit: { tif: "Gtc" } }, ...changes });
const place = (changes, client = agent) => client.order({ orders: [order(changes)], grouping: "na" });
const POST_ONLY = { limit: { tif: "Alo" } };

const questions = {
  meta: [], metaAndAssetCtxs: [], allPerpMetas: [], perpDexs: [], spotMeta: [], spotMetaAndAssetCtxs: [], outcomeMeta: [],
  allMids: [], exchangeStatus: [], predictedFundings: [], maxMarketOrderNtls: [], perpsAtOpenInterestCap: [],
  liquidatable: [], vaultSummaries: [], validatorSummaries: [], perpCategories: [], usdcRouting: [],
  l2Book: [{ coin: "BTC", nSigFigs: 5, mantissa: 2 }], recentTrades: [{ coin: "BTC" }], marginTable: [{ id: 56 }],
  candleSnapshot: [{ coin: "BTC", interval: "1m", startTime: 0 }], fundingHistory: [{ coin: "BTC", startTime: 0 }],
  clearinghouseState: [{ user }], spotClearinghouseState: [{ user }], openOrders: [{ user }],
  frontendOpenOrders: [{ user }], historicalOrders: [{ user }], orderStatus: [{ user, oid: 1 }], userFills: [{ user }],
  userFillsByTime: [{ user, startTime: 0 }], userFunding: [{ user, startTime: 0 }],
  userNonFundingLedgerUpdates: [{ user, startTime: 0 }], userFees: [{ user }], userRateLimit: [{ user }],
  activeAssetData: [{ user, coin: "BTC" }], userRole: [{ user }], userAbstraction: [{ user }], extraAgents: [{ user }],
  subAccounts: [{ user }], subAccounts2: [{ user }], maxBuilderFee: [{ user, builder: other }], portfolio: [{ user }],
  approvedBuilders: [{ user }], referral: [{ user }], twapHistory: [{ user }], userTwapSliceFills: [{ user }],
  userTwapSliceFillsByTime: [{ user, startTime: 0 }], webData2: [{ user }], delegations: [{ user }],
  delegatorSummary: [{ user }], delegatorHistory: [{ user }], delegatorRewards: [{ user }], legalCheck: [{ user }],
  isVip: [{ user }], preTransferCheck: [{ user, source: other }], userVaultEquities: [{ user }],
  spotDeployState: [{ user }], tokenDetails: [{ tokenId: USDC.split(":")[1] }], userToMultiSigSigners: [{ user }],
};
for (const [name, args] of Object.entries(questions)) await step(`info ${name}`, () => info[name](...args));

await step("resting", () => place({ c: CLOID }));
await step("modify", () => agent.modify({ oid: CLOID, order: order({ p: "51000", t: POST_ONLY, c: CLOID }) }));
await step("batchModify", () =>
  agent.batchModify({ modifies: [{ oid: CLOID, order: order({ p: "52000", c: CLOID }) }], a: true }));
await step("cancelByCloid", () => agent.cancelByCloid({ cancels: [{ asset: 0, cloid: CLOID }] }));
await step("cancel of nothing", refused(() => agent.cancel({ cancels: [{ a: 0, o: 5 }] })));
await step("post-only", refused(() => place({ p: "60010", t: POST_ONLY })));
await step("tick", refused(() => place({ p: "50000.5" })));
await step("filled", () => place({ p: "61000", t: { limit: { tif: "FrontendMarket" } } }));
const stop = { b: false, r: true, p: "55000", t: { trigger: { isMarket: true, triggerPx: "58000", tpsl: "sl" } } };
await step("stop", () => place(stop));
await step("positionTpsl", () => agent.order({ orders: [order({ ...stop, s: "0" })], grouping: "positionTpsl" }));
await step("normalTpsl", () =>
  agent.order({ orders: [order({}), order({ ...stop, t: { trigger: { ...stop.t.trigger, triggerPx: "45000" } } })], grouping: "normalTpsl" }));
await step("updateLeverage", () => agent.updateLeverage({ asset: 1, isCross: false, leverage: 5 }));
await step("updateIsolatedMargin", refused(() => agent.updateIsolatedMargin({ asset: 1, isBuy: true, ntli: 1000000 })));
await step("scheduleCancel", () => agent.scheduleCancel({ time: Date.now() + 60000 }));
await step("scheduleCancel cleared", () => agent.scheduleCancel());
await step("twapOrder", () =>
  agent.twapOrder({
    twap: { a: 0, b: true, s: "0.02", r: false, m: 5, t: true },
    details: { t: { p: "61000", a: true }, s: "65000" },
  }));
await step("twapCancel", () => agent.twapCancel({ a: 0, t: 1 }));
await step("noop", () => agent.noop({}));
await step("reserveRequestWeight", () => agent.reserveRequestWeight({ weight: 10 }));
await step("expired", refused(() => agent.order({ orders: [order({})], grouping: "na" }, { expiresAfter: 1 })));
await step("usdSend", () => master.usdSend({ destination: other, amount: "1" }));
await step("usdClassTransfer", () => master.usdClassTransfer({ amount: "5", toPerp: false }));
await step("spotSend", () => master.spotSend({ destination: other, token: USDC, amount: "1" }));
const asset = { sourceDex: "", destinationDex: "spot", token: USDC, amount: "1", fromSubAccount: "" };
await step("sendAsset", () => master.sendAsset({ ...asset, destination: other }));
await step("agentSendAsset", () => agent.agentSendAsset({ ...asset, destination: user }));
await step("withdraw3", () => master.withdraw3({ destination: user, amount: "2" }));
await step("approveAgent", () => master.approveAgent({ agentAddress: "0x" + "77".repeat(20), agentName: "second" }));
await step("unnamed agent", () => master.approveAgent({ agentAddress: "0x" + "78".repeat(20), agentName: null }));
await step("approveBuilderFee", () => master.approveBuilderFee({ maxFeeRate: "0.01%", builder: other }));
await step("builder", () => agent.order({ orders: [order({})], grouping: "na", builder: { b: other, f: 10 } }));
await step("setReferrer", () => agent.setReferrer({ code: "CODE" }));
await step("setDisplayName", () => agent.setDisplayName({ displayName: "name" }));
const made = await step("createSubAccount", () => agent.createSubAccount({ name: "desk" }));
const subAccountUser = made?.response?.data;
await step("subAccountTransfer", () => agent.subAccountTransfer({ subAccountUser, isDeposit: true, usd: 1000000000 }));
await step("for a sub-account", () =>
  agent.order({ orders: [order({})], grouping: "na" }, { vaultAddress: subAccountUser }));

const heard = new Set();
const streams = new SubscriptionClient({ transport: socket });
const of = { user };
const subscriptions = {
  allMids: [], assetCtxs: [], allDexsAssetCtxs: [], spotAssetCtxs: [], fastAssetCtxs: [], trades: [{ coin: "BTC" }],
  bbo: [{ coin: "BTC" }], l2Book: [{ coin: "BTC", fast: true }], candle: [{ coin: "BTC", interval: "1m" }],
  activeAssetCtx: [{ coin: "BTC" }], activeSpotAssetCtx: [{ coin: "PURR/USDC" }], activeAssetData: [{ user, coin: "BTC" }],
  orderUpdates: [of], userEvents: [of], userFills: [of], userFundings: [of], userHistoricalOrders: [of], openOrders: [of],
  userNonFundingLedgerUpdates: [of], userTwapHistory: [of], userTwapSliceFills: [of], clearinghouseState: [of],
  allDexsClearinghouseState: [of], spotState: [of], twapStates: [of], webData3: [of], notification: [of],
};
for (const [name, args] of Object.entries(subscriptions))
  await step(`subscribe ${name}`, async () => void (await streams[name](...args, () => heard.add(name))));
const posting = new ExchangeClient({ transport: socket, wallet: privateKeyToAccount(stage.agent_key) });
await step("post action", () => place({ p: "61000", t: { limit: { tif: "Ioc" } } }, posting));
await step("post info", () => new InfoClient({ transport: socket }).l2Book({ coin: "BTC" }));
await step("heard", async () => {
  const silent = new Set(["notification"]); // nothing is notified of here
  for (let waited = 0; waited < 100 && Object.keys(subscriptions).some((name) => !heard.has(name) && !silent.has(name)); waited++)
    await new Promise((resolve) => setTimeout(resolve, 100));
  return [...heard].sort();
});
process.exit(0);
