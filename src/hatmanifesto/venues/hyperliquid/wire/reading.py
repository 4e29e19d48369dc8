"""JSON of the venue as structs: whatever is wrong with its bytes is one kind of error, msgspec.DecodeError."""

from typing import Any, Final, Generic, TypeVar

import msgspec

Shape = TypeVar("Shape")
UNREADABLE: Final = (UnicodeDecodeError, RecursionError)
"""What a decoder raises beside its own errors: text that is not UTF-8, values nested too deep."""


class Reader(Generic[Shape]):
    """Reads one shape."""

    __slots__ = ("_decode",)

    def __init__(self, shape: Any) -> None:
        self._decode: Final = msgspec.json.Decoder(shape).decode

    def decode(self, data: bytes | memoryview | msgspec.Raw) -> Shape:
        """Return the value; raises msgspec.DecodeError (or ValidationError) when it has another shape."""
        try:
            value: Shape = self._decode(data)
        except UNREADABLE as error:
            raise unreadable(error) from error
        return value


def unreadable(error: Exception) -> msgspec.DecodeError:
    """Return the one kind of error for what else a decoder raises."""
    return msgspec.DecodeError(f"{type(error).__name__}: {error}"[:200])
