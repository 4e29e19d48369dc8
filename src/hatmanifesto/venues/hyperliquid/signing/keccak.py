"""Keccak-256, the hash of Ethereum (not NIST's SHA3-256).

An order needs three. pysha3's C takes 0.9 to 1.4 µs for one, pycryptodome, which is here anyway, 6 to 9 through its
public class: it serves where pysha3 is not. (A Keccak of our own, compiled by mypyc, took 3.3 to 4.9.)
"""

from collections.abc import Callable
from typing import Any, Final

from Crypto.Hash import keccak


def _chosen() -> Callable[[bytes], Any]:
    try:
        from sha3 import keccak_256
    except ImportError:
        return _pycryptodome
    found: Callable[[bytes], Any] = keccak_256
    return found


def _pycryptodome(data: bytes) -> Any:
    return keccak.new(digest_bits=256, data=data)


_new: Final = _chosen()


def keccak256(data: bytes) -> bytes:
    """Return the 32-byte hash."""
    digest: bytes = _new(data).digest()
    return digest
