"""Measure a restart: from starting the trader's process to quoting, with a long journal and many open orders.

`python -m benchmarks.restart --json` prints one object a line: name, ours, peer, ratio, unit, notes. A session on the
loopback exchange of this machine fills its limit of orders and is killed with its guard; its journal is made as long as
asked for with its own groups; then it is started again and again from that same state. The orders are taken over with
their queue positions, which the exchange confirms.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from hatmanifesto.cli.run import Child
from hatmanifesto.errors import UserError
from hatmanifesto.journal.columns import checks, split
from hatmanifesto.journal.format import Group
from hatmanifesto.journal.reader import JournalReader
from hatmanifesto.journal.writer import JournalWriter
from hatmanifesto.model import record
from hatmanifesto.trading.control import ask
from hatmanifesto.trading.heartbeat import Beats

LADDER: Final = Path(__file__).parent / "live" / "ladder.py"
LEVELS: Final = 20
UP_S: Final = 120.0
BUDGET_S: Final = 2.0

CONFIG: Final = """
[risk.account]
max_account_notional = 1000000
max_leverage = 1000
max_open_orders = 10000
max_orders_per_second = 10000
[risk.instrument.default]
max_order_notional = 1000
max_position_notional = 1000000
[engine]
answer_timeout = "20s"
max_book_age = "20s"
[venue]
url = "{url}"
account = "{account}"
[trading]
guard_timeout = "10s"
checkpoint_interval = "10s"
dead_mans_switch = "10min" # the orders outlive the rewriting of the journal
"""
STRATEGY: Final = """
[strategies.ladder{number}]
class = "{ladder}:Ladder"
instruments = ["{coin}"]
params = {{ bottom = {bottom}, top = {top}, step = {step}, levels = {levels}, size = "30 USD" }}
max_notional = 100000
"""


class Session:
    """The folder of a session, and its processes."""

    def __init__(self, folder: Path, config: Path, keys: dict[str, str]) -> None:
        self.folder, self.config, self.keys = folder, config, keys
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self) -> float:
        """Start guard and trader; return the seconds from the trader's start until it quotes."""
        beats = Beats(self.folder)
        beats.clear()
        beats.close()
        self._spawn("guard", "HAT_GUARD_KEY")
        until(lambda: Beats(self.folder).guard_age_s() < 1.0, "the guard does not come up")
        begin = time.monotonic()
        self._spawn("trader", "HAT_AGENT_KEY")
        until(lambda: self.status().get("state") == "quoting", "the session does not quote", pause_s=0.005)
        return time.monotonic() - begin

    def _spawn(self, role: str, key: str) -> None:
        words = [
            sys.executable,
            "-m",
            "hatmanifesto.trading.process",
            role,
            str(self.folder),
            "--config",
            str(self.config),
        ]
        with (self.folder / f"{role}.log").open("wb") as log:
            self.children.append(
                subprocess.Popen(words, stdout=log, stderr=log, env={**os.environ, key: self.keys[key]})
            )

    def status(self) -> dict[str, Any]:
        """Return what the session says of itself, nothing when it does not answer."""
        if self.children[-1].poll() is not None:
            raise SystemExit((self.folder / "trader.log").read_text()[-2000:])
        try:
            found: dict[str, Any] = ask(self.folder, {"do": "status"}, 20.0)["status"]
            return found
        except UserError:
            return {}

    def kill(self) -> None:
        """Both at once, so that neither can tidy up."""
        for child in self.children:
            child.send_signal(signal.SIGKILL)
        for child in self.children:
            child.wait()
        self.children.clear()


def until(condition: Any, what: str, pause_s: float = 0.05) -> None:
    """Wait for something to become true; SystemExit when it does not."""
    deadline = time.monotonic() + UP_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(what)
        time.sleep(pause_s)


def write_config(path: Path, ready: dict[str, Any], orders: int) -> int:
    """Write a configuration whose strategies want at least so many orders; return how many."""
    text = CONFIG.format(url=ready["url"], account=ready["accounts"][0]["address"])
    wanted = number = 0
    while wanted < orders:
        # BTC far from any price that the agents reach within the run: whole dollars, tenths are the price's unit
        bottom = 600_000 - number * LEVELS * 10
        top = 1_600_000 + number * LEVELS * 10
        text += STRATEGY.format(
            number=number, ladder=LADDER, coin="BTC", bottom=bottom, top=top, step=10, levels=LEVELS
        )  # fmt: skip
        number += 1
        wanted += 2 * LEVELS
    path.write_text(text)
    return wanted


def lengthen(path: Path, records: int, behind: int) -> tuple[int, int]:
    """Rewrite a killed session's journal with so many records, `behind` of them after its last checkpoint; what is
    added are its own views again, without the quotes. Returns (records in all, records behind the checkpoint)."""
    with JournalReader(path) as reader:
        metadata, session = reader.metadata, reader.header.session
        groups = list(reader.groups())
    views = [view for group in groups for view in short_views(group)]
    if not views:
        raise SystemExit("the session made no decision by itself")
    last = max(at for at, group in enumerate(groups) if record.CHECKPOINT in split([group]).kinds)
    own = sum(group.records for group in groups)
    tail = sum(group.records for group in groups[last + 1 :])
    longer = path.with_suffix(".longer")
    with JournalWriter(longer, metadata, session=session) as writer:
        append(writer, groups[:3])
        append(writer, filler(views, records - own - max(0, behind - tail)))
        append(writer, groups[3:])
        append(writer, filler(views, behind - tail))
        made = writer.next_seq
    longer.replace(path)
    return made, max(behind, tail)


def short_views(group: Group) -> Iterator[Group]:
    """Yield a group's views one by one, without the quotes that were wanted, as short as a maker's usual ones."""
    batch = split([group])
    for start in batch.starts[batch.kinds == record.VIEW].tolist():
        words = batch.words[start : start + 2 + len(record.FIELDS[record.VIEW])].copy()
        words[0] = record.VIEW | len(words) << 8 | words[0] & 0xFFFF0000
        words[2] &= ~(0xFF << 24)
        yield Group(0, 1, words.tobytes())


def filler(views: list[Group], records: int) -> Iterator[Group]:
    """Yield groups until there are so many records."""
    at = 0
    while records > 0:
        yield views[at % len(views)]
        records -= views[at % len(views)].records
        at += 1


def append(writer: JournalWriter, groups: Iterable[Group]) -> None:
    """Append groups of records at their new places."""
    left = iter(groups)
    while some := list(islice(left, 10_000)):
        batch = split(some)
        words = batch.words.copy()
        seqs = np.arange(writer.next_seq, writer.next_seq + len(batch.starts))
        words[batch.starts] = (words[batch.starts] & record.HEADER_LOW) | checks(words, batch.starts, seqs) << 32
        payload = memoryview(words).cast("B")
        at = 0
        for group in some:
            writer.append(writer.next_seq, group.records, payload[at : at + len(group.payload)])
            at += len(group.payload)


def measure(arguments: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Set the scene, then restart several times."""
    start = "from hatmanifesto.cli.main import main; main()"
    exchange = Child([sys.executable, "-c", start, "exchange", "--port", "0", "--no-limits", "--json"], {})
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "session"
        folder.mkdir()
        try:
            ready = exchange.wait_for("ready", 60.0)
            account = ready["accounts"][0]
            config = Path(place) / "ladder.toml"
            wanted = write_config(config, ready, arguments.orders)
            session = Session(
                folder, config, {"HAT_AGENT_KEY": account["agent_key"], "HAT_GUARD_KEY": account["guard_key"]}
            )
            session.start()
            until(lambda: session.status().get("orders_open") == wanted, "not every order came to rest", 0.5)
            time.sleep(11.0)  # a checkpoint with every order in it
            session.kill()
            (journal,) = (folder / "journal").glob("*.journal")
            records, behind = lengthen(journal, arguments.records, arguments.behind)
            kept = {path.name for path in (folder / "journal").iterdir()}
            took: list[float] = []
            for _ in range(arguments.runs):
                took.append(session.start())
                found = session.status()
                if found["orders_open"] != wanted or found["orders_placed"]:
                    raise SystemExit(f"{found['orders_open']} orders kept of {wanted}, {found['orders_placed']} new")
                session.kill()
                for path in (folder / "journal").iterdir():
                    if path.name not in kept:
                        path.unlink()
            size = journal.stat().st_size
        finally:
            for child in locals().get("session", Session(folder, folder, {})).children:
                child.kill()
            exchange.stop()
    idle = statistics.median(seconds_to_import() for _ in range(3))
    yield {
        "name": "restart to quoting",
        "ours": round(statistics.median(took), 3),
        "peer": None,
        "ratio": None,
        "unit": "s",
        "notes": f"{records:,} records ({size / 1e6:.0f} MB), {behind:,} behind the last checkpoint, {wanted} open "
        f"orders taken over; runs {', '.join(f'{seconds:.2f}' for seconds in took)}; budget {BUDGET_S:.0f} s; "
        f"{idle:.2f} s of it start the interpreter and import",
    }


def seconds_to_import() -> float:
    """Return how long a process takes that only imports the trader."""
    begin = time.monotonic()
    subprocess.run([sys.executable, "-c", "import hatmanifesto.trading.process"], check=True)
    return time.monotonic() - begin


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--records", type=int, default=1_000_000, help="records in the journal (default %(default)s)")
    parser.add_argument(
        "--behind", type=int, default=100_000, help="records behind the last checkpoint (default %(default)s)"
    )
    parser.add_argument("--orders", type=int, default=1_000, help="open orders, at least (default %(default)s)")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    for result in measure(arguments):
        if arguments.json:
            print(json.dumps(result, ensure_ascii=False), flush=True)
        else:
            print(f"{result['name']}: {result['ours']} {result['unit']}\n  {result['notes']}", flush=True)


if __name__ == "__main__":
    main()
