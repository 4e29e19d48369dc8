"""The probability that a shrinking level shrank behind an order: the field's functions of the queue, in integers.

Every result is an integer of 2^-30, from logarithms and powers that are computed by shifts and products of 64-bit
integers alone: the same on every machine, compiled or not. Errors stay below 2^-22.
"""

from math import isqrt
from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i64

ONE: Final = 1 << 30
"""A probability of 1, and the fixed point of all of this."""
_LOG2_E: Final = 1549082005
"""log2(e) in 2^-30."""
_SMALL: Final = 1 << 20
"""Below ONE / 2^10 the logarithm of 1 + x is taken by its series."""


def _roots_of_two() -> vec[i64]:
    """Return 2^(2^-k) in 2^-30 for k = 1 … 30, each the rounded root of the one before."""
    roots = vec[i64]()
    precise = 2 << 240
    for _ in range(30):
        precise = isqrt(precise << 240)
        roots = append(roots, i64((precise + (1 << 209)) >> 210))
    return roots


_ROOTS: Final = _roots_of_two()


def log2(value: i64) -> i64:
    """Return log2 of a value from 1 to 2^62 in 2^-30, rounded down bit by bit."""
    whole: i64 = 0
    rest = value
    while rest >= 1 << 31:
        rest >>= 1
        whole += 1
    while rest < ONE:
        rest <<= 1
        whole -= 1
    result = (whole + 30) << 30
    bit: i64 = ONE >> 1
    while bit > 0:
        rest = (rest * rest) >> 30
        if rest >= ONE << 1:
            rest >>= 1
            result += bit
        bit >>= 1
    return result


def exp2(exponent: i64) -> i64:
    """Return 2^exponent in 2^-30; the exponent is in 2^-30 and not above 0."""
    if exponent <= -31 * ONE:
        return 0
    whole = (-exponent) >> 30
    fraction = exponent + (whole << 30)  # -1 < fraction <= 0
    if fraction < 0:
        fraction += ONE
        whole += 1
    result: i64 = ONE
    at: i64 = 0
    bit: i64 = ONE >> 1
    roots = _ROOTS
    while fraction > 0:
        if fraction & bit:
            result = (result * roots[at] + (ONE >> 1)) >> 30
            fraction -= bit
        bit >>= 1
        at += 1
    return result >> whole


def scaled_exp2(exponent: i64) -> i64:
    """Return 2^exponent as a whole number, rounded down; the exponent is in 2^-30, from 0 to below 62."""
    whole = (exponent + ONE - 1) >> 30
    mantissa = exp2(exponent - (whole << 30))
    return mantissa << (whole - 30) if whole >= 30 else mantissa >> (30 - whole)


def log_one_plus(size: i64, unit: i64) -> i64:
    """Return log2(1 + size / unit) in 2^-30. `unit` is one coin in size units, size not negative."""
    if size < (1 << 32) and (size << 30) // unit < _SMALL:
        ratio = (size << 30) // unit  # up to 2^20, so that each product fits
        return ((ratio - ((ratio * ratio) >> 31)) * _LOG2_E) >> 30
    return log2(unit + size) - log2(unit)


def power(front: i64, back: i64, thousandths: i64) -> i64:
    """Return back^n / (back^n + front^n), n in thousandths."""
    if front <= 0:
        return ONE
    if back <= 0:
        return 0
    difference = log2(front) - log2(back)
    if difference <= 0:
        return (ONE << 30) // (ONE + exp2(difference * thousandths // 1000))
    ratio = exp2(-(difference * thousandths // 1000))
    return (ratio << 30) // (ONE + ratio)


def power_of_share_behind(front: i64, back: i64, thousandths: i64) -> i64:
    """Return (back / (front + back))^n, n in thousandths: never above the share behind for n >= 1."""
    if front <= 0:
        return ONE
    if back <= 0:
        return 0
    return exp2((log2(back) - log2(front + back)) * thousandths // 1000)


def power_of_share_ahead(front: i64, back: i64, thousandths: i64) -> i64:
    """Return 1 - (front / (front + back))^n, n in thousandths: never below the share behind for n >= 1."""
    if front <= 0:
        return ONE
    if back <= 0:
        return 0
    return ONE - exp2((log2(front) - log2(front + back)) * thousandths // 1000)


def logarithm(front: i64, back: i64, unit: i64) -> i64:
    """Return ln(1 + back) / (ln(1 + back) + ln(1 + front)), sizes in coins of `unit` size units."""
    if front <= 0:
        return ONE
    if back <= 0:
        return 0
    behind = log_one_plus(back, unit)
    total = behind + log_one_plus(front, unit)
    return (behind << 24) // ((total >> 6) + 1) if total > ONE else (behind << 30) // (total + 1)


def logarithm_of_share(front: i64, back: i64, unit: i64) -> i64:
    """Return ln(1 + back) / ln(1 + back + front), sizes in coins of `unit` size units."""
    if front <= 0:
        return ONE
    if back <= 0:
        return 0
    behind = log_one_plus(back, unit)
    total = log_one_plus(front + back, unit)
    share = (behind << 24) // ((total >> 6) + 1) if total > ONE else (behind << 30) // (total + 1)
    return share if share < ONE else ONE
