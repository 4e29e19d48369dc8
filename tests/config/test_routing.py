"""The router's settings: what wins over what, every mistake at once, and defaults that are the router's own."""

from typing import Any

import pytest

from hatmanifesto.backtest.tape.synthetic import generate
from hatmanifesto.config.assembly import assemble
from hatmanifesto.config.plan import SessionPlan, plan_from_json
from hatmanifesto.config.resolve import Resolved, resolve
from hatmanifesto.config.settings import parse
from hatmanifesto.core.maker_router import KeepRouter, RequoteRouter
from hatmanifesto.core.market_view import OWN_EVENT
from hatmanifesto.core.routing.expected_value import ExpectedValueRouter
from hatmanifesto.core.routing.rules import Rules, UrgencyRules
from hatmanifesto.errors import UserError
from support.engines import S, ScriptedGateway
from support.rows import Records

TAPE = generate(seed=1, minutes=1)
PRICES = {0: 650_000, 1: 32_000}


def resolved(raw: dict[str, Any]) -> Resolved:
    return resolve(parse(raw), TAPE.instruments, PRICES)


def plan_of(raw: dict[str, Any]) -> SessionPlan:
    return resolved({"engine": {"router": "expected_value"}, **raw}).plan


def mistakes(raw: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        resolved(raw)
    return str(caught.value)


def test_the_documented_defaults_are_the_routers_own() -> None:
    desk = plan_of({}).desks[0]
    assert desk.routing is not None
    made, own = desk.routing.rules(0, 10 * S), Rules()
    for name in vars(own) if hasattr(own, "__dict__") else Rules.__annotations__:
        if name != "urgencies":
            assert getattr(made, name) == getattr(own, name), name
    for name in ("refresh_tolerance", "half_life_ns", "drift_ppm", "max_keep", "stop_loss", "reenter_after_ns"):
        assert getattr(made, name) == getattr(own, name), name
    fields = ("improve_after_ns", "touch_after_ns", "take_after_ns", "cap_ppb", "weight_percent")

    def of(entry: UrgencyRules) -> list[int]:
        return [getattr(entry, name) for name in fields]

    assert [of(entry) for entry in made.urgencies] == [of(entry) for entry in own.urgencies]


def test_the_section_nearest_to_the_desk_wins() -> None:
    plan = plan_of(
        {
            "router": {
                "max_keep_ticks": 1,
                "layers": [50, 50],
                "urgency": {"high": {"take_after": "7s"}},
                "instrument": {"ETH": {"max_keep_ticks": 2, "urgency": {"high": {"slippage_cap_bps": "3"}}}},
            },
            "strategies": {
                "a": {
                    "class": "touch_joiner",
                    "router": {"max_keep_ticks": 3, "instrument": {"ETH": {"max_keep_ticks": 4}}},
                },
                "b": {"class": "touch_joiner"},
            },
        }
    )
    ticks = [int(TAPE.instruments[index].tick_at(PRICES[index])) for index in (0, 1)]
    routings = [desk.routing for desk in plan.desks]
    assert [routing.max_keep if routing else None for routing in routings] == [
        3 * ticks[0], 4 * ticks[1], 1 * ticks[0], 2 * ticks[1],
    ]  # fmt: skip
    for routing in routings:
        assert routing is not None
        assert routing.layer_percents == [50, 50]
        assert routing.urgencies[2].take_after_ns == 7 * S
    assert [routing.urgencies[2].cap_ppb for routing in routings if routing] == [5_000_000, 300_000] * 2


def test_each_strategy_may_have_a_policy_of_its_own_and_the_account_shares_one_budget() -> None:
    made = resolved(
        {
            "router": {"cancels_per_minute": 30, "account": {"actions_per_minute": 600, "action_burst": 7}},
            "strategies": {
                "kept": {"class": "touch_joiner", "instruments": ["BTC"]},
                "new": {"class": "touch_joiner", "instruments": ["BTC"], "router": {"policy": "requote_always"}},
                "weighed": {"class": "touch_joiner", "router": {"policy": "expected_value"}, "triggers": ["timer"]},
            },
        }
    )
    plan = plan_from_json(made.plan.as_json())
    assert plan == made.plan
    session = assemble(plan, made.strategies, ScriptedGateway(), Records())
    routers = [clock.router for clock in session.clocks]
    assert [type(router) for router in routers] == [KeepRouter, RequoteRouter] + [ExpectedValueRouter] * 2
    assert plan.desks[0].routing is None
    weighed = [router for router in routers if isinstance(router, ExpectedValueRouter)]
    assert weighed[0].account is weighed[1].account
    assert weighed[0].own is not weighed[1].own
    assert (weighed[0].own.cancels.tokens(), weighed[0].account.actions.tokens()) == (10, 7)
    assert weighed[0].own.actions.tokens() == -1
    # it hears of its own orders whatever the strategy waits for
    assert plan.desks[2].triggers & OWN_EVENT
    assert not plan.desks[2].triggers & ~OWN_EVENT & 1


def test_sizes_money_and_bps_become_integers() -> None:
    routing = (
        plan_of(
            {
                "router": {
                    "inventory_skew_size": "1300 USD",
                    "stop_loss": "12.5",
                    "take_profit_bps": "7",
                    "fill_scale": "1.5",
                    "drift_share": "0.25",
                    "urgency": {"low": {"weight": "0.75"}},
                }
            }
        )
        .desks[0]
        .routing
    )
    assert routing is not None
    assert routing.inventory_skew_size == int(TAPE.instruments[0].parse_size("0.02"))
    assert (routing.stop_loss, routing.take_profit_ppb) == (12_500_000, 700_000)
    assert (routing.stop_loss_ppb, routing.take_profit) == (-1, -1)
    assert (routing.fill_scale_ppm, routing.drift_ppm, routing.urgencies[0].weight_percent) == (1_500_000, 250_000, 75)


def test_every_mistake_is_named_at_once_with_its_place() -> None:
    text = mistakes(
        {
            "engine": {"router": "expected_value"},
            "router": {
                "layers": [50, 40],
                "max_keep_ticks": -1,
                "cancel_burst": 0,
                "stop_loss_bps": "0",
                "inventory_skew_size": "10 parsecs",
                "fill_scales": "2",
                "urgency": {"normal": {"touch_after": "90s"}, "soon": {}},
                "instrument": {"DOGE": {}},
            },
            "strategies": {"a": {"class": "touch_joiner", "router": {"policy": "best", "drift_share": "0.1234567"}}},
        }
    )
    for words in (
        "router.layers = [50, 40]: must add up to 100 percent, they are 90",
        "router.max_keep_ticks = -1",
        "router.cancel_burst = 0",
        "router.stop_loss_bps",
        'router.inventory_skew_size = "10 parsecs": has the unit parsecs',
        "router.fill_scales",
        "did you mean fill_scale?",
        "router.urgency.normal.take_after",
        "router.urgency.soon",
        "router.instrument.DOGE",
        "strategies.a.router.policy",
        "strategies.a.router.drift_share = 0.1234567: must have at most 6 decimals",
    ):
        assert words in text, (words, text)


@pytest.mark.parametrize("take", ["0s", "25h", "soon", 5])
def test_a_time_that_no_order_can_have_is_refused(take: object) -> None:
    assert "take_after" in mistakes({"router": {"urgency": {"low": {"take_after": take}}}})
