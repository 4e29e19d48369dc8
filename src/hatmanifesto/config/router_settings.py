"""The sections that say how orders are routed: `[router]`, and what differs by instrument and by strategy.

Every key may be left out everywhere. Of DEFAULTS, `[router]`, `[router.instrument.NAME]`, `[strategies.NAME.router]`
and `[strategies.NAME.router.instrument.NAME]`, the last one that says a key is believed.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from hatmanifesto.config.quantities import Amount, Bps, Duration
from hatmanifesto.config.section import Section

Policy = Literal["keep", "requote_always", "expected_value"]
UrgencyName = Literal["low", "normal", "high"]
URGENCIES: Final = ("low", "normal", "high")
PositiveDuration = Annotated[Duration, Field(gt=0, le=86_400_000_000_000)]
Ticks = Annotated[int, Field(ge=0, le=10_000)]
Tokens = Annotated[int, Field(ge=0, le=1_000_000)]
Burst = Annotated[int, Field(ge=1, le=1_000_000)]
PositiveBps = Annotated[Bps, Field(gt=0)]


class UrgencySettings(Section):
    """`[router.urgency.NAME]`, NAME being low, normal or high: ages, slippage cap, weight of the opportunity cost."""

    improve_after: Duration | None = None
    touch_after: Duration | None = None
    take_after: PositiveDuration | None = None
    slippage_cap_bps: PositiveBps | None = None
    weight: Annotated[Amount, Field(le=100)] | None = None


class BudgetSettings(Section):
    """Token buckets: how many actions a minute, and how many at once."""

    cancels_per_minute: Tokens | None = None
    cancel_burst: Burst | None = None
    actions_per_minute: Tokens | None = None
    action_burst: Burst | None = None


class RouterRules(BudgetSettings):
    """What may be said at every level."""

    half_life: PositiveDuration | None = None
    turnover: PositiveDuration | None = None
    markout: PositiveDuration | None = None
    prior_weight: Annotated[int, Field(ge=0, le=10_000)] | None = None
    fill_scale: Annotated[Amount, Field(gt=0, le=1000)] | None = None
    adverse_selection_bps: Bps | None = None
    drift_share: Annotated[Amount, Field(le=10)] | None = None
    imbalance_drift_bps: Bps | None = None
    imbalance_lean_bps: Bps | None = None
    improve_inside: bool | None = None
    quote_horizon: PositiveDuration | None = None
    cancel_cost_bps: Bps | None = None
    max_keep_ticks: Ticks | None = None
    layers: Annotated[list[Annotated[int, Field(ge=1, le=100)]], Field(min_length=1, max_length=20)] | None = None
    layer_spacing_ticks: Annotated[int, Field(ge=1, le=10_000)] | None = None
    inventory_skew_ticks: Ticks | None = None
    inventory_skew_size: Annotated[str, Field(min_length=1)] | None = None
    funding_skew_intervals: Annotated[int, Field(ge=0, le=1000)] | None = None
    max_skew_ticks: Ticks | None = None
    stop_loss: Annotated[Amount, Field(gt=0)] | None = None
    stop_loss_bps: PositiveBps | None = None
    take_profit: Annotated[Amount, Field(gt=0)] | None = None
    take_profit_bps: PositiveBps | None = None
    reenter_after: Duration | None = None
    urgency: dict[UrgencyName, UrgencySettings] = {}


class StrategyRouter(RouterRules):
    """`[strategies.NAME.router]`: what differs for one strategy, and for single instruments of it."""

    policy: Policy | None = None
    instrument: dict[str, RouterRules] = {}


class RouterSettings(RouterRules):
    """`[router]`: for every strategy; `account` is shared by all desks whose policy is `expected_value`."""

    instrument: dict[str, RouterRules] = {}
    account: BudgetSettings = BudgetSettings()


DEFAULTS: Final[dict[str, Any]] = {
    "half_life": "30s",
    "turnover": "10s",
    "markout": "5s",
    "prior_weight": 20,
    "fill_scale": "1",
    "adverse_selection_bps": "0.2",
    "drift_share": "0.4",
    "imbalance_drift_bps": "0",
    "imbalance_lean_bps": "0",
    "improve_inside": True,
    "quote_horizon": "10s",
    "cancel_cost_bps": "0",
    "max_keep_ticks": 0,
    "cancel_burst": 10,
    "action_burst": 20,
    "layers": [100],
    "layer_spacing_ticks": 1,
    "inventory_skew_ticks": 0,
    "funding_skew_intervals": 0,
    "max_skew_ticks": 10,
    "reenter_after": "60s",
    "urgency": {
        "low": {
            "improve_after": "30s", "touch_after": "60s", "take_after": "300s", "slippage_cap_bps": "10",
            "weight": "0.5",
        },
        "normal": {
            "improve_after": "5s", "touch_after": "15s", "take_after": "60s", "slippage_cap_bps": "20", "weight": "1",
        },
        "high": {
            "improve_after": "0s", "touch_after": "0s", "take_after": "5s", "slippage_cap_bps": "50", "weight": "2",
        },
    },
}  # fmt: skip
"""What holds where nothing is said; keys that are not here are off."""
