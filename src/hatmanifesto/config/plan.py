"""A session in integers: what the settings mean for these instruments.

It goes into the journal's first record, and is all that a replay needs to build the same engine again.
"""

import hashlib
from typing import Any, Final

import msgspec

from hatmanifesto.config.routing import BudgetPlan, RoutingPlan
from hatmanifesto.model.instrument import Instrument

PLAN_VERSION: Final = 1


class InstrumentPlan(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument, with the units of model.Instrument, and its limits in size and money units."""

    name: str
    price_scale: int
    size_scale: int
    money_scale: int
    tick_size: int
    lot_size: int
    significant_figures: int
    min_notional: int
    max_price: int
    max_size: int
    maker_fee: int
    taker_fee: int
    max_leverage: int
    price_band: int
    leverage: int
    max_order_size: int
    max_order_notional: int
    max_position: int
    max_position_notional: int
    reference_price: int = 0

    def build(self, index: int) -> Instrument:
        """Return the model's instrument."""
        return Instrument(
            self.name,
            index=index,
            price_scale=self.price_scale,
            size_scale=self.size_scale,
            money_scale=self.money_scale,
            tick_size=self.tick_size,
            lot_size=self.lot_size,
            significant_figures=self.significant_figures,
            min_notional=self.min_notional,
            max_price=self.max_price,
            max_size=self.max_size,
            maker_fee=self.maker_fee,
            taker_fee=self.taker_fee,
            max_leverage=self.max_leverage,
            price_band=self.price_band,
        )


class StrategyPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy: its name in the configuration, its class, its source's hash, its limit in money units."""

    name: str
    cls: str
    source_hash: str
    max_notional: int


class DeskPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy on one instrument (indices of the plan's lists); times in ns, tolerance in price units.

    An empty `policy` is the plan's `router`; only `expected_value` needs `routing`.
    """

    strategy: int
    instrument: int
    params: dict[str, Any]
    triggers: int
    interval_ns: int
    min_interval_ns: int
    depth: int
    traded_range: bool = False
    refresh_tolerance: int
    policy: str = ""
    routing: RoutingPlan | None = None


class FeePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A fee schedule and the account's place in it, with the units of model.fees.AccountFees."""

    schedule: str
    volume: int
    maker_share: int
    staked: int
    referred: bool
    builder_tenths: int


class FundingPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Funding every `interval_ns`: rates in 10^-12, one for all (`constant`), by (time_ns, instrument, rate), or the
    tape's."""

    interval_ns: int
    constant: int | None = None
    table: list[tuple[int, int, int]] = []


class MarginPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Margin at the venue: tiers by instrument as (lower notional in money units, leverage), the rest as in the
    settings."""

    isolated: bool
    mark_interval_ns: int
    partial_notional: int
    deleverage_move: int
    deleverage_percent: int
    tiers: list[list[tuple[int, int]]]


class ExchangePlan(msgspec.Struct, frozen=True, kw_only=True):
    """The simulated venue: models, latencies in ns; `constant_feed_ns` -1 means as recorded.

    Times in `latency_samples` count for the latency model `recorded` only. `left_out` says why fees by schedule,
    funding or margin are not simulated where nobody turned them off.
    """

    model: str
    queue_model: str = "risk_averse"
    queue_power_thousandths: int = 0
    entry_ns: int
    response_ns: int
    latency_model: str = "constant"
    entry_p99_ns: int = 0
    response_p99_ns: int = 0
    latency_floor_ns: int = 0
    feed_latency_thousandths: int = 1000
    latency_samples: list[tuple[int, int, int]] = []
    constant_feed_ns: int = -1
    pessimistic_latency_thousandths: int = 2000
    fees: FeePlan | None = None
    funding: FundingPlan | None = None
    margin: MarginPlan | None = None
    left_out: dict[str, str] = {}


class SessionPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a session is built from, in integers. Money is in 10^-money_scale of the quote currency."""

    version: int = PLAN_VERSION
    seed: int
    money_scale: int
    deposit: int
    max_account_notional: int
    max_leverage_hundredths: int
    max_open_orders: int
    max_orders_per_second: int
    answer_timeout_ns: int
    max_cancel_attempts: int
    max_book_age_ns: int
    equity_interval_ns: int
    router: str
    router_budget: BudgetPlan = BudgetPlan()
    instruments: list[InstrumentPlan]
    strategies: list[StrategyPlan]
    desks: list[DeskPlan]
    exchange: ExchangePlan

    def as_json(self) -> bytes:
        """Return the plan as JSON in one fixed form."""
        return msgspec.json.encode(self, order="deterministic")

    def hash(self) -> str:
        """Return the BLAKE2b-128 of that JSON."""
        return hashlib.blake2b(self.as_json(), digest_size=16).hexdigest()


def plan_from_json(data: bytes) -> SessionPlan:
    """Read a plan back; ValueError (msgspec.ValidationError) when it is none."""
    return msgspec.json.decode(data, type=SessionPlan)
