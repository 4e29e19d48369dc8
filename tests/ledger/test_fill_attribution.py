"""The profit of single fills and orders: the same parts as the account's, taken apart once more."""

import tempfile
from pathlib import Path

from hypothesis import Phase, given, settings

from hatmanifesto.ledger.build import catch_up
from hatmanifesto.ledger.fill_attribution import REST, pnl_of_fills
from hatmanifesto.ledger.queries import pnl
from hatmanifesto.ledger.store import Store
from ledger.conftest import OpenStore
from ledger.histories import MS, T0, Event, fill, funding, histories, order_id, submit, view, write
from ledger.test_random_histories import folder_of

HOUR = 3_600_000 * MS
STORY = [
    view(T0 + MS, 0, 995, 1005, 1000),
    submit(T0 + 2 * MS, 1, 0, 995, 200_000, 1),
    fill(T0 + 10 * MS, order_id(1, 0), 0, 1, 995, 100_000, -9_950, 1),
    fill(T0 + 11 * MS, order_id(1, 0), 0, 1, 995, 100_000, -9_950, 2),
    funding(T0 + 20 * MS, 0, -77),
    view(T0 + 1_000 * MS, 0, 1015, 1025, 1020),
    submit(T0 + 10_000 * MS, 2, 0, 1015, 50_000, -1),
    fill(T0 + 10_010 * MS, order_id(2, 0), 0, -1, 1015, 50_000, 22_837, 3, True),
    funding(T0 + HOUR, 0, 12),
]


def test_a_fill_s_parts_by_hand_on_both_databases(tmp_path: Path, open_store: OpenStore) -> None:
    folder = folder_of(tmp_path)
    write(folder.journals[0].path, STORY)
    store = open_store(folder)
    catch_up(folder, store)
    found = pnl_of_fills(store, "fill")
    told = {
        line.key.split()[-1]: {name: amount for name, amount in line.parts.items() if amount} for line in found.lines
    }
    # bought at 99.5 with the mid at 100, five seconds later and at the end it is 102; in half micro-dollars
    bought = {"spread": 100_000 * 10, "adverse_selection": 100_000 * 40, "rebates": 2 * 9_950}
    assert told == {
        "#1": bought,
        "#2": bought,
        "#3": {"slippage": -50_000 * 10, "fees": -2 * 22_837, "funding": -2 * 77},
        "fills)": {"funding": 2 * 12},
    }
    assert found.number == 3
    orders = pnl_of_fills(store, "order", top=1)
    assert len(orders.lines) == 2  # the largest, and what no fill earned
    assert orders.number == 2
    assert orders.lines[0].key.startswith("AAA 0x686174")
    assert orders.lines[0].key.endswith(" x2")
    assert orders.lines[0].total == 2 * sum(bought.values())
    assert orders.lines[1].key == REST
    assert orders.totals == found.totals
    late = pnl_of_fills(store, "fill", begin_ns=T0 + 5_000 * MS)
    assert [line.key.split()[-1] for line in late.lines] == ["#3"]


@settings(max_examples=25, phases=(Phase.explicit, Phase.generate))
@given(events=histories())
def test_over_all_fills_the_parts_add_up_to_the_account_s(events: list[Event]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = folder_of(Path(name))
        write(folder.journals[0].path, events)
        store = Store(str(folder.database))
        catch_up(folder, store)
        whole = {line.currency: line.total for line in pnl(store, "month")}
        for by in ("fill", "order"):
            found = pnl_of_fills(store, by, top=0)  # type: ignore[arg-type]
            assert {line.currency: line.total for line in found.totals if line.total} == {
                code: total for code, total in whole.items() if total
            }
            sums: dict[str, int] = {}
            for line in found.lines:
                sums[line.currency] = sums.get(line.currency, 0) + line.total
                # what no fill earned is funding alone: these accounts begin flat
                assert (
                    line.key != REST
                    or set(line.parts) - {"funding"} == set()
                    or not any(amount for part, amount in line.parts.items() if part in ("fees", "rebates"))
                )
            assert {code: total for code, total in sums.items() if total} == {
                code: total for code, total in whole.items() if total
            }
        store.close()
