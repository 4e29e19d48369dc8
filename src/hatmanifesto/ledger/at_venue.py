"""A ledger beside its venue: whom to ask about which account, and asking again while a session goes on trading."""

import time
from collections.abc import Callable
from typing import Final

from hatmanifesto.config.checkpoint import checkpoint_from_json
from hatmanifesto.errors import UserError
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.ledger.address import recorded_session
from hatmanifesto.ledger.build import catch_up
from hatmanifesto.ledger.reconcile import Reconciliation, reconcile_answers
from hatmanifesto.ledger.sources import Folder, opening_of
from hatmanifesto.ledger.store import Store
from hatmanifesto.ledger.venue_answers import Answers, Asked, ask
from hatmanifesto.model import record

ROUNDS: Final = 2
ATTEMPTS: Final = 5
PAUSE_S: Final = 1.0


def asked_of(folder: Folder, venue: str = "", account: str = "") -> Asked | None:
    """Return whom to ask, what is not said taken from the newest session; None when there was no venue.

    UserError when a venue or an account is named that is none, or none is known.
    """
    recorded = recorded_session(folder)
    url = venue or (recorded.url if recorded else "")
    if not url:
        return None
    whose = account or ((recorded.venue.account or recorded.agent) if recorded else "")
    if not whose:
        raise UserError("whose account is it?", "name it: --account 0x…")
    return Asked.of(url, whose)._replace(from_ms=_begun_ms(folder))


def reconcile_at_venue(
    folder: Folder, store: Store, asked: Asked, pause: Callable[[float], None] = time.sleep
) -> tuple[Reconciliation, Answers]:
    """Ask the venue and compare up to the moment that it told of.

    While a session trades, its journal learns of that moment a little later: what differs is looked at again as long as
    the journal grows, and a transfer may need a second question.
    """
    told, found, read = ask(asked), Reconciliation(), 0
    for again in range(ROUNDS):
        if again:
            told = ask(asked)
        for attempt in range(ATTEMPTS):
            if attempt:
                pause(PAUSE_S)
            read = catch_up(folder, store).records
            found = reconcile_answers(store, told)
            if found.ok or (attempt and not read):
                break
        if found.ok or not read:
            break
    return found, told


def _begun_ms(folder: Folder) -> int:
    """Return the venue's first millisecond that the ledger tells of: what came before is in what it began with."""
    source = folder.journals[0]
    with JournalReader(source.path) as reader:
        for entry in reader.records(kinds={record.SESSION, record.CHECKPOINT}):
            if entry.kind == record.CHECKPOINT:
                begun = checkpoint_from_json(entry.payload).booked_from_ns
                return begun // 1_000_000 + 1 if begun else 0
            if opening_of(entry.payload, source.name).kind == "backtest":
                raise UserError(f"{folder.path} is a backtest: it was at no venue", "name a live session's folder")
    return 0
