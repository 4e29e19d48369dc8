"""Numbers as the venue prints them: decimal text with at least one decimal."""

from decimal import ROUND_HALF_EVEN, Decimal

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.money import format_decimal


def printed(units: int, scale: int) -> str:
    """Return units of 10^-scale as the venue prints them."""
    text = format_decimal(units, scale)
    return text if "." in text else text + ".0"


def price_text(instrument: Instrument, price: int) -> str:
    """Return a price."""
    return printed(int(price), int(instrument.price_scale))


def size_text(instrument: Instrument, size: int) -> str:
    """Return a size."""
    return printed(int(size), int(instrument.size_scale))


def money_text(amount: int) -> str:
    """Return USDC, six decimals at most."""
    return printed(int(amount), 6)


def rate_text(units: int, scale: int) -> str:
    """Return a rate or a ratio."""
    return printed(int(units), scale)


def mean_price_text(instrument: Instrument, value: int, size: int) -> str:
    """Return value / size, a mean price, at most six significant digits as the venue rounds for display.

    `value` is a sum of price x size.
    """
    if size == 0:
        return "0.0"
    price = Decimal(int(value)) / Decimal(int(size)) / Decimal(10) ** int(instrument.price_scale)
    digits = max(0, 5 - price.adjusted())
    return decimal_text(price.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN))


def decimal_text(value: Decimal) -> str:
    """Return a decimal without needless zeros, with at least one decimal."""
    text = format(value.normalize(), "f")
    return text if "." in text else text + ".0"
