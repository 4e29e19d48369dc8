"""Real fills replayed through the portfolio's position."""

import csv
import gzip
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from hatmanifesto.model.money import MAX_AMOUNT, parse_decimal
from hatmanifesto.model.position import Position


class VenueFill(NamedTuple):
    """One row of the venue's fills, as text decimals."""

    coin: str
    price: str
    size: str
    side: int
    time_ms: int
    start: str
    direction: str
    closed: str
    taker: bool
    fee: str


class CoinResult(NamedTuple):
    """What came out for one coin; `breaks` are counted by their cause.

    `within`: closes whose profit differs by less than one step of the price. `equal`: those that agree to
    the last digit once the average entry is rounded down to the venue's price decimals, as the venue does.
    """

    coin: str
    fills: int
    links: int
    breaks: dict[str, int]
    closes: int
    within: int
    equal: int
    fees: Decimal
    booked_fees: Decimal

    @property
    def continuity(self) -> float:
        """Share of neighbouring rows whose positions follow from each other."""
        return 1 - sum(self.breaks.values()) / self.links if self.links else 1.0


def read(path: Path) -> list[VenueFill]:
    """Read a vault's csv; the header is Chinese, the order of its columns is in the data's README."""
    with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [
        VenueFill(r[0], r[1], r[2], 1 if r[3] == "B" else -1, int(r[4]), r[6], r[7], r[8], r[11] == "True", r[12])
        for r in rows
    ]


def decimals(texts: Iterable[str]) -> int:
    return max((len(text.partition(".")[2].rstrip("0")) for text in texts), default=0)


def replay(fills: list[VenueFill]) -> list[CoinResult]:
    """Replay every coin's fills in the file's order, which is the venue's."""
    return [
        replay_coin(coin, [fill for fill in fills if fill.coin == coin])
        for coin in dict.fromkeys(fill.coin for fill in fills)
    ]


def replay_coin(coin: str, fills: list[VenueFill]) -> CoinResult:
    size_scale = decimals(text for fill in fills for text in (fill.size, fill.start))
    price_scale = max(6 - size_scale, decimals(fill.price for fill in fills))
    # averages carry up to eleven decimals: only so many as 64 bits hold are kept, far finer than the venue's step
    largest = max((abs(Decimal(fill.start)) + Decimal(fill.size)) * Decimal(fill.price) for fill in fills)
    largest = max(largest, sum(Decimal(fill.size) * Decimal(fill.price) for fill in fills))  # the traded total
    room = len(str(int(MAX_AMOUNT / largest))) - 1
    price_scale = min(price_scale, room - size_scale)
    money_scale = max(price_scale + size_scale, decimals(fill.fee for fill in fills))
    money = Fraction(1, 10**money_scale)
    step = 10 ** (price_scale - max(0, 6 - size_scale))  # of the venue's entry price, in price units
    factor = 10 ** (money_scale - price_scale - size_scale)
    position = Position(factor)
    known = False  # whether the average entry is known: since it was flat or has flipped
    breaks: dict[str, int] = {}
    closes = within = equal = 0
    fees = booked = Decimal(0)
    for at, fill in enumerate(fills):
        start = parse_decimal(fill.start, size_scale)
        if position.size != start:
            if at > 0:
                cause = cause_of(fills[at - 1], fill)
                breaks[cause] = breaks.get(cause, 0) + 1
            booked += Decimal(position.fees - position.rebates).scaleb(-money_scale)
            position = Position(factor)
            position.size = start
            known = False
        known = known or start == 0
        size = parse_decimal(fill.size, size_scale)
        price = int(Decimal(fill.price).scaleb(price_scale).to_integral_value())
        held, cost = int(position.size), int(position.cost)
        realized = position.apply_fill(fill.side, price, size, parse_decimal(fill.fee, money_scale), fill.taker)
        fees += Decimal(fill.fee)
        if held * fill.side < 0 and known:
            closed = min(size, abs(held))
            venue = Fraction(fill.closed)
            one_step = closed * factor * step * money
            closes += 1
            within += abs(realized * money - venue) < one_step + money
            equal += venue in {
                -fill.side * (price - entry) * closed * factor * money for entry in entries(cost, held, factor, step)
            }
        elif held * fill.side >= 0:
            assert realized == 0
        known = known or position.size * held < 0
    booked += Decimal(position.fees - position.rebates).scaleb(-money_scale)
    return CoinResult(coin, len(fills), len(fills) - 1, breaks, closes, within, equal, fees, booked)


def entries(cost: int, held: int, factor: int, step: int) -> set[int]:
    """The average entry rounded down to `step`; closing may have left some units behind."""
    exact = Fraction(cost, held * factor)
    slack = Fraction(50, abs(held) * factor)
    return {int(near / step) * step for near in (exact, exact + slack, max(exact - slack, Fraction(0)))}


def cause_of(before: VenueFill, fill: VenueFill) -> str:
    if "Deleveraging" in before.direction or "Deleveraging" in fill.direction:
        return "auto-deleveraging"
    if before.time_ms == fill.time_ms:
        return "same millisecond"
    return "missing fills"
