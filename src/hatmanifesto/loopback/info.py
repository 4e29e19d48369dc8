"""Answers to /info. Fields, types and formats are those of recorded answers; a test compares them field by field."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, Final

from hatmanifesto.loopback.candles import INTERVALS
from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.markets import SPOT_CONTEXTS, SPOT_META, meta
from hatmanifesto.loopback.orders import basic_order, frontend_order, order_status
from hatmanifesto.loopback.participants import Participant
from hatmanifesto.loopback.signer import MALFORMED, Malformed
from hatmanifesto.loopback.text import mean_price_text, money_text, price_text, printed, rate_text, size_text
from hatmanifesto.model.fees import HYPERLIQUID_PERPS
from hatmanifesto.model.funding import FUNDING_SCALE
from hatmanifesto.model.margin import liquidation_price, used_margin, withdrawable

DEPTH: Final = 20
PAGE: Final = 500
FILLS_PAGE: Final = 2_000
_RATIO_DIGITS: Final = 10

Answer = Callable[[Loopback, dict[str, Any]], Any]


def answer(loopback: Loopback, request: Any) -> Any:
    """Answer a question. Raises Malformed for one that the venue does not know or cannot read."""
    if not isinstance(request, dict):
        raise Malformed(MALFORMED)
    act = _ANSWERS.get(request.get("type"))  # type: ignore[arg-type]
    if act is None:
        raise Malformed(MALFORMED)
    try:
        return act(loopback, request)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Malformed(MALFORMED) from None


# -- markets ------------------------------------------------------------------------------------------


def context(loopback: Loopback, index: int) -> dict[str, Any]:
    """Return one market's context."""
    instrument = loopback.instruments[index]
    market = loopback.exchange.markets[index]
    bid, ask = int(market.book.bids.best_price()), int(market.book.asks.best_price())
    open_interest = sum(
        max(0, int(account.holdings[index].position.size)) for account in loopback.exchange.floor.accounts
    )
    mark, oracle = int(market.prices.mark), int(market.prices.oracle)
    both = bid > 0 and ask > 0
    return {
        "funding": rate_text(loopback.funding_rates[index] // 100, 10),
        "openInterest": size_text(instrument, open_interest),
        "prevDayPx": price_text(instrument, loopback.day_open[index] or mark),
        "dayNtlVlm": money_text(loopback.day_notional[index]),
        "premium": rate_text(loopback.premiums[index] * 10**_RATIO_DIGITS // FUNDING_SCALE, _RATIO_DIGITS),
        "oraclePx": price_text(instrument, oracle),
        "markPx": price_text(instrument, mark),
        "midPx": mid_text(loopback, index) if both else None,
        "impactPxs": [price_text(instrument, bid), price_text(instrument, ask)] if both else None,
        "dayBaseVlm": size_text(instrument, loopback.day_base[index]),
    }


def mid_text(loopback: Loopback, index: int) -> str:
    """Return the middle of the best prices, the last print or the mark where a side is empty."""
    instrument = loopback.instruments[index]
    market = loopback.exchange.markets[index]
    bid, ask = int(market.book.bids.best_price()), int(market.book.asks.best_price())
    if bid > 0 and ask > 0:
        return printed((bid + ask) * 5, int(instrument.price_scale) + 1)
    return price_text(instrument, int(market.prices.last) or int(market.prices.mark))


def book(loopback: Loopback, coin: str, depth: int = DEPTH, figures: int | None = None, step: int = 1) -> Any:
    """Return a book, aggregated to significant figures where asked; None for a coin that is not there."""
    index = loopback.by_coin.get(coin)
    if index is None:
        return None
    instrument = loopback.instruments[index]
    sides = []
    for side in (1, -1):
        levels: dict[int, list[int]] = {}
        for level in loopback.exchange.markets[index].book.of(side).top(10**6 if figures else depth):
            price = int(level.price) if figures is None else _bucket(int(level.price), figures, step, side)
            entry = levels.setdefault(price, [0, 0])
            entry[0] += int(level.size)
            entry[1] += int(level.count)
            if len(levels) > depth:
                del levels[price]
                break
        sides.append(
            [
                {"px": price_text(instrument, price), "sz": size_text(instrument, size), "n": count}
                for price, (size, count) in levels.items()
            ]
        )
    return {"coin": coin, "time": loopback.now_ms, "levels": sides}


def _bucket(price: int, figures: int, step: int, side: int) -> int:
    """Round a price to so many figures, bids down and asks up."""
    unit = step * int(10 ** max(0, len(str(price)) - figures))
    return price // unit * unit if side > 0 else -(-price // unit) * unit


def _meta(loopback: Loopback, request: dict[str, Any]) -> Any:
    return meta(loopback.markets)


def _contexts(loopback: Loopback, request: dict[str, Any]) -> Any:
    return [meta(loopback.markets), [context(loopback, index) for index in range(len(loopback.markets))]]


def _all_mids(loopback: Loopback, request: dict[str, Any]) -> Any:
    return {market.name: mid_text(loopback, index) for index, market in enumerate(loopback.markets)}


def _l2_book(loopback: Loopback, request: dict[str, Any]) -> Any:
    figures, mantissa = request.get("nSigFigs"), request.get("mantissa")
    if figures is not None and figures not in (2, 3, 4, 5):
        raise Malformed(MALFORMED)
    if mantissa is not None and (figures != 5 or mantissa not in (1, 2, 5)):
        raise Malformed(MALFORMED)
    return book(loopback, str(request["coin"]), DEPTH, figures, mantissa or 1)


def _recent_trades(loopback: Loopback, request: dict[str, Any]) -> Any:
    index = loopback.by_coin.get(str(request["coin"]))
    return [] if index is None else list(loopback.trades[index])[:-11:-1]


def _candles(loopback: Loopback, request: dict[str, Any]) -> Any:
    asked = request["req"]
    if asked["interval"] not in INTERVALS:
        raise Malformed(MALFORMED)
    index = loopback.by_coin[str(asked["coin"])]
    return loopback.candles[index].span(
        asked["interval"], int(asked["startTime"]), int(asked.get("endTime") or 1 << 60)
    )


def _funding_history(loopback: Loopback, request: dict[str, Any]) -> Any:
    index = loopback.by_coin[str(request["coin"])]
    return _between(loopback.funding_history[index], request)[:PAGE]


def _predicted(loopback: Loopback, request: dict[str, Any]) -> Any:
    return [
        [
            market.name,
            [["HlPerp", {"fundingRate": rate_text(loopback.funding_rates[index] // 100, 10),
                         "nextFundingTime": loopback.next_funding_ms, "fundingIntervalHours": 1}]],
        ]
        for index, market in enumerate(loopback.markets)
    ]  # fmt: skip


# -- accounts -----------------------------------------------------------------------------------------


def _who(loopback: Loopback, request: dict[str, Any]) -> Participant | None:
    user = request["user"]
    if not (isinstance(user, str) and len(user) == 42 and user[:2] in ("0x", "0X")):
        raise Malformed(MALFORMED)
    int(user, 16)
    return loopback.participants.get(user.lower())


def clearinghouse(loopback: Loopback, participant: Participant | None) -> dict[str, Any]:
    """Return the account's perpetual state."""
    positions: list[dict[str, Any]] = []
    value = used = notional = raw = maintenance = 0
    if participant is not None:
        account, rules = participant.account, loopback.rules
        value, maintenance = rules.equity(account), rules.maintenance(account)
        raw = int(account.cash) - sum(int(holding.position.cost) for holding in account.holdings)
        for index, holding in enumerate(account.holdings):
            if int(holding.position.size):
                worth = int(holding.instrument.notional(rules.marks[index], abs(int(holding.position.size))))
                notional += worth
                used += int(used_margin(worth, rules.leverage_of(account, holding.instrument)))
                positions.append(_position(loopback, participant, index, value, maintenance))
    summary = {
        "accountValue": money_text(value),
        "totalNtlPos": money_text(notional),
        "totalRawUsd": money_text(raw),
        "totalMarginUsed": money_text(used),
    }
    return {
        "marginSummary": summary,
        "crossMarginSummary": dict(summary),
        "crossMaintenanceMarginUsed": money_text(maintenance),
        "withdrawable": money_text(int(withdrawable(value, used, notional))),
        "assetPositions": positions,
        "time": loopback.now_ms,
    }


def _position(
    loopback: Loopback, participant: Participant, index: int, equity: int, maintenance: int
) -> dict[str, Any]:
    account, rules = participant.account, loopback.rules
    holding = account.holdings[index]
    instrument, position = holding.instrument, holding.position
    size, cost, mark = int(position.size), int(position.cost), rules.marks[index]
    worth = int(instrument.notional(mark, abs(size)))
    leverage = rules.leverage_of(account, instrument)
    unrealized = int(position.unrealized(mark))
    factor = int(instrument.notional_factor)
    digits = 10
    liquidation = liquidation_price(
        rules.tables[index], size, factor, mark, equity, maintenance, digits - int(instrument.price_scale)
    )
    all_time = participant.funding_all_time.get(index, 0)
    since_open = participant.funding_since_open.get(index, 0)
    return {
        "type": "oneWay",
        "position": {
            "coin": instrument.name,
            "szi": size_text(instrument, size),
            "leverage": {"type": "cross", "value": leverage},
            "entryPx": mean_price_text(instrument, abs(cost), abs(size) * factor),
            "positionValue": money_text(worth),
            "unrealizedPnl": money_text(unrealized),
            "returnOnEquity": _ratio(unrealized * leverage, abs(cost)),
            "liquidationPx": printed(liquidation, digits) if liquidation > 0 else None,
            "marginUsed": money_text(int(used_margin(worth, leverage))),
            "maxLeverage": loopback.markets[index].max_leverage,
            "cumFunding": {
                "allTime": money_text(all_time),
                "sinceOpen": money_text(since_open),
                "sinceChange": money_text(since_open),
            },
        },
    }


def _ratio(top: int, bottom: int) -> str:
    if bottom == 0:
        return "0.0"
    ratio = (Decimal(top) / Decimal(bottom)).quantize(Decimal(1).scaleb(-_RATIO_DIGITS)).normalize()
    text = format(ratio, "f")
    return text if "." in text else text + ".0"


def _clearinghouse(loopback: Loopback, request: dict[str, Any]) -> Any:
    return clearinghouse(loopback, _who(loopback, request))


def open_orders(loopback: Loopback, participant: Participant | None, *, long: bool) -> list[dict[str, Any]]:
    """Return what is open, the newest first."""
    if participant is None:
        return []
    form = frontend_order if long else basic_order
    return [
        form(loopback.instruments[order.instrument], order)
        for order in reversed(list(participant.account.orders.values()))
    ]


def _open_orders(loopback: Loopback, request: dict[str, Any]) -> Any:
    return open_orders(loopback, _who(loopback, request), long=False)


def _frontend_open_orders(loopback: Loopback, request: dict[str, Any]) -> Any:
    return open_orders(loopback, _who(loopback, request), long=True)


def _order_status(loopback: Loopback, request: dict[str, Any]) -> Any:
    participant, oid = _who(loopback, request), request["oid"]
    if not isinstance(oid, int | str) or isinstance(oid, bool):
        raise Malformed(MALFORMED)
    entry = None if participant is None else loopback.order_entry(participant, oid)
    if entry is None:
        return {"status": "unknownOid"}
    return {"status": "order", "order": order_status(loopback.instruments[entry.order.instrument], entry)}


def _historical(loopback: Loopback, request: dict[str, Any]) -> Any:
    participant = _who(loopback, request)
    if participant is None:
        return []
    newest = list(participant.orders.values())[: -FILLS_PAGE - 1 : -1]
    return [order_status(loopback.instruments[entry.order.instrument], entry) for entry in newest]


def _fills(loopback: Loopback, request: dict[str, Any]) -> Any:
    participant = _who(loopback, request)
    return [] if participant is None else list(participant.fills)[: -FILLS_PAGE - 1 : -1]


def _fills_by_time(loopback: Loopback, request: dict[str, Any]) -> Any:
    participant = _who(loopback, request)
    found = [] if participant is None else _between(participant.fills, request)
    return found[: -FILLS_PAGE - 1 : -1] if request.get("reversed") else found[:FILLS_PAGE]


def _funding(loopback: Loopback, request: dict[str, Any]) -> Any:
    participant = _who(loopback, request)
    return [] if participant is None else _between(participant.funding, request)[:PAGE]


def _ledger(loopback: Loopback, request: dict[str, Any]) -> Any:
    participant = _who(loopback, request)
    return [] if participant is None else _between(participant.ledger, request)[:PAGE]


def _between(entries: Any, request: dict[str, Any]) -> list[dict[str, Any]]:
    begin = int(request.get("startTime") or 0)
    end = int(request.get("endTime") or 1 << 60)
    return [entry for entry in entries if begin <= entry["time"] <= end]


def _fees(loopback: Loopback, request: dict[str, Any]) -> Any:
    participant = _who(loopback, request)
    schedule = HYPERLIQUID_PERPS
    cross, add = int(schedule.tiers[0].taker), int(schedule.tiers[0].maker)
    if participant is not None:
        fees = loopback.rules.fees[int(participant.account.index)]
        cross, add = int(fees.user_taker), int(fees.user_maker)
    rate = partial(rate_text, scale=9)
    return {
        "dailyUserVlm": [],
        "feeSchedule": {
            "cross": rate(int(schedule.tiers[0].taker)),
            "add": rate(int(schedule.tiers[0].maker)),
            "spotCross": "0.0007",
            "spotAdd": "0.0004",
            "tiers": {
                "vip": [
                    {
                        "ntlCutoff": f"{int(tier.volume)}.0",
                        "cross": rate(int(tier.taker)),
                        "add": rate(int(tier.maker)),
                        "spotCross": "0.0007",
                        "spotAdd": "0.0004",
                    }
                    for tier in schedule.tiers[1:]
                ],
                "mm": [
                    {"makerFractionCutoff": rate(int(tier.share)), "add": rate(int(tier.value))}
                    for tier in schedule.rebates
                ],
            },
            "referralDiscount": "0.04",
            "stakingDiscountTiers": [{"bpsOfMaxSupply": "0.0", "discount": "0.0"}],
        },
        "userCrossRate": rate(cross),
        "userAddRate": rate(add),
        "userSpotCrossRate": "0.0007",
        "userSpotAddRate": "0.0004",
        "activeReferralDiscount": "0.0",
        "trial": None,
        "feeTrialEscrow": "0.0",
        "feeTrialReward": "0.0",
        "nextTrialAvailableTimestamp": None,
        "stakingLink": None,
        "activeStakingDiscount": {"bpsOfMaxSupply": "0.0", "discount": "0.0"},
    }


def _rate_limit(loopback: Loopback, request: dict[str, Any]) -> Any:
    participant = _who(loopback, request)
    volume = 0 if participant is None else participant.volume
    used = 0 if participant is None else participant.requests
    return {
        "cumVlm": money_text(volume),
        "nRequestsUsed": max(0, used),
        "nRequestsCap": 10_000 + volume // 1_000_000,
        "nRequestsSurplus": max(0, -used),
    }


def _role(loopback: Loopback, request: dict[str, Any]) -> Any:
    participant, user = _who(loopback, request), str(request["user"]).lower()
    if user in loopback.subaccounts:
        return {"role": "subAccount", "data": {"master": loopback.subaccounts[user]}}
    if participant is not None:
        return {"role": "user"}
    master = loopback.agent_of.get(user)
    return {"role": "missing"} if master is None else {"role": "agent", "data": {"user": master}}


def _agents(loopback: Loopback, request: dict[str, Any]) -> Any:
    participant = _who(loopback, request)
    named = {} if participant is None else {name: agent for name, agent in participant.agents.items() if name}
    return [{"name": name, "address": agent, "validUntil": None} for name, agent in named.items()]


def _sub_accounts(loopback: Loopback, request: dict[str, Any]) -> Any:
    user = str(request["user"]).lower()
    found = [
        {
            "name": loopback.subaccount_names[address],
            "subAccountUser": address,
            "master": user,
            "clearinghouseState": clearinghouse(loopback, loopback.participants[address]),
            "spotState": {"balances": []},
        }
        for address, master in loopback.subaccounts.items()
        if master == user
    ]
    return found or None


def active_asset(loopback: Loopback, participant: Participant | None, user: str, coin: str) -> dict[str, Any]:
    """Return what an account may trade of a market."""
    index = loopback.by_coin[coin]
    instrument = loopback.instruments[index]
    leverage, free = min(20, loopback.markets[index].max_leverage), 0
    if participant is not None:
        rules = loopback.rules
        leverage = rules.leverage_of(participant.account, instrument)
        free = max(0, rules.equity(participant.account) - rules.needed(participant.account))
    mark = max(1, loopback.rules.marks[index])
    size = free * leverage // (mark * int(instrument.notional_factor))
    return {
        "user": user,
        "coin": coin,
        "leverage": {"type": "cross", "value": leverage},
        "maxTradeSzs": [size_text(instrument, size), size_text(instrument, size)],
        "availableToTrade": [money_text(free * leverage), money_text(free * leverage)],
        "markPx": price_text(instrument, mark),
    }


def _active_asset(loopback: Loopback, request: dict[str, Any]) -> Any:
    return active_asset(loopback, _who(loopback, request), str(request["user"]).lower(), str(request["coin"]))


def _portfolio(loopback: Loopback, request: dict[str, Any]) -> Any:
    participant = _who(loopback, request)
    value = 0 if participant is None else loopback.rules.equity(participant.account)
    volume = 0 if participant is None else participant.volume
    periods = ("day", "week", "month", "allTime", "perpDay", "perpWeek", "perpMonth", "perpAllTime")
    return [
        [
            period,
            {
                "accountValueHistory": [[loopback.now_ms, money_text(value)]],
                "pnlHistory": [[loopback.now_ms, "0.0"]],
                "vlm": money_text(volume),
            },
        ]
        for period in periods
    ]


def _referral(loopback: Loopback, request: dict[str, Any]) -> Any:
    participant = _who(loopback, request)
    return {
        "referredBy": None,
        "cumVlm": money_text(0 if participant is None else participant.volume),
        "unclaimedRewards": "0.0",
        "claimedRewards": "0.0",
        "builderRewards": "0.0",
        "referrerState": {"stage": "needToTrade", "data": {"required": "10000.0"}},
        "rewardHistory": [],
        "tokenToState": [],
    }


def _fixed(value: Any) -> Answer:
    return lambda loopback, request: value


_ANSWERS: Final[dict[str, Answer]] = {
    "meta": _meta,
    "metaAndAssetCtxs": _contexts,
    "allPerpMetas": lambda loopback, request: [meta(loopback.markets)],
    "perpDexs": _fixed([None]),
    "perpDexLimits": _fixed(None),
    "perpsAtOpenInterestCap": _fixed([]),
    "maxMarketOrderNtls": _fixed([[25, "30000000.0"], [20, "5000000.0"], [10, "2000000.0"], [1, "500000.0"]]),
    "exchangeStatus": lambda loopback, request: {"time": loopback.now_ms, "specialStatuses": None},
    "spotMeta": _fixed(SPOT_META),
    "spotMetaAndAssetCtxs": _fixed([SPOT_META, SPOT_CONTEXTS]),
    "outcomeMeta": _fixed({"outcomes": [], "questions": []}),
    "allMids": _all_mids,
    "l2Book": _l2_book,
    "recentTrades": _recent_trades,
    "candleSnapshot": _candles,
    "fundingHistory": _funding_history,
    "predictedFundings": _predicted,
    "clearinghouseState": _clearinghouse,
    "spotClearinghouseState": _fixed({"balances": []}),
    "openOrders": _open_orders,
    "frontendOpenOrders": _frontend_open_orders,
    "orderStatus": _order_status,
    "historicalOrders": _historical,
    "userFills": _fills,
    "userFillsByTime": _fills_by_time,
    "userFunding": _funding,
    "userNonFundingLedgerUpdates": _ledger,
    "userFees": _fees,
    "userRateLimit": _rate_limit,
    "userRole": _role,
    "userAbstraction": _fixed("disabled"),
    "extraAgents": _agents,
    "subAccounts": _sub_accounts,
    "activeAssetData": _active_asset,
    "maxBuilderFee": _fixed(0),
    "approvedBuilders": _fixed([]),
    "portfolio": _portfolio,
    "referral": _referral,
    "userVaultEquities": _fixed([]),
    "vaultSummaries": _fixed([]),
    "delegations": _fixed([]),
    "userTwapSliceFills": _fixed([]),
    "userTwapSliceFillsByTime": _fixed([]),
    "twapHistory": _fixed([]),
    "userDexAbstraction": _fixed(None),
    "userToMultiSigSigners": _fixed(None),
}
