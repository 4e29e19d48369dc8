"""Build a ledger from its journals: from nothing, or on from where it stands. One database transaction a batch."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa

from hatmanifesto.errors import UserError
from hatmanifesto.journal.columns import Batch, batches, widen
from hatmanifesto.journal.format import DamagedError, Group, chain_digest
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.ledger import schema
from hatmanifesto.ledger.accounts import Account
from hatmanifesto.ledger.corrections import project_corrections
from hatmanifesto.ledger.fee_model import DEFAULT_TOLERANCE, FeeTolerance
from hatmanifesto.ledger.orders import OrderFacts
from hatmanifesto.ledger.projection import Projection
from hatmanifesto.ledger.sources import Folder, Source
from hatmanifesto.ledger.store import Store
from hatmanifesto.model import record

BATCH_BYTES: Final = 8 << 20
"""Journal bytes of one database transaction: what a crash costs to read again, and what is held in memory."""
Progress = Callable[[int, int], None]


class Built(NamedTuple):
    """What a build did: journals in all, journal bytes and records read now, transactions added."""

    journals: int
    bytes: int
    records: int
    transactions: int


class _Place(NamedTuple):
    """How far a journal was read."""

    next_seq: int
    group_offset: int
    digest: str


class Builder:
    """Reads the journals of a folder into a store."""

    def __init__(
        self, folder: Folder, store: Store, *, batch_bytes: int = BATCH_BYTES,
        tolerance: FeeTolerance = DEFAULT_TOLERANCE,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.store = store
        self.batch_bytes = batch_bytes
        self.projection = Projection(self._find_order, tolerance)
        self._reached: dict[int, int] = {}  # records read, by journal

    def run(self, progress: Progress = lambda done, total: None) -> Built:
        """Read on to the end of every journal. UserError when a journal is not the one that was read before."""
        total = sum(source.path.stat().st_size for source in self.folder.journals)
        places, current = self._resume()
        done = count = records = 0
        for source in self.folder.journals:
            size = source.path.stat().st_size
            place = places.get(source.number)
            if current and source.number < current:
                done += size
                self._reached[source.number] = 1 << 62
                continue
            with JournalReader(source.path) as reader:
                groups = self._groups(reader, source, place)
                if place is None:
                    self.projection.begin_journal(source.number)
                for taken in batches(groups, self.batch_bytes):
                    batch = widen(taken)
                    self.projection.take(batch)
                    self._reached[source.number] = int(batch.seqs[-1]) + 1
                    count += self._commit(source, reader, taken[-1], batch)
                    records += len(batch.seqs)
                    progress(done + taken[-1].end, total)
            done += size
        if self.folder.corrections.is_file():
            count += project_corrections(self.store, self.folder.corrections)
        return Built(len(self.folder.journals), total, records, count)

    def _resume(self) -> tuple[dict[int, _Place], int]:
        """Take the projection to where the store stands; return how far journals were read, and the last of them."""
        with self.store.connect() as connection:
            known = {
                row.id: _Place(row.next_seq, row.group_offset, row.digest)
                for row in connection.execute(sa.select(schema.journals).where(schema.journals.c.id > 0))
            }
            names = {row.id: row.name for row in connection.execute(sa.select(schema.journals))}
            told = {row.name: row.value for row in connection.execute(sa.select(schema.meta))}
            found = connection.execute(sa.select(schema.accounts)).all()
        numbers = {source.number: source.name for source in self.folder.journals}
        for number in known:
            if numbers.get(number) != names[number]:
                raise UserError(
                    f"the ledger was made from {names[number]}, which is journal {number} no longer",
                    "put the journals back, or build the ledger again: hat ledger rebuild",
                )
        if "fee_tolerance" in told:  # what the ledger was begun with holds until it is built again
            self.projection.tolerance = FeeTolerance(*msgspec.json.decode(told["fee_tolerance"]))
        if "state" not in told:
            return known, 0
        accounts = {Account(*row[1:]): row[0] for row in found}
        self.projection.restore(msgspec.json.decode(told["state"]), accounts)
        number = self.projection.general.journal
        source = self.folder.journals[number - 1]
        with JournalReader(source.path) as reader:
            first = next(reader.records(kinds={record.SESSION}), None)
            if first is not None and self.projection.statements.opened:
                self.projection.resume_journal(number, first.payload, source.name)
                self._charge_again(source, known[number].next_seq)
        return known, number

    def _charge_again(self, source: Source, until: int) -> None:
        """Bring the fee model to where it was: tiers follow the journal's own fills."""
        roster = self.projection.roster
        if roster is None or not roster.fees.has_tiers:
            return
        with JournalReader(source.path) as reader:
            for columns in reader.columns({record.FILL}):
                fills = columns.get(record.FILL)
                if fills is None:
                    continue
                names = ("seq", "ts_ns", "aux", "order_id", "price", "size", "exch_ts_ns")
                for seq, ts, aux, order, price, size, exch in zip(
                    *(fills[name].tolist() for name in names), strict=True
                ):
                    if seq < until and order >= 0:
                        value = price * size * roster.factors[aux >> 8]
                        roster.fees.fee(exch or ts, aux >> 8, value, bool(aux & 1))

    def _groups(self, reader: JournalReader, source: Source, place: _Place | None) -> Iterator[Group]:
        """Yield the groups that were not read yet, each checked against the chain of digests."""
        before = reader.header.digest
        groups = reader.groups()
        if place is not None:
            groups = reader.groups(place.group_offset)
            known = next(groups, None)
            if known is None or known.digest.hex() != place.digest:
                raise UserError(
                    f"{source.path} is not the journal that the ledger was made from",
                    "put the right one back (hat journal verify), or build the ledger again: hat ledger rebuild",
                )
            before = known.digest
        for group in groups:
            if group.digest != chain_digest(before, group):
                raise DamagedError(f"{source.path}: the group from record {group.first_seq} on was changed")
            before = group.digest
            yield group

    def _commit(self, source: Source, reader: JournalReader, last: Group, batch: Batch) -> int:
        """Write a batch's rows, the state and the place in the journal: all, or nothing."""
        projection, store = self.projection, self.store
        rows = projection.take_rows()
        opening = projection.roster.opening if projection.roster else None
        place = (
            source.number, source.name, opening.kind if opening else "", opening.session if opening else 0,
            opening.venue if opening else "", int(batch.seqs[-1]) + 1, last.offset, last.digest.hex(),
            batch.last_ts_ns,
        )  # fmt: skip
        state = msgspec.json.encode(projection.state()).decode()
        with store.begin() as connection:
            for table, added in (
                (schema.currencies, rows.currencies),
                (schema.instruments, rows.instruments),
                (schema.accounts, rows.accounts),
                (schema.transactions, rows.transactions),
                (schema.postings, rows.postings),
                (schema.issues, rows.issues),
            ):
                store.insert(connection, table, added)
            for table in (schema.transactions, schema.postings, schema.trades):
                if columns := rows.of_fills.get(table.name):
                    store.insert_columns(connection, table, columns)
            store.set_columns(connection, schema.trades, list(schema.LATER_MIDS.values()), rows.matured)
            store.replace(connection, schema.attribution, list(rows.attribution.values()))
            store.replace(connection, schema.equity, list(rows.equity.values()))
            store.replace(connection, schema.journals, [place])
            store.replace(connection, schema.meta, [("state", state), *self._begun_with()])
        return rows.transactions_added

    def _begun_with(self) -> list[tuple[str, str]]:
        """Return what tells a ledger from another's, and what it was made with."""
        tolerance = msgspec.json.encode(list(self.projection.tolerance)).decode()
        return [("fee_tolerance", tolerance), ("made_from", made_from(self.folder))]

    def _find_order(self, order_id: int) -> OrderFacts | None:
        """Look an order up in the journals as far as they were read: it ended too long ago to be remembered."""
        search = Projection()
        for source in self.folder.journals:
            until = self._reached.get(source.number, 0)
            if source.number == self.projection.general.journal and source.number not in self._reached:
                until = self._start_of(source)
            if not until:
                continue
            with JournalReader(source.path) as reader:
                search.begin_journal(source.number)
                for taken in batches(reader.groups(), self.batch_bytes):
                    batch = widen(taken)
                    if int(batch.seqs[0]) >= until:
                        break
                    search.follow_order(batch, order_id, until)
        return search.orders.find(order_id)

    def _start_of(self, source: Source) -> int:
        with self.store.connect() as connection:
            query = sa.select(schema.journals.c.next_seq).where(schema.journals.c.id == source.number)
            return int(connection.scalar(query) or 0)


def made_from(folder: Folder) -> str:
    """Return the digest of a folder's first journal's first group: no other folder has it."""
    with JournalReader(folder.journals[0].path) as reader:
        first = next(reader.groups(), None)
    return first.digest.hex() if first else ""


def rebuild(
    folder: Folder, store: Store, progress: Progress = lambda done, total: None, *, batch_bytes: int = BATCH_BYTES,
    tolerance: FeeTolerance = DEFAULT_TOLERANCE,
) -> Built:  # fmt: skip
    """Build a ledger from nothing in a store that was opened for rebuilding, then put it in the old one's place.

    UserError when a ledger of other journals is in that place.
    """
    there = store.replaced("made_from")
    if there and there != made_from(folder):
        raise UserError(
            f"{store.place} holds the ledger of other journals", "name another --schema for this one, or drop that one"
        )
    try:
        store.create()
        built = Builder(folder, store, batch_bytes=batch_bytes, tolerance=tolerance).run(progress)
        store.take_place()
    except BaseException:
        store.abandon()
        raise
    return built


def catch_up(
    folder: Folder, store: Store, *, batch_bytes: int = BATCH_BYTES, tolerance: FeeTolerance = DEFAULT_TOLERANCE
) -> Built:
    """Read on from where the ledger stands; an empty store begins at the beginning."""
    store.create()
    return Builder(folder, store, batch_bytes=batch_bytes, tolerance=tolerance).run()
