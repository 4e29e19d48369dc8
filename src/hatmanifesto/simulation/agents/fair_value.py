"""The latent fair value: where the price would be elsewhere. Random steps whose size comes and goes, and jumps.

Values are in millionths of a tick of one grid, so that a step of a block is a whole number.
"""

from typing import Final, final

from mypy_extensions import i64

from hatmanifesto.simulation.agents.dice import MILLION, Dice, exponential

BLOCKS_KEPT: Final = 64
_BLOCKS_A_SECOND: Final = 14
_ROOT: Final = 3_742
"""Thousandths of the square root of the blocks in a second."""


@final
class CommonFactor:
    """What moves every instrument of a market at once: a shock a block, how violent they are, and jumps.

    `level` is the logarithm of that violence, `shock` and `jump` are of deviation 1, all in millionths; `jump` is 0 but
    for few blocks. Whoever drives the markets steps it once a block, before them.
    """

    def __init__(self, dice: Dice, spread: i64, memory_s: i64, jump_chance: i64) -> None:
        self._dice: Final[Dice] = dice
        self._memory_s: Final[i64] = memory_s
        # of the logarithm: what a second adds so that its deviation is `spread` in the long run (root of 2 / memory)
        self._stir: Final[i64] = spread * _root_of_two_over(memory_s) // MILLION
        self._jump_chance: Final[i64] = jump_chance
        # e^(x - spread^2): the mean of the squared steps stays what an instrument's volatility says
        self._lower: Final[i64] = spread * spread // MILLION
        self._count: i64 = 0
        self.level: i64 = 0
        self.factor: i64 = MILLION
        self.shock: i64 = 0
        self.jump: i64 = 0

    def step(self) -> None:
        """Go on by one block."""
        dice = self._dice
        if self._count % _BLOCKS_A_SECOND == 0:
            self.level += dice.normal(self._stir) - self.level // self._memory_s
            self.factor = exponential(self.level - self._lower)
        self._count += 1
        self.shock = dice.normal(MILLION)
        self.jump = 0
        if dice.chance(self._jump_chance):
            self.jump = dice.normal(MILLION)
            self.level += MILLION // 2


@final
class FairValue:
    """Volatility and jump in millionths of a tick; `weight` is the common part of a step in millionths: its square is
    the share of the variance that instruments have in common."""

    def __init__(self, dice: Dice, value: i64, volatility: i64, jump: i64, weight: i64, common: CommonFactor) -> None:
        self._dice: Final[Dice] = dice
        self._common: Final[CommonFactor] = common
        self._step: Final[i64] = volatility * 1000 // _ROOT
        self._jump: Final[i64] = jump
        self._weight: Final[i64] = weight
        self._rest: Final[i64] = _root(MILLION * MILLION - weight * weight)
        self._count: i64 = 0
        self._past: Final[list[int]] = [int(value)] * BLOCKS_KEPT
        self.value: i64 = value

    def step(self) -> None:
        """Move by one block, after the common factor did."""
        common = self._common
        now = self._step * common.factor // MILLION
        mixed = common.shock * self._weight // MILLION + self._dice.normal(self._rest)
        self.value += now * mixed // MILLION
        if common.jump != 0:
            self.value += self._jump * common.jump // MILLION
        self._count += 1
        self._past[self._count % BLOCKS_KEPT] = int(self.value)

    def push(self, amount: i64) -> None:
        """Move by what an order tells the market."""
        self.value += amount

    def seen(self, blocks_ago: i64) -> i64:
        """Return the value some blocks ago, fewer than BLOCKS_KEPT."""
        return i64(self._past[(self._count - blocks_ago) % BLOCKS_KEPT])


@final
class Basis:
    """How far the perpetual trades above the index: it comes and goes over hours, and rules the funding."""

    def __init__(self, dice: Dice, mean: i64, deviation: i64, steps: i64) -> None:
        self._dice: Final[Dice] = dice
        self._mean: Final[i64] = mean
        self._steps: Final[i64] = steps
        self._stir: Final[i64] = deviation * _root_of_two_over(steps) // MILLION
        self.value: i64 = mean + dice.normal(deviation)

    def step(self) -> None:
        """Move by one step; `steps` of them are its memory."""
        self.value += (self._mean - self.value) // self._steps + self._dice.normal(self._stir)


def _root_of_two_over(steps: i64) -> i64:
    """Return the square root of 2 / steps in millionths."""
    return _root(2 * MILLION * MILLION // steps)


def _root(number: i64) -> i64:
    """Return the square root of a number up to 2 x 10^12, rounded down to within one."""
    root: i64 = MILLION
    for _ in range(40):
        if root == 0:
            return 0
        root = (root + number // root) // 2
    return root
