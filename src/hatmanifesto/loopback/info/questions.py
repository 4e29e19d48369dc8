"""Reading a question: what it is about, or that the venue could not read it."""

from collections.abc import Iterable
from typing import Any, Final

from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.market_state import MarketState
from hatmanifesto.loopback.participants import Participant
from hatmanifesto.loopback.signer import MALFORMED, Malformed

Request = dict[str, Any]
PAGE: Final = 500
LATEST_MS: Final = 1 << 53


def user_of(request: Request) -> str:
    """Return the address that a question is about, lower case. Raises Malformed."""
    user = request.get("user")
    if not isinstance(user, str) or len(user) != 42 or user[:2] not in ("0x", "0X"):
        raise Malformed(MALFORMED)
    try:
        int(user[2:], 16)
    except ValueError:
        raise Malformed(MALFORMED) from None
    return user.lower()


def account_of(loopback: Loopback, request: Request) -> Participant | None:
    """Return whose account a question is about, None for an address without one. Raises Malformed."""
    return loopback.participants.get(user_of(request))


def coin_of(request: Request) -> str:
    """Return the coin that a question is about. Raises Malformed."""
    coin = request.get("coin")
    if not isinstance(coin, str):
        raise Malformed(MALFORMED)
    return coin


def market_of(loopback: Loopback, request: Request) -> MarketState | None:
    """Return the market that a question is about, None when there is no such coin. Raises Malformed."""
    index = loopback.by_coin.get(coin_of(request))
    return None if index is None else loopback.states[index]


def time_in(request: Request, name: str, default: int | None = None) -> int:
    """Return a time in ms. Raises Malformed for one that is missing without a default, or none."""
    value = request.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LATEST_MS:
        raise Malformed(MALFORMED)
    return value


def span_of(request: Request) -> tuple[int, int]:
    """Return the first and last time asked for, ms, both included; everything when none was. Raises Malformed."""
    return time_in(request, "startTime", 0), time_in(request, "endTime", LATEST_MS)


def within(entries: Iterable[Request], request: Request) -> list[Request]:
    """Return the entries of the time asked for. Raises Malformed."""
    begin, end = span_of(request)
    return [entry for entry in entries if begin <= entry["time"] <= end]
