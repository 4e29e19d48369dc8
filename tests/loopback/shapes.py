"""Comparing answers field by field: names and types, recursively, against recorded ones."""

import re
from typing import Any

FORMS = {
    "decimal": re.compile(r"-?\d+\.\d+"),
    "address": re.compile(r"0x[0-9a-f]{40}"),
    "hash": re.compile(r"0x[0-9a-f]{64}"),
    "cloid": re.compile(r"0x[0-9a-f]{32}"),
}


class Row(tuple[Any, ...]):
    """The shape of a list whose places mean different things, such as [time, value]."""


def form(value: Any) -> str:
    """Return what kind of value a leaf is; texts by their form, since a number as text is no name."""
    if isinstance(value, str):
        return next((name for name, pattern in FORMS.items() if pattern.fullmatch(value)), "text")
    return {type(None): "null", bool: "bool", int: "int", float: "float"}[type(value)]


def shape(value: Any) -> Any:
    """Return a value's shape: objects by field, the elements of a list merged into one, rows place by place."""
    if isinstance(value, dict):
        if "_items" in value:  # a list that its recorder cut
            return shape(value["_items"])
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        shapes = [shape(item) for item in value]
        if len({_kind(each) for each in shapes} - {"null"}) > 1:
            return Row(shapes)
        merged: list[Any] = []
        for each in shapes:
            merged = [merge(merged[0], each)] if merged else [each]
        return merged
    return frozenset({form(value)})


def _kind(found: Any) -> str:
    if isinstance(found, frozenset):
        return next(iter(found))
    return type(found).__name__


def merge(one: Any, other: Any) -> Any:
    """Return the shape of values of which some have one shape and some the other."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            name: merge(one[name], other[name]) if name in one and name in other else one.get(name, other.get(name))
            for name in {**one, **other}
        }
    if isinstance(one, Row) and isinstance(other, Row) and len(one) == len(other):
        return Row(merge(mine, theirs) for mine, theirs in zip(one, other, strict=True))
    if isinstance(one, list) and isinstance(other, list):
        return [merge(one[0], other[0])] if one and other else one or other
    if isinstance(one, frozenset) and isinstance(other, frozenset):
        return one | other
    return other if one == {"null"} else one


def differences(ours: Any, recorded: Any, at: str, optional: frozenset[str] = frozenset()) -> list[str]:
    """Return where our shape has a field or a type that the recorded one has not, or lacks one that it has.

    A null agrees with everything, an empty list with every list. `optional` names fields that one side may lack.
    """
    if isinstance(ours, dict) and isinstance(recorded, dict):
        found = []
        for name in sorted({**ours, **recorded}):
            if name in ours and name in recorded:
                found += differences(ours[name], recorded[name], f"{at}.{name}", optional)
            elif name not in optional:
                found.append(f"{at}.{name}: only in {'ours' if name in ours else 'the recorded one'}")
        return found
    if isinstance(ours, Row) and isinstance(recorded, Row) and len(ours) == len(recorded):
        return [
            difference
            for place, (mine, theirs) in enumerate(zip(ours, recorded, strict=True))
            for difference in differences(mine, theirs, f"{at}[{place}]", optional)
        ]
    if type(ours) is list and type(recorded) is list:
        return differences(ours[0], recorded[0], f"{at}[]", optional) if ours and recorded else []
    if isinstance(ours, frozenset) and isinstance(recorded, frozenset):
        agree = ours - {"null"} <= recorded or recorded == {"null"}
        return [] if agree else [f"{at}: {sorted(ours)}, recorded {sorted(recorded)}"]
    return [] if {"null"} in (ours, recorded) else [f"{at}: {ours}, recorded {recorded}"]
