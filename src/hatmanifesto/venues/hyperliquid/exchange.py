"""Actions outside the engine's order flow, one by one: leverage, dead man's switch, modify, cancels by venue id."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from hatmanifesto.venues.hyperliquid.limits import Limits, Use, action_weight
from hatmanifesto.venues.hyperliquid.nonces import NonceWindowError
from hatmanifesto.venues.hyperliquid.orders.signed import ActionSigner
from hatmanifesto.venues.hyperliquid.transport.http import HttpChannel
from hatmanifesto.venues.hyperliquid.transport.outcomes import TOO_MANY_REQUESTS, Answered, Outcome, Refused
from hatmanifesto.venues.hyperliquid.transport.posts import Posts
from hatmanifesto.venues.hyperliquid.wire.actions import (
    Action,
    BatchModify,
    Cancel,
    CancelWire,
    ModifyWire,
    Noop,
    Order,
    OrderWire,
    ScheduleCancel,
    SubAccountTransfer,
    UpdateIsolatedMargin,
    UpdateLeverage,
    element_count,
)
from hatmanifesto.venues.hyperliquid.wire.answers import Accepted, Refusal, Status, parse_answer, statuses_of
from hatmanifesto.venues.port import VenueError

MS: Final = 1_000_000


class Exchange:
    """Sends one action and waits for its answer, over the stream where it is up and over HTTP where it is not.

    Every method raises VenueError: `definite` when the venue refused or nothing was sent, else the outcome is not
    known. Nothing is ever sent twice.
    """

    def __init__(
        self, signer: ActionSigner, posts: Posts, http: HttpChannel, limits: Limits, clock_ns: Callable[[], int]
    ) -> None:
        self._signer = signer
        self._posts = posts
        self._http = http
        self._limits = limits
        self._clock_ns = clock_ns

    async def send(
        self, action: Action, use: Use, expires_after: int | None = None
    ) -> Accepted | Sequence[Status | str]:
        """Send an action; return what was carried out: statuses of orders or cancels, or `Accepted`."""
        name = type(action).__name__
        now_ns = self._clock_ns()
        count = element_count(action)
        weight = action_weight(count)
        self._limits.in_flight = len(self._posts)
        refusal = self._limits.refusal(now_ns, use, count, weight, stream=self._posts.connected)
        if refusal is not None:
            raise VenueError(
                f"{name} was not sent: {refusal.rule} {refusal.value} of {refusal.limit}; "
                f"try again in {refusal.wait_ns / 1e9:.1f} s",
                definite=True,
            )
        try:
            body = self._signer.body(action, expires_after)
        except (NonceWindowError, OSError) as error:
            raise VenueError(f"{name} was not sent: {error}", definite=True) from error
        answered: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def take(now_ns: int, outcome: Outcome) -> None:
            if not answered.done():
                answered.set_result(outcome)

        stream = self._posts.action(now_ns, body, take)
        self._limits.spend(now_ns, use, count, weight, stream=stream)
        outcome = await (answered if stream else self._http.request("/exchange", body))
        return self._result(name, outcome, count)

    def _result(self, name: str, outcome: Outcome, count: int) -> Accepted | Sequence[Status | str]:
        if isinstance(outcome, Refused):
            if outcome.status == TOO_MANY_REQUESTS:
                self._limits.refused_by_venue(self._clock_ns())
            raise VenueError(f"{name} was refused: {outcome.status} {outcome.text}", definite=True)
        if not isinstance(outcome, Answered):
            raise VenueError(f"{name}: the outcome is not known: {outcome.why}", definite=False)
        try:
            answer = parse_answer(outcome.payload)
        except msgspec.DecodeError as error:
            raise VenueError(f"{name}: the answer cannot be read: {error}", definite=False) from error
        if isinstance(answer, Refusal):
            raise VenueError(f"{name} was refused: {answer.text}", definite=True)
        if isinstance(answer, Accepted):
            return answer
        statuses = statuses_of(answer, count)
        if statuses is None:
            raise VenueError(f"{name}: {len(answer)} statuses for {count} elements", definite=False)
        return statuses

    async def set_leverage(self, asset: int, leverage: int, *, cross: bool) -> None:
        """Set an asset's leverage and margin mode."""
        await self.send(UpdateLeverage(asset, cross, leverage), Use.ORDER)

    async def move_isolated_margin(self, asset: int, amount: int) -> None:
        """Move margin (micro-USDC, negative = away) to an isolated position."""
        await self.send(UpdateIsolatedMargin(asset, True, amount), Use.EMERGENCY)

    async def schedule_cancel(self, time_ms: int | None) -> None:
        """Set the dead man's switch, at least 5 s ahead, or clear it."""
        await self.send(ScheduleCancel() if time_ms is None else ScheduleCancel(time_ms), Use.CANCEL)

    async def cancel(self, cancels: Sequence[CancelWire], use: Use = Use.EMERGENCY) -> Sequence[Status | str]:
        """Cancel by the venue's ids, trigger orders too."""
        answer = await self.send(Cancel(list(cancels)), use)
        return () if isinstance(answer, Accepted) else answer

    async def place(self, orders: Sequence[OrderWire], use: Use = Use.ORDER) -> Sequence[Status | str]:
        """Place orders as they are given."""
        answer = await self.send(Order(list(orders)), use)
        return () if isinstance(answer, Accepted) else answer

    async def modify(self, modifies: Sequence[ModifyWire], *, always: bool = False) -> Sequence[Status | str]:
        """Replace orders: cancel and place in one. The new orders have new venue ids and stand at the back.

        Without `always` the venue takes a post-only order, or one that rests, and only where the old one was still
        there; a refused placement leaves neither.
        """
        action = BatchModify(list(modifies), True) if always else BatchModify(list(modifies))
        answer = await self.send(action, Use.ORDER)
        return () if isinstance(answer, Accepted) else answer

    async def transfer_to_sub_account(self, address: str, amount: int) -> None:
        """Move micro-USDC to a sub-account, negative = from it."""
        await self.send(SubAccountTransfer(address.lower(), amount >= 0, abs(amount)), Use.ORDER)

    async def noop(self) -> None:
        """Prove that key, clock, network and account fit together, at the price of one action."""
        await self.send(Noop(), Use.ORDER)
