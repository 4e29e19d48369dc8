"""What the value and the limit of a refusal are counted in, so that people read coins, money and seconds."""

from typing import Final

from hatmanifesto.config.plan import InstrumentPlan
from hatmanifesto.config.quantities import duration_text
from hatmanifesto.model import reasons
from hatmanifesto.model.money import format_decimal

SIZES: Final = frozenset(
    (reasons.ORDER_SIZE, reasons.POSITION_SIZE, reasons.LOT_SIZE, reasons.REDUCE_ONLY, reasons.MAX_SIZE)
)
PRICES: Final = frozenset(
    (
        reasons.OWN_ORDERS_CROSS,
        reasons.TICK_SIZE,
        reasons.POST_ONLY_CROSSES,
        reasons.PRICE_BAND,
        reasons.NO_BOOK,
        reasons.MAX_PRICE,
    )
)
MONEY: Final = frozenset(
    (
        reasons.ORDER_NOTIONAL,
        reasons.POSITION_NOTIONAL,
        reasons.STRATEGY_NOTIONAL,
        reasons.ACCOUNT_NOTIONAL,
        reasons.LEVERAGE,
        reasons.MIN_NOTIONAL,
        reasons.MARGIN,
    )
)
TIMES: Final = frozenset((reasons.STALE_BOOK, reasons.STATE_TIMEOUT))


def value_text(reason: int, value: int, instrument: InstrumentPlan, money_scale: int) -> str:
    """Return the number as people write it: coins, a price, money, a time, or a count."""
    if reason in SIZES:
        return format_decimal(value, instrument.size_scale)
    if reason in PRICES:
        return format_decimal(value, instrument.price_scale)
    if reason in MONEY:
        return format_decimal(value, money_scale)
    if reason in TIMES:
        return duration_text(value)
    return str(value)
