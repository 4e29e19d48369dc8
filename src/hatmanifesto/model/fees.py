"""Fee schedules as data, the rates an account gets from them, and the fee of a fill in exact integers.

Source: Hyperliquid docs, fees, and the `feeSchedule` of the venue's `userFees` answer (June 2026). Rates are parts
per billion of notional, negative = rebate; amounts are in money units; volumes of a schedule in whole quote units.
"""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.money import RATE_SCALE, rate_of

DAY_NS: Final = 86_400_000_000_000
VOLUME_DAYS: Final = 14
"""Days of volume that a tier is judged by, assessed at the end of each UTC day."""
WHOLE: Final = RATE_SCALE
"""A share or discount of 1, in parts per billion."""
BUILDER_UNIT: Final = 10_000
"""A builder fee is given in tenths of a basis point: this many parts per billion each."""


@final
class VolumeTier:
    """The base rates from a weighted 14-day volume on (strictly above `volume`, whole quote units)."""

    def __init__(self, volume: int, taker: int, maker: int) -> None:
        self.volume: Final[i64] = volume
        self.taker: Final[i64] = taker
        self.maker: Final[i64] = maker


@final
class ShareTier:
    """What applies above a share: a maker rate (rebate) or a discount, all in parts per billion."""

    def __init__(self, share: int, value: int) -> None:
        self.share: Final[i64] = share
        self.value: Final[i64] = value


@final
class FeeSchedule:
    """A venue's fees. Tiers rise; the first volume tier starts at 0.

    `rebates` replace the maker rate above a share of the exchange's maker volume. `staking` are discounts on
    positive rates above an amount staked (in 10^-6 coins). The referral discount holds until the account has traded
    `referral_volume`. Raises ValueError where tiers do not rise.
    """

    def __init__(
        self,
        name: str,
        tiers: list[VolumeTier],
        rebates: list[ShareTier],
        staking: list[ShareTier],
        referral_discount: int,
        referral_volume: int,
    ) -> None:
        if not tiers or tiers[0].volume != 0:
            raise ValueError(f"the fee schedule {name} needs a first tier from volume 0 on")
        for at in range(1, len(tiers)):
            if tiers[at].volume <= tiers[at - 1].volume:
                raise ValueError(f"the fee schedule {name} has volume tiers that do not rise")
        for group in (rebates, staking):
            for at in range(1, len(group)):
                if group[at].share <= group[at - 1].share:
                    raise ValueError(f"the fee schedule {name} has rebate or staking tiers that do not rise")
        self.name: Final[str] = name
        self.tiers: Final[list[VolumeTier]] = tiers
        self.rebates: Final[list[ShareTier]] = rebates
        self.staking: Final[list[ShareTier]] = staking
        self.referral_discount: Final[i64] = referral_discount
        self.referral_volume: Final[i64] = referral_volume

    def tier_of(self, volume: i64) -> VolumeTier:
        """Return the tier of a weighted 14-day volume in whole quote units."""
        found = self.tiers[0]
        for tier in self.tiers:
            if volume > tier.volume:
                found = tier
        return found

    def rebate_of(self, share: i64) -> i64:
        """Return the maker rate of a share of the exchange's maker volume; 0 when it earns no rebate."""
        found: i64 = 0
        for tier in self.rebates:
            if share > tier.share:
                found = tier.value
        return found

    def staking_discount(self, staked: i64) -> i64:
        """Return the discount, parts per billion, for an amount staked in 10^-6 coins."""
        found: i64 = 0
        for tier in self.staking:
            if staked > tier.share:
                found = tier.value
        return found


HYPERLIQUID_PERPS: Final[FeeSchedule] = FeeSchedule(
    "hyperliquid",
    [
        VolumeTier(0, 450_000, 150_000),
        VolumeTier(5_000_000, 400_000, 120_000),
        VolumeTier(25_000_000, 350_000, 80_000),
        VolumeTier(100_000_000, 300_000, 40_000),
        VolumeTier(500_000_000, 280_000, 0),
        VolumeTier(2_000_000_000, 260_000, 0),
        VolumeTier(7_000_000_000, 240_000, 0),
    ],
    [ShareTier(5_000_000, -10_000), ShareTier(15_000_000, -20_000), ShareTier(30_000_000, -30_000)],
    [
        ShareTier(10_000_000, 50_000_000),
        ShareTier(100_000_000, 100_000_000),
        ShareTier(1_000_000_000, 150_000_000),
        ShareTier(10_000_000_000, 200_000_000),
        ShareTier(100_000_000_000, 300_000_000),
        ShareTier(500_000_000_000, 400_000_000),
    ],
    40_000_000,
    25_000_000,
)
"""Hyperliquid's perpetuals: tiers, maker rebates, HYPE staking discounts, 4 % referral discount up to 25 M USDC."""

SCHEDULES: Final[dict[str, FeeSchedule]] = {"hyperliquid": HYPERLIQUID_PERPS}


@final
class MarketFees:
    """What a market does to the rates: a builder-deployed market's scale, growth mode, aligned quote asset.

    `deployer_scale` is the deployer's fee scale in parts per billion (0 to 3 000 000 000; 0 = the venue's own market).
    Raises ValueError outside that range.
    """

    def __init__(self, deployer_scale: int = 0, growth_mode: bool = False, aligned_quote: bool = False) -> None:
        if not 0 <= deployer_scale <= 3 * WHOLE:
            raise ValueError(f"a deployer's fee scale must lie between 0 and 3, got {deployer_scale} parts per billion")
        self.deployer_scale: Final[i64] = deployer_scale
        self.growth_mode: Final[bool] = growth_mode
        self.aligned_quote: Final[bool] = aligned_quote


PLAIN_MARKET: Final[MarketFees] = MarketFees()


def effective_rate(rate: int, referral_discount: int, market: MarketFees, taker: bool) -> int:
    """Return what a market charges of an account's own rate, parts per billion, truncated toward zero once.

    The account's rate has tier and staking discount in it (`userCrossRate`, `userAddRate`). Positive rates are scaled
    by the deployer and by the referral discount; rebates by neither. An aligned quote asset takes a fifth off the
    protocol's share of taker fees and adds half to the protocol's share of rebates. Source: Hyperliquid docs, fee
    formula for developers.
    """
    top, bottom = rate, 1
    scale = int(market.deployer_scale)
    if market.growth_mode:
        bottom *= 10
    # the deployer's share of the fee is scale / (1 + scale) below 1, a half from there on
    share_top, share_bottom = (scale, WHOLE + scale) if scale < WHOLE else (1, 2)
    if rate > 0:
        top *= (scale + WHOLE if scale < WHOLE else 2 * scale) * (WHOLE - referral_discount)
        bottom *= WHOLE * WHOLE
        if taker and market.aligned_quote:
            top *= 8 * (share_bottom - share_top) + 10 * share_top
            bottom *= 10 * share_bottom
    elif market.aligned_quote:
        top *= 15 * (share_bottom - share_top) + 10 * share_top
        bottom *= 10 * share_bottom
    return top // bottom if top >= 0 else -(-top // bottom)


def fill_fee(notional: i64, rate: i64, builder_tenths: i64 = 0) -> i64:
    """Return the fee of a fill in money units: rate of notional plus a builder's fee, each truncated toward zero.

    `builder_tenths` is the builder's rate in tenths of a basis point. The venue charges in its currency's last decimal;
    recorded fills show truncation for fees and rebates alike (78751 x 0.00535 x -0.3 bps = -0.0126395 is booked
    as -0.012639).
    """
    fee = rate_of(notional, rate)
    if builder_tenths != 0:
        fee += rate_of(notional, builder_tenths * BUILDER_UNIT)
    return fee


@final
class AccountFees:
    """One account's fees at one venue: its tier moves with its own volume at the end of each UTC day.

    `volume` is the weighted 14-day volume before the first fill, whole quote units, taken as traded evenly over those
    days, so that a fourteenth of it leaves the window each day. `maker_share` (parts per billion of the exchange's
    maker volume) and `staked` (10^-6 coins) stay as given. `money_unit` is 10^money_scale.
    """

    def __init__(
        self,
        schedule: FeeSchedule,
        markets: list[MarketFees],
        *,
        money_unit: int,
        volume: int = 0,
        maker_share: int = 0,
        staked: int = 0,
        referred: bool = False,
        builder_tenths: int = 0,
    ) -> None:
        if volume < 0 or maker_share < 0 or staked < 0 or not 0 <= builder_tenths <= 100 or money_unit < 1:
            raise ValueError(
                f"volume {volume}, maker_share {maker_share}, staked {staked} must not be negative, "
                f"builder_tenths {builder_tenths} must lie between 0 and 100"
            )
        self.schedule: Final[FeeSchedule] = schedule
        self.markets: Final[list[MarketFees]] = markets
        self.money_unit: Final[i64] = money_unit
        self.maker_share: i64 = maker_share
        self.staked: i64 = staked
        self.referred: Final[bool] = referred
        self.builder_tenths: Final[i64] = builder_tenths
        self.day: i64 = -1
        self.tier_changes: i64 = 0
        self.total: int = volume * money_unit
        # money units a day, the oldest first, and what is counted of today; unbounded integers: volumes add up
        each, rest = divmod(self.total, VOLUME_DAYS)
        self._days: Final[list[int]] = [each + (1 if at < rest else 0) for at in range(VOLUME_DAYS)]
        self._today: int = 0
        self.taker_rates: Final[list[i64]] = [0 for _ in markets]
        self.maker_rates: Final[list[i64]] = [0 for _ in markets]
        self.user_taker: i64 = 0
        self.user_maker: i64 = 0
        self.discount: i64 = 0
        self._set_rates()

    def volume(self) -> int:
        """Return the weighted volume of the last 14 whole days, in whole quote units."""
        return sum(self._days) // int(self.money_unit)

    def _set_rates(self) -> None:
        schedule = self.schedule
        tier = schedule.tier_of(i64(self.volume()))
        kept = WHOLE - int(schedule.staking_discount(self.staked))
        taker = int(tier.taker) * kept // WHOLE
        maker = int(schedule.rebate_of(self.maker_share))
        if maker == 0:
            maker = int(tier.maker) * kept // WHOLE
        if self.day >= 0 and (taker != self.user_taker or maker != self.user_maker):
            self.tier_changes += 1
        self.user_taker = i64(taker)
        self.user_maker = i64(maker)
        self._set_market_rates()

    def _set_market_rates(self) -> None:
        referred = self.referred and self.total < int(self.schedule.referral_volume) * int(self.money_unit)
        self.discount = self.schedule.referral_discount if referred else 0
        for at, market in enumerate(self.markets):
            self.taker_rates[at] = i64(effective_rate(int(self.user_taker), int(self.discount), market, True))
            self.maker_rates[at] = i64(effective_rate(int(self.user_maker), int(self.discount), market, False))

    def _new_day(self, day: i64) -> None:
        """Days have ended: their volume enters the window and the tier is assessed again."""
        if self.day >= 0:
            passed = day - self.day
            if passed > VOLUME_DAYS + 1:
                passed = VOLUME_DAYS + 1
            for _ in range(passed):
                del self._days[0]
                self._days.append(self._today)
                self._today = 0
            self.day = day
            self._set_rates()
        self.day = day

    def charge(self, now: i64, market: i64, notional: i64, taker: bool) -> i64:
        """Return the fee of a fill at the venue's time `now` (ns since 1970), and count its volume."""
        day = now // DAY_NS
        if day != self.day:
            self._new_day(day)
        rate = self.taker_rates[market] if taker else self.maker_rates[market]
        fee = fill_fee(notional, rate, self.builder_tenths)
        counted = int(notional)
        if self.markets[market].growth_mode:
            counted //= 10
        self._today += counted
        self.total += counted
        if self.discount != 0 and self.total >= int(self.schedule.referral_volume) * int(self.money_unit):
            self._set_market_rates()
        return fee
