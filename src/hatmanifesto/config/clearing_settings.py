"""The sections of the file that say what the simulated venue does with money: fees, funding, margin."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from hatmanifesto.config.quantities import Amount, Duration, Rate
from hatmanifesto.config.section import Section


class FeeSettings(Section):
    """`[exchange.fees]`: the instruments' own rates, or a venue's schedule with tiers that move with own volume.

    `auto` is the schedule of the tape's venue where it is known and no rate is set by hand, else `instrument`. What
    follows counts for a schedule alone: 14-day volume before the tape begins (whole quote), share of the exchange's
    maker volume (0 to 1), coins staked, whether a referral code is used, a builder's fee.
    """

    schedule: Literal["auto", "instrument", "hyperliquid"] = "auto"
    volume_14d: Annotated[Amount, Field(le=10**12)] = Decimal("0")
    maker_share: Annotated[Amount, Field(le=1)] = Decimal("0")
    staked: Annotated[Amount, Field(le=10**10)] = Decimal("0")
    referred: bool = False
    builder_fee_bps: Annotated[Amount, Field(le=10)] = Decimal("0")


class FundingSettings(Section):
    """`[exchange.funding]`: whether funding is paid, how often, and where its rates come from.

    `auto`: `tape` where the tape has rates, at their own interval unless one is set, else nothing is paid and the
    report says so; `tape`: the rates among its rows; `constant`: `rate`, a fraction of notional an interval; `file`:
    CSV of time_ns,instrument,rate, such a fraction too. Positive means that longs pay.
    """

    source: Literal["auto", "off", "tape", "constant", "file"] = "auto"
    interval: Annotated[Duration, Field(ge=60_000_000_000)] = 3_600_000_000_000
    rate: Rate = Decimal("0.0000125")
    file: Annotated[str, Field(min_length=1)] | None = None


class MarginSettings(Section):
    """`[exchange.margin]`: whether the venue checks margin and liquidates, and how positions are margined.

    `auto` is `cross` where the margin rules of the tape's venue are known, else `off`, and the report says so.
    `mark_interval` is how often it does where the tape has no marks (the mid is taken then) and where it has.
    Positions worth more than `partial_above` are liquidated a fifth first. A move of the mark within a minute of more
    than `deleverage_move_bps` in a position's favour closes `deleverage_percent` of it; 0 never does.
    """

    mode: Literal["auto", "off", "cross", "isolated"] = "auto"
    mark_interval: Annotated[Duration, Field(ge=1_000_000)] = 3_000_000_000
    partial_above: Amount = Decimal("100000")
    deleverage_move_bps: Annotated[Amount, Field(le=100_000)] = Decimal("0")
    deleverage_percent: Annotated[int, Field(ge=1, le=100)] = 100
