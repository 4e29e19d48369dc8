"""An instrument: its integer scales, price grid, limits and fees, and the proof that 64 bits suffice."""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.money import MAX_AMOUNT, format_decimal, parse_decimal

_POWERS: Final = [10**n for n in range(19)]


def power_of_ten(exponent: int) -> int:
    """Return 10**exponent for 0 <= exponent <= 18; raises IndexError outside."""
    return int(_POWERS[exponent])


@final
class Instrument:
    """One tradable perpetual future on one venue, immutable once built.

    Units: `price` in 10^-price_scale quote, `size` in 10^-size_scale coin, money in 10^-money_scale
    quote, rates in parts per billion. `significant_figures` > 0 adds Hyperliquid's price rule: at most
    that many figures, integers always allowed. `price_band` is the largest allowed distance of an order
    price from the reference price, in parts per billion of it; 0 switches the check off.

    Raises ValueError naming the first value that makes no instrument, or the product that could leave 64 bits.
    """

    def __init__(
        self,
        name: str,
        *,
        index: int = 0,
        price_scale: int,
        size_scale: int,
        money_scale: int = 6,
        tick_size: int = 1,
        lot_size: int = 1,
        significant_figures: int = 0,
        min_notional: int = 0,
        max_price: int = 0,
        max_size: int = 0,
        maker_fee: int = 150_000,
        taker_fee: int = 450_000,
        max_leverage: int = 20,
        price_band: int = 0,
    ) -> None:
        if not name:
            raise ValueError("an instrument needs a name")
        if price_scale < 0 or size_scale < 0 or price_scale + size_scale > money_scale or money_scale > 12:
            raise ValueError(
                f"{name}: price_scale {price_scale} + size_scale {size_scale} must not exceed money_scale "
                f"{money_scale} (at most 12), or notionals would not be exact"
            )
        if tick_size < 1 or lot_size < 1:
            raise ValueError(f"{name}: tick_size {tick_size} and lot_size {lot_size} must be at least 1")
        if not 1 <= max_leverage <= 1000:
            raise ValueError(f"{name}: max_leverage {max_leverage} must lie between 1 and 1000")
        self.name: Final[str] = name
        self.index: Final[i64] = index
        self.price_scale: Final[i64] = price_scale
        self.size_scale: Final[i64] = size_scale
        self.money_scale: Final[i64] = money_scale
        self.notional_factor: Final[i64] = power_of_ten(money_scale - price_scale - size_scale)
        self.tick_size: Final[i64] = tick_size
        self.lot_size: Final[i64] = lot_size
        self.significant_figures: Final[i64] = significant_figures
        self.integer_tick: Final[i64] = power_of_ten(price_scale)
        self.min_notional: Final[i64] = min_notional
        self.max_price: Final[i64] = max_price or power_of_ten(price_scale + 7)
        self.max_size: Final[i64] = max_size or MAX_AMOUNT // (int(self.max_price) * int(self.notional_factor)) // 4
        self.maker_fee: Final[i64] = maker_fee
        self.taker_fee: Final[i64] = taker_fee
        self.max_leverage: Final[i64] = max_leverage
        self.price_band: Final[i64] = price_band
        largest = int(self.max_price) * int(self.max_size) * int(self.notional_factor)
        if largest > MAX_AMOUNT or int(self.max_size) < 1:
            raise ValueError(
                f"{name}: max_price x max_size x factor = {largest} exceeds 2^62; lower max_size or money_scale"
            )

    def tick_at(self, price: i64) -> i64:
        """Return the price grid's step at a price (source: Hyperliquid docs, tick and lot size)."""
        if self.significant_figures == 0:
            return self.tick_size
        limit: i64 = 10
        figures: i64 = 1
        while price >= limit and figures < 18:
            limit *= 10
            figures += 1
        step: i64 = 1
        while figures > self.significant_figures:
            step *= 10
            figures -= 1
        if step > self.integer_tick:
            step = self.integer_tick
        return step if step > self.tick_size else self.tick_size

    def on_grid(self, price: i64) -> bool:
        """Tell whether the venue would accept this price's digits."""
        return price > 0 and price % self.tick_at(price) == 0

    def snap(self, price: i64, side: i64) -> i64:
        """Return the nearest valid price away from the market: bids (side +1) down, asks (-1) up.

        A snapped maker price can therefore never have become a taker price. May return 0 for a bid
        below the first tick.
        """
        if price <= 0:
            return 0
        step = self.tick_at(price)
        rest = price % step
        if rest == 0:
            return price
        if side > 0:
            return price - rest
        return price - rest + step

    def snap_size(self, size: i64) -> i64:
        """Return the size rounded down to the lot."""
        return size - size % self.lot_size

    def notional(self, price: i64, size: i64) -> i64:
        """Return price x size in money units, exact for prices and sizes inside the instrument's limits."""
        return price * size * self.notional_factor

    def price_text(self, price: i64) -> str:
        """Return the price as the venue's canonical decimal text."""
        return format_decimal(int(price), int(self.price_scale))

    def size_text(self, size: i64) -> str:
        """Return the size as the venue's canonical decimal text."""
        return format_decimal(int(size), int(self.size_scale))

    def money_text(self, amount: i64) -> str:
        """Return a money amount as decimal text."""
        return format_decimal(int(amount), int(self.money_scale))

    def parse_price(self, text: str) -> int:
        """Parse decimal text into price units; raises ValueError when it has too many decimals."""
        return parse_decimal(text, int(self.price_scale))

    def parse_size(self, text: str) -> int:
        """Parse decimal text into size units; raises ValueError when it has too many decimals."""
        return parse_decimal(text, int(self.size_scale))
