"""Numbers as people write them, read exactly: decimals, durations, basis points, sizes in coins or money."""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.money import BPS

_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_QUANTITY: Final = re.compile(r"\s*([+-]?[0-9]*\.?[0-9]+)\s*([A-Za-zµ]+)\s*")
_MONEY_UNITS: Final = frozenset({"USD", "USDC", "USDT", "QUOTE"})
_COIN_UNITS: Final = frozenset({"COIN", "COINS"})
_LONGEST_NS: Final = 1 << 61


def exact_decimal(value: Any) -> Decimal:
    """Return a decimal number from TOML (integer, decimal or text); ValueError for anything else."""
    if isinstance(value, Decimal):
        number = value
    elif isinstance(value, int) and not isinstance(value, bool):
        number = Decimal(value)
    elif isinstance(value, str):
        try:
            number = Decimal(value.strip().replace("_", ""))
        except InvalidOperation:
            raise ValueError("must be a decimal number") from None
    else:
        raise ValueError("must be a decimal number")
    if not number.is_finite():
        raise ValueError("must be a finite decimal number")
    return number


def amount(value: Any) -> Decimal:
    """Return a decimal number that is not negative."""
    number = exact_decimal(value)
    if number < 0:
        raise ValueError("must not be negative")
    return number


def to_units(number: Decimal, scale: int) -> int:
    """Return number x 10^scale; ValueError when it has more decimals than that."""
    scaled = number.scaleb(scale)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"must have at most {scale} decimals")
    return int(scaled)


def duration_ns(value: Any) -> int:
    """Return nanoseconds from text with a unit, such as `10ms`; ValueError otherwise."""
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2] not in _NS:
        raise ValueError('must be text with a unit: "250us", "10ms", "1.5s", "2min", "1h"')
    ns = Decimal(match[1]) * _NS[match[2]]
    if ns != ns.to_integral_value() or not 0 <= ns < _LONGEST_NS:
        raise ValueError("must be a whole number of nanoseconds, not negative and below 73 years")
    return int(ns)


def rate_of_bps(value: Any) -> int:
    """Return a rate in parts per billion from basis points; negative is a rebate. ValueError otherwise."""
    number = exact_decimal(value) * BPS
    if number != number.to_integral_value() or abs(number) > 1000 * BPS:
        raise ValueError("must be basis points between -1000 and 1000 with at most 5 decimals")
    return int(number)


def duration_text(ns: int) -> str:
    """Return a duration in the largest unit that shows it whole."""
    for unit in ("h", "min", "s", "ms", "us"):
        if ns and ns % _NS[unit] == 0:
            return f"{ns // _NS[unit]}{unit}"
    return f"{ns}ns"


def parameter(value: Any, instrument: Instrument, reference_price: int) -> Any:
    """Turn a strategy parameter into what its constructor gets.

    Text with a unit becomes an integer: `"100 USD"` the size (whole lots) that costs so much at the
    reference price, `"0.001 BTC"` or `"0.001 coins"` that size, `"50ms"` nanoseconds. A TOML decimal becomes
    a float, which a strategy may use inside; everything else stays what it is. ValueError when the unit
    cannot be applied.
    """
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return [parameter(item, instrument, reference_price) for item in value]
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    number, unit = Decimal(match[1]), match[2]
    if unit in _NS:
        return duration_ns(value)
    if unit.upper() in _MONEY_UNITS:
        return size_for(number, instrument, reference_price)
    if unit.upper() in _COIN_UNITS or unit == instrument.name:
        size = to_units(number, int(instrument.size_scale))
        if size % int(instrument.lot_size):
            raise ValueError(f"must be a multiple of the lot {instrument.size_text(instrument.lot_size)}")
        return size
    raise ValueError(f"has the unit {unit}; use USD, coins, {instrument.name}, or a time such as ms")


def size_for(notional: Decimal, instrument: Instrument, reference_price: int) -> int:
    """Return the size in whole lots that a notional buys at a price; ValueError below one lot."""
    if reference_price <= 0:
        raise ValueError(f"needs a price of {instrument.name} to become a size; write the size in coins")
    money = to_units(notional, int(instrument.money_scale))
    size = money // (reference_price * int(instrument.notional_factor))
    size -= size % int(instrument.lot_size)
    if size <= 0:
        least = reference_price * int(instrument.lot_size) * int(instrument.notional_factor)
        raise ValueError(f"is less than one lot of {instrument.name}, which costs {instrument.money_text(least)}")
    return size


_as_text = PlainSerializer(lambda number: format(number, "f"), return_type=str)

Amount = Annotated[Decimal, BeforeValidator(amount), _as_text]
"""A decimal number, not negative; coins or quote currency."""
Duration = Annotated[int, BeforeValidator(duration_ns), PlainSerializer(duration_text, return_type=str)]
"""Nanoseconds, written as text with a unit."""
Bps = Annotated[
    int,
    BeforeValidator(rate_of_bps),
    PlainSerializer(lambda rate: format(Decimal(rate) / BPS, "f"), return_type=str),
]
"""Parts per billion, written as basis points."""
Rate = Annotated[Decimal, BeforeValidator(exact_decimal), _as_text]
"""A signed decimal number: a funding rate as a fraction of notional."""
