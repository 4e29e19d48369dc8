"""Questions to /info: limits obeyed, lost answers asked for again, answers as structs.

Whatever is asked about a user is asked with the account's own address: an agent's gives an empty answer that looks
valid.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from hatmanifesto.venues.hyperliquid.limits import Limits, Use, info_weight
from hatmanifesto.venues.hyperliquid.transport.http import HttpChannel
from hatmanifesto.venues.hyperliquid.transport.outcomes import TOO_MANY_REQUESTS, Answered, Refused
from hatmanifesto.venues.hyperliquid.wire import info
from hatmanifesto.venues.port import VenueError

Shape = TypeVar("Shape")
FILLS_A_PAGE: Final = 2000
ROWS_A_PAGE: Final = 500


@dataclass(frozen=True)
class QuerySettings:
    """`tries`: how often a question is asked; `pause`: seconds before the second time, doubled each time."""

    tries: int = 4
    pause: float = 0.25


class Queries:
    """Every question that is asked, by its name at the venue. All raise VenueError when no answer is to be had."""

    def __init__(
        self, http: HttpChannel, limits: Limits, clock_ns: Callable[[], int], settings: QuerySettings | None = None
    ) -> None:
        self._http = http
        self._limits = limits
        self._clock_ns = clock_ns
        self._settings = settings or QuerySettings()

    async def ask(self, kind: str, shape: type[Shape], *, use: Use = Use.QUERY, **fields: Any) -> Shape:
        """Ask one question; `use` says from whose reserve of the rate limit."""
        body = msgspec.json.encode({"type": kind, **fields})
        why = ""
        for attempt in range(self._settings.tries):
            if attempt:
                await asyncio.sleep(self._settings.pause * 2 ** (attempt - 1))
            await self._room(kind, use)
            outcome = await self._http.request("/info", body)
            if isinstance(outcome, Answered):
                try:
                    answer = info.ANSWERS.decode(outcome.payload, shape)
                except msgspec.DecodeError as error:
                    raise VenueError(f"{kind}: the answer cannot be read: {error}", definite=False) from error
                if isinstance(answer, list):
                    self._limits.charge(self._clock_ns(), info_weight(kind, len(answer)) - info_weight(kind))
                return answer
            if isinstance(outcome, Refused):
                why = f"HTTP {outcome.status}: {outcome.text}"
                if outcome.status == TOO_MANY_REQUESTS:
                    self._limits.refused_by_venue(self._clock_ns())
                elif outcome.status:
                    raise VenueError(f"{kind}: {why}", definite=True)
            else:
                why = outcome.why
        raise VenueError(f"{kind}: no answer after {self._settings.tries} tries, the last: {why}", definite=False)

    async def _room(self, kind: str, use: Use) -> None:
        """Wait until the limits allow a question, then count it."""
        weight = info_weight(kind)
        while True:
            now_ns = self._clock_ns()
            refusal = self._limits.refusal(now_ns, use, 0, weight, stream=False)
            if refusal is None:
                self._limits.spend(now_ns, use, 0, weight, stream=False)
                return
            await asyncio.sleep(max(refusal.wait_ns, 1_000_000) / 1e9)

    # -- rules and market -------------------------------------------------------------------------

    async def meta(self) -> info.Meta:
        """Return the perpetuals of the first dex; a market's place is its asset id."""
        return await self.ask("meta", info.Meta)

    async def meta_and_contexts(self) -> tuple[info.Meta, list[info.AssetContext]]:
        """Return the perpetuals and their contexts, in the same order."""
        return await self.ask("metaAndAssetCtxs", tuple[info.Meta, list[info.AssetContext]])

    async def mids(self) -> dict[str, str]:
        """Return every coin's mid price."""
        return await self.ask("allMids", dict[str, str])

    async def book(self, coin: str) -> info.BookSnapshot | None:
        """Return a coin's book, None when the venue does not know the coin."""
        return await self.ask("l2Book", info.BookSnapshot | None, coin=coin)  # type: ignore[arg-type]

    async def funding_history(self, coin: str, start_ms: int, end_ms: int | None = None) -> list[info.FundingRate]:
        """Return the rates paid from a time on, oldest first, page by page."""
        found: dict[int, info.FundingRate] = {}
        while True:
            fields: dict[str, Any] = {"coin": coin, "startTime": start_ms}
            if end_ms is not None:
                fields["endTime"] = end_ms
            page = await self.ask("fundingHistory", list[info.FundingRate], **fields)
            before = len(found)
            found.update((rate.time, rate) for rate in page)
            if len(page) < ROWS_A_PAGE or len(found) == before:
                return [found[time] for time in sorted(found)]
            start_ms = max(found)

    # -- the account ------------------------------------------------------------------------------

    async def user_role(self, address: str) -> info.UserRole:
        """Return what an address is: missing, user, vault, agent (whose) or sub-account (whose)."""
        return await self.ask("userRole", info.UserRole, user=address)

    async def extra_agents(self, user: str) -> list[info.ExtraAgent]:
        """Return the named agents."""
        return await self.ask("extraAgents", list[info.ExtraAgent], user=user)

    async def user_fees(self, user: str) -> info.UserFees:
        """Return the account's own rates."""
        return await self.ask("userFees", info.UserFees, user=user)

    async def rate_limit(self, user: str) -> info.RateLimit:
        """Return the address budget."""
        return await self.ask("userRateLimit", info.RateLimit, user=user)

    async def clearinghouse_state(self, user: str) -> info.ClearinghouseState:
        """Return margin and positions."""
        return await self.ask("clearinghouseState", info.ClearinghouseState, user=user)

    async def spot_state(self, user: str) -> info.SpotState:
        """Return spot balances."""
        return await self.ask("spotClearinghouseState", info.SpotState, user=user)

    async def active_asset(self, user: str, coin: str) -> info.ActiveAssetData:
        """Return leverage and room to trade in one coin."""
        return await self.ask("activeAssetData", info.ActiveAssetData, user=user, coin=coin)

    async def open_orders(self, user: str) -> list[info.BasicOrder]:
        """Return open orders, the short form."""
        return await self.ask("openOrders", list[info.BasicOrder], user=user)

    async def frontend_open_orders(self, user: str, *, use: Use = Use.QUERY) -> list[info.FrontendOrder]:
        """Return open orders with client order id, time in force and trigger."""
        return await self.ask("frontendOpenOrders", list[info.FrontendOrder], use=use, user=user)

    async def order_status(self, user: str, oid: int | str) -> info.OrderStatus:
        """Return an order by the venue's id or a client order id."""
        return await self.ask("orderStatus", info.OrderStatus, user=user, oid=oid)

    async def fills_by_time(self, user: str, start_ms: int) -> list[info.Fill]:
        """Return fills from a time on, oldest first, page by page; only the newest 10,000 can be reached."""
        found: dict[tuple[int, str, object], info.Fill] = {}
        while True:
            page = await self.ask("userFillsByTime", list[info.Fill], user=user, startTime=start_ms)
            before = len(found)
            found.update(((fill.time, fill.coin, fill.tid), fill) for fill in page)
            if len(page) < FILLS_A_PAGE or len(found) == before:
                return sorted(found.values(), key=lambda fill: fill.time)
            start_ms = max(fill.time for fill in page)

    async def user_funding(self, user: str, start_ms: int) -> list[info.FundingRecord]:
        """Return funding payments from a time on, oldest first, page by page."""
        found: dict[tuple[int, str], info.FundingRecord] = {}
        while True:
            page = await self.ask("userFunding", list[info.FundingRecord], user=user, startTime=start_ms)
            before = len(found)
            found.update(((record.time, record.delta.coin), record) for record in page)
            if len(page) < ROWS_A_PAGE or len(found) == before:
                return sorted(found.values(), key=lambda record: record.time)
            start_ms = max(record.time for record in page)

    async def ledger(self, user: str, start_ms: int) -> Sequence[info.LedgerRecord]:
        """Return deposits, withdrawals and transfers from a time on."""
        return await self.ask("userNonFundingLedgerUpdates", list[info.LedgerRecord], user=user, startTime=start_ms)
