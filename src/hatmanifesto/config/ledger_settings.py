"""The section of the file that says where the trade ledger is kept and what it takes for a difference."""

import re
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, Field

from hatmanifesto.config.quantities import Bps
from hatmanifesto.config.section import Section

DEFAULT_SCHEMA = "hat_ledger"


def holds_password(address: str) -> bool:
    """Whether a database's address has a password in it."""
    parts = urlsplit(address)
    return parts.password is not None or "password" in parse_qs(parts.query)


def _without_password(address: str) -> str:
    """Refuse an address that holds a password: the file is journaled with every session."""
    if holds_password(address):
        raise ValueError("must not hold a password: set PGPASSWORD, PGPASSFILE or use a service file")
    return address


def is_schema_name(name: str) -> bool:
    """Whether PostgreSQL takes a name as it is, with room for what a rebuild adds to it."""
    return re.fullmatch(r"[a-z_][a-z0-9_]{0,40}", name) is not None


def _schema(name: str) -> str:
    if not is_schema_name(name):
        raise ValueError("must be small letters, digits and underscores, at most 41")
    return name


class LedgerSettings(Section):
    """`[ledger]`: where `hat ledger` and `hat pnl` keep a ledger, and by how much a fee may differ from the model.

    `database` is empty (an SQLite file beside the journals), another SQLite file, or `postgresql://USER@HOST/NAME`,
    never with a password. A schema holds one ledger.
    """

    database: Annotated[str, AfterValidator(_without_password)] = ""
    schema_name: Annotated[str, Field(alias="schema"), AfterValidator(_schema)] = DEFAULT_SCHEMA
    fee_tolerance_units: Annotated[int, Field(ge=0, le=1_000_000_000)] = 2
    fee_tolerance_bps: Annotated[Bps, Field(ge=0)] = 1_000
