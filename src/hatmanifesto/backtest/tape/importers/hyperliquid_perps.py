"""Hyperliquid's instruments: the venue's rules, and the size decimals of well-known perpetuals.

Rules (Hyperliquid docs, "tick and lot size"): prices have at most 5 significant figures and at most
6 - szDecimals decimals, integers always allowed; sizes have szDecimals decimals; an order is worth at
least 10 USDC. Base fee tier: maker 1.5 bps, taker 4.5 bps. Spot pairs (`@107`, `PURR/USDC`) have 8 - szDecimals
decimals, maker 4 bps, taker 7 bps.
"""

from typing import Final

from hatmanifesto.backtest.tape.format import InstrumentSpec
from hatmanifesto.backtest.tape.importers.request import price_limit

VENUE: Final = "hyperliquid"
PRICE_AND_SIZE_DECIMALS: Final = 6
SPOT_DECIMALS: Final = 8
MIN_NOTIONAL: Final = 10_000_000
"""10 USDC in micro-USDC."""

KNOWN: Final[dict[str, tuple[int, int]]] = {
    # coin: (szDecimals, maximal leverage), from the venue's `meta` answer of June 2026
    "AAVE": (2, 10), "APE": (1, 5), "APT": (2, 10), "ARB": (1, 10), "ATOM": (2, 5), "AVAX": (2, 10),
    "BCH": (3, 10), "BNB": (3, 10), "BTC": (5, 40), "COMP": (2, 5), "CRV": (1, 10), "DOGE": (0, 10),
    "DOT": (1, 10), "DYDX": (1, 5), "ETH": (4, 25), "GMX": (2, 3), "HYPE": (2, 10), "INJ": (1, 5),
    "LDO": (1, 5), "LINK": (1, 10), "LTC": (2, 10), "OP": (1, 5), "RUNE": (1, 5), "SEI": (0, 5),
    "SNX": (1, 3), "SOL": (2, 20), "STX": (1, 5), "SUI": (1, 10), "TRX": (0, 10), "UNI": (1, 10),
    "WLD": (1, 10), "WLFI": (0, 5), "XRP": (0, 20), "ZRO": (1, 5), "kPEPE": (0, 10), "kSHIB": (0, 10),
}  # fmt: skip
_UNKNOWN_LEVERAGE: Final = 3
"""The lowest maximum any coin has at the venue: assumed where the real one is not known."""


def is_spot(coin: str) -> bool:
    """Tell whether a name is that of a spot pair."""
    return coin.startswith("@") or "/" in coin


def decimals_sum(coin: str) -> int:
    """Return how many decimals the prices and sizes of a coin have together."""
    return SPOT_DECIMALS if is_spot(coin) else PRICE_AND_SIZE_DECIMALS


def size_decimals(coin: str, seen: int) -> tuple[int, str]:
    """Return a coin's szDecimals and, when they had to be inferred from the sizes seen, a note saying so."""
    if coin in KNOWN:
        return KNOWN[coin][0], ""
    inferred = min(seen, decimals_sum(coin))
    leverage = "a spot pair" if is_spot(coin) else f"maximal leverage {_UNKNOWN_LEVERAGE} assumed"
    return inferred, f"{coin}: size decimals {inferred} inferred from the sizes seen, {leverage}"


def perp(coin: str, decimals: int, *, largest_price: int = 0, largest_size: int = 0) -> InstrumentSpec:
    """Return a coin's instrument; the largest price and size seen (own units) set its limits."""
    spot = is_spot(coin)
    price_scale = decimals_sum(coin) - decimals
    limit = 0
    if largest_price:
        limit = price_limit(largest_price, largest_size, price_scale=price_scale, factor=1)
    return InstrumentSpec(
        name=coin,
        venue=VENUE,
        price_scale=price_scale,
        size_scale=decimals,
        money_scale=decimals_sum(coin),
        significant_figures=5,
        min_notional=MIN_NOTIONAL * (100 if spot else 1),
        max_price=limit,
        maker_fee=400_000 if spot else 150_000,
        taker_fee=700_000 if spot else 450_000,
        max_leverage=1 if spot else KNOWN[coin][1] if coin in KNOWN else _UNKNOWN_LEVERAGE,
    )
