"""Where a ledger's journals are: one in a run's folder, one a session in a live folder, and people's own records."""

from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from hatmanifesto.config.plan import SessionPlan
from hatmanifesto.errors import UserError

CORRECTIONS: Final = "corrections.journal"
"""What people recorded beside the sessions' journals: corrections and closed days."""
LEDGER: Final = "ledger.sqlite"
DEFAULT_CURRENCY: Final = "USDC"


class Source(NamedTuple):
    """A journal of a ledger; number 0 is people's own."""

    number: int
    path: Path

    @property
    def name(self) -> str:
        """Its file's name."""
        return self.path.name


class Folder(NamedTuple):
    """A place whose journals make one ledger."""

    path: Path
    journals: list[Source]
    corrections: Path
    database: Path


def find(place: Path) -> Folder:
    """Find the journals of a run, of a live folder, or a single one. UserError when none is there."""
    if place.is_file():
        folder, files = place.parent, [place]
        base = place.with_name(place.name + ".")
        return Folder(folder, [Source(1, place)], Path(f"{base}{CORRECTIONS}"), Path(f"{base}{LEDGER}"))
    if (place / "journal").is_file():
        files = [place / "journal"]
    elif (place / "journal").is_dir():
        files = sorted(path for path in (place / "journal").glob("*.journal") if path.stat().st_size)
    else:
        files = []
    if not files:
        raise UserError(f"{place} holds no journal", "name a run's folder, a live session's folder, or a journal")
    sources = [Source(number, path) for number, path in enumerate(files, 1)]
    return Folder(place, sources, place / CORRECTIONS, place / LEDGER)


class Opening(NamedTuple):
    """What a journal's SESSION record says."""

    plan: SessionPlan
    kind: str
    session: int
    venue: str
    currency: str
    currencies: dict[str, str]
    continues: bool


def opening_of(payload: bytes, name: str) -> Opening:
    """Read a SESSION record; UserError when another version wrote it."""
    facts: dict[str, Any] = msgspec.json.decode(payload)
    try:
        plan = msgspec.convert(facts["plan"], SessionPlan)
    except (KeyError, msgspec.ValidationError) as error:
        raise UserError(
            f"{name} has a session record that this version cannot read: {error}", "use the version that wrote it"
        ) from error
    kind = str(facts.get("kind", "backtest"))
    venue = facts.get("venue")
    if not isinstance(venue, str):
        venue = "simulated" if kind == "backtest" else "hyperliquid"
    return Opening(
        plan,
        kind,
        int(facts.get("number", 0)),
        venue,
        str(facts.get("currency", DEFAULT_CURRENCY)),
        dict(facts.get("currencies", {})),
        bool(facts.get("continues")),
    )
