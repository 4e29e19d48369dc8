"""Where a folder's ledger is kept: as the command says, else a configuration file, else the live session's own."""

from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from hatmanifesto.config.ledger_settings import LedgerSettings
from hatmanifesto.config.problems import refuse
from hatmanifesto.config.settings import Settings, VenueSettings, load, parse
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.ledger.fee_model import FeeTolerance
from hatmanifesto.ledger.sources import Folder
from hatmanifesto.model import record


class Address(NamedTuple):
    """A ledger's database and schema, and what its model of fees may differ by."""

    database: str
    schema: str
    tolerance: FeeTolerance


class Recorded(NamedTuple):
    """What a folder's newest live session says: the venue's base URL, its configuration, its agent's address."""

    url: str
    venue: VenueSettings
    ledger: LedgerSettings
    agent: str


def address_of(folder: Folder, database: str = "", schema: str = "", config: Path | None = None) -> Address:
    """Return where the ledger is. UserError when the configuration file is wrong.

    A backtest's own configuration does not count: its ledger lies beside its journal unless the command says otherwise.
    """
    if config is not None:
        settings = checked(config).ledger
    else:
        recorded = recorded_session(folder)
        settings = recorded.ledger if recorded else LedgerSettings()
    tolerance = FeeTolerance(settings.fee_tolerance_units, settings.fee_tolerance_bps)
    place = database or settings.database or str(folder.database)
    return Address(place, schema or settings.schema_name, tolerance)


def checked(config: Path) -> Settings:
    """Read a configuration file; UserError names every mistake in it."""
    draft = load(config)
    refuse(draft.problems, draft.source)
    return draft.settings


def recorded_session(folder: Folder) -> Recorded | None:
    """Return what the newest live session was configured with; None where there is none."""
    for source in reversed(folder.journals):
        with JournalReader(source.path) as reader:
            first = next(reader.records(kinds={record.SESSION}), None)
        if first is None:
            continue
        told: dict[str, Any] = msgspec.json.decode(first.payload)
        if told.get("kind") != "live":
            return None
        # a version that knew other settings wrote it perhaps: what is understood counts
        settings = parse({name: told.get("config", {}).get(name, {}) for name in ("venue", "ledger")}).settings
        return Recorded(str(told.get("venue", "")), settings.venue, settings.ledger, str(told.get("agent", "")))
    return None
