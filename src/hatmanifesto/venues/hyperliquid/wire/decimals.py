"""Decimal text of the wire and the exact integers it stands for. No float is ever made of a price or a size.

The venue prints numbers with at least one decimal ("84010.0") and expects canonical text ("84010"): no trailing
zeros, no exponent, at most eight decimals.
"""

from typing import Final

from hatmanifesto.model.money import MAX_AMOUNT, format_decimal, parse_decimal

MAX_DECIMALS: Final = 8
_REMEMBERED: Final = 1 << 12


class Units:
    """Reads one kind of number (an instrument's prices, say) into integers of 10^-scale, `low`..`high`.

    Texts repeat, so what was read is remembered, a bounded number of them.
    """

    def __init__(self, what: str, scale: int, low: int = 0, high: int = MAX_AMOUNT) -> None:
        self._what = what
        self._scale = scale
        self._low = low
        self._high = high
        self._known: dict[str, int] = {}

    def read(self, text: str) -> int:
        """Return the text's exact integer; raises ValueError when it is no such number."""
        value = self._known.get(text)
        if value is None:
            value = self._parse(text)
        return value

    def _parse(self, text: str) -> int:
        if len(text) > 40:
            raise ValueError(f"{self._what} of {len(text)} characters")
        value = parse_decimal(text, self._scale)
        if not self._low <= value <= self._high:
            raise ValueError(f"{self._what} {text} lies outside the range of the instrument")
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[text] = value
        return value


def exact(text: str, scale: int) -> int:
    """Return decimal text as an integer of 10^-scale; raises ValueError when it has more decimals than that, or is
    beyond 62 bits."""
    if len(text) > 60:
        raise ValueError(f"a number of {len(text)} characters")
    value = parse_decimal(text, scale)
    if not -MAX_AMOUNT <= value <= MAX_AMOUNT:
        raise ValueError(f"{text} is beyond 62 bits")
    return value


def rounded(text: str, scale: int) -> int:
    """Return decimal text as an integer of 10^-scale, further decimals cut off toward zero.

    For what the venue shows with more decimals than are booked (volumes, account values at a fraction of a
    micro-dollar); raises ValueError when the text is no plain decimal number.
    """
    whole, point, fraction = text.partition(".")
    return (
        exact(whole + point + fraction[:scale] if point else whole, scale) if fraction.isdigit() else exact(text, scale)
    )


def canonical(units: int, scale: int) -> str:
    """Return units of 10^-scale as the venue's canonical text; raises ValueError beyond eight decimals."""
    text = format_decimal(units, scale)
    if len(text) - text.find(".") - 1 > MAX_DECIMALS and "." in text:
        raise ValueError(f"{text} has more than {MAX_DECIMALS} decimals, which the venue cannot represent")
    return text
