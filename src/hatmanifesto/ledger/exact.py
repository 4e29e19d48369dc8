"""Sums and products of integer arrays that are exact or an error: numpy alone would wrap in silence."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_MOST: Final = (1 << 63) - 1


def product(a: Ints, b: Ints, c: Ints) -> Ints:
    """Return a x b x c, element by element; OverflowError where it passes 64 bits."""
    if len(a) and _most(a) * _most(b) * _most(c) > _MOST:
        rows = zip(a.tolist(), b.tolist(), c.tolist(), strict=True)
        if any(abs(one * two * three) > _MOST for one, two, three in rows):
            raise OverflowError("an amount passes 2^63 money units")
    found: Ints = a * b * c
    return found


def dot(a: Ints, b: Ints) -> int:
    """Return the sum of a x b."""
    if len(a) and len(a) * _most(a) * _most(b) > _MOST:
        return sum(one * two for one, two in zip(a.tolist(), b.tolist(), strict=True))
    return int(np.dot(a, b))


def total(a: Ints) -> int:
    """Return the sum."""
    if len(a) and len(a) * _most(a) > _MOST:
        return sum(a.tolist())
    return int(a.sum())


def running(begin: int, changes: Ints) -> Ints:
    """Return `begin` plus the changes up to and with each; OverflowError where that could pass 64 bits."""
    if len(changes) and abs(begin) + len(changes) * _most(changes) > _MOST:
        reached = begin
        for change in changes.tolist():
            reached += change
            if abs(reached) > _MOST:
                raise OverflowError("an amount passes 2^63 money units")
    found: Ints = begin + np.cumsum(changes)
    return found


def _most(a: Ints) -> int:
    return max(int(a.max()), -int(a.min()))
