"""Keccak-256, the hash of Ethereum (not NIST's SHA3-256).

`keccak256` goes through pycryptodome's public class: 6-9 µs a call. An order needs three, so `Keccak256` keeps one
state of the same C code and resets it: 2.5-4 µs. It holds state and cffi lets go of the interpreter lock during a
call, so every signer has its own and stays on one thread. (A Keccak of our own, compiled by mypyc, took 3.3-4.9 µs on
the same machine: not worth keeping.)
"""

from importlib import import_module
from typing import Any, Final

from Crypto.Hash import keccak

_EMPTY: Final = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")
_CAPACITY: Final = 64
_ROUNDS: Final = 24
_PADDING: Final = 1


def keccak256(data: bytes) -> bytes:
    """Return the 32-byte hash."""
    return bytes(keccak.new(digest_bits=256, data=data).digest())


class Keccak256:
    """Hashes one message after the other on one reused state. Not for several threads.

    Falls back to `keccak256` when pycryptodome's inner interface is not the one known here.
    """

    def __init__(self) -> None:
        self._library: Any = None
        try:
            raw: Any = import_module("Crypto.Util._raw_api")
            library: Any = keccak._raw_keccak_lib  # type: ignore[attr-defined]
            pointer = raw.VoidPointer()
            if library.keccak_init(pointer.address_of(), raw.c_size_t(_CAPACITY), raw.c_ubyte(_ROUNDS)) == 0:
                self._library = library
                self._pointer: Any = pointer
                self._state: Any = pointer.get()
                self._out: Any = raw.create_string_buffer(32)
                self._read: Any = raw.get_raw_buffer
                self._size: Any = raw.c_size_t
                self._padding: Any = raw.c_ubyte(_PADDING)
            if self.digest(b"") != _EMPTY:
                self._library = None
        except (ImportError, AttributeError, TypeError):
            self._library = None

    def digest(self, data: bytes) -> bytes:
        """Return the 32-byte hash."""
        library = self._library
        if library is None:
            return keccak256(data)
        state = self._state
        library.keccak_reset(state)
        library.keccak_absorb(state, data, self._size(len(data)))
        library.keccak_digest(state, self._out, self._size(32), self._padding)
        return bytes(self._read(self._out))

    @property
    def reused(self) -> bool:
        """Tell whether the fast way is in use."""
        return self._library is not None

    def __del__(self) -> None:
        library = getattr(self, "_library", None)
        if library is not None:
            library.keccak_destroy(self._state)
