"""What the venue itself says of an account: its fills, funding, transfers and state, asked page by page.

Nothing is signed: the account's address is enough. A question is asked a few times, then the command ends with words.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET

from hatmanifesto.config.settings import VenueSettings
from hatmanifesto.errors import UserError
from hatmanifesto.ledger.venue_history import HistoryFill, HistoryFunding, in_sequence
from hatmanifesto.trading.venues import address_of
from hatmanifesto.venues.hyperliquid.limits import Limits
from hatmanifesto.venues.hyperliquid.queries import Queries, QuerySettings
from hatmanifesto.venues.hyperliquid.reports import transferred
from hatmanifesto.venues.hyperliquid.rules import MONEY_SCALE
from hatmanifesto.venues.hyperliquid.transport.http import HttpChannel
from hatmanifesto.venues.hyperliquid.wire import info
from hatmanifesto.venues.port import VenueError

__all__ = ["MONEY_SCALE", "Answers", "Asked", "Transfer", "ask"]

ANSWER_S: Final = 10.0
REACH: Final = 10_000
"""The venue tells no more than its newest fills, so many."""


class Transfer(NamedTuple):
    """Money that entered (negative: left) the perpetuals account, micro-USDC."""

    time_ms: int
    kind: str
    amount: int


class Answers(NamedTuple):
    """The venue's account from a time on until `until_ms`, when its state was told; what came later is left out.

    `fills_from_ms` is later than `from_ms` where the venue's history does not reach back so far.
    """

    from_ms: int
    until_ms: int
    fills_from_ms: int
    fills: list[HistoryFill]
    funding: list[HistoryFunding]
    transfers: list[Transfer]
    account: dict[str, Any]

    @property
    def account_value(self) -> str:
        """The account's value, as the venue wrote it."""
        return str(self.account["marginSummary"]["accountValue"])


class Asked(NamedTuple):
    """Whom to ask about which account. An agent's address is turned into its account's."""

    url: str
    account: str
    from_ms: int

    @classmethod
    def of(cls, venue: str, account: str, from_ms: int = 0) -> "Asked":
        """Check what a person wrote: mainnet, testnet or a URL, and an address. UserError says what to write."""
        url = address_of(VenueSettings(url=venue))
        if not url.startswith(("http://", "https://")):
            raise UserError(f"{venue!r} is no venue", "write mainnet, testnet, or http://HOST:PORT")
        digits = account[2:]
        if not account.startswith("0x") or len(digits) != 40 or set(digits.lower()) - set("0123456789abcdef"):
            raise UserError(f"{account!r} is no account", "write its address: 0x and 40 hexadecimal digits")
        return cls(url, account.lower(), from_ms)


def ask(asked: Asked) -> Answers:
    """Ask everything. UserError when the venue does not answer, or says something that cannot be read."""
    try:
        return asyncio.run(_ask(asked))
    except VenueError as error:
        raise UserError(
            f"the venue at {asked.url} does not answer: {error}",
            "check the address and the connection, or compare saved answers: --fills, --funding, --state",
        ) from error
    except ValueError as error:
        raise UserError(f"the venue at {asked.url} says something that cannot be read: {error}") from error


async def _ask(asked: Asked) -> Answers:
    http = HttpChannel(asked.url, ANSWER_S)
    queries = Queries(http, Limits(lambda notice: None), time.time_ns, QuerySettings())
    try:
        role = await queries.user_role(asked.account)
        account = asked.account
        if role.role == "agent" and role.data is not UNSET and role.data.user is not UNSET:
            account = role.data.user.lower()
        elif role.role == "missing":
            raise UserError(
                f"the venue at {asked.url} does not know the account {account}", "check the address and the network"
            )
        # the account comes first: what happens while the rest is asked for is later than it, and is left out
        state = await queries.clearinghouse_state(account)
        fills = await queries.fills_by_time(account, asked.from_ms)
        funding = await queries.user_funding(account, asked.from_ms)
        updates = await queries.ledger(account, asked.from_ms)
        until = time.time_ns() // 1_000_000 if state.time is UNSET else state.time
        return Answers(
            asked.from_ms,
            until,
            max(asked.from_ms, fills[0].time + 1) if len(fills) >= REACH else asked.from_ms,
            in_sequence([_fill(fill) for fill in fills if fill.time <= until]),
            [_funding(record) for record in funding if record.time <= until],
            _transfers([one for one in updates if one.time <= until], account),
            msgspec.to_builtins(state),
        )
    finally:
        await http.close()


def _fill(told: info.Fill) -> HistoryFill:
    return HistoryFill(
        told.coin, told.px, told.sz, 1 if told.side == "B" else -1, told.time, told.start_position, told.closed_pnl,
        told.crossed, told.fee, 0 if told.tid is UNSET else told.tid, told.dir,
    )  # fmt: skip


def _funding(told: info.FundingRecord) -> HistoryFunding:
    return HistoryFunding(told.delta.coin, told.time, told.delta.usdc, told.delta.szi, told.delta.funding_rate)


def _transfers(updates: Sequence[info.LedgerRecord], account: str) -> list[Transfer]:
    moved = (Transfer(one.time, str(one.delta.get("type", "")), transferred(one, account)) for one in updates)
    return [one for one in moved if one.amount]
