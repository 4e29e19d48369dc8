"""Messages of Binance as its streams send them, for hand-made captures."""

import gzip
import json
from pathlib import Path
from typing import Any

MS = 1_000_000
T0 = 1_723_161_256_000  # ms

Message = dict[str, Any]
Levels = list[list[str]]


def depth(
    time: int,
    first: int,
    last: int,
    previous: int | None,
    bids: Levels | None = None,
    asks: Levels | None = None,
    symbol: str = "BTCUSDT",
) -> Message:
    """A depthUpdate; without `previous` it is one of spot."""
    data: Message = {"e": "depthUpdate", "E": time + 1, "s": symbol, "U": first, "u": last}
    data |= {"b": bids or [], "a": asks or []}
    if previous is not None:
        data |= {"T": time, "pu": previous}
    return {"stream": f"{symbol.lower()}@depth", "data": data}


def snapshot(last: int, bids: Levels, asks: Levels, time: int = 0) -> Message:
    """A REST answer; futures say a time."""
    found: Message = {"lastUpdateId": last, "bids": bids, "asks": asks}
    return found | ({"E": time + 1, "T": time} if time else {})


def ticker(time: int, update: int, bid: str, ask: str, symbol: str = "BTCUSDT", size: str = "1.000") -> Message:
    """A bookTicker; time 0 makes it one of spot."""
    data: Message = {"u": update, "s": symbol, "b": bid, "B": size, "a": ask, "A": size}
    if time:
        data |= {"e": "bookTicker", "T": time, "E": time + 1}
    return {"stream": f"{symbol.lower()}@bookTicker", "data": data}


def trade(time: int, number: int, price: str, size: str = "0.010", *, sell: bool = False, **more: Any) -> Message:
    """A trade; `X` for futures, `M` for spot."""
    data = {"e": "trade", "E": time + 1, "T": time, "s": "BTCUSDT", "t": number, "p": price, "q": size, "m": sell}
    return {"stream": "btcusdt@trade", "data": data | more}


def mark(time: int, price: str, index: str, rate: str) -> Message:
    """A markPriceUpdate; its T is the next funding time."""
    data = {"e": "markPriceUpdate", "E": time, "s": "BTCUSDT", "p": price, "P": price, "i": index, "r": rate}
    return {"stream": "btcusdt@markPrice@1s", "data": data | {"T": time + 3_600_000}}


def write(path: Path, *lines: tuple[int, Message]) -> Path:
    """Write lines of (local ms, message)."""
    text = "".join(f"{at * MS} {json.dumps(message)}\n" for at, message in lines)
    path.write_bytes(gzip.compress(text.encode()))
    return path
