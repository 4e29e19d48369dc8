"""Hyperliquid's margin tables as data: tiers by table, and which of the venue's coins has which.

Source: the venue's `meta` answer (tables, June 2026) and its docs, margin tiers (coins). Notionals in whole USDC. A
coin that is not here has one tier at its maximal leverage. Always prefer a fresh `meta` where there is one.
"""

from typing import Final

from hatmanifesto.model.margin import MarginTable, single_tier

TIERS: Final[dict[int, list[tuple[int, int]]]] = {
    51: [(0, 10), (3_000_000, 5)],
    52: [(0, 10), (20_000_000, 5)],
    53: [(0, 20), (40_000_000, 10)],
    54: [(0, 20), (70_000_000, 10)],
    55: [(0, 25), (100_000_000, 15)],
    56: [(0, 40), (150_000_000, 20)],
}
COINS: Final[dict[int, str]] = {
    51: "ARB BNB DOT JUP kSHIB MKR ONDO PAXG TON TRX XPL",
    52: "AAVE ADA APT AVAX BCH CRV DOGE ENA FARTCOIN HYPE kBONK kPEPE LINK LTC NEAR PUMP SUI TRUMP UNI WLD ZEC",
    53: "XRP",
    54: "SOL",
    55: "ETH",
    56: "BTC",
}
TABLE_OF: Final[dict[str, int]] = {coin: table for table, coins in COINS.items() for coin in coins.split()}


def hyperliquid_tiers(coin: str, max_leverage: int, money_unit: int) -> list[tuple[int, int]]:
    """Return a coin's tiers as (lower notional in money units, leverage); `money_unit` is 10^money_scale.

    The known table counts where its first leverage is the instrument's, else one tier at the instrument's.
    """
    tiers = TIERS.get(TABLE_OF.get(coin, 0), [])
    if not tiers or tiers[0][1] != max_leverage:
        return [(0, max_leverage)]
    return [(lower * money_unit, leverage) for lower, leverage in tiers]


def hyperliquid_table(coin: str, max_leverage: int, money_unit: int) -> MarginTable:
    """Return the same as a table."""
    if coin not in TABLE_OF:
        return single_tier(max_leverage)
    return MarginTable(hyperliquid_tiers(coin, max_leverage, money_unit))
