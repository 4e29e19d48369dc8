"""Every test of the ledger's stores runs on SQLite and on a real PostgreSQL."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hatmanifesto.ledger.sources import Folder
from hatmanifesto.ledger.store import Store
from support.postgresql import missing, server

_NUMBERS = itertools.count()
OpenStore = Callable[..., Store]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a server that lives as long as the tests."""
    if why := missing():
        pytest.skip(why)
    with server() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Open stores; the same folder gives the same ledger again. `rebuilding=True` as for Store."""
    address = request.getfixturevalue("postgresql") if request.param == "postgresql" else ""
    names: dict[Path, str] = {}
    opened: list[Store] = []

    def make(folder: Folder, *, rebuilding: bool = False) -> Store:
        name = names.setdefault(folder.database, f"test_{next(_NUMBERS)}")
        store = Store(address or str(folder.database), name, rebuilding=rebuilding)
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()
