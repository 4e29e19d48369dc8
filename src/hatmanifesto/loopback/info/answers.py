"""Which question is answered by what."""

from collections.abc import Callable
from typing import Any, Final

from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.info import accounts, markets, orders
from hatmanifesto.loopback.info.questions import Request, account_of
from hatmanifesto.loopback.markets import SPOT_CONTEXTS, SPOT_META, meta
from hatmanifesto.loopback.signer import MALFORMED, Malformed

Answer = Callable[[Loopback, Request], Any]


def answer(loopback: Loopback, request: Any) -> Any:
    """Answer a question. Raises Malformed for one that the venue does not know or cannot read."""
    kind = request.get("type") if isinstance(request, dict) else None
    act = ANSWERS.get(kind) if isinstance(kind, str) else None
    if act is None or request.get("dex"):
        raise Malformed(MALFORMED)  # there are no builder-deployed markets here
    return act(loopback, request)


def _fixed(value: Any) -> Answer:
    return lambda loopback, request: value


def _of_user(value: Any) -> Answer:
    """The same for every account; the question must name one."""

    def act(loopback: Loopback, request: Request) -> Any:
        account_of(loopback, request)
        return value

    return act


ANSWERS: Final[dict[str, Answer]] = {
    "meta": lambda loopback, request: meta(loopback.markets),
    "metaAndAssetCtxs": markets.meta_and_contexts,
    "allPerpMetas": lambda loopback, request: [meta(loopback.markets)],
    "marginTable": markets.margin_table,
    "perpDexs": _fixed([None]),
    "perpDexLimits": _fixed(None),
    "perpsAtOpenInterestCap": _fixed([]),
    "maxMarketOrderNtls": _fixed([[25, "30000000.0"], [20, "5000000.0"], [10, "2000000.0"], [1, "500000.0"]]),
    "exchangeStatus": lambda loopback, request: {"time": loopback.now_ms, "specialStatuses": None},
    "spotMeta": _fixed(SPOT_META),
    "spotMetaAndAssetCtxs": _fixed([SPOT_META, SPOT_CONTEXTS]),
    "outcomeMeta": _fixed({"outcomes": [], "questions": []}),
    "allMids": lambda loopback, request: markets.mids(loopback),
    "l2Book": markets.l2_book,
    "recentTrades": markets.recent_trades,
    "candleSnapshot": markets.candles,
    "fundingHistory": markets.funding_history,
    "predictedFundings": markets.predicted_fundings,
    "clearinghouseState": accounts.state,
    "spotClearinghouseState": _of_user(accounts.NO_SPOT),
    "openOrders": orders.short_open_orders,
    "frontendOpenOrders": orders.frontend_open_orders,
    "orderStatus": orders.one_order,
    "historicalOrders": orders.historical_orders,
    "userFills": orders.fills,
    "userFillsByTime": orders.fills_by_time,
    "userFunding": orders.funding_payments,
    "userNonFundingLedgerUpdates": orders.ledger_updates,
    "userFees": accounts.fees,
    "userRateLimit": accounts.rate_limit,
    "userRole": accounts.role,
    "userAbstraction": _of_user("disabled"),
    "extraAgents": accounts.agents,
    "subAccounts": accounts.sub_accounts,
    "activeAssetData": accounts.active_asset_data,
    "maxBuilderFee": accounts.max_builder_fee,
    "approvedBuilders": accounts.approved_builders,
    "portfolio": accounts.portfolio,
    "referral": accounts.referral,
    "userVaultEquities": _of_user([]),
    "vaultSummaries": _fixed([]),
    "delegations": _of_user([]),
    "userTwapSliceFills": _of_user([]),
    "userTwapSliceFillsByTime": _of_user([]),
    "twapHistory": _of_user([]),
    "userDexAbstraction": _of_user(None),
    "userToMultiSigSigners": _of_user(None),
}
"""Answers that are the same for everybody belong to what is not simulated: spot, vaults, staking, TWAP, outcomes."""
