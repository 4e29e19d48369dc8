"""Urgent orders: one intent a side and kind, which ages from passive to improving to touch to taker."""

from typing import Final, final

from hatmanifesto.core.routing.fixed_point import PPB
from hatmanifesto.core.routing.rules import UrgencyRules
from hatmanifesto.core.strategy import View
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.routing import IMPROVING, PASSIVE, TAKER, TOUCH

STEPS: Final = 10
"""Steps from the wanted price to the touch; each is a decision."""


@final
class Intent:
    """What is wanted with urgency on one side, reduce-only or not, from its first decision until it is left out."""

    def __init__(self) -> None:
        self.active: bool = False
        self.wanted: bool = False
        self.start_ns: int = 0
        self.arrival_twice_mid: int = 0
        self.stage: int = PASSIVE
        self.taking: bool = False
        self.verdict: int = 0
        # the trial that teaches the estimates: what was predicted at the start, and what came of it
        self.predicted: int = -1
        self.deviation: int = 0
        self.horizon_ns: int = 0
        self.size: int = 0
        self.maker_filled: int = 0

    def begin(self, now: int, twice_mid: int, size: int) -> None:
        """Start at this moment's mid."""
        self.active = True
        self.start_ns = now
        self.arrival_twice_mid = twice_mid
        self.stage = PASSIVE
        self.taking = False
        self.verdict = 0
        self.predicted = -1
        self.deviation = 0
        self.horizon_ns = 0
        self.size = size
        self.maker_filled = 0


def stage_at(age_ns: int, rules: UrgencyRules) -> int:
    """Return the stage that an age demands."""
    if age_ns >= rules.take_after_ns:
        return TAKER
    if age_ns >= rules.touch_after_ns:
        return TOUCH
    if age_ns >= rules.improve_after_ns:
        return IMPROVING
    return PASSIVE


def next_change(start_ns: int, now: int, rules: UrgencyRules) -> int:
    """Return when the stage, or the price within IMPROVING, changes next by age; 0 when it does not any more."""
    age = now - start_ns
    if age < rules.improve_after_ns:
        return start_ns + rules.improve_after_ns
    if age < rules.touch_after_ns:
        step = (rules.touch_after_ns - rules.improve_after_ns + STEPS - 1) // STEPS
        done = (age - rules.improve_after_ns) // step
        return min(start_ns + rules.improve_after_ns + (done + 1) * step, start_ns + rules.touch_after_ns)
    if age < rules.take_after_ns:
        return start_ns + rules.take_after_ns
    return 0


def cap_price(instrument: Instrument, side: int, twice_mid: int, cap_ppb: int) -> int:
    """Return the worst valid price within the cap of a mid: rounded toward the mid, on the grid, 0 for none."""
    limit = twice_mid * (PPB + side * cap_ppb)
    price = limit // (2 * PPB) if side > 0 else -(-limit // (2 * PPB))
    return int(instrument.snap(price, side)) if price > 0 else 0


def touch_price(instrument: Instrument, view: View, side: int, own_best: int, inside: bool) -> int:
    """Return the best maker price: with `inside` a tick before the own best where the spread has room.

    `own_best` is the best price of own orders that are first in their queue (0: none). One that is at the best or
    before it is not outbid: in a live book the best may be itself.
    """
    best = int(view.bid_price if side > 0 else view.ask_price)
    opposite = int(view.ask_price if side > 0 else view.bid_price)
    if own_best > 0 and (own_best - best) * side >= 0 and (opposite - own_best) * side > 0:
        return own_best
    if inside:
        before = best + side * int(instrument.tick_at(best))
        if (opposite - before) * side > 0 and int(instrument.snap(before, side)) == before:
            return before
    return best


def improved_price(wanted: int, touch: int, age_ns: int, rules: UrgencyRules, tick: int, side: int) -> int:
    """Return the price on the way from wanted to touch at an age within IMPROVING, in whole ticks."""
    gap = (touch - wanted) * side
    if gap <= 0:
        return wanted
    step = (rules.touch_after_ns - rules.improve_after_ns + STEPS - 1) // STEPS
    done = (age_ns - rules.improve_after_ns) // step + 1 if step > 0 else STEPS
    ticks = gap * min(done, STEPS) // (STEPS * tick)
    return wanted + side * ticks * tick
