"""Instants as text: ISO 8601 in UTC, exact to the nanosecond, both ways."""

from datetime import UTC, datetime


def utc_text(ts_ns: int) -> str:
    """Return nanoseconds since 1970 as ISO text of UTC with nine decimals."""
    seconds, rest = divmod(ts_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def parse_instant(text: str) -> int:
    """Return an instant as nanoseconds since 1970, from just that or from an ISO time (UTC unless it says otherwise).

    Raises ValueError when the text is neither.
    """
    if text.isdecimal():
        return int(text)
    whole, _, fraction = text.removesuffix("Z").partition(".")
    digits = fraction[: len(fraction) - len(fraction.lstrip("0123456789"))]
    moment = datetime.fromisoformat(whole + fraction[len(digits) :])  # which knows microseconds only
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000 + int(digits[:9].ljust(9, "0"))
