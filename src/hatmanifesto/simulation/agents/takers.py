"""Takers: noise that comes in bursts and tends to repeat its side, and informed flow that follows the fair value."""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.model.order import IMMEDIATE_OR_CANCEL
from hatmanifesto.simulation.agents.desk import Desk
from hatmanifesto.simulation.agents.dice import MILLION, Quantiles
from hatmanifesto.simulation.live.actions import Place
from hatmanifesto.simulation.live.orders import OrderRequest

_MS: Final = 1_000_000


def take(desk: Desk, account: int, side: i64, usd: i64) -> None:
    """Send an immediate order that may walk some ticks through the book, and let the market learn from it."""
    price = desk.touch(-side) + side * desk.parameters.slippage_ticks
    if price > 0:
        request = OrderRequest(
            desk.index, int(side), int(price * desk.tick), int(desk.size_of(usd)), IMMEDIATE_OR_CANCEL
        )
        desk.exchange.submit(account, Place([request]))
        weight = usd if usd < 100_000 else 100_000
        desk.fair.push(side * desk.distance(desk.parameters.impact) * weight // 10_000)


@final
class NoiseTakers:
    """Self-exciting arrivals (a Hawkes process); each taker works a larger order off, mostly on one side."""

    def __init__(self, desk: Desk) -> None:
        parameters = desk.parameters
        self._accounts: Final[list[int]] = []
        self._sides: Final[list[int]] = []
        for number in range(parameters.takers):
            self._accounts.append(desk.open_account(f"taker {number} of {desk.instrument.name}"))
            self._sides.append(int(desk.dice.side()))
        self._sizes: Final[Quantiles] = Quantiles(parameters.order_usd)
        # arrivals a block in millionths: the base is what is left of the mean rate after excitement
        mean = desk.block_ns * MILLION // (i64(parameters.taker_wait_ms) * _MS)
        self._base: Final[i64] = mean * (MILLION - parameters.excitement) // MILLION
        memory = desk.blocks(i64(parameters.excitement_memory_ms))
        self._memory: Final[i64] = memory if memory > 1 else 1
        self._bump: Final[i64] = i64(parameters.excitement) // self._memory
        self._excited: i64 = 0

    def act(self, desk: Desk) -> None:
        """Send what arrives before a block."""
        dice = desk.dice
        self._excited -= self._excited // self._memory
        if not dice.chance(self._base + self._excited):
            return
        self._excited += self._bump
        who = dice.below(i64(len(self._accounts)))
        if not dice.chance(i64(desk.parameters.same_side)):
            self._sides[who] = int(dice.side())
        take(desk, self._accounts[who], i64(self._sides[who]), dice.draw(self._sizes))


@final
class InformedTaker:
    """Takes what stands beyond the fair value: the more likely the farther it is beyond."""

    def __init__(self, desk: Desk) -> None:
        parameters = desk.parameters
        self.account: Final[int] = desk.open_account(f"informed taker of {desk.instrument.name}")
        self._edge: Final[i64] = desk.distance(parameters.informed_edge)
        self._scale: Final[i64] = desk.distance(parameters.patience)
        self._sizes: Final[Quantiles] = Quantiles(parameters.order_usd)

    def act(self, desk: Desk) -> None:
        """Send an order before a block, if there is something to gain."""
        fair = desk.fair.value
        side: i64 = 1
        gain = fair - desk.ask * MILLION - self._edge
        if gain <= 0:
            side = -1
            gain = desk.bid * MILLION - fair - self._edge
        if gain > 0 and desk.dice.chance(gain * desk.parameters.informed_chance // self._scale):
            take(desk, self.account, side, desk.dice.draw(self._sizes))
