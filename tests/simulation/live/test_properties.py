"""What always holds in the live market, whatever participants do, and that it matches like a naive matcher."""

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.model.order import GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL, POST_ONLY
from hatmanifesto.simulation.live import wording
from hatmanifesto.simulation.live.actions import Cancel, Change, Modify, Place
from hatmanifesto.simulation.live.events import ActionAnswered, Fill, LevelChanged, OrderChanged, Trade
from hatmanifesto.simulation.live.exchange import LiveExchange
from hatmanifesto.simulation.live.orders import ENDED, MARKET, RESTING
from support.live import CASH, Floor, NaiveMatcher, order

SIDES = st.sampled_from([1, -1])
PRICES = st.integers(995, 1005)
SIZES = st.integers(1, 6).map(lambda n: n * 1_100)
ACCOUNTS = st.integers(0, 3)
PLAIN = st.tuples(ACCOUNTS, SIDES, PRICES, SIZES, st.sampled_from([POST_ONLY, GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL]))
CANCEL = st.tuples(ACCOUNTS, st.integers(1, 60))


@given(st.lists(PLAIN | CANCEL, max_size=60))
def test_it_trades_like_a_naive_matcher_that_sorts_by_price_and_time(steps: list[tuple[int, ...]]) -> None:
    floor = Floor(4)
    naive = NaiveMatcher()
    trades: list[tuple[int, int, int, int]] = []
    expired: list[int] = []
    for step in steps:
        if len(step) == 2:
            account, oid = step
            owned = oid in floor.exchange.account(account).orders
            floor.cancel(account, oid)
            if owned:
                naive.cancel(oid)
        else:
            account, side, price, size, tif = step
            answer = floor.place(account, side, price, size, tif)
            naive.place(int(answer.oid), account, side, price * 10, size, tif)
            fills = [e for e in floor.events if isinstance(e, Fill)]
            trades += [
                (int(taker.order.oid), int(maker.order.oid), int(maker.price), int(maker.size))
                for taker, maker in zip(fills[::2], fills[1::2], strict=True)
            ]
            expired += [oid for oid, status in floor.statuses() if status == wording.SELF_TRADE_CANCELED]
        assert floor.book() == (naive.levels(1), naive.levels(-1))
    assert trades == naive.trades
    assert expired == naive.cancelled


@st.composite
def wild_action(draw: st.DrawFn) -> tuple[int, object]:
    account = draw(ACCOUNTS)
    kind = draw(st.sampled_from(["place", "place", "place", "cancel", "modify", "trigger", "mark"]))
    tif = draw(st.sampled_from([POST_ONLY, GOOD_TILL_CANCEL, IMMEDIATE_OR_CANCEL, MARKET]))
    side, price, size = draw(SIDES), draw(PRICES), draw(SIZES)
    reduce_only = draw(st.booleans())
    if kind == "mark":
        return account, price
    if kind == "cancel":
        return account, Cancel([(0, draw(st.integers(1, 80)))])
    if kind == "modify":
        change = Change(draw(st.integers(1, 80)), "", order(side, price, size, tif, reduce_only=reduce_only))
        return account, Modify([change], always=draw(st.booleans()))
    if kind == "trigger":
        take_profit, is_market = draw(st.booleans()), draw(st.booleans())
        trigger = draw(PRICES)
        more = {"trigger": trigger, "take_profit": take_profit, "is_market": is_market}
        return account, Place([order(side, price, size, reduce_only=reduce_only, **more)])
    return account, Place([order(side, price, size, tif, reduce_only=reduce_only)])


def check_books(exchange: LiveExchange) -> None:
    """Levels are the sum of their orders, nothing is crossed, every list of orders agrees with every other."""
    book = exchange.markets[0].book
    assert not book.crossed()
    listed: set[int] = set()
    for side in (book.bids, book.asks):
        assert list(side.keys) == sorted(side.levels)
        for level in side.levels.values():
            orders = level.orders()
            assert level.size == sum(o.remaining for o in orders)
            assert level.count == len(orders)
            for resting in orders:
                assert resting.place == RESTING
                assert resting.remaining > 0
                assert exchange.account(int(resting.account)).orders[int(resting.oid)] is resting
                listed.add(int(resting.oid))
    for account in exchange.floor.accounts:
        holding = account.holdings[0]
        assert set(account.orders) == set(holding.resting) | set(holding.triggers)
        assert {oid for oid in holding.resting} <= listed
        buys = [o for o in holding.resting.values() if o.side > 0 and not o.reduce_only]
        assert holding.open_buy_size == sum(o.remaining for o in buys)
        assert holding.open_buy_notional == sum(o.remaining * o.price for o in buys)
        held = int(holding.position.size)
        reducing = [o for o in holding.reducing.values()]
        assert all(o.side * held < 0 for o in reducing)
        assert len(reducing) <= 1 or sum(int(o.remaining) for o in reducing) <= abs(held)
    assert listed == {oid for a in exchange.floor.accounts for oid in a.holdings[0].resting}


@settings(max_examples=150)
@given(st.lists(st.lists(wild_action(), min_size=1, max_size=6), max_size=14))
def test_whatever_is_done_size_money_and_books_add_up(blocks: list[list[tuple[int, object]]]) -> None:
    floor = Floor(4)
    floor.mark(1000)
    sizes: dict[int, int] = {}
    filled: dict[int, int] = defaultdict(int)
    traded = 0
    shown: dict[tuple[int, int], int] = {}
    for actions in blocks:
        before = [floor.held(account) for account in floor.accounts]
        tickets = []
        for account, action in actions:
            if isinstance(action, int):
                floor.exchange.set_prices(0, action * 10, action * 10)
            else:
                tickets.append(floor.exchange.submit(account, action))  # type: ignore[arg-type]
        events = floor.block()
        assert sorted(e.ticket for e in events if isinstance(e, ActionAnswered)) == tickets
        running = list(before)
        for event in events:
            if isinstance(event, Fill):
                owner = int(event.order.account)
                assert event.start == running[owner]
                running[owner] += int(event.order.side * event.size)
                if event.order.reduce_only:  # it closed, and never went past zero
                    assert abs(running[owner]) < abs(int(event.start))
                    assert running[owner] * int(event.start) >= 0
                sizes[int(event.order.oid)] = int(event.order.size)
                filled[int(event.order.oid)] += int(event.size)
                assert (event.order.price - event.price) * event.order.side >= 0
            elif isinstance(event, Trade):
                assert event.buyer != event.seller
                traded += int(event.size)
            elif isinstance(event, LevelChanged):
                shown[int(event.side), int(event.price)] = int(event.size)
            elif isinstance(event, OrderChanged):
                assert (event.status == wording.FILLED) == (event.remaining == 0 and event.order.size > 0)
                if event.status not in (wording.OPEN, wording.TRIGGERED):
                    assert event.order.place == ENDED
        assert running == [floor.held(account) for account in floor.accounts]
        check_books(floor.exchange)
    assert all(filled[oid] <= size for oid, size in sizes.items())
    assert sum(filled.values()) == 2 * traded
    accounts = floor.exchange.floor.accounts
    assert sum(int(a.holdings[0].position.size) for a in accounts) == 0
    assert floor.exchange.markets[0].prices.open_interest == sum(
        max(int(a.holdings[0].position.size), 0) for a in accounts
    )
    fees = sum(int(a.holdings[0].position.fees) for a in accounts)
    assert sum(int(a.equity([10_000])) for a in accounts) == CASH * 4 - fees
    bids, asks = floor.book()
    standing = {(1, price): size for price, size, _ in bids} | {(-1, price): size for price, size, _ in asks}
    assert {key: size for key, size in shown.items() if size} == standing


@given(st.lists(st.tuples(ACCOUNTS, wild_action()), max_size=40), st.integers(1, 5))
def test_the_same_actions_give_the_same_events(steps: list[tuple[int, tuple[int, object]]], per_block: int) -> None:
    def run() -> list[tuple[object, ...]]:
        floor = Floor(4)
        floor.mark(1000)
        told: list[tuple[object, ...]] = []
        for at, (_, (account, action)) in enumerate(steps):
            if isinstance(action, int):
                floor.exchange.set_prices(0, action * 10, action * 10)
            else:
                floor.exchange.submit(account, action)  # type: ignore[arg-type]
            if at % per_block == 0:
                for e in floor.block():
                    if isinstance(e, OrderChanged):
                        told.append((e.order.oid, e.status, e.remaining))
                    elif isinstance(e, Fill):
                        told.append((e.order.oid, e.tid, e.price, e.size, e.fee))
                    elif isinstance(e, ActionAnswered):
                        told.append((e.ticket, e.error, *((a.kind, a.oid, a.text) for a in e.answers)))
        return told

    assert run() == run()
