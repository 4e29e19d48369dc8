"""What the loopback exchange lists: the venue's definitions of its markets, as `meta` tells them."""

from typing import Any, Final, NamedTuple

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.margin import MarginTable

MONEY_SCALE: Final = 6
USDC: Final = 1_000_000
MIN_NOTIONAL: Final = 10 * USDC
_MAX_DECIMALS: Final = 6
_MAX_PRICE: Final = 10**7


class Market(NamedTuple):
    """One perpetual: decimals of its sizes; its margin table: id, tiers (lower notional in USDC, leverage), name."""

    name: str
    size_decimals: int
    table: int
    tiers: tuple[tuple[int, int], ...]
    table_name: str = ""

    @property
    def max_leverage(self) -> int:
        """The most leverage of the first tier."""
        return self.tiers[0][1]

    def instrument(self, index: int) -> Instrument:
        """Return it as the model has it."""
        price_scale = _MAX_DECIMALS - self.size_decimals
        return Instrument(
            self.name,
            index=index,
            price_scale=price_scale,
            size_scale=self.size_decimals,
            money_scale=MONEY_SCALE,
            significant_figures=5,
            min_notional=MIN_NOTIONAL,
            max_price=_MAX_PRICE * 10**price_scale,
            max_leverage=self.max_leverage,
        )

    def margin_table(self) -> MarginTable:
        """Return its tiers in money units."""
        return MarginTable([(lower * USDC, leverage) for lower, leverage in self.tiers])


MARKETS: Final = {
    market.name: market
    for market in (
        Market("BTC", 5, 56, ((0, 40), (150_000_000, 20)), "tiered 40x"),
        Market("ETH", 4, 55, ((0, 25), (100_000_000, 15)), "tiered 25x"),
        Market("SOL", 2, 54, ((0, 20), (70_000_000, 10)), "tiered 20x (2)"),
        Market("HYPE", 2, 52, ((0, 10), (20_000_000, 5)), "tiered 10x (2)"),
    )
}
"""Source: recorded `meta` answers, September 2026."""


def meta(markets: list[Market]) -> dict[str, Any]:
    """Return the answer to `meta`."""
    tables = {market.table: market for market in markets}
    return {
        "universe": [
            {
                "szDecimals": market.size_decimals,
                "name": market.name,
                "maxLeverage": market.max_leverage,
                "marginTableId": market.table,
            }
            for market in markets
        ],
        "marginTables": [
            [
                number,
                {
                    "description": market.table_name,
                    "marginTiers": [
                        {"lowerBound": f"{lower}.0", "maxLeverage": leverage} for lower, leverage in market.tiers
                    ],
                },
            ]
            for number, market in sorted(tables.items())
        ],
        "collateralToken": 0,
    }
