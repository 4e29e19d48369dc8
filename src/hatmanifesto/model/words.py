"""Writing to words that an object holds."""

from librt.vecs import vec
from mypy_extensions import i64


def store(words: vec[i64], at: i64, value: i64) -> None:
    """Set a word. Compiled, an assignment through an attribute counts references, one through a parameter none."""
    words[at] = value
