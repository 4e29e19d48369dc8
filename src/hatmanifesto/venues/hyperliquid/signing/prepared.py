"""Signatures prepared before there is anything to sign: the slow half of ECDSA, done while nothing is waiting.

A signature (r, s) of a digest z with key d takes a secret number k that serves once: r is the x coordinate of k·G, and
s = k⁻¹·(z + r·d) mod n. Only z depends on what is signed, so k, r, k⁻¹ and k⁻¹·r·d are made in advance, and what is
left is one product: two microseconds instead of secp256k1's 27, and of the 60 that an order after a while waits.

Whoever sees two signatures with one k, or k itself, has the key. So k comes from the system's random numbers, mixed
with the key, the time and a counter by keyed BLAKE2b, so that even numbers that repeat make no k that repeats; each
is taken out before it is used; none is written anywhere, pickled, copied, used by a forked child or kept longer than
`MAX_AGE_NS`. When none is left, the caller signs with a k derived from the digest (RFC 6979), as usual.
"""

import hashlib
import os
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final, NoReturn

import coincurve

ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""How many points secp256k1's group has."""
MAX_AGE_NS: Final = 60_000_000_000
"""A prepared signature that is older is thrown away."""
_HALF: Final = ORDER >> 1
_TAG: Final = b"hat-k-1"

_Prepared = tuple[int, int, int, int, bytes]
"""When it was made (ns), k⁻¹, k⁻¹·r·d, parity of k·G's y, and the JSON up to s."""


class PreparedSignatures:
    """Up to `size` (at least 1) prepared signatures of one key; `prepare` makes one, `take` uses one up. One thread.

    `random_bytes` and `clock_ns` are the system's.
    """

    def __init__(
        self,
        secret: bytes,
        size: int,
        random_bytes: Callable[[int], bytes] = os.urandom,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.size: Final = size
        self._secret: Final = secret
        self._random = random_bytes
        self._clock_ns = clock_ns
        self._count = 0
        self._ready: deque[_Prepared] = deque()
        self._forked = False
        _pools.add(self)

    def __len__(self) -> int:
        return len(self._ready)

    def prepare(self) -> bool:
        """Make one if there is room, 50 to 150 µs; False, and the oldest thrown away if it is too old, if not."""
        ready = self._ready
        if len(ready) >= self.size:
            if abs(self._clock_ns() - ready[0][0]) < MAX_AGE_NS:
                return False
            ready.popleft()
        if self._forked:
            return False
        k = self._fresh()
        x, parity = _times_g(k)
        # the inverse of a product with a random factor takes a time that says nothing about k
        blind = int.from_bytes(self._random(32), "big") % ORDER or 1
        inverse = pow(k * blind % ORDER, -1, ORDER) * blind % ORDER
        if not 0 < x < ORDER:
            return False  # one in 2^128: its recovery id would need a third bit
        share = inverse * x % ORDER * int.from_bytes(self._secret, "big") % ORDER
        ready.append((self._clock_ns(), inverse, share, parity, b'{"r":"0x%064x","s":"0x' % x))
        return True

    def take(self, digest: bytes) -> bytes | None:
        """Sign a 32-byte digest (low s) as the venue wants it; None when nothing is prepared."""
        if not self._ready:
            return None
        made_ns, inverse, share, parity, head = self._ready.pop()
        if abs(self._clock_ns() - made_ns) > MAX_AGE_NS:
            self._ready.clear()
            return None
        s = (inverse * int.from_bytes(digest, "big") + share) % ORDER
        if s > _HALF:
            s = ORDER - s
            parity ^= 1
        return b'%b%064x","v":%d}' % (head, s, 27 + parity) if s else None

    def _fresh(self) -> int:
        """Return a k that was never used: 512 bits hashed down to 1..n-1, so that none is likelier than another."""
        self._count += 1
        seed = b"%b%b%d,%d" % (_TAG, self._random(64), self._count, self._clock_ns())
        while True:
            seed = hashlib.blake2b(seed, key=self._secret, digest_size=64).digest()
            k = int.from_bytes(seed, "big") % ORDER
            if k:
                return k

    def __repr__(self) -> str:
        return f"PreparedSignatures({len(self)} of {self.size})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("prepared signatures are neither pickled nor copied")


_pools: Final[weakref.WeakSet[PreparedSignatures]] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in _pools:
        pool._ready.clear()
        pool._forked = True


os.register_at_fork(after_in_child=_after_fork)


def _times_g(k: int) -> tuple[int, int]:
    """Return k·G's x coordinate and its y's parity; secp256k1's own code, whose time says nothing about k."""
    point = coincurve.PrivateKey(k.to_bytes(32, "big")).public_key.format(compressed=True)
    return int.from_bytes(point[1:], "big"), point[0] & 1
