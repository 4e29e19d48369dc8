"""The venue's rules for perpetuals as instruments, and this account's fees. Source: `meta`, `userFees`, the docs."""

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET

from hatmanifesto.errors import UserError
from hatmanifesto.model.fees import PLAIN_MARKET, effective_rate
from hatmanifesto.model.instrument import Instrument
from hatmanifesto.venues.hyperliquid.wire.decimals import exact, rounded
from hatmanifesto.venues.hyperliquid.wire.info import Meta, UserFees
from hatmanifesto.venues.port import VenueFees

MONEY_SCALE: Final = 6
SIGNIFICANT_FIGURES: Final = 5
MIN_NOTIONAL: Final = 10_000_000
"""10 USDC in micro-USDC."""
PRICE_BAND: Final = 950_000_000
"""The venue refuses prices further than 95 % from its reference."""
_RATE_DECIMALS: Final = 9
_LARGEST_SCALE: Final = 6


def account_fees(fees: UserFees) -> VenueFees:
    """Return the account's rates after the referral discount; raises ValueError when they are no rates."""
    discount = "0" if fees.active_referral_discount is UNSET else fees.active_referral_discount
    share = exact(discount, _RATE_DECIMALS)
    maker, taker = (rounded(text, _RATE_DECIMALS) for text in (fees.user_add_rate, fees.user_cross_rate))
    return VenueFees(
        maker=effective_rate(maker, share, PLAIN_MARKET, False), taker=effective_rate(taker, share, PLAIN_MARKET, True)
    )


def instruments_of(meta: Meta, coins: Sequence[str], fees: VenueFees) -> tuple[list[Instrument], list[int]]:
    """Return the instruments of some coins, indexed as asked for, and their asset ids.

    Raises UserError for a coin that the venue does not list, or no longer trades.
    """
    places = {asset.name: (place, asset) for place, asset in enumerate(meta.universe)}
    instruments: list[Instrument] = []
    assets: list[int] = []
    for index, coin in enumerate(coins):
        if coin not in places:
            near = [name for name in places if name.lower() == coin.lower()]
            hint = f"did you mean {near[0]}?" if near else "names are those of the venue's `meta`, such as BTC or kPEPE"
            raise UserError(f"the venue lists no {coin}", hint)
        place, asset = places[coin]
        if asset.is_delisted is True:
            raise UserError(f"{coin} was delisted by the venue", "choose another coin")
        if not 0 <= asset.sz_decimals <= _LARGEST_SCALE:
            raise UserError(f"{coin} has {asset.sz_decimals} size decimals", "this version cannot trade it")
        instruments.append(
            Instrument(
                coin,
                index=index,
                price_scale=_LARGEST_SCALE - asset.sz_decimals,
                size_scale=asset.sz_decimals,
                money_scale=MONEY_SCALE,
                significant_figures=SIGNIFICANT_FIGURES,
                min_notional=MIN_NOTIONAL,
                maker_fee=fees.maker,
                taker_fee=fees.taker,
                max_leverage=asset.max_leverage,
                price_band=PRICE_BAND,
            )
        )
        assets.append(place)
    return instruments, assets
