// The npm package `hyperliquid` at the loopback exchange: every step prints {"step", "answer"} or {"step", "failed"}.
const { Hyperliquid, BASE_URLS, WSS_URLS, WEBSOCKET } = require("hyperliquid");
const stage = JSON.parse(process.env.STAGE);
const { address: user, other } = stage;
BASE_URLS.TESTNET = stage.url; // it takes no address, but reads these when it is made
WSS_URLS.TESTNET = WEBSOCKET.TESTNET_URL = stage.stream_url;
const USDC = "USDC:0x6d1e7cde53ba9467b783cb7c530ce054";
const CLOID = "0x" + "cd".repeat(16);
const tell = console.log;
console.log = () => {}; // it prints what it does

async function step(name, act) {
  try {
    const limit = new Promise((_, fail) => setTimeout(() => fail(new Error("no answer within 10 s")), 10_000).unref());
    const answer = await Promise.race([act(), limit]);
    tell(JSON.stringify({ step: name, answer: answer ?? null }));
    return answer;
  } catch (error) {
    tell(JSON.stringify({ step: name, failed: `${error.name}: ${error.message}` }));
  }
}

const order = (changes) => ({
  coin: "BTC-PERP", is_buy: true, sz: 0.01, limit_px: 50000, order_type: { limit: { tif: "Gtc" } }, reduce_only: false,
  ...changes,
});
const POST_ONLY = { limit: { tif: "Alo" } };

async function main() {
  const agent = new Hyperliquid({ privateKey: stage.agent_key, testnet: true, walletAddress: user });
  const master = new Hyperliquid({ enableWs: false, privateKey: stage.key, testnet: true });
  await step("connect", () => agent.connect());
  const { info, exchange } = agent;
  for (const name of [
    "getAllMids", "getUserOpenOrders", "getFrontendOpenOrders", "getUserFills", "getUserRateLimit", "getHistoricalOrders",
    "getUserTwapSliceFills", "getUserVaultEquities", "getUserRole", "getDelegations", "getDelegatorSummary", "userFees",
    "portfolio", "referral", "extraAgents", "isVip", "legalCheck", "twapHistory",
  ])
    await step(`info ${name}`, () => info[name](name === "getAllMids" ? false : user));
  await step("info getL2Book", () => info.getL2Book("BTC-PERP"));
  await step("info getCandleSnapshot", () => info.getCandleSnapshot("BTC-PERP", "1m", 0, Date.now()));
  await step("info getOrderStatus", () => info.getOrderStatus(user, 1));
  await step("info perpetuals", () => info.perpetuals.getMetaAndAssetCtxs());
  await step("info clearinghouse", () => info.perpetuals.getClearinghouseState(user));
  await step("info funding", () => info.perpetuals.getFundingHistory("BTC-PERP", 0));
  await step("info spot", () => info.spot.getSpotMetaAndAssetCtxs());

  const placed = await step("resting", () => exchange.placeOrder(order({ cloid: CLOID })));
  const oid = placed?.response.data.statuses[0].resting.oid;
  await step("modify", () => exchange.modifyOrder(oid, order({ limit_px: 51000, order_type: POST_ONLY, cloid: CLOID })));
  await step("cancelByCloid", () => exchange.cancelOrderByCloid("BTC-PERP", CLOID));
  await step("cancel of nothing", () => exchange.cancelOrder({ coin: "BTC-PERP", o: 5 }));
  await step("post-only", () => exchange.placeOrder(order({ limit_px: 60010, order_type: POST_ONLY })));
  await step("tick", () => exchange.placeOrder(order({ limit_px: 50000.5 })));
  await step("marketOpen", () => agent.custom.marketOpen("BTC-PERP", true, 0.01));
  await step("marketClose", () => agent.custom.marketClose("BTC-PERP"));
  await step("updateLeverage", () => exchange.updateLeverage("ETH-PERP", "isolated", 7));
  await step("scheduleCancel", () => exchange.scheduleCancel(Date.now() + 60000));
  await step("scheduleCancel cleared", () => exchange.scheduleCancel(null));
  const twap = { coin: "BTC-PERP", is_buy: true, sz: 0.02, reduce_only: false, minutes: 5, randomize: false };
  await step("twapOrder", () => exchange.placeTwapOrder(twap));
  await step("twapCancel", () => exchange.cancelTwapOrder({ coin: "BTC-PERP", twap_id: 1 }));
  await step("noop", () => exchange.noop());
  await step("usdSend", () => master.exchange.usdTransfer(other, 1));
  await step("usdClassTransfer", () => master.exchange.transferBetweenSpotAndPerp(5, false));
  await step("spotSend", () => master.exchange.spotTransfer(other, USDC, "1"));
  await step("withdraw3", () => master.exchange.initiateWithdrawal(user, 2));
  const agentAddress = "0x" + "99".repeat(20);
  await step("approveAgent", () => master.exchange.approveAgent({ agentAddress, agentName: "second" }));
  await step("approveBuilderFee", () => master.exchange.approveBuilderFee({ builder: other, maxFeeRate: "0.01%" }));
  await step("createSubAccount", () => exchange.createSubAccount("desk"));

  const heard = new Set();
  const streams = agent.subscriptions;
  const subscriptions = {
    AllMids: [], L2Book: ["BTC-PERP"], Trades: ["BTC-PERP"], Candle: ["BTC-PERP", "1m"], Bbo: ["BTC-PERP"],
    ActiveAssetCtx: ["BTC-PERP"], OrderUpdates: [user], UserFills: [user], UserFundings: [user],
    UserNonFundingLedgerUpdates: [user], WebData2: [user], UserTwapHistory: [user], UserTwapSliceFills: [user],
  };
  for (const [name, args] of Object.entries(subscriptions))
    await step(`subscribe ${name}`, async () => void (await streams[`subscribeTo${name}`](...args, () => heard.add(name))));
  const ioc = { limit: { tif: "Ioc" } };
  await step("post action", () => agent.wsPayloads.placeOrder(order({ limit_px: 61000, order_type: ioc })));
  await step("heard", async () => {
    for (let waited = 0; waited < 100 && heard.size < Object.keys(subscriptions).length; waited++)
      await new Promise((resolve) => setTimeout(resolve, 100));
    return [...heard].sort();
  });
  process.exit(0);
}
main();
