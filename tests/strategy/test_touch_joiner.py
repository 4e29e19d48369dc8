"""touch_joiner: both sides at the best, a side left out at its limit; and what Quotes refuses."""

import pytest

from hatmanifesto.core.strategy import MAX_QUOTES, QuoteError, Quotes, View
from hatmanifesto.strategy.touch_joiner import TouchJoiner
from support.engines import an_instrument


@pytest.mark.parametrize(
    ("position", "sides"),
    [(0, [1, -1]), (99, [1, -1]), (100, [-1]), (130, [-1]), (-99, [1, -1]), (-100, [1])],
)
def test_it_joins_the_best_prices_inside_its_limit(position: int, sides: list[int]) -> None:
    view, quotes = View(an_instrument()), Quotes()
    view.bid_price, view.ask_price, view.position = 1000, 1002, position
    TouchJoiner(10, 100).quote(view, quotes)
    wanted = [quotes.items[at] for at in range(quotes.count)]
    assert [quote.side for quote in wanted] == sides
    assert all(quote.size == 10 for quote in wanted)
    assert all(quote.price == (1000 if quote.side > 0 else 1002) for quote in wanted)


@pytest.mark.parametrize(("size", "most"), [(0, 10), (10, 0), (-1, 10)])
def test_sizes_must_be_positive(size: int, most: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        TouchJoiner(size, most)


def test_quotes_refuses_floats_nan_nothing_and_too_many() -> None:
    quotes = Quotes()
    for price in (1000.0, float("nan"), "1000", None):
        with pytest.raises(TypeError):
            quotes.bid(price, 1)  # type: ignore[arg-type]
    for price, size in ((0, 1), (-5, 1), (1000, 0), (1000, -1)):
        with pytest.raises(QuoteError, match="positive"):
            quotes.ask(price, size)
    with pytest.raises(QuoteError, match="side"):
        quotes.take(0, 1000, 1)
    for _ in range(MAX_QUOTES):
        quotes.bid(1000, 1)
    with pytest.raises(QuoteError, match="at most"):
        quotes.bid(1000, 1)
