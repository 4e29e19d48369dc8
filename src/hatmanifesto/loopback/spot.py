"""Spot: one listed pair without a market, since clients ask for it when they start, and wallets that hold USDC."""

from typing import Any, Final

from hatmanifesto.loopback.text import printed

FIRST_SPOT_ASSET: Final = 10_000
USDC_TOKEN: Final = "USDC:0x6d1e7cde53ba9467b783cb7c530ce054"
USDC_DECIMALS: Final = 8
PAIR: Final = "PURR/USDC"
PRICE: Final = "0.2"

SPOT_META: Final[dict[str, Any]] = {
    "universe": [{"tokens": [1, 0], "name": PAIR, "index": 0, "isCanonical": True}],
    "tokens": [
        {
            "name": "USDC",
            "szDecimals": 8,
            "weiDecimals": USDC_DECIMALS,
            "index": 0,
            "tokenId": USDC_TOKEN.partition(":")[2],
            "isCanonical": True,
            "evmContract": None,
            "fullName": None,
            "deployerTradingFeeShare": "0.0",
        },
        {
            "name": "PURR",
            "szDecimals": 0,
            "weiDecimals": 5,
            "index": 1,
            "tokenId": "0xc1fb593aeffbeb02f85e0308e9956a90",
            "isCanonical": True,
            "evmContract": None,
            "fullName": None,
            "deployerTradingFeeShare": "0.0",
        },
    ],
}
SPOT_CONTEXT: Final[dict[str, Any]] = {
    "prevDayPx": PRICE,
    "dayNtlVlm": "0.0",
    "markPx": PRICE,
    "midPx": None,
    "circulatingSupply": "1.0",
    "coin": PAIR,
    "totalSupply": "1.0",
    "dayBaseVlm": "0.0",
}
SPOT_CONTEXTS: Final[list[dict[str, Any]]] = [SPOT_CONTEXT]


def spot_state(amount: int | None) -> dict[str, Any]:
    """Return a spot wallet that holds so much USDC (10^-8); None: there is no such account."""
    if amount is None:
        return {"balances": []}
    usdc = {"coin": "USDC", "token": 0, "total": printed(amount, USDC_DECIMALS), "hold": "0.0", "entryNtl": "0.0"}
    return {"balances": [usdc]}
