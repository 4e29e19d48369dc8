"""Where a ledger is kept: an SQLite file, or a schema of a PostgreSQL database. A batch is kept whole or not at all."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url

from hatmanifesto.errors import UserError
from hatmanifesto.ledger import schema

DEFAULT_SCHEMA: Final = "hat_ledger"
_REBUILDING: Final = "_rebuilding"
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
            connection.execute(f"PRAGMA journal_mode = {'OFF' if self.rebuilding else 'WAL'}")
            connection.execute(f"PRAGMA synchronous = {'OFF' if self.rebuilding else 'NORMAL'}")

        sa.event.listen(engine, "connect", prepare)
        return engine

    def _postgresql(self) -> Engine:
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,40}", self.name):
            raise UserError(f"{self.name!r} is no name for a schema", "use small letters, digits and underscores")
        parsed = make_url(self.url)
        if parsed.password is not None:
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
        names = [column.name for column in table.columns]
        if self.postgresql:
            raw: Any = connection.connection.cursor()
            with raw, raw.copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        marks = ", ".join("?" * len(names))
        connection.exec_driver_sql(
            f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})", [tuple(row) for row in rows]
        )

    def replace(self, connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
        """Put rows in, in place of those with the same key."""
        keys = [column.name for column in table.primary_key.columns]
        if rows:
            mark = "%s" if self.postgresql else "?"
            width = len(keys)
            places = [[column.name for column in table.columns].index(key) for key in keys]
            chosen = " AND ".join(f"{key} = {mark}" for key in keys)
            found = [tuple(row[place] for place in places) for row in rows]
            assert all(len(key) == width for key in found)
            connection.exec_driver_sql(f"DELETE FROM {table.name} WHERE {chosen}", found)
            self.insert(connection, table, rows)

    def set_columns(self, connection: Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Set columns of existing rows; each row is the new values, then the key."""
        if rows:
            mark = "%s" if self.postgresql else "?"
            sets = ", ".join(f"{name} = {mark}" for name in columns)
            keys = " AND ".join(f"{column.name} = {mark}" for column in table.primary_key.columns)
            connection.exec_driver_sql(f"UPDATE {table.name} SET {sets} WHERE {keys}", [tuple(row) for row in rows])

    def rows(self, connection: Connection, table: sa.Table, *conditions: Any) -> Iterable[Any]:
        """Return a table's rows in the order of its key, streamed."""
        query = sa.select(table).where(*conditions).order_by(*table.primary_key.columns)
        return connection.execution_options(yield_per=10_000).execute(query)

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
        os.replace(self.url + _REBUILDING, self.url)

    def abandon(self) -> None:
        """Throw a rebuild away."""
        self.engine.dispose()
        if self.rebuilding and not self.postgresql:
            _remove(self.url + _REBUILDING)

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()


def _remove(path: str) -> None:
    for ending in ("", "-wal", "-shm", "-journal"):
        Path(path + ending).unlink(missing_ok=True)
