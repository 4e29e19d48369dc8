"""One desk's routing in integers: the plan's part of it, from settings to plan and from plan to the router."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from hatmanifesto.config.quantities import duration_text, parameter, to_units
from hatmanifesto.config.router_settings import DEFAULTS, URGENCIES, BudgetSettings, RouterRules, UrgencySettings
from hatmanifesto.core.maker_router import KeepRouter, MakerRouter, RequoteRouter
from hatmanifesto.core.routing.budget import UNLIMITED, Budget, TokenBucket
from hatmanifesto.core.routing.expected_value import ExpectedValueRouter
from hatmanifesto.core.routing.rules import NOT_SET, Rules, UrgencyRules
from hatmanifesto.core.strategy import View
from hatmanifesto.model.instrument import Instrument

Problems = Callable[[str, object, str], None]
"""Takes a mistake: path, value, what is allowed."""
_BASE: Final = RouterRules.model_validate(DEFAULTS)


class BudgetPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Two token buckets; -1 a minute is no limit."""

    cancels_per_minute: int = UNLIMITED
    cancel_burst: int = 10
    actions_per_minute: int = UNLIMITED
    action_burst: int = 20

    def build(self) -> Budget:
        """Return the buckets, full."""
        return Budget(
            TokenBucket(self.cancels_per_minute, self.cancel_burst),
            TokenBucket(self.actions_per_minute, self.action_burst),
        )


class UrgencyPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Ages in ns, the cap in ppb, the weight in percent."""

    improve_after_ns: int
    touch_after_ns: int
    take_after_ns: int
    cap_ppb: int
    weight_percent: int


class RoutingPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of core.routing.rules; ticks stay ticks, but what is compared with prices is in price units."""

    half_life_ns: int
    turnover_ns: int
    markout_ns: int
    prior_weight: int
    fill_scale_ppm: int
    adverse_ppb: int
    drift_ppm: int
    imbalance_drift_ppb: int
    imbalance_lean_ppb: int
    improve_inside: bool
    quote_horizon_ns: int
    cancel_cost_ppb: int
    max_keep: int
    layer_percents: list[int]
    layer_spacing_ticks: int
    inventory_skew_ticks: int
    inventory_skew_size: int
    funding_skew_intervals: int
    max_skew_ticks: int
    stop_loss: int
    stop_loss_ppb: int
    take_profit: int
    take_profit_ppb: int
    reenter_after_ns: int
    urgencies: list[UrgencyPlan]
    budget: BudgetPlan

    def rules(self, refresh_tolerance: int, max_book_age_ns: int) -> Rules:
        """Return them as the router takes them."""
        rules = Rules()
        for name in self.__struct_fields__:
            if name not in ("urgencies", "budget"):
                setattr(rules, name, getattr(self, name))
        rules.urgencies = [
            UrgencyRules(**{name: getattr(entry, name) for name in UrgencyPlan.__struct_fields__})
            for entry in self.urgencies
        ]
        rules.refresh_tolerance = refresh_tolerance
        rules.max_book_age_ns = max_book_age_ns
        return rules


def build_router(
    policy: str,
    routing: RoutingPlan | None,
    view: View,
    account: Budget,
    *,
    refresh_tolerance: int,
    max_book_age_ns: int,
) -> MakerRouter:
    """Return a desk's router. Raises ValueError for an unknown policy, or one whose parameters are missing."""
    if policy == "keep":
        return KeepRouter(refresh_tolerance)
    if policy == "requote_always":
        return RequoteRouter()
    if policy != "expected_value" or routing is None:
        raise ValueError(f"there is no router policy {policy!r}, or the plan lacks its parameters")
    return ExpectedValueRouter(routing.rules(refresh_tolerance, max_book_age_ns), view, routing.budget.build(), account)


def resolve_budget(path: str, section: BudgetSettings, problem: Problems) -> BudgetPlan:
    """Return the buckets of one section."""
    return _Merged([(path, section)], problem).budget()


def resolve_routing(
    given: Sequence[tuple[str, RouterRules]],
    instrument: Instrument,
    price: int,
    tick: int,
    money: Callable[[str, Decimal], int],
    problem: Problems,
) -> RoutingPlan:
    """Merge sections (path and content, later ones win) into one desk's plan; mistakes go to `problem`."""
    merged = _Merged([("router", _BASE), *given], problem)
    value = merged.value
    layers = value("layers")
    if sum(layers) != 100:
        problem(merged.path("layers"), layers, f"must add up to 100 percent, they are {sum(layers)}")
    size = 0
    asked = value("inventory_skew_size")
    if asked is not None:
        try:
            found = parameter(asked, instrument, price)
            if not isinstance(found, int) or found <= 0:
                raise ValueError('must be a size such as "1000 USD" or "0.5 coins"')
            size = found
        except ValueError as error:
            problem(merged.path("inventory_skew_size"), asked, str(error))
    return RoutingPlan(
        half_life_ns=value("half_life"),
        turnover_ns=value("turnover"),
        markout_ns=value("markout"),
        prior_weight=value("prior_weight"),
        fill_scale_ppm=merged.units("fill_scale", 6),
        adverse_ppb=value("adverse_selection_bps"),
        drift_ppm=merged.units("drift_share", 6),
        imbalance_drift_ppb=value("imbalance_drift_bps"),
        imbalance_lean_ppb=value("imbalance_lean_bps"),
        improve_inside=value("improve_inside"),
        quote_horizon_ns=value("quote_horizon"),
        cancel_cost_ppb=value("cancel_cost_bps"),
        max_keep=value("max_keep_ticks") * tick,
        layer_percents=layers,
        layer_spacing_ticks=value("layer_spacing_ticks"),
        inventory_skew_ticks=value("inventory_skew_ticks"),
        inventory_skew_size=size,
        funding_skew_intervals=value("funding_skew_intervals"),
        max_skew_ticks=value("max_skew_ticks"),
        stop_loss=merged.money("stop_loss", money),
        stop_loss_ppb=_or_off(value("stop_loss_bps")),
        take_profit=merged.money("take_profit", money),
        take_profit_ppb=_or_off(value("take_profit_bps")),
        reenter_after_ns=value("reenter_after"),
        urgencies=[merged.urgency(name) for name in URGENCIES],
        budget=merged.budget(),
    )


def _or_off(value: int | None) -> int:
    return NOT_SET if value is None else value


class _Merged:
    """Sections over one another: the last one that says a key is believed, and named when it is wrong."""

    def __init__(self, sections: Sequence[tuple[str, BudgetSettings]], problem: Problems) -> None:
        self.sections = sections
        self.problem = problem

    def _found(self, key: str) -> tuple[str, Any]:
        for path, section in reversed(self.sections):
            value = getattr(section, key)
            if value is not None:
                return f"{path}.{key}", value
        return f"{self.sections[0][0]}.{key}", None

    def value(self, key: str) -> Any:
        return self._found(key)[1]

    def path(self, key: str) -> str:
        return self._found(key)[0]

    def units(self, key: str, scale: int) -> int:
        path, number = self._found(key)
        try:
            return to_units(number, scale)
        except ValueError as error:
            self.problem(path, number, str(error))
            return 1

    def money(self, key: str, money: Callable[[str, Decimal], int]) -> int:
        path, number = self._found(key)
        return NOT_SET if number is None else money(path, number)

    def budget(self) -> BudgetPlan:
        given = {}
        for name in BudgetPlan.__struct_fields__:
            value = self.value(name)
            if value is not None:
                given[name] = value
        return BudgetPlan(**given)

    def urgency(self, name: str) -> UrgencyPlan:
        found: dict[str, tuple[str, Any]] = {}
        for path, section in self.sections:
            entry = getattr(section, "urgency", {}).get(name, UrgencySettings())
            for key in UrgencySettings.model_fields:
                value = getattr(entry, key)
                if value is not None:
                    found[key] = (f"{path}.urgency.{name}.{key}", value)
        improve, touch, take = (found[key][1] for key in ("improve_after", "touch_after", "take_after"))
        for key, earlier, what in (("touch_after", improve, "improve_after"), ("take_after", touch, "touch_after")):
            path, value = found[key]
            if value < earlier:
                order = "an order improves, joins the touch, then takes"
                self.problem(path, duration_text(value), f"must not be less than {what}: {order}")
        try:
            weight = to_units(found["weight"][1], 2)
        except ValueError as error:
            self.problem(*found["weight"], str(error))
            weight = 100
        return UrgencyPlan(
            improve_after_ns=improve,
            touch_after_ns=max(improve, touch),
            take_after_ns=max(improve, touch, take),
            cap_ppb=found["slippage_cap_bps"][1],
            weight_percent=weight,
        )
