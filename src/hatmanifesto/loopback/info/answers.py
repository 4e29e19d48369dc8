"""Which question is answered by what."""

from collections.abc import Callable
from typing import Any, Final

from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.info import accounts, elsewhere, markets, orders, snapshots
from hatmanifesto.loopback.info.questions import Request, account_of, user_of
from hatmanifesto.loopback.markets import meta
from hatmanifesto.loopback.signer import MALFORMED, Malformed
from hatmanifesto.loopback.spot import SPOT_CONTEXTS, SPOT_META

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
    **{kind: _fixed(value) for kind, value in elsewhere.FOR_EVERYBODY.items()},
    **{kind: _of_user(value) for kind, value in elsewhere.FOR_A_USER.items()},
    "preTransferCheck": elsewhere.before_transfer,
    "tokenDetails": elsewhere.token,
    "meta": lambda loopback, request: meta(loopback.markets),
    "metaAndAssetCtxs": markets.meta_and_contexts,
    "allPerpMetas": lambda loopback, request: [meta(loopback.markets)],
    "marginTable": markets.margin_table,
    "exchangeStatus": lambda loopback, request: {"time": loopback.now_ms, "specialStatuses": None},
    "spotMeta": _fixed(SPOT_META),
    "spotMetaAndAssetCtxs": _fixed([SPOT_META, SPOT_CONTEXTS]),
    "allMids": lambda loopback, request: markets.mids(loopback),
    "l2Book": markets.l2_book,
    "recentTrades": markets.recent_trades,
    "candleSnapshot": markets.candles,
    "fundingHistory": markets.funding_history,
    "predictedFundings": markets.predicted_fundings,
    "clearinghouseState": accounts.state,
    "spotClearinghouseState": accounts.spot,
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
    "extraAgents": accounts.agents,
    "subAccounts": accounts.sub_accounts,
    "subAccounts2": accounts.sub_accounts_by_dex,
    "activeAssetData": accounts.active_asset_data,
    "maxBuilderFee": accounts.max_builder_fee,
    "approvedBuilders": accounts.approved_builders,
    "portfolio": accounts.portfolio,
    "referral": accounts.referral,
    "webData2": lambda loopback, request: snapshots.web_data_2(loopback, user_of(request)),
    "userTwapSliceFills": orders.twap_fills,
    "userTwapSliceFillsByTime": orders.twap_fills_by_time,
    "twapHistory": orders.twap_history,
}
