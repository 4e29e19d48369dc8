"""What the exchange keeps of one market beside its book: prints, candles, the day's figures, premium and funding."""

from collections import deque
from typing import Any, Final

from hatmanifesto.loopback.candles import Candles
from hatmanifesto.loopback.markets import USDC, Market
from hatmanifesto.loopback.orders import trade_hash
from hatmanifesto.loopback.text import price_text, printed, rate_text, size_text
from hatmanifesto.model.funding import HYPERLIQUID_FUNDING, PremiumAverage, premium_of
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.simulation.live.events import Trade
from hatmanifesto.simulation.live.mark import impact_price
from hatmanifesto.simulation.live.market import LiveMarket

TRADES_KEPT: Final = 500
FUNDING_KEPT: Final = 20_000
PREMIUM_MS: Final = 5_000
"""Between two samples of the premium."""
RATE_DIGITS: Final = 12
MAJORS: Final = ("BTC", "ETH")


class MarketState:
    """See the module's text. `told_rate`: the hourly funding rate (10^-12) of a followed market; None: made here."""

    def __init__(self, market: Market, instrument: Instrument, live: LiveMarket) -> None:
        self.market: Final = market
        self.instrument: Final = instrument
        self.live: Final = live
        self.trades: Final[deque[dict[str, Any]]] = deque(maxlen=TRADES_KEPT)
        self.candles: Final = Candles(instrument)
        self.funding_history: Final[deque[dict[str, Any]]] = deque(maxlen=FUNDING_KEPT)
        self.told_rate: int | None = None
        self.premium: int | None = None
        self.impact: tuple[int, int] | None = None
        self._impact_notional = (20_000 if market.name in MAJORS else 6_000) * USDC
        self._average = PremiumAverage()
        self._sampled_ms = 0

    # -- prints -----------------------------------------------------------------------------------

    def traded(self, event: Trade, buyer: str, seller: str, now_ms: int) -> dict[str, Any]:
        """Keep a print and return it as it is shown."""
        shown = {
            "coin": self.instrument.name,
            "side": "B" if event.side > 0 else "A",
            "px": price_text(self.instrument, int(event.price)),
            "sz": size_text(self.instrument, int(event.size)),
            "time": now_ms,
            "hash": trade_hash(int(event.tid), by_venue=bool(event.by_venue)),
            "tid": int(event.tid),
            "users": [buyer, seller],
        }
        self.trades.append(shown)
        self.candles.add(now_ms, int(event.price), int(event.size))
        return shown

    # -- funding ----------------------------------------------------------------------------------

    def sample(self, now_ms: int) -> None:
        """Take a sample of the premium when one is due."""
        if 0 <= now_ms - self._sampled_ms < PREMIUM_MS:
            return
        self._sampled_ms = now_ms
        oracle = int(self.live.prices.oracle)
        bid = int(impact_price(self.live.book.bids, self.instrument, self._impact_notional))
        ask = int(impact_price(self.live.book.asks, self.instrument, self._impact_notional))
        self.impact = (bid, ask) if bid > 0 and ask > 0 else None
        self.premium = None
        if self.impact is not None and oracle > 0:
            self.premium = int(premium_of(bid, ask, oracle))
            self._average.add(self.premium)

    @property
    def funding_rate(self) -> int:
        """The rate that would be paid now for an hour, 10^-12."""
        if self.told_rate is not None:
            return self.told_rate
        samples = int(self._average.samples)
        return int(HYPERLIQUID_FUNDING.rate(self._average.total // samples if samples else 0))

    def settle(self, now_ms: int) -> int:
        """Note the rate that is paid now, begin the next interval, and return the rate."""
        rate = self.funding_rate
        self._average.take()
        self.funding_history.append(
            {
                "coin": self.instrument.name,
                "fundingRate": rate_text(rate, RATE_DIGITS),
                "premium": rate_text(self.premium or 0, RATE_DIGITS),
                "time": now_ms,
            }
        )
        return rate

    # -- shown ------------------------------------------------------------------------------------

    def best(self) -> tuple[int, int]:
        """Return the best bid and ask, 0 where a side is empty."""
        return int(self.live.book.bids.best_price()), int(self.live.book.asks.best_price())

    def mid_text(self) -> str:
        """Return the middle of the best prices; the last print or the mark where a side is empty."""
        bid, ask = self.best()
        if bid > 0 and ask > 0:
            return printed((bid + ask) * 5, int(self.instrument.price_scale) + 1)
        prices = self.live.prices
        return price_text(self.instrument, int(prices.last) or int(prices.mark))

    def context(self, now_ms: int) -> dict[str, Any]:
        """Return the market's context, as `metaAndAssetCtxs` shows it."""
        instrument, prices = self.instrument, self.live.prices
        day = self.candles.day(now_ms)
        bid, ask = self.best()
        impact = self.impact
        return {
            "funding": rate_text(self.funding_rate, RATE_DIGITS),
            "openInterest": size_text(instrument, int(prices.open_interest)),
            "prevDayPx": price_text(instrument, day.first_price or int(prices.mark)),
            "dayNtlVlm": printed(day.notional, 6),
            "premium": None if self.premium is None else rate_text(self.premium, RATE_DIGITS),
            "oraclePx": price_text(instrument, int(prices.oracle)),
            "markPx": price_text(instrument, int(prices.mark)),
            "midPx": self.mid_text() if bid > 0 and ask > 0 else None,
            "impactPxs": None if impact is None else [price_text(instrument, price) for price in impact],
            "dayBaseVlm": size_text(instrument, day.base),
        }
