"""A process that builds a ledger is killed amid a batch: nothing is half posted, and the next one goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

from hatmanifesto.ledger import schema
from hatmanifesto.ledger.build import catch_up
from hatmanifesto.ledger.canonical import canonical
from hatmanifesto.ledger.store import Store
from ledger.conftest import OpenStore
from ledger.histories import MS, T0, Event, fill, order_id, submit, view, write
from ledger.test_random_histories import folder_of

BUILDER = """
import sys
from pathlib import Path
from hatmanifesto.ledger.build import Builder
from hatmanifesto.ledger.sources import Folder, Source
from hatmanifesto.ledger.store import Store

place, url, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
folder = Folder(place, [Source(1, place / "journal")], place / "corrections.journal", place / "ledger.sqlite")
store = Store(url, name)
store.create()
inserted = store.insert_columns

def slowly(connection, table, columns):
    inserted(connection, table, columns)
    if table.name == "postings" and columns["seq"][0] > 40:
        print("postings are in, trades are not", flush=True)
        sys.stdin.read()  # until killed

store.insert_columns = slowly
Builder(folder, store, batch_bytes=1).run()
"""


def story(orders: int) -> list[Event]:
    events = [view(T0 + MS, 0, 995, 1005, 1000)]
    for number in range(1, orders + 1):
        now, side = T0 + number * 100 * MS, 1 if number % 3 else -1
        events.append(submit(now, number, 0, 1000, 50_000, side))
        events.append(fill(now + MS, order_id(number, 0), 0, side, 1000, 50_000, 22_500, number, True))
    return events


def test_a_builder_that_is_killed_mid_batch_leaves_whole_batches(tmp_path: Path, open_store: OpenStore) -> None:
    folder = folder_of(tmp_path)
    events = story(40)
    write(folder.journals[0].path, events, tuple(range(1, len(events), 10)))
    store = open_store(folder)
    child = subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(tmp_path), store.url, store.name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "postings are in, trades are not\n"
    os.kill(child.pid, signal.SIGKILL)
    child.communicate(timeout=30)
    assert child.returncode == -signal.SIGKILL
    with store.connect() as connection:
        posted, known, traded = (
            {tuple(row) for row in connection.execute(sa.select(table.c.journal, table.c.seq))}
            for table in (schema.postings, schema.transactions, schema.trades)
        )
        read = connection.scalar(sa.select(schema.journals.c.next_seq)) or 0
    assert posted == known
    assert traded == known - {(1, 0)}  # the opening is no trade
    assert 10 < max(seq for _, seq in known) < read < 60
    catch_up(folder, store)
    whole = Store(str(tmp_path / "whole.sqlite"))
    catch_up(folder, whole)
    assert list(canonical(store)) == list(canonical(whole))
    assert len([line for line in canonical(store) if line.startswith(b'["trades"')]) == 40
