"""Exact integer money: decimal text in and out, and products wider than 64 bits.

Amounts are integers in 10^-scale of a unit. Nothing here touches a float.
"""

from typing import Final

from mypy_extensions import i64

MAX_AMOUNT: Final = (1 << 62) - 1
"""Largest amount the system accepts; compiled 64-bit arithmetic wraps in silence beyond 2^63."""

RATE_SCALE: Final = 1_000_000_000
"""Fee, funding and margin rates are integers in parts per billion: 1 bps = 100_000."""

BPS: Final = 100_000
"""One basis point in rate units."""


def muldiv(amount: int, factor: int, divisor: int) -> int:
    """Return amount x factor / divisor, exact in the product, truncated toward zero.

    Args: amount in any scale; factor and divisor in a common scale, divisor > 0.
    Raises ValueError when divisor is not positive.
    """
    if divisor <= 0:
        raise ValueError(f"divisor must be positive, got {divisor}")
    product = amount * factor
    if product >= 0:
        return product // divisor
    return -(-product // divisor)


def round_half_even(top: int, bottom: int) -> int:
    """Return top / bottom (bottom > 0) rounded to the nearest integer, ties to even."""
    twice = 2 * top + bottom
    rounded = twice // (2 * bottom)
    if twice % (2 * bottom) == 0 and rounded % 2 == 1:
        rounded -= 1
    return rounded


def rate_of(amount: i64, rate: i64) -> i64:
    """Return rate (parts per billion) of an amount, truncated toward zero: a fee, funding or margin.

    The venue truncates fees toward zero at the currency's last decimal. The product is formed in
    64 bits where it provably fits and in unbounded integers otherwise.
    """
    reach: i64 = 1 << 42
    product: i64
    if -reach < amount < reach and -1048576 < rate < 1048576:
        product = amount * rate
        if product >= 0:
            return product // 1_000_000_000
        return -(-product // 1_000_000_000)
    return i64(muldiv(int(amount), int(rate), RATE_SCALE))


def parse_decimal(text: str, scale: int) -> int:
    """Parse decimal text exactly into an integer of 10^-scale.

    Accepts an optional sign, digits, and one point. Raises ValueError when the text is not a plain
    decimal number or carries more than `scale` decimals other than trailing zeros.
    """
    body = text.strip()
    sign = 1
    if body[:1] in ("-", "+"):
        sign = -1 if body[0] == "-" else 1
        body = body[1:]
    whole, point, fraction = body.partition(".")
    if not (whole + fraction).isdigit() or not (whole + fraction).isascii():
        raise ValueError(f"{text!r} is not a decimal number; write digits with at most one point")
    if point and not fraction and not whole:
        raise ValueError(f"{text!r} is not a decimal number; write digits with at most one point")
    fraction = fraction.rstrip("0")
    if len(fraction) > scale:
        raise ValueError(f"{text!r} has {len(fraction)} decimals; at most {scale} are allowed here")
    return sign * int((whole or "0") + fraction.ljust(scale, "0"))


def format_decimal(amount: int, scale: int) -> str:
    """Return the canonical decimal text of an amount: no trailing zeros, no exponent, `0` for zero."""
    sign = "-" if amount < 0 else ""
    digits = str(abs(amount)).rjust(scale + 1, "0")
    if scale == 0:
        return sign + digits
    whole, fraction = digits[:-scale], digits[-scale:].rstrip("0")
    return sign + whole + ("." + fraction if fraction else "")
