"""The reference maker contract in miniature: a seeded tape and a slow oracle of strategy B.

Both are written from the contract's text alone; neither shares code with the engine or the simulated venue.
"""

import random
from collections import deque
from typing import NamedTuple

from hatmanifesto.model import market_row as mr
from support.rows import Row, Rows

MS = 1_000_000
T0 = 1_767_225_600_000_000_000
STEP, ENTRY, RESPONSE = 100 * MS, 10 * MS, 10 * MS
SIZE, MOST = 10, 100


def small_tape(seed: int, rows: int) -> Rows:
    """Bursts of changes and prints; a print is at the best price the next row is what is left."""
    chance = random.Random(seed)
    tape = Rows()
    books: dict[int, dict[int, int]] = {1: {}, -1: {}}
    for side in (1, -1):
        for step in range(60):
            books[side][600_000 - step if side > 0 else 600_001 + step] = chance.randint(1, 400 + 30 * step)
    tape.snapshot(T0, books[1], books[-1], local=T0 + 5 * MS)
    now, received = T0 + 50 * MS, T0 + 5 * MS

    def best(side: int) -> int:
        return max(books[side], key=lambda price: price * side)

    def put(kind: str, side: int, price: int, size: int) -> None:
        nonlocal received
        received = max(received, now + chance.randint(1 * MS, 20 * MS))
        getattr(tape, kind)(now, side, price, size, local=received)

    while len(tape.rows) < rows:
        now += chance.randint(1, 250) * MS + chance.choice((0, 0, 7))
        for _ in range(chance.randint(5, 60)):
            now += chance.randint(0, 40_000)
            side = chance.choice((1, -1))
            if chance.random() < 0.2:
                hit = -side  # a buyer hits asks
                if len(books[hit]) < 10:
                    continue
                price = best(hit)
                size = min(books[hit][price], 1 + int(20 / (0.02 + chance.random()) ** 1.5))
                put("trade", side, price, size)
                books[hit][price] -= size
                put("depth", hit, price, books[hit][price])
                if books[hit][price] == 0:
                    del books[hit][price]
                continue
            room = best(-1) - best(1)
            if room > 1 and chance.random() < 0.5:
                price = best(side) + side * chance.randint(1, room - 1)
                books[side][price] = chance.randint(1, 300)
            else:
                price = best(side) - side * int(chance.expovariate(1 / 10))
                size = max(0, books[side].get(price, 0) + chance.randint(-300, 300))
                books[side][price] = size
                if size == 0:
                    del books[side][price]
                    if len(books[side]) < 10:
                        for extra in range(1, 30):
                            far = best(side) - side * extra if books[side] else price - side * extra
                            books[side][far] = books[side].get(far, 0) + 50
                            put("depth", side, far, books[side][far])
            put("depth", side, price, books[side].get(price, 0))
    del tape.rows[rows:]
    return tape


class EndState(NamedTuple):
    """What the contract compares."""

    steps: int
    requests: int
    fills: int
    position: int
    volume: int
    value: int
    cash: int


class Resting:
    def __init__(self, number: int, side: int, price: int) -> None:
        self.number, self.side, self.price = number, side, price
        self.ahead = 0


def oracle(tape: Rows) -> EndState:
    """Strategy B by the contract's text, one event after the other in the order of its tie rule."""
    rows = tape.rows
    venue: dict[int, dict[int, int]] = {1: {}, -1: {}}
    seen: dict[int, dict[int, int]] = {1: {}, -1: {}}
    resting: dict[int, Resting] = {}
    requests: deque[tuple[int, str, int, int, int]] = deque()
    answers: deque[tuple[int, str, int, int]] = deque()
    sides: dict[int, int] = {}
    known: dict[int, str] = {}  # order -> sent, live, cancelling
    at_venue = at_receiver = 0
    steps = sent = fills = position = value = cash = number = 0
    timer = rows[0].exch_ts + STEP

    def best(book: dict[int, dict[int, int]], side: int) -> int | None:
        return max(book[side], key=lambda price: price * side) if book[side] else None

    def level(book: dict[int, dict[int, int]], row: Row) -> None:
        if row.size:
            book[row.side][row.price] = row.size
        else:
            book[row.side].pop(row.price, None)

    def fill(order: Resting, now: int) -> None:
        del resting[order.number]
        answers.append((now + RESPONSE, "fill", order.number, order.price))

    def market(row: Row) -> None:
        now = row.exch_ts
        if row.kind == mr.TRADE:
            for order in list(resting.values()):
                if order.side == row.side:
                    continue
                through = (order.price - row.price) * order.side
                if through > 0:
                    fill(order, now)
                elif through == 0:
                    order.ahead -= row.size
                    if order.ahead < 0:
                        fill(order, now)
            return
        level(venue, row)
        for order in list(resting.values()):
            if order.side == row.side:
                if order.price == row.price:
                    order.ahead = min(order.ahead, row.size)
            else:
                other = best(venue, -order.side)
                if other is not None and (order.price - other) * order.side >= 0:
                    fill(order, now)

    def request(now: int, what: str, order: int, side: int, price: int) -> None:
        if what == "cancel":
            found = resting.pop(order, None)
            answers.append((now + RESPONSE, "cancelled" if found else "refused", order, 0))
            return
        other = best(venue, -side)
        if other is not None and (price - other) * side >= 0:
            answers.append((now + RESPONSE, "expired", order, 0))
            return
        resting[order] = Resting(order, side, price)
        resting[order].ahead = venue[side].get(price, 0)
        answers.append((now + RESPONSE, "accepted", order, 0))

    while True:
        ended = at_venue == len(rows) and at_receiver == len(rows)
        if ended and not answers:
            break
        times: list[tuple[int, int, str]] = []
        if at_receiver < len(rows):
            times.append((rows[at_receiver].local_ts, 0, "receive"))
        if answers:
            times.append((answers[0][0], 1, "answer"))
        if not ended:
            times.append((timer, 2, "step"))
        if at_venue < len(rows):
            times.append((rows[at_venue].exch_ts, 3, "market"))
            if requests:
                times.append((requests[0][0], 4, "request"))
        now, _, what = min(times)
        if what == "receive":
            if rows[at_receiver].kind != mr.TRADE:
                level(seen, rows[at_receiver])
            at_receiver += 1
        elif what == "market":
            market(rows[at_venue])
            at_venue += 1
        elif what == "request":
            request(*requests.popleft())
        elif what == "answer":
            _, word, order, price = answers.popleft()
            if word == "fill":
                side = sides[order]
                position += side * SIZE
                fills += 1
                value += price * SIZE
                cash -= side * price * SIZE
                known.pop(order, None)
            elif word == "accepted":
                if known.get(order) == "sent":
                    known[order] = "live"
            elif word in ("cancelled", "expired"):
                known.pop(order, None)
        else:
            timer += STEP
            steps += 1
            bid, ask = best(seen, 1), best(seen, -1)
            assert bid is not None
            assert ask is not None
            for order, state in list(known.items()):
                if state == "live":
                    known[order] = "cancelling"
                    requests.append((now + ENTRY, "cancel", order, 0, 0))
                    sent += 1
            for side, price in ((1, bid), (-1, ask)):
                if position * side < MOST:
                    number += 1
                    sides[number] = side
                    known[number] = "sent"
                    requests.append((now + ENTRY, "place", number, side, price))
                    sent += 1
    return EndState(steps, sent, fills, position, fills * SIZE, value, cash)
