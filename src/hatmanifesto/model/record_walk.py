"""From record to record through packed words: the one loop of reading a journal that columns cannot replace."""

from librt.vecs import append, vec
from mypy_extensions import i64


def record_walk(steps: bytes, begin: int) -> bytes:
    """Return the places visited from `begin` on, packed 64-bit words in the machine's order.

    `steps[place]` is how far the next one lies behind; the walk ends at a step of 0, whose place is the last one
    returned, or beyond the end of `steps`.
    """
    places = vec[i64]()
    at: i64 = begin
    end: i64 = len(steps)
    while at < end:
        places = append(places, at)
        step: i64 = steps[at]
        if step == 0:
            break
        at += step
    return bytes(memoryview(places)[: len(places)])
