"""What an auditor must reject: each way of cooking the books is found and named, on both databases."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from hatmanifesto.errors import UserError
from hatmanifesto.ledger import schema
from hatmanifesto.ledger.accounts import Account
from hatmanifesto.ledger.build import catch_up, rebuild
from hatmanifesto.ledger.corrections import correct
from hatmanifesto.ledger.days import close_day
from hatmanifesto.ledger.fee_model import FeeTolerance
from hatmanifesto.ledger.postings import Posting
from hatmanifesto.ledger.queries import pnl
from hatmanifesto.ledger.store import Store
from hatmanifesto.ledger.verify import verify
from hatmanifesto.model import record
from ledger.conftest import OpenStore
from ledger.histories import MS, T0, Event, fill, funding, order_id, submit, view, write
from ledger.test_random_histories import folder_of

HOUR = 3_600_000 * MS
STORY = [
    view(T0 + MS, 0, 995, 1005, 1000),
    submit(T0 + 2 * MS, 1, 0, 995, 100_000, 1),
    fill(T0 + 10 * MS, order_id(1, 0), 0, 1, 995, 60_000, -59_700, 1),  # record 3
    fill(T0 + 11 * MS, order_id(1, 0), 0, 1, 995, 40_000, -39_800, 2),
    submit(T0 + 20 * MS, 2, 1, 1005, 50_000, -1),
    fill(T0 + 30 * MS, order_id(2, 1), 0, -1, 1005, 50_000, 22_612, 3, True),  # record 6: a fee
    funding(T0 + HOUR, 0, 12_345),  # record 7: received
    view(T0 + HOUR + MS, 0, 1000, 1010, 1005),
]
REBATE, FEE, RECEIPT = 3, 6, 7


def line(store: Store, seq: int, kind: str) -> sa.ColumnElement[bool]:
    with store.connect() as connection:
        found = connection.scalars(sa.select(schema.accounts.c.id).where(schema.accounts.c.kind == kind)).all()
    return (schema.postings.c.seq == seq) & schema.postings.c.account.in_(found)


def scale(seq: int, kind: str, factor: int) -> Callable[[Store], list[sa.Executable]]:
    """Book an amount `factor` times, and let cash take the difference, so that the transaction still balances."""

    def cook(store: Store) -> list[sa.Executable]:
        booked = schema.postings
        chosen = line(store, seq, kind)
        with store.connect() as connection:
            amount = connection.scalar(sa.select(booked.c.amount).where(chosen))
        assert amount
        return [
            booked.update().where(chosen).values(amount=amount * factor),
            booked.update().where(line(store, seq, "cash")).values(amount=booked.c.amount - amount * (factor - 1)),
        ]

    return cook


def receipt_as_cost(store: Store) -> list[sa.Executable]:
    booked = schema.postings
    with store.connect() as connection:
        amount = connection.scalar(sa.select(booked.c.amount).where(line(store, RECEIPT, "funding_received")))
        number = (connection.scalar(sa.select(sa.func.max(schema.accounts.c.id))) or 0) + 1
    return [
        schema.accounts.insert().values(
            id=number, kind="funding_paid", currency="USDC", instrument="AAA", strategy="north"
        ),
        booked.update().where(line(store, RECEIPT, "funding_received")).values(account=number, amount=-amount),
        booked.update().where(line(store, RECEIPT, "cash")).values(amount=booked.c.amount + 2 * amount),
    ]


COOKED: list[tuple[str, Callable[[Store], list[sa.Executable]], str]] = [
    ("a rebate booked twice", scale(REBATE, "rebates", 2), "booked_twice"),
    ("a flipped fee sign", scale(FEE, "trading_fees", -1), "flipped_sign"),
    ("an edited amount", scale(FEE, "trading_fees", 7), "edited_amount"),
    ("one side edited", lambda s: [
        schema.postings.update().where(line(s, FEE, "cash")).values(amount=1)], "unbalanced"),
    ("a deleted posting", lambda s: [schema.postings.delete().where(line(s, FEE, "trading_fees"))], "deleted_row"),
    ("a deleted transaction", lambda s: [
        table.delete().where(table.c.seq == FEE) for table in (schema.postings, schema.transactions)], "deleted_row"),
    ("a deleted trade", lambda s: [schema.trades.delete().where(schema.trades.c.seq == REBATE)], "deleted_row"),
    ("an edited trade", lambda s: [
        schema.trades.update().where(schema.trades.c.seq == REBATE).values(realized=10**6)], "edited_amount"),
    ("an invented transaction", lambda s: [schema.transactions.insert().values(
        journal=1, seq=999, ts_ns=T0, exch_ts_ns=T0, kind="fill", memo="")], "unexpected_row"),
    ("moved profit", lambda s: [
        schema.attribution.update().values(spread=schema.attribution.c.spread + 2)], "attribution_differs"),
    ("an edited equity", lambda s: [
        schema.equity.update().values(equity=schema.equity.c.equity + 1)], "attribution_differs"),
    ("a closed day's trade", lambda s: [
        schema.trades.update().where(schema.trades.c.seq == REBATE).values(regime="calm")], "closed_day_changed"),
    ("a receipt booked as cost", receipt_as_cost, "receipt_as_cost"),
]  # fmt: skip


@pytest.mark.parametrize(("cook", "kind"), [one[1:] for one in COOKED], ids=[one[0] for one in COOKED])
def test_cooked_books_are_found_and_named(
    tmp_path: Path, open_store: OpenStore, cook: Callable[[Store], list[sa.Executable]], kind: str
) -> None:
    folder = folder_of(tmp_path)
    write(folder.journals[0].path, STORY)
    store = open_store(folder)
    catch_up(folder, store)
    close_day(folder, store, "2026-01-01", "jo")
    assert verify(folder, store).findings == []
    statements = cook(store)
    with store.begin() as connection:
        for statement in statements:
            connection.execute(statement)
    found = verify(folder, store)
    assert not found.ok
    assert kind in found.counts, found.findings


IN_THE_JOURNAL: list[tuple[str, list[Event], str]] = [
    ("a duplicate fill", [STORY[2]], "duplicate_fill"),
    ("a fill of an unknown order", [fill(T0 + 2 * HOUR, order_id(77, 0), 0, 1, 995, 5, 0, 9)], "unknown_order"),
]


@pytest.mark.parametrize(("more", "kind"), [one[1:] for one in IN_THE_JOURNAL], ids=[one[0] for one in IN_THE_JOURNAL])
def test_what_the_venue_s_adapter_got_wrong_is_found_in_the_journal(
    tmp_path: Path, open_store: OpenStore, more: list[Event], kind: str
) -> None:
    folder = folder_of(tmp_path)
    write(folder.journals[0].path, STORY + more)
    store = open_store(folder)
    catch_up(folder, store)
    found = verify(folder, store)
    assert set(found.counts) == {kind}
    assert "record" in found.findings[0].where


def test_a_changed_journal_is_no_source(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    path = folder.journals[0].path
    write(path, STORY)
    store = Store(str(folder.database))
    catch_up(folder, store)
    data = bytearray(path.read_bytes())
    data[-200] ^= 1
    path.write_bytes(data)
    assert "journal_damaged" in verify(folder, store).counts
    path.unlink()
    write(path, STORY[:-1])
    with pytest.raises(UserError, match="is not the journal that the ledger was made from"):
        catch_up(folder, store)


def test_our_model_of_fees_is_compared_and_the_venue_s_is_booked(tmp_path: Path, open_store: OpenStore) -> None:
    """The plan expects -0.1 bps of makers, who were paid 10; a wider tolerance counts from a rebuild on."""
    folder = folder_of(tmp_path)
    story = [one for one in STORY if one.kind != record.FUNDING_PAYMENT]
    write(folder.journals[0].path, story)
    store = open_store(folder)
    catch_up(folder, store)
    noted = [("fee_differs", "journal 1, record 3"), ("fee_differs", "journal 1, record 4")]
    for tolerance, expected in (
        (FeeTolerance(2, 1_000), noted),
        (FeeTolerance(2, 1_000_000), noted),  # what the ledger was begun with still holds
    ):
        catch_up(folder, store, tolerance=tolerance)
        found = verify(folder, store)
        assert found.ok
        assert [(note.kind, note.where) for note in found.notes] == expected
    rebuild(folder, open_store(folder, rebuilding=True), tolerance=FeeTolerance(2, 1_000_000))
    found = verify(folder, open_store(folder))
    assert (found.ok, found.notes) == (True, [])


def test_a_rebuild_does_not_replace_another_folder_s_ledger(tmp_path: Path, postgresql: str) -> None:
    places = []
    for number, name in enumerate(("one", "two")):
        (tmp_path / name).mkdir()
        places.append(folder_of(tmp_path / name))
        write(places[-1].journals[0].path, STORY, start_ns=T0 - number)
    one, two = places
    rebuild(one, Store(postgresql, "shared", rebuilding=True))
    with pytest.raises(UserError, match="holds the ledger of other journals"):
        rebuild(two, Store(postgresql, "shared", rebuilding=True))
    with pytest.raises(UserError, match="is not the journal that the ledger was made from"):
        catch_up(two, Store(postgresql, "shared"))
    rebuild(one, Store(postgresql, "shared", rebuilding=True))
    assert verify(one, Store(postgresql, "shared")).ok


def test_a_correction_is_a_transaction_of_its_own_with_author_and_reason(tmp_path: Path, open_store: OpenStore) -> None:
    folder = folder_of(tmp_path)
    write(folder.journals[0].path, STORY)
    store = open_store(folder)
    catch_up(folder, store)
    close_day(folder, store, "2026-01-01", "jo")
    before = sum(entry.total for entry in pnl(store, "cause"))
    sides = [Posting(Account("cash", "USDC"), 5), Posting(Account("rounding", "USDC"), -5)]
    correct(folder.corrections, "jo", "the venue rounds up", sides, T0 + 30 * HOUR)
    catch_up(folder, store)
    found = verify(folder, store)
    assert found.findings == []
    told = {entry.key: entry.total for entry in pnl(store, "cause")}
    assert told["corrections"] == 10
    assert sum(told.values()) == before + 10
    with store.connect() as connection:
        memo = connection.scalar(
            sa.select(schema.transactions.c.memo).where(schema.transactions.c.kind == "correction")
        )
    assert memo == "jo: the venue rounds up"
    for bad, says in (
        (("", "why", sides), "needs an author"),
        (("jo", "why", sides[:1]), "add up to 5"),
        (("jo", "why", [Posting(Account("magic", "USDC"), 0)]), "no account magic"),
    ):
        with pytest.raises(UserError, match=says):
            correct(folder.corrections, *bad)
