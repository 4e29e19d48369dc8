"""Price and size steps, learned from what was recorded or given, and the change to an instrument's own units.

Importers that do not know an instrument's decimals read prices in 10^-10 and sizes in 10^-8, exactly;
when all is read the steps are known, and rows are brought into the instrument's scales on their way into the tape.
"""

import math
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hatmanifesto.backtest.tape.format import META, PRICE, SIZE, Rows
from hatmanifesto.backtest.tape.importers.request import price_limit
from hatmanifesto.errors import UserError
from hatmanifesto.model.market_row import (
    FUNDING,
    INSTRUMENT_MASK,
    INSTRUMENT_SHIFT,
    KIND_MASK,
    MARK,
    ORACLE,
)

RAW_PRICE_DECIMALS: Final = 10
RAW_SIZE_DECIMALS: Final = 8
MAX_MONEY_DECIMALS: Final = 12


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument's scales and steps (in its own units), and limits that leave room above what was seen."""

    price_scale: int
    size_scale: int
    tick_size: int
    lot_size: int
    money_scale: int
    max_price: int


class Grid:
    """What was seen of one instrument, in raw units: the greatest common divisor and the largest of both."""

    def __init__(self) -> None:
        self.price_step = 0
        self.size_step = 0
        self.largest_price = 0
        self.largest_size = 0

    def note(self, price: NDArray[np.int64], size: NDArray[np.int64]) -> None:
        """Take prices and sizes, raw units; zeros (no level) say nothing."""
        if len(price) == 0:
            return
        self.price_step = math.gcd(self.price_step, int(np.gcd.reduce(price)))
        self.size_step = math.gcd(self.size_step, int(np.gcd.reduce(size)))
        self.largest_price = max(self.largest_price, int(price.max()))
        self.largest_size = max(self.largest_size, int(size.max()))

    def inferred(self, name: str, tick: str, lot: str) -> Steps:
        """Return steps as given (decimal text) or, where that is empty, as seen: 1, 2 or 5 times a power of ten.

        Raises UserError when a given step is none, or something seen does not lie on it.
        """
        price_step = given_step(tick, RAW_PRICE_DECIMALS, "tick") or _round_step(self.price_step)
        size_step = given_step(lot, RAW_SIZE_DECIMALS, "lot") or _round_step(self.size_step)
        price_scale = _decimals(price_step, RAW_PRICE_DECIMALS)
        size_scale = _decimals(size_step, RAW_SIZE_DECIMALS)
        return self._steps(name, price_scale, size_scale, price_step, size_step)

    def fixed(self, name: str, price_scale: int, size_scale: int) -> Steps:
        """Return steps of one unit in known scales; raises UserError when something seen has more decimals."""
        price_step = int(10 ** (RAW_PRICE_DECIMALS - price_scale))
        size_step = int(10 ** (RAW_SIZE_DECIMALS - size_scale))
        return self._steps(name, price_scale, size_scale, price_step, size_step)

    def _steps(self, name: str, price_scale: int, size_scale: int, price_step: int, size_step: int) -> Steps:
        for what, option, seen, step, raw in (
            ("price", "tick", self.price_step, price_step, RAW_PRICE_DECIMALS),
            ("size", "lot", self.size_step, size_step, RAW_SIZE_DECIMALS),
        ):
            if seen % step:
                raise UserError(
                    f"{name}: the recording has {what}s off the step {Decimal(step).scaleb(-raw).normalize():f}, "
                    f"their common step is {Decimal(seen).scaleb(-raw).normalize():f}",
                    f"check the recording, or give the true step with --{option}",
                )
        money_scale = max(6, price_scale + size_scale)
        if money_scale > MAX_MONEY_DECIMALS:
            raise UserError(
                f"{name}: prices and sizes have {money_scale} decimals together, exact are {MAX_MONEY_DECIMALS}",
                "give coarser steps with --tick and --lot, if the recording allows them",
            )
        price_unit = int(10 ** (RAW_PRICE_DECIMALS - price_scale))
        size_unit = int(10 ** (RAW_SIZE_DECIMALS - size_scale))
        return Steps(
            price_scale=price_scale,
            size_scale=size_scale,
            tick_size=price_step // price_unit,
            lot_size=size_step // size_unit,
            money_scale=money_scale,
            max_price=price_limit(
                max(1, self.largest_price // price_unit),
                self.largest_size // size_unit,
                price_scale=price_scale,
                factor=int(10 ** (money_scale - price_scale - size_scale)),
            ),
        )


class Rescale:
    """Brings rows of raw units into their instruments' own, in place; marks and oracle prices are rounded."""

    def __init__(self, steps: list[Steps]) -> None:
        self._price = np.array([10 ** (RAW_PRICE_DECIMALS - one.price_scale) for one in steps], np.int64)
        self._size = np.array([10 ** (RAW_SIZE_DECIMALS - one.size_scale) for one in steps], np.int64)

    def __call__(self, rows: Rows) -> None:
        """Change a block of rows; funding rows keep their rate and interval."""
        which = (rows[:, META] >> INSTRUMENT_SHIFT) & INSTRUMENT_MASK
        kind = rows[:, META] & KIND_MASK
        scaled = kind != FUNDING
        divisor = self._price[which]
        half = np.where((kind == MARK) | (kind == ORACLE), divisor // 2, 0)
        rows[:, PRICE] = np.where(scaled, (rows[:, PRICE] + half) // divisor, rows[:, PRICE])
        rows[:, SIZE] = np.where(scaled, rows[:, SIZE] // self._size[which], rows[:, SIZE])


def rounded_units(text: str, scale: int) -> int | None:
    """Return decimal text in units of 10^-scale, rounded half to even; None when it is no number."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if not value.is_finite() or abs(value.adjusted()) > 18:
        return 0 if value == 0 else None
    return int(value.scaleb(scale).to_integral_value())


def given_step(text: str, scale: int, option: str) -> int:
    """Return a step given as decimal text in units of 10^-scale, 0 for empty text; raises UserError for no step."""
    if not text:
        return 0
    try:
        value = Decimal(text).scaleb(scale)
    except InvalidOperation:
        value = Decimal(0)
    if not value.is_finite() or value <= 0 or value != value.to_integral_value():
        raise UserError(f"--{option} {text!r} is no positive step", f"write it like --{option} 0.1")
    return int(value)


def _round_step(seen: int) -> int:
    """Return the largest divisor of a step that is 1, 2 or 5 times a power of ten; 1 for none seen."""
    best = 1
    power = 1
    while power <= seen:
        for leading in (1, 2, 5):
            if seen % (leading * power) == 0:
                best = max(best, leading * power)
        power *= 10
    return best if seen else 1


def _decimals(step: int, scale: int) -> int:
    while scale and step % 10 == 0:
        step //= 10
        scale -= 1
    return scale
