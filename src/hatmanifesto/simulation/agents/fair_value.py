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
class FairValue:
    """Volatility, jump and impact in millionths of a tick; see parameters.py."""

    def __init__(
        self, dice: Dice, value: i64, volatility: i64, spread: i64, memory_s: i64, jump_chance: i64, jump: i64
    ) -> None:
        self._dice: Final[Dice] = dice
        self._step: Final[i64] = volatility * 1000 // _ROOT
        self._memory_s: Final[i64] = memory_s
        # of the logarithm: what a second adds so that its deviation is `spread` in the long run (root of 2 / memory)
        self._stir: Final[i64] = spread * _root_of_two_over(memory_s) // MILLION
        # e^(x - spread^2): the mean of the squared steps stays what `volatility` says
        self._level: i64 = 0
        self._lower: Final[i64] = spread * spread // MILLION
        self._jump_chance: Final[i64] = jump_chance
        self._jump: Final[i64] = jump
        self._count: i64 = 0
        self._now: i64 = self._step
        self._past: Final[list[int]] = [int(value)] * BLOCKS_KEPT
        self.value: i64 = value

    def step(self) -> None:
        """Move by one block."""
        dice = self._dice
        if self._count % _BLOCKS_A_SECOND == 0:
            self._level += dice.normal(self._stir) - self._level // self._memory_s
            self._now = self._step * exponential(self._level - self._lower) // MILLION
        self.value += dice.normal(self._now)
        if dice.chance(self._jump_chance):
            self.value += dice.normal(self._jump)
            self._level += MILLION // 2
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
    target = 2 * MILLION * MILLION // steps
    root: i64 = MILLION
    for _ in range(40):
        root = (root + target // root) // 2
    return root
