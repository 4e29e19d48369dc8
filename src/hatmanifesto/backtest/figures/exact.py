"""Sums of 64-bit columns that never wrap, and ratios of exact integers."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hatmanifesto.model.money import format_decimal

Ints = NDArray[np.int64]
_LOW: Final = np.int64((1 << 31) - 1)


def exact_sum(values: Ints) -> int:
    """Return the sum of up to 2^31 integers as a Python int, whatever its size."""
    return (int((values >> 31).sum()) << 31) + int((values & _LOW).sum())


def ratio_text(part: int, whole: int, places: int = 6) -> str | None:
    """Return part / whole as decimal text, rounded half away from zero; None when there is no whole."""
    if whole == 0:
        return None
    size = (2 * abs(part) * 10**places + whole) // (2 * whole)
    return format_decimal(size if part >= 0 else -size, places)


def bps_text(part: int, whole: int) -> str | None:
    """Return part / whole in basis points, four decimals."""
    return ratio_text(part * 10_000, whole, 4)
