"""Whatever happens to an account, its money adds up, and the ledger is the same bytes however it is built."""

import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hatmanifesto.ledger import schema
from hatmanifesto.ledger.attribution import ADVERSE_NS
from hatmanifesto.ledger.build import Builder, catch_up
from hatmanifesto.ledger.canonical import canonical
from hatmanifesto.ledger.queries import periods, pnl
from hatmanifesto.ledger.sources import Folder, Source
from hatmanifesto.ledger.store import Store
from hatmanifesto.ledger.verify import verify
from hatmanifesto.model import record
from ledger.histories import DEPOSIT, FACTORS, MS, T0, Event, fill, histories, order_id, submit, view, write


def folder_of(place: Path) -> Folder:
    journal = place / "journal"
    return Folder(place, [Source(1, journal)], place / "corrections.journal", place / "ledger.sqlite")


def naive(events: list[Event]) -> tuple[int, int, int, dict[str, int]]:
    """Equity of the account, what was paid in, the other collateral, and sizes: from the records alone."""
    cash, paid, other = DEPOSIT, 0, 0
    sizes, marks, told = [0, 0], [0, 0], [False, False]
    for one in events:
        if one.kind == record.FILL:
            _, price, size, fee, _, _, side = one.fields
            which = one.aux >> 8
            cash -= side * price * size * FACTORS[which] + fee
            sizes[which] += side * size
            if not told[which]:
                marks[which] = price
        elif one.kind == record.VIEW and one.fields[6] > 0:
            marks[one.aux], told[one.aux] = one.fields[6], True
        elif one.kind == record.FUNDING_PAYMENT:
            cash += one.fields[0]
        elif one.kind == record.OPERATOR:
            if one.content["command"] == "transfer":
                paid += one.content["amount"]
            else:
                other += one.content["amount"]
    worth = sum(size * mark * factor for size, mark, factor in zip(sizes, marks, FACTORS, strict=True))
    return cash + paid + worth, paid, other, {"AAA": sizes[0], "BBB": sizes[1]}


@settings(max_examples=40, phases=(Phase.explicit, Phase.generate))
@given(events=histories(), cuts=st.sets(st.integers(1, 60), max_size=12))
def test_the_parts_add_up_to_the_change_of_equity_to_the_last_unit(events: list[Event], cuts: set[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = folder_of(Path(name))
        write(folder.journals[0].path, events, tuple(sorted(cuts)))
        store = Store(str(folder.database))
        store.create()
        Builder(folder, store, batch_bytes=1).run()  # a transaction a group
        equity, paid, other, sizes = naive(events)
        lines = {line.currency: line for line in pnl(store, "month")}
        ends = {(one.currency): one for one in periods(store, "month")}
        assert ends["USDC"].end_equity == equity
        assert ends["USDC"].transfers == DEPOSIT + paid
        assert (lines["USDC"].total if "USDC" in lines else 0) == 2 * (equity - DEPOSIT - paid)
        if other:
            assert (ends["BTC"].end_equity, ends["BTC"].transfers) == (other, other)
        with store.connect() as connection:
            rows = connection.execute(
                sa.select(schema.accounts.c.instrument, sa.func.sum(schema.postings.c.quantity))
                .join(schema.postings, schema.postings.c.account == schema.accounts.c.id)
                .where(schema.accounts.c.kind == "position_cost").group_by(schema.accounts.c.instrument)
            )  # fmt: skip
            held = {row[0]: int(row[1]) for row in rows}
        assert held == {name: sizes[name] for name in held}
        assert all(name in held for name, size in sizes.items() if size)
        # built in one piece it is the same, and the auditor, who builds it so, finds nothing
        whole = Store(str(folder.database) + "2")
        catch_up(folder, whole)
        assert list(canonical(whole)) == list(canonical(store))
        verdict = verify(folder, store)
        assert verdict.findings == []
        store.close()
        whole.close()


def built(tmp_path: Path, events: list[Event]) -> Store:
    folder = folder_of(tmp_path)
    write(folder.journals[0].path, events)
    store = Store(str(folder.database))
    catch_up(folder, store)
    return store


def parts(store: Store) -> dict[str, int]:
    return {line.key: line.total for line in pnl(store, "cause") if line.total}


def test_a_maker_s_round_trip_by_hand(tmp_path: Path) -> None:
    """Buys 2 at 99.9 with the mid at 100; the mid falls to 99.5 in five seconds and rises to 101 later."""
    events = [
        view(T0 + MS, 0, 995, 1005, 0),
        submit(T0 + 2 * MS, 1, 0, 999, 200_000, 1),
        fill(T0 + 10 * MS, order_id(1, 0), 0, 1, 999, 200_000, -19_980, 1),
        view(T0 + 4_000 * MS, 0, 990, 1000, 995),
        view(T0 + 10 * MS + ADVERSE_NS, 0, 1005, 1015, 1010),  # at the horizon itself: counts
        view(T0 + 60_000 * MS, 0, 1005, 1015, 1012),
    ]
    # in half micro-dollars: 2 coins move 2 x 100,000 half units a tenth of a dollar
    assert parts(built(tmp_path, events)) == {
        "spread": 2 * 200_000 * 1,  # 0.1 below the mid
        "adverse_selection": 2 * 200_000 * 10,  # 100 to 101
        "directional": 2 * 200_000 * 2,  # from the mid of 101 to the mark of 101.2
        "rebates": 2 * 19_980,
    }


@pytest.mark.parametrize(
    ("taker", "order", "part"), [(True, 1, "slippage"), (False, 1, "spread"), (True, -1, "liquidation")]
)
def test_the_price_s_distance_from_the_mid_has_one_name(tmp_path: Path, taker: bool, order: int, part: str) -> None:
    events = [
        view(T0 + MS, 0, 995, 1005, 1000),
        submit(T0 + 2 * MS, 1, 0, 1005, 100_000, 1),
        fill(T0 + 10 * MS, order_id(1, 0) if order > 0 else order, 0, 1, 1005, 100_000, 0, 1, taker),
    ]
    assert parts(built(tmp_path, events)) == {part: -2 * 100_000 * 5}


def test_strategies_on_one_instrument_keep_their_own_profit(tmp_path: Path) -> None:
    """One buys, the other sells at a better price: the account is flat, each holds its own, the sum is the spread."""
    events = [
        view(T0 + MS, 0, 995, 1005, 1000),
        submit(T0 + 2 * MS, 1, 0, 995, 100_000, 1),
        submit(T0 + 2 * MS, 2, 1, 1005, 100_000, -1),
        fill(T0 + 10 * MS, order_id(1, 0), 0, 1, 995, 100_000, 0, 1),
        fill(T0 + 11 * MS, order_id(2, 1), 0, -1, 1005, 100_000, 0, 2),
        view(T0 + 60_000 * MS, 0, 895, 905, 900),
    ]
    store = built(tmp_path, events)
    assert {line.key: line.total for line in pnl(store, "strategy")} == {
        "north": -2 * 100_000 * 95,
        "south": 2 * 100_000 * 105,
    }
