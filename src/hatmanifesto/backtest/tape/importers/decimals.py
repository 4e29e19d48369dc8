"""Decimal text columns to exact integers, vectorised; no float is ever made of a price, a size or a time."""

import re
from decimal import Decimal

import numpy as np
import polars as pl
from numpy.typing import NDArray

_PLAIN = r"^[+-]?[0-9]+(\.[0-9]*)?$"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def decimal_units(texts: pl.Series, scale: int) -> pl.Series:
    """Return the texts in units of 10^-scale as Int64; null where a text is null or not exact in that scale.

    Plain decimals go through columns; the rest (`1e-05`, as Python prints small sizes) one by one.
    """
    texts = texts.rename("text")
    fraction = pl.col("fraction").fill_null("").str.strip_chars_end("0")
    units = (
        texts.to_frame()
        .select(
            "text",
            pl.col("text").str.splitn(".", 2).struct.rename_fields(["whole", "fraction"]).alias("parts"),
        )
        .unnest("parts")
        .select(
            pl.when(pl.col("text").str.contains(_PLAIN) & (fraction.str.len_bytes() <= scale))
            .then(pl.concat_str("whole", fraction.str.pad_end(scale, "0")))
            .cast(pl.Int64, strict=False)
        )
        .to_series()
    )
    left = (units.is_null() & texts.is_not_null()).arg_true()
    if len(left):
        units = units.scatter(left, [exact_units(text, scale) for text in texts.gather(left).to_list()])
    return units


def exact_units(text: str, scale: int) -> int | None:
    """Return one decimal text, exponent allowed, in units of 10^-scale; None when it is not exactly that."""
    body = text.strip()
    if len(body) > 40 or not _NUMBER.fullmatch(body):
        return None
    value = Decimal(body)
    if abs(value.adjusted()) > 30:
        return None
    scaled = value.scaleb(scale)
    whole = int(scaled)
    return whole if whole == scaled and abs(whole) < 1 << 63 else None


def is_number(text: str) -> bool:
    """Tell whether a text is a finite decimal number, exponent allowed."""
    return _NUMBER.fullmatch(text.strip()) is not None


def decimals_of(texts: pl.Series) -> int:
    """Return the most decimals that any of the texts needs, trailing zeros not counted."""
    plain = texts.filter(texts.str.contains(r"^[0-9]+(\.[0-9]*)?$"))
    fractions = plain.str.splitn(".", 2).struct.field("field_1").fill_null("").str.strip_chars_end("0")
    most = fractions.str.len_bytes().max() if len(fractions) else 0
    most = most if isinstance(most, int) else 0
    for text in texts.filter(texts.str.contains("[eE]")).to_list():
        if _NUMBER.fullmatch(text.strip()):
            exponent = Decimal(text.strip()).normalize().as_tuple().exponent
            most = max(most, -exponent if isinstance(exponent, int) else 0)
    return most


def filled(units: pl.Series) -> NDArray[np.int64]:
    """Return units as an array, nulls as 0."""
    return units.fill_null(0).to_numpy().astype(np.int64, copy=False)
