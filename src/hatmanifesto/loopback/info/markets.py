"""Answers about markets: rules, contexts, books, prints, candles, funding rates."""

from typing import Any, Final

from hatmanifesto.loopback.candles import INTERVALS
from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.info.questions import PAGE, Request, coin_of, market_of, time_in, within
from hatmanifesto.loopback.market_state import RATE_DIGITS, MarketState
from hatmanifesto.loopback.markets import meta
from hatmanifesto.loopback.signer import MALFORMED, Malformed
from hatmanifesto.loopback.spot import PAIR, PRICE
from hatmanifesto.loopback.text import price_text, printed, rate_text, size_text

DEPTH: Final = 20
RECENT: Final = 10
FIGURES: Final = (None, 2, 3, 4, 5)
MANTISSAS: Final = (None, 1, 2, 5)


def contexts(loopback: Loopback) -> list[dict[str, Any]]:
    """Return every market's context, in the order of `meta`."""
    return [state.context(loopback.now_ms) for state in loopback.states]


def meta_and_contexts(loopback: Loopback, request: Request) -> Any:
    return [meta(loopback.markets), contexts(loopback)]


def mids(loopback: Loopback) -> dict[str, str]:
    """Return every market's mid price, and the spot pair's last."""
    return {**{state.market.name: state.mid_text() for state in loopback.states}, PAIR: PRICE}


def book(
    loopback: Loopback, coin: str, depth: int = DEPTH, figures: int | None = None, mantissa: int | None = None
) -> dict[str, Any] | None:
    """Return a book, gathered into buckets of so many significant figures where asked; None for an unknown coin."""
    index = loopback.by_coin.get(coin)
    if index is None:
        return {"coin": coin, "time": loopback.now_ms, "levels": [[], []]} if coin == PAIR else None
    state = loopback.states[index]
    shown: dict[str, Any] = {
        "coin": coin,
        "time": loopback.now_ms,
        "levels": [_side(state, side, depth, figures, mantissa or 1) for side in (1, -1)],
    }
    if figures is not None:
        bid, ask = state.best()
        spread = (ask - bid) if bid > 0 and ask > 0 else 0
        shown["spread"] = printed(spread, int(state.instrument.price_scale))
    return shown


def _side(state: MarketState, side: int, depth: int, figures: int | None, step: int) -> list[dict[str, Any]]:
    instrument = state.instrument
    buckets: dict[int, list[int]] = {}
    for level in state.live.book.of(side).top(depth if figures is None else 1 << 20):
        price = int(level.price) if figures is None else bucket(int(level.price), figures, step, side)
        if price not in buckets and len(buckets) == depth:
            break
        entry = buckets.setdefault(price, [0, 0])
        entry[0] += int(level.size)
        entry[1] += int(level.count)
    return [
        {"px": price_text(instrument, price), "sz": size_text(instrument, size), "n": count}
        for price, (size, count) in buckets.items()
    ]


def bucket(price: int, figures: int, step: int, side: int) -> int:
    """Round a price to so many significant figures (the last one in steps), bids down and asks up."""
    unit = step * int(10 ** max(0, len(str(price)) - figures))
    return price // unit * unit if side > 0 else -(-price // unit) * unit


def l2_book(loopback: Loopback, request: Request) -> Any:
    figures, mantissa = request.get("nSigFigs"), request.get("mantissa")
    if figures not in FIGURES or mantissa not in MANTISSAS or (mantissa is not None and figures != 5):
        raise Malformed(MALFORMED)
    return book(loopback, coin_of(request), DEPTH, figures, mantissa)


def recent_trades(loopback: Loopback, request: Request) -> Any:
    state = market_of(loopback, request)
    return [] if state is None else list(state.trades)[: -RECENT - 1 : -1]


def candles(loopback: Loopback, request: Request) -> Any:
    asked = request.get("req")
    if not isinstance(asked, dict) or asked.get("interval") not in INTERVALS:
        raise Malformed(MALFORMED)
    state = market_of(loopback, asked)
    begin, end = time_in(asked, "startTime"), time_in(asked, "endTime", loopback.now_ms)
    return [] if state is None else state.candles.span(asked["interval"], begin, end)


def funding_history(loopback: Loopback, request: Request) -> Any:
    state = market_of(loopback, request)
    return [] if state is None else within(state.funding_history, request)[:PAGE]


def predicted_fundings(loopback: Loopback, request: Request) -> Any:
    return [
        [
            state.market.name,
            [
                [
                    "HlPerp",
                    {
                        "fundingRate": rate_text(state.funding_rate, RATE_DIGITS),
                        "nextFundingTime": loopback.next_funding_ms,
                        "fundingIntervalHours": 1,
                    },
                ]
            ],
        ]
        for state in loopback.states
    ]


def margin_table(loopback: Loopback, request: Request) -> Any:
    for number, table in meta(loopback.markets)["marginTables"]:
        if number == request.get("id"):
            return table
    raise Malformed(MALFORMED)
