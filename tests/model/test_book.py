"""The book against two dictionaries, and the merge of a venue's feeds by example."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatmanifesto.model.book import WINDOW, Book
from support.naive_book import NaiveBook
from support.rows import Rows

near = st.integers(990, 1010)
far = st.sampled_from([5, 1000 + WINDOW // 4, 1000 + WINDOW, 1000 + 3 * WINDOW, 40 * WINDOW, 990 + WINDOW // 2])
prices = near | near | near | far
sizes = st.sampled_from([0, 0, 1, 2, 5, 10**9])
sides = st.sampled_from([1, -1])
stamps = st.integers(0, 12)
levels = st.dictionaries(near, st.integers(1, 9), max_size=4)


@st.composite
def messages(draw: st.DrawFn, depth: bool = True) -> Rows:
    """Any mixture of depth, best prices and snapshots, also stale and crossed ones."""
    rows = Rows()
    for _ in range(draw(st.integers(1, 25))):
        kind = draw(st.integers(0 if depth else 6, 9))
        ts = draw(stamps)
        if kind < 6:
            rows.depth(ts, draw(sides), draw(prices), draw(sizes))
        elif kind < 8:
            rows.bbo(ts, draw(sides), draw(near), draw(sizes))
        else:
            rows.snapshot(ts, draw(levels), draw(levels))
    return rows


def compare(book: Book, naive: NaiveBook) -> None:
    for side, fast in ((1, book.bids), (-1, book.asks)):
        expected = sorted(((p * side, s) for p, s in naive.sides[side].items()), reverse=True)
        assert fast.occupied() == expected
        best = naive.best(side)
        assert fast.best_price() == best
        assert fast.best_size() == naive.sides[side].get(best, 0)
        assert fast.empty() == (not naive.sides[side])
        assert fast.worst_price() == min(naive.sides[side], key=lambda p: p * side, default=0)


@settings(max_examples=60)
@given(messages())
def test_the_book_is_the_naive_book(rows: Rows) -> None:
    book, naive = Book(), NaiveBook()
    for row in rows.rows:
        book.apply(row.meta, row.price, row.size, row.exch_ts)
        naive.apply(row)
        compare(book, naive)
    bids, asks = naive.sides[1], naive.sides[-1]
    crossed = bool(bids and asks) and max(bids) > min(asks)
    assert book.crossed() == crossed
    assert book.mid() == ((max(bids) + min(asks)) // 2 if bids and asks else 0)


@pytest.mark.soak
@settings(max_examples=3000)
@given(messages())
def test_the_book_is_the_naive_book_at_length(rows: Rows) -> None:
    book, naive = Book(), NaiveBook()
    for row in rows.rows:
        book.apply(row.meta, row.price, row.size, row.exch_ts)
        naive.apply(row)
        compare(book, naive)


@settings(max_examples=40)
@given(st.dictionaries(prices, st.integers(1, 5), max_size=12), sides, st.lists(prices, max_size=5))
def test_levels_are_walked_from_best_to_worst(book: dict[int, int], side: int, others: list[int]) -> None:
    half = Book().bids if side > 0 else Book().asks
    for price, size in book.items():
        half.set(price, size)
    for price in others:
        assert half.size_at(price) == book.get(price, 0)
        worse = [p for p in book if (p - price) * side < 0]
        assert half.next_price(price) == max(worse, key=lambda p: p * side, default=0)
    walked = []
    price = half.best_price()
    while price:
        walked.append(price)
        price = half.next_price(price)
    assert walked == sorted(book, key=lambda p: -p * side)


def test_a_market_that_walks_far_and_back_loses_no_level() -> None:
    half = Book().bids
    for price in range(1000, 1000 + 6 * WINDOW, WINDOW // 3):
        half.set(price, 7)
    for price in reversed(range(1000, 1000 + 6 * WINDOW, WINDOW // 3)):
        assert half.best_price() == price
        half.set(price, 0)
    assert half.empty()
    assert half.best_price() == 0


def book_of(rows: Rows) -> Book:
    book = Book()
    for row in rows.rows:
        book.apply(row.meta, row.price, row.size, row.exch_ts)
    return book


def test_a_stale_snapshot_after_a_newer_best_price_does_not_bring_the_old_best_back() -> None:
    book = book_of(Rows().bbo(20, 1, 99, 5).snapshot(10, {100: 1, 98: 2}, {101: 3}))
    assert book.bids.occupied() == [(99, 5), (98, 2)]


def test_a_best_price_older_than_the_snapshot_is_passed_over() -> None:
    book = book_of(Rows().snapshot(20, {100: 1, 98: 2}, {101: 3}).bbo(10, 1, 98, 9))
    assert book.best_bid() == 100


def test_two_newer_best_prices_go_back_onto_a_snapshot_in_the_order_they_were_made() -> None:
    live = Rows().bbo(5, -1, 101, 1).bbo(10, 1, 101, 2)
    assert book_of(live).best_ask() == 0
    again = book_of(live.snapshot(3, {99: 1}, {101: 1, 102: 1}))
    assert (again.best_bid(), again.best_ask()) == (101, 102)


def test_a_best_price_proves_the_levels_it_passes_gone_on_both_sides() -> None:
    book = book_of(Rows().snapshot(1, {100: 1, 99: 1}, {101: 1, 102: 1, 103: 1}).bbo(2, 1, 102, 4))
    assert (book.best_bid(), book.best_ask()) == (102, 103)
    book = book_of(Rows().snapshot(1, {100: 1, 99: 1}, {101: 1}).bbo(2, 1, 99, 4))
    assert book.bids.occupied() == [(99, 4)]


def test_an_empty_best_price_empties_the_side() -> None:
    assert book_of(Rows().snapshot(1, {100: 1}, {101: 1}).bbo(2, -1, 0, 0)).asks.empty()


def test_a_repeated_snapshot_says_that_depth_is_limited() -> None:
    assert not book_of(Rows().snapshot(1, {100: 1}, {101: 1})).depth_limited()
    assert book_of(Rows().snapshot(1, {100: 1}, {101: 1}).snapshot(2, {100: 1}, {101: 1})).depth_limited()
