"""The agents' market by instrument: numbers fitted to recordings (docs/synthetic-market.md says how), no data.

Distances from the fair value are in thousandths of a basis point (milli-bps), money in whole USDC, times in
milliseconds, chances in millionths, quantile tables as (share in thousandths, value).
"""

from typing import Final, final

VOLATILITY_SPREAD: Final = 450_000
"""Deviation of the logarithm of volatility, millionths; one volatility for the whole market."""
VOLATILITY_MEMORY_S: Final = 60
JUMP_CHANCE: Final = 400
"""Chance of a jump of the whole market, a block."""
COMMON: Final = 950_000


@final
class MarketParameters:
    """One instrument's market. What a figure does is said where it is used; the groups are below."""

    def __init__(
        self,
        start_price: str,
        *,
        volatility: int,
        common: int,
        jump: int,
        impact: int,
        touch_makers: int,
        touch_orders: int,
        touch_wait_ms: int,
        touch_size: int,
        touch_size_sigma: int,
        touch_reach_ticks: int,
        edge: int,
        patience: int,
        lag_ms: int,
        tighten_chance: int,
        skew: int,
        inventory: int,
        grid_makers: int,
        grid_reach_ticks: int,
        grid_wait_ms: int,
        grid_size: list[int],
        grid_size_sigma: int,
        grid_patience: int,
        grid_edge: int,
        crowd_orders: int,
        crowd_wait_ms: int,
        crowd_reach_ticks: int,
        crowd_size: int,
        crowd_size_sigma: int,
        crowd_patience: int,
        takers: int,
        taker_wait_ms: int,
        excitement: int,
        excitement_memory_ms: int,
        same_side: int,
        slippage_ticks: int,
        informed_edge: int,
        informed_chance: int,
        order_usd: list[tuple[int, int]],
        basis_mean: int,
        basis_deviation: int,
        basis_memory_s: int,
    ) -> None:
        self.start_price: Final[str] = start_price
        # fair value: deviation a second, the part of it that all instruments share (millionths; its square is the share
        # of the variance), deviation of a jump, impact of an aggressive order of 10,000 USDC
        self.volatility: Final[int] = volatility
        self.common: Final[int] = common
        self.jump: Final[int] = jump
        self.impact: Final[int] = impact
        # makers at the touch: how many, orders a side each, mean wait, median size, distance kept from the fair value,
        # how far that moves before they follow, how late they see it, chance a block of stepping into a wide spread,
        # shift of their quotes at the inventory they would hold at most
        self.touch_makers: Final[int] = touch_makers
        self.touch_orders: Final[int] = touch_orders
        self.touch_wait_ms: Final[int] = touch_wait_ms
        self.touch_size: Final[int] = touch_size
        self.touch_size_sigma: Final[int] = touch_size_sigma
        self.touch_reach_ticks: Final[int] = touch_reach_ticks
        self.edge: Final[int] = edge
        self.patience: Final[int] = patience
        self.lag_ms: Final[int] = lag_ms
        self.tighten_chance: Final[int] = tighten_chance
        self.skew: Final[int] = skew
        self.inventory: Final[int] = inventory
        # makers of the depth: an order at each of so many ticks, its median size at 1, 5, 10 and 20 ticks, and how near
        # the fair value they quote (negative: beyond it)
        self.grid_makers: Final[int] = grid_makers
        self.grid_reach_ticks: Final[int] = grid_reach_ticks
        self.grid_wait_ms: Final[int] = grid_wait_ms
        self.grid_size: Final[list[int]] = grid_size
        self.grid_size_sigma: Final[int] = grid_size_sigma
        self.grid_patience: Final[int] = grid_patience
        self.grid_edge: Final[int] = grid_edge
        # small orders of slow people: how many, mean wait between two, mean distance from the touch, median size, and
        # how far the fair value must be beyond an order before they begin to take it away
        self.crowd_orders: Final[int] = crowd_orders
        self.crowd_wait_ms: Final[int] = crowd_wait_ms
        self.crowd_reach_ticks: Final[int] = crowd_reach_ticks
        self.crowd_size: Final[int] = crowd_size
        self.crowd_size_sigma: Final[int] = crowd_size_sigma
        self.crowd_patience: Final[int] = crowd_patience
        # takers: how many, mean wait for one of them, by how much an order excites the next and for how long, chance of
        # the same side again, how far they go through the book; informed orders a block at `patience` beyond the edge
        self.takers: Final[int] = takers
        self.taker_wait_ms: Final[int] = taker_wait_ms
        self.excitement: Final[int] = excitement
        self.excitement_memory_ms: Final[int] = excitement_memory_ms
        self.same_side: Final[int] = same_side
        self.slippage_ticks: Final[int] = slippage_ticks
        self.informed_edge: Final[int] = informed_edge
        self.informed_chance: Final[int] = informed_chance
        self.order_usd: Final[list[tuple[int, int]]] = order_usd
        # the perpetual's premium over the index, and how long it lasts
        self.basis_mean: Final[int] = basis_mean
        self.basis_deviation: Final[int] = basis_deviation
        self.basis_memory_s: Final[int] = basis_memory_s


BTC: Final = MarketParameters(
    "110000",
    volatility=570,
    common=COMMON,
    jump=1500,
    impact=25,
    touch_makers=10,
    touch_orders=3,
    touch_wait_ms=1250,
    touch_size=60_000,
    touch_size_sigma=1_700_000,
    touch_reach_ticks=3,
    edge=40,
    patience=620,
    lag_ms=300,
    tighten_chance=40000,
    skew=200,
    inventory=3_000_000,
    grid_makers=2,
    grid_reach_ticks=26,
    grid_wait_ms=800,
    grid_size=[3_000, 2_000, 14_000, 120_000],
    grid_size_sigma=1_000_000,
    grid_patience=600,
    grid_edge=-300,
    crowd_orders=500,
    crowd_wait_ms=110,
    crowd_reach_ticks=3,
    crowd_size=55,
    crowd_size_sigma=2_300_000,
    crowd_patience=800,
    takers=12,
    taker_wait_ms=940,
    excitement=470_000,
    excitement_memory_ms=2500,
    same_side=500000,
    slippage_ticks=25,
    informed_edge=300,
    informed_chance=5000,
    order_usd=[(0, 11), (250, 24), (500, 490), (750, 5_050), (950, 88_000), (990, 600_000), (1000, 2_000_000)],
    basis_mean=-550,
    basis_deviation=4_000,
    basis_memory_s=97_000,
)
"""Fitted to 35 minutes of 2025-09-04 (recorder_20250904), the basis to hourly premiums of 2025."""

ETH: Final = MarketParameters(
    "4300",
    volatility=970,
    common=COMMON,
    jump=2_500,
    impact=25,
    touch_makers=10,
    touch_orders=3,
    touch_wait_ms=1150,
    touch_size=48_000,
    touch_size_sigma=1_600_000,
    touch_reach_ticks=4,
    edge=80,
    patience=660,
    lag_ms=150,
    tighten_chance=40000,
    skew=300,
    inventory=3_000_000,
    grid_makers=2,
    grid_reach_ticks=26,
    grid_wait_ms=800,
    grid_size=[11_000, 55_000, 390_000, 390_000],
    grid_size_sigma=600_000,
    grid_patience=600,
    grid_edge=-300,
    crowd_orders=500,
    crowd_wait_ms=110,
    crowd_reach_ticks=3,
    crowd_size=350,
    crowd_size_sigma=2_000_000,
    crowd_patience=800,
    takers=12,
    taker_wait_ms=700,
    excitement=690_000,
    excitement_memory_ms=1400,
    same_side=750000,
    slippage_ticks=25,
    informed_edge=500,
    informed_chance=5000,
    order_usd=[(0, 11), (250, 43), (500, 429), (750, 6_569), (950, 90_000), (990, 420_000), (1000, 1_500_000)],
    basis_mean=-1_340,
    basis_deviation=4_100,
    basis_memory_s=112_000,
)
"""Fitted to 35 minutes of 2025-09-04 (recorder_20250904), the basis to hourly premiums of 2025."""


def scaled(base: MarketParameters, start_price: str, distance: int, money: int, wait: int) -> MarketParameters:
    """Return a market like another one with distances, money and waits scaled in percent. Not fitted to anything."""
    return MarketParameters(
        start_price,
        volatility=base.volatility * distance // 100,
        common=base.common,
        jump=base.jump * distance // 100,
        impact=base.impact * distance // money,
        touch_makers=base.touch_makers,
        touch_orders=base.touch_orders,
        touch_wait_ms=base.touch_wait_ms * wait // 100,
        touch_size=base.touch_size * money // 100,
        touch_size_sigma=base.touch_size_sigma,
        touch_reach_ticks=base.touch_reach_ticks,
        edge=base.edge * distance // 100,
        patience=base.patience * distance // 100,
        lag_ms=base.lag_ms,
        tighten_chance=base.tighten_chance,
        skew=base.skew * distance // 100,
        inventory=base.inventory * money // 100,
        grid_makers=base.grid_makers,
        grid_reach_ticks=base.grid_reach_ticks,
        grid_wait_ms=base.grid_wait_ms * wait // 100,
        grid_size=[size * money // 100 for size in base.grid_size],
        grid_size_sigma=base.grid_size_sigma,
        grid_patience=base.grid_patience * distance // 100,
        grid_edge=base.grid_edge * distance // 100,
        crowd_orders=base.crowd_orders,
        crowd_wait_ms=base.crowd_wait_ms * wait // 100,
        crowd_reach_ticks=base.crowd_reach_ticks,
        crowd_size=base.crowd_size * money // 100,
        crowd_size_sigma=base.crowd_size_sigma,
        crowd_patience=base.crowd_patience * distance // 100,
        takers=base.takers,
        taker_wait_ms=base.taker_wait_ms * wait // 100,
        excitement=base.excitement,
        excitement_memory_ms=base.excitement_memory_ms,
        same_side=base.same_side,
        slippage_ticks=base.slippage_ticks,
        informed_edge=base.informed_edge * distance // 100,
        informed_chance=base.informed_chance,
        order_usd=[(share, max(11, usd * money // 100)) for share, usd in base.order_usd],
        basis_mean=base.basis_mean,
        basis_deviation=base.basis_deviation * distance // 100,
        basis_memory_s=base.basis_memory_s,
    )


MARKETS: Final[dict[str, MarketParameters]] = {
    "BTC": BTC,
    "ETH": ETH,
    "SOL": scaled(ETH, "200", 130, 40, 130),
    "HYPE": scaled(ETH, "45", 170, 20, 150),
    "WLFI": scaled(ETH, "0.18", 430, 8, 250),
}
"""What can be generated. BTC and ETH are fitted; the others are ETH scaled by judgement."""
