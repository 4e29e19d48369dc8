"""Answers about accounts: balances and positions, fees, limits, roles, agents, sub-accounts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final

from hatmanifesto.loopback.budget import cap_of
from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.info.questions import Request, account_of, coin_of, user_of
from hatmanifesto.loopback.participants import DAY_MS, VOLUME_DAYS, Participant
from hatmanifesto.loopback.signer import MALFORMED, Malformed
from hatmanifesto.loopback.spot import spot_state
from hatmanifesto.loopback.text import (
    decimal_text,
    mean_price_text,
    money_text,
    price_text,
    printed,
    rate_text,
    size_text,
)
from hatmanifesto.model.fees import HYPERLIQUID_PERPS
from hatmanifesto.model.margin import used_margin
from hatmanifesto.model.margin_account import MarginAccount

_RATIO: Final = Decimal(1).scaleb(-10)
_LIQUIDATION_DIGITS: Final = 10
NOTHING: Final = {"accountValue": "0.0", "totalNtlPos": "0.0", "totalRawUsd": "0.0", "totalMarginUsed": "0.0"}
PERIODS: Final = {"day": 1, "week": 7, "month": 30, "allTime": 100_000}


# -- balances and positions ---------------------------------------------------------------------------


def clearinghouse(loopback: Loopback, participant: Participant | None) -> dict[str, Any]:
    """Return an account's perpetual state."""
    if participant is None:
        return {
            "marginSummary": NOTHING,
            "crossMarginSummary": NOTHING,
            "crossMaintenanceMarginUsed": "0.0",
            "withdrawable": "0.0",
            "assetPositions": [],
            "time": loopback.now_ms,
        }
    margin = loopback.rules.of(participant.account)
    held = [at for at, leg in enumerate(margin.legs) if leg.position.size != 0]
    isolated = [margin.legs[at] for at in held if margin.legs[at].isolated]
    notional = int(margin.cross_notional())
    return {
        "marginSummary": {
            "accountValue": money_text(margin.account_value()),
            "totalNtlPos": money_text(notional + sum(int(leg.notional()) for leg in isolated)),
            "totalRawUsd": money_text(margin.total_raw()),
            "totalMarginUsed": money_text(margin.margin_used()),
        },
        "crossMarginSummary": {
            "accountValue": money_text(margin.cross_value()),
            "totalNtlPos": money_text(notional),
            "totalRawUsd": money_text(margin.raw),
            "totalMarginUsed": money_text(margin.cross_margin_used()),
        },
        "crossMaintenanceMarginUsed": money_text(margin.cross_maintenance()),
        "withdrawable": money_text(margin.withdrawable()),
        "assetPositions": [_position(loopback, participant, margin, at) for at in held],
        "time": loopback.now_ms,
    }


def _position(loopback: Loopback, participant: Participant, margin: MarginAccount, at: int) -> dict[str, Any]:
    leg = margin.legs[at]
    instrument = leg.instrument
    size, cost, factor = int(leg.position.size), int(leg.position.cost), int(leg.factor)
    notional, leverage = int(leg.notional()), int(leg.leverage)
    unrealized = int(leg.position.unrealized(leg.mark_price))
    liquidation = margin.liquidation_price(at, _LIQUIDATION_DIGITS - int(instrument.price_scale))
    shown_leverage: dict[str, Any] = {"type": "cross", "value": leverage}
    used = int(used_margin(leg.notional(), leg.leverage))
    if leg.isolated:
        shown_leverage = {"type": "isolated", "value": leverage, "rawUsd": money_text(leg.raw)}
        used = int(margin.leg_equity(at))
    return {
        "type": "oneWay",
        "position": {
            "coin": instrument.name,
            "szi": size_text(instrument, size),
            "leverage": shown_leverage,
            "entryPx": mean_price_text(instrument, abs(cost), abs(size) * factor),
            "positionValue": money_text(notional),
            "unrealizedPnl": money_text(unrealized),
            "returnOnEquity": _ratio(unrealized * leverage, abs(cost)),
            "liquidationPx": printed(liquidation, _LIQUIDATION_DIGITS) if liquidation > 0 else None,
            "marginUsed": money_text(used),
            "maxLeverage": loopback.markets[at].max_leverage,
            "cumFunding": {
                "allTime": money_text(participant.funding_all_time.get(at, 0)),
                "sinceOpen": money_text(participant.funding_since_open.get(at, 0)),
                "sinceChange": money_text(participant.funding_since_change.get(at, 0)),
            },
        },
    }


def _ratio(top: int, bottom: int) -> str:
    return "0.0" if bottom == 0 else decimal_text((Decimal(top) / Decimal(bottom)).quantize(_RATIO))


def state(loopback: Loopback, request: Request) -> Any:
    return clearinghouse(loopback, account_of(loopback, request))


def wallet(participant: Participant | None) -> dict[str, Any]:
    """Return an account's spot balances."""
    return spot_state(None if participant is None else participant.spot)


def spot(loopback: Loopback, request: Request) -> Any:
    return wallet(account_of(loopback, request))


def active_asset(loopback: Loopback, user: str, coin: str) -> dict[str, Any]:
    """Return what an account may trade of a market."""
    index = loopback.by_coin.get(coin)
    if index is None:
        raise Malformed(MALFORMED)
    instrument = loopback.instruments[index]
    mark = max(1, int(loopback.states[index].live.prices.reference()))
    participant = loopback.participants.get(user)
    leverage: dict[str, Any] = {"type": "cross", "value": min(20, loopback.markets[index].max_leverage)}
    free = 0
    if participant is not None:
        margin = loopback.rules.of(participant.account)
        leg = margin.legs[index]
        leverage["value"] = int(leg.leverage)
        if leg.isolated:
            leverage = {"type": "isolated", "value": int(leg.leverage), "rawUsd": money_text(leg.raw)}
        free = max(0, int(margin.cross_value()) - int(margin.required(index, 1, 0, 0)))
    room = free * int(leverage["value"])
    size = size_text(instrument, room // (mark * int(instrument.notional_factor)))
    return {
        "user": user,
        "coin": coin,
        "leverage": leverage,
        "maxTradeSzs": [size, size],
        "availableToTrade": [money_text(room), money_text(room)],
        "markPx": price_text(instrument, mark),
    }


def active_asset_data(loopback: Loopback, request: Request) -> Any:
    return active_asset(loopback, user_of(request), coin_of(request))


# -- fees and limits ----------------------------------------------------------------------------------

_rate = partial(rate_text, scale=9)
_SPOT_RATES: Final = [
    {"spotCross": cross, "spotAdd": add}
    for cross, add in (
        ("0.0007", "0.0004"),
        ("0.0006", "0.0003"),
        ("0.0005", "0.0002"),
        ("0.0004", "0.0001"),
        ("0.00035", "0.0"),
        ("0.0003", "0.0"),
        ("0.00025", "0.0"),
    )
]
"""Of each volume tier; spot is not traded here."""


def _fee_schedule() -> dict[str, Any]:
    schedule = HYPERLIQUID_PERPS
    first = schedule.tiers[0]
    return {
        "cross": _rate(int(first.taker)),
        "add": _rate(int(first.maker)),
        **_SPOT_RATES[0],
        "tiers": {
            "vip": [
                {
                    "ntlCutoff": f"{int(tier.volume)}.0",
                    "cross": _rate(int(tier.taker)),
                    "add": _rate(int(tier.maker)),
                    **spot,
                }
                for tier, spot in zip(schedule.tiers[1:], _SPOT_RATES[1:], strict=True)
            ],
            "mm": [
                {"makerFractionCutoff": _rate(int(tier.share)), "add": _rate(int(tier.value))}
                for tier in schedule.rebates
            ],
        },
        "referralDiscount": _rate(int(schedule.referral_discount)),
        "stakingDiscountTiers": [
            {"bpsOfMaxSupply": "0.0", "discount": "0.0"},
            *(
                # the venue states shares of the supply of 10^9 coins, the schedule holds 10^-6 coins
                {"bpsOfMaxSupply": printed(int(tier.share), 11), "discount": _rate(int(tier.value))}
                for tier in schedule.staking
            ),
        ],
    }


def fees(loopback: Loopback, request: Request) -> Any:
    participant = account_of(loopback, request)
    first = HYPERLIQUID_PERPS.tiers[0]
    cross, add = int(first.taker), int(first.maker)
    if participant is not None:
        own = loopback.rules.fees[int(participant.account.index)]
        cross, add = int(own.user_taker), int(own.user_maker)
    return {
        "dailyUserVlm": _daily_volumes(loopback, participant),
        "feeSchedule": _fee_schedule(),
        "userCrossRate": _rate(cross),
        "userAddRate": _rate(add),
        "userSpotCrossRate": _SPOT_RATES[0]["spotCross"],
        "userSpotAddRate": _SPOT_RATES[0]["spotAdd"],
        "activeReferralDiscount": "0.0",
        "trial": None,
        "feeTrialEscrow": "0.0",
        "nextTrialAvailableTimestamp": None,
        "stakingLink": None,
        "activeStakingDiscount": {"bpsOfMaxSupply": "0.0", "discount": "0.0"},
    }


def _daily_volumes(loopback: Loopback, participant: Participant | None) -> list[dict[str, str]]:
    """Return the volumes of the last days, today's last; the exchange's own are those of all its participants."""
    today = loopback.now_ms // DAY_MS
    first = datetime.fromtimestamp(0, UTC)
    shown = []
    for day in range(max(0, today - VOLUME_DAYS + 1), today + 1):
        own = [0, 0] if participant is None else participant.daily.get(day, [0, 0])
        everybody = sum(sum(each.daily.get(day, ())) for each in loopback.participants.values())
        shown.append(
            {
                "date": (first + timedelta(days=day)).strftime("%Y-%m-%d"),
                "userCross": money_text(own[0]),
                "userAdd": money_text(own[1]),
                "exchange": money_text(everybody),
            }
        )
    return shown


def rate_limit(loopback: Loopback, request: Request) -> Any:
    participant = account_of(loopback, request)
    used = 0 if participant is None else participant.requests
    return {
        "cumVlm": money_text(0 if participant is None else participant.volume),
        "nRequestsUsed": max(0, used),
        "nRequestsCap": 10_000 if participant is None else cap_of(participant),
        "nRequestsSurplus": max(0, -used),
    }


# -- who is who ---------------------------------------------------------------------------------------


def role(loopback: Loopback, request: Request) -> Any:
    participant = account_of(loopback, request)
    if participant is not None:
        if participant.master:
            return {"role": "subAccount", "data": {"master": participant.master}}
        return {"role": "user"}
    master = loopback.directory.master_of(user_of(request), loopback.now_ms)
    return {"role": "missing"} if master is None else {"role": "agent", "data": {"user": master}}


def agents(loopback: Loopback, request: Request) -> Any:
    participant = account_of(loopback, request)
    return [
        {"name": agent.name, "address": agent.address, "validUntil": agent.valid_until_ms}
        for agent in (() if participant is None else participant.agents.values())
        if agent.name
    ]


def sub_accounts(loopback: Loopback, request: Request) -> Any:
    found = [
        {
            "name": each.name,
            "subAccountUser": each.address,
            "master": each.master,
            "clearinghouseState": clearinghouse(loopback, each),
            "spotState": spot_state(each.spot),
        }
        for each in loopback.directory.subaccounts(user_of(request))
    ]
    return found or None


def sub_accounts_by_dex(loopback: Loopback, request: Request) -> Any:
    found = sub_accounts(loopback, request)
    for shown in found or ():
        shown["dexToClearinghouseState"] = [["", shown.pop("clearinghouseState")]]
    return found


def max_builder_fee(loopback: Loopback, request: Request) -> Any:
    participant, builder = account_of(loopback, request), request.get("builder")
    if not isinstance(builder, str):
        raise Malformed(MALFORMED)
    allowed = None if participant is None else participant.builders.get(builder.lower())
    return 0 if allowed is None else allowed.most_tenths


def approved_builders(loopback: Loopback, request: Request) -> Any:
    participant = account_of(loopback, request)
    return [] if participant is None else list(participant.builders)


# -- history ------------------------------------------------------------------------------------------


def portfolio(loopback: Loopback, request: Request) -> Any:
    participant = account_of(loopback, request)
    shown = [(period, _period(loopback, participant, days)) for period, days in PERIODS.items()]
    return [*shown, *((f"perp{period[0].upper()}{period[1:]}", figures) for period, figures in shown)]


def _period(loopback: Loopback, participant: Participant | None, days: int) -> dict[str, Any]:
    begin = loopback.now_ms - days * DAY_MS
    history = [] if participant is None else [entry for entry in participant.history if entry[0] >= begin]
    daily = {} if participant is None else participant.daily
    return {
        "accountValueHistory": [[ms, money_text(value)] for ms, value, _ in history],
        "pnlHistory": [[ms, money_text(profit - history[0][2])] for ms, _, profit in history],
        "vlm": money_text(sum(sum(pair) for day, pair in daily.items() if (day + 1) * DAY_MS > begin)),
    }


def referral(loopback: Loopback, request: Request) -> Any:
    participant = account_of(loopback, request)
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
