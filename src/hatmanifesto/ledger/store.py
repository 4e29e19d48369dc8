"""Where a ledger is kept: an SQLite file, or a schema of a PostgreSQL database. A batch is kept whole or not at all."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url

from hatmanifesto.config.ledger_settings import DEFAULT_SCHEMA, holds_password, is_schema_name
from hatmanifesto.errors import UserError
from hatmanifesto.ledger import schema
from hatmanifesto.ledger.rows import Columns

_REBUILDING: Final = "_rebuilding"
_VALUES_A_STATEMENT: Final = 900
"""SQLite takes at least 999 in one statement, whatever it was built with."""
Row = Sequence[Any]


class Store:
    """One ledger's database. `url` is a path of an SQLite file, or `postgresql://…` without a password.

    PostgreSQL's password comes from where libpq looks for it: PGPASSWORD, PGPASSFILE or a service file.
    """

    def __init__(self, url: str, name: str = DEFAULT_SCHEMA, *, rebuilding: bool = False) -> None:
        self.url = url
        self.postgresql = url.startswith("postgres")
        self.rebuilding = rebuilding
        self.name = name
        self.engine = self._postgresql() if self.postgresql else self._sqlite()

    @property
    def place(self) -> str:
        """Where it is, for people: no secrets."""
        return (
            f"{make_url(self.url).render_as_string(hide_password=True)} schema {self.name}"
            if self.postgresql
            else self.url
        )

    def _sqlite(self) -> Engine:
        path = self.url + (_REBUILDING if self.rebuilding else "")
        if self.rebuilding:
            _remove(path)
        engine = sa.create_engine(f"sqlite:///{path}")

        def prepare(connection: Any, record: Any) -> None:
            # a rebuild that is cut short is thrown away: it needs no protection
            connection.execute("PRAGMA page_size = 16384")  # of a new file
            connection.execute(f"PRAGMA journal_mode = {'OFF' if self.rebuilding else 'WAL'}")
            connection.execute(f"PRAGMA synchronous = {'OFF' if self.rebuilding else 'NORMAL'}")
            connection.execute("PRAGMA cache_size = -32768")  # KiB

        sa.event.listen(engine, "connect", prepare)
        return engine

    def _postgresql(self) -> Engine:
        if not is_schema_name(self.name):
            raise UserError(f"{self.name!r} is no name for a schema", "use small letters, digits and underscores")
        parsed = make_url(self.url)
        if holds_password(self.url):
            raise UserError(
                "the ledger's address holds a password", "leave it out; set PGPASSWORD or use a .pgpass file"
            )
        used = self.name + (_REBUILDING if self.rebuilding else "")
        engine = sa.create_engine(
            parsed.set(drivername="postgresql+psycopg"), connect_args={"options": f"-csearch_path={used}"}
        )
        if self.rebuilding:
            with self._talking(), engine.begin() as connection:
                connection.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{used}" CASCADE')
        return engine

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Turn what the database says into words."""
        try:
            yield
        except sa.exc.OperationalError as error:
            what = str(error.orig).strip().splitlines()[0]
            raise UserError(
                f"the ledger's database {self.place} cannot be used: {what}", "check its address"
            ) from error

    def create(self) -> None:
        """Make the tables where there are none. UserError when those that exist have another schema number."""
        with self._talking():
            if self.postgresql:
                used = self.name + (_REBUILDING if self.rebuilding else "")
                with self.engine.begin() as connection:
                    connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{used}"')
            with self.engine.begin() as connection:
                fresh = not sa.inspect(connection).has_table("meta")
                if fresh:
                    schema.metadata.create_all(connection)
                    connection.execute(schema.meta.insert(), [{"name": "schema", "value": str(schema.SCHEMA_NUMBER)}])
        if not fresh:
            self.check()

    def exists(self) -> bool:
        """Whether there is a ledger."""
        if not self.postgresql:
            return Path(self.url).is_file()
        with self._talking(), self.engine.connect() as connection:
            return sa.inspect(connection).has_table("meta")

    def check(self) -> None:
        """Raise UserError when there is no ledger, or one of another schema."""
        if not self.exists():
            raise UserError(f"there is no ledger in {self.place}", "make one: hat ledger rebuild")
        try:
            with self._talking(), self.engine.connect() as connection:
                number = connection.scalar(sa.select(schema.meta.c.value).where(schema.meta.c.name == "schema"))
        except sa.exc.DatabaseError as error:
            raise UserError(f"{self.place} is no ledger", "name another database") from error
        if number != str(schema.SCHEMA_NUMBER):
            raise UserError(
                f"the ledger in {self.place} has schema {number}, this version reads {schema.SCHEMA_NUMBER}",
                "build it again from the journals: hat ledger rebuild",
            )

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: all of it is kept, or nothing."""
        with self._talking(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection for reading."""
        with self._talking(), self.engine.connect() as connection:
            yield connection

    def insert(self, connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
        """Add rows (in the order of the table's columns), many at a time."""
        if not rows:
            return
        if self.postgresql:
            raw: Any = connection.connection.cursor()
            with raw, raw.copy(f"COPY {table.name} ({', '.join(_names(table))}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        self._execute_many(connection, _insert(table), rows)

    def insert_columns(self, connection: Connection, table: sa.Table, columns: Columns) -> None:
        """Add rows given as columns, in the order of the table's."""
        assert list(columns) == _names(table)
        if self.postgresql:
            raw: Any = connection.connection.cursor()
            text = pl.DataFrame(
                {name: values if isinstance(values, np.ndarray) else list(values) for name, values in columns.items()}
            ).write_csv(include_header=False, quote_style="non_numeric")
            with raw, raw.copy(f"COPY {table.name} ({', '.join(columns)}) FROM STDIN (FORMAT csv)") as copy:
                copy.write(text.encode())
            return
        # all values row after row, and many rows a statement: the driver's work for each statement is what costs
        width, count = len(columns), len(next(iter(columns.values())))
        flat: list[Any] = [None] * (width * count)
        for place, values in enumerate(columns.values()):
            flat[place::width] = values.tolist() if isinstance(values, np.ndarray) else values
        step = width * max(1, _VALUES_A_STATEMENT // width)
        whole = len(flat) - len(flat) % step
        self._execute_many(
            connection, _insert(table, step // width), (flat[at : at + step] for at in range(0, whole, step))
        )
        self._execute_many(connection, _insert(table), (flat[at : at + width] for at in range(whole, len(flat), width)))

    @staticmethod
    def _execute_many(connection: Connection, statement: str, rows: Iterable[Row]) -> None:
        """Run a statement for each row, with nothing between the rows and the driver."""
        cursor = connection.connection.cursor()
        try:
            cursor.executemany(statement, rows)  # type: ignore[arg-type]
        finally:
            cursor.close()

    def replace(self, connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
        """Put rows in, in place of those with the same key."""
        if not rows:
            return
        keys = [column.name for column in table.primary_key.columns]
        places = [_names(table).index(key) for key in keys]
        mark = "%s" if self.postgresql else "?"
        chosen = " AND ".join(f"{key} = {mark}" for key in keys)
        found = [tuple(row[place] for place in places) for row in rows]
        self._execute_many(connection, f"DELETE FROM {table.name} WHERE {chosen}", found)
        self.insert(connection, table, rows)

    def set_columns(self, connection: Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Set integer columns of existing rows; each row is the new values, then the key."""
        if not rows:
            return
        keys = [column.name for column in table.primary_key.columns]
        if self.postgresql:
            given = [*(f"new_{name}" for name in columns), *keys]
            sets = ", ".join(f"{name} = given.new_{name}" for name in columns)
            same = " AND ".join(f"{table.name}.{key} = given.{key}" for key in keys)
            arrays = ", ".join(["%s::bigint[]"] * len(given))
            statement = (
                f"UPDATE {table.name} SET {sets} FROM unnest({arrays}) AS given({', '.join(given)}) WHERE {same}"
            )
            cursor: Any = connection.connection.cursor()
            with cursor:
                cursor.execute(statement, [list(values) for values in zip(*rows, strict=True)])
            return
        sets = ", ".join(f"{name} = ?" for name in columns)
        chosen = " AND ".join(f"{key} = ?" for key in keys)
        self._execute_many(connection, f"UPDATE {table.name} SET {sets} WHERE {chosen}", rows)

    def rows(self, connection: Connection, table: sa.Table, *conditions: Any) -> Iterable[Any]:
        """Return a table's rows in the order of its key, streamed."""
        query = sa.select(table).where(*conditions).order_by(*table.primary_key.columns)
        return connection.execution_options(yield_per=10_000).execute(query)

    def replaced(self, name: str) -> str:
        """Return what the ledger that a rebuild is going to replace says of itself; "" for a file, or where none is."""
        if not self.postgresql:
            return ""  # a file beside its journals is nobody else's
        with self._talking(), self.engine.connect() as connection:
            if not sa.inspect(connection).has_table("meta", schema=self.name):
                return ""
            query = sa.text(f'SELECT value FROM "{self.name}".meta WHERE name = :name')
            return str(connection.scalar(query, {"name": name}) or "")

    def take_place(self) -> None:
        """Put a rebuilt ledger in the place of the old one, at once."""
        if not self.rebuilding:
            raise AssertionError
        if self.postgresql:
            with self.begin() as connection:
                connection.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{self.name}" CASCADE')
                connection.exec_driver_sql(f'ALTER SCHEMA "{self.name}{_REBUILDING}" RENAME TO "{self.name}"')
            self.engine.dispose()
            return
        self.engine.dispose()
        for ending in ("-wal", "-shm"):
            Path(self.url + ending).unlink(missing_ok=True)
        _flush(Path(self.url + _REBUILDING))  # it was built without: what takes the old one's place must be on the disk
        os.replace(self.url + _REBUILDING, self.url)
        _flush(Path(self.url).absolute().parent)

    def abandon(self) -> None:
        """Throw a rebuild away."""
        self.engine.dispose()
        if self.rebuilding and not self.postgresql:
            _remove(self.url + _REBUILDING)

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()


def _names(table: sa.Table) -> list[str]:
    return [column.name for column in table.columns]


def _insert(table: sa.Table, rows: int = 1) -> str:
    names = _names(table)
    row = f"({', '.join('?' * len(names))})"
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {', '.join([row] * rows)}"


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: str) -> None:
    for ending in ("", "-wal", "-shm", "-journal"):
        Path(path + ending).unlink(missing_ok=True)
