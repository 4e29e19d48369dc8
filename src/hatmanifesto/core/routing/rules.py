"""The router's parameters of one desk, in integers."""

from typing import final

from hatmanifesto.core.routing.fixed_point import PPM

NOT_SET = -1


@final
class UrgencyRules:
    """How one urgency escalates: ages in nanoseconds, the cap in ppb of the reference mid.

    `weight_percent` multiplies the opportunity cost of not being filled: more urgent, sooner a taker.
    """

    def __init__(
        self, *, improve_after_ns: int, touch_after_ns: int, take_after_ns: int, cap_ppb: int, weight_percent: int
    ) -> None:
        if not 0 <= improve_after_ns <= touch_after_ns <= take_after_ns:
            raise ValueError("an order must improve first, then join the touch, then take")
        self.improve_after_ns: int = improve_after_ns
        self.touch_after_ns: int = touch_after_ns
        self.take_after_ns: int = take_after_ns
        self.cap_ppb: int = cap_ppb
        self.weight_percent: int = weight_percent


@final
class Rules:
    """Defaults are what the configuration's defaults become; `config.assembly` sets the rest."""

    def __init__(self) -> None:
        second = 1_000_000_000
        self.refresh_tolerance: int = 0
        self.max_book_age_ns: int = 10 * second
        # estimates and their priors
        self.half_life_ns: int = 30 * second
        self.turnover_ns: int = 10 * second
        self.markout_ns: int = 5 * second
        self.prior_weight: int = 20
        self.fill_scale_ppm: int = PPM
        self.adverse_ppb: int = 20_000
        self.drift_ppm: int = 400_000
        self.imbalance_drift_ppb: int = 0
        self.imbalance_lean_ppb: int = 0
        self.improve_inside: bool = True
        self.urgencies: list[UrgencyRules] = [
            UrgencyRules(
                improve_after_ns=30 * second,
                touch_after_ns=60 * second,
                take_after_ns=300 * second,
                cap_ppb=1_000_000,
                weight_percent=50,
            ),
            UrgencyRules(
                improve_after_ns=5 * second,
                touch_after_ns=15 * second,
                take_after_ns=60 * second,
                cap_ppb=2_000_000,
                weight_percent=100,
            ),
            UrgencyRules(
                improve_after_ns=0, touch_after_ns=0, take_after_ns=5 * second, cap_ppb=5_000_000, weight_percent=200
            ),
        ]
        # resting quotes
        self.quote_horizon_ns: int = 10 * second
        self.cancel_cost_ppb: int = 0
        self.max_keep: int = 0
        # shape
        self.layer_percents: list[int] = [100]
        self.layer_spacing_ticks: int = 1
        self.inventory_skew_ticks: int = 0
        self.inventory_skew_size: int = 0
        self.funding_skew_intervals: int = 0
        self.max_skew_ticks: int = 10
        # exits; money and ppb of the position's cost, -1 = none
        self.stop_loss: int = NOT_SET
        self.stop_loss_ppb: int = NOT_SET
        self.take_profit: int = NOT_SET
        self.take_profit_ppb: int = NOT_SET
        self.reenter_after_ns: int = 60 * second

    def urgency(self, urgency: int) -> UrgencyRules:
        """Return the rules of LOW (1), NORMAL (2) or HIGH (3)."""
        return self.urgencies[urgency - 1]
