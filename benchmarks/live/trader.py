"""Our side of the live-path benchmark: a live session as `hat run` has it, without a guard, on the measured exchange.

Says `ready` on standard output once it quotes, and its own figures after the line `stop` on standard input.
"""

import argparse
import asyncio
import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.live.exchange import LISTED
from benchmarks.live.stages import Stages
from hatmanifesto import build
from hatmanifesto.config.settings import load
from hatmanifesto.trading import collector
from hatmanifesto.trading.clock import WallClock
from hatmanifesto.trading.session import LiveSession
from hatmanifesto.venues.hyperliquid.adapter import HyperliquidSettings, HyperliquidVenue
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey

NO_LIMIT = 1 << 40


def settings(triggers: str, changes: list[str]) -> list[str]:
    """Return the configuration: the shipped maker on every coin, checks as usual, limits that do not bind."""
    names = json.dumps([market.name for market in LISTED])
    more = [f"strategies.maker.triggers={triggers}"] if triggers else []
    return [
        'strategies.maker.class="touch_joiner"',
        f"strategies.maker.instruments={names}",
        'strategies.maker.params={order_size="200 USD", max_position="1000 USD"}',
        'strategies.maker.min_decision_interval="10us"',
        'trading.reconcile_interval="1h"',
        "risk.account.max_orders_per_second=10000",
        *more,
        *changes,
    ]


async def trade(url: str, key: str, folder: Path, triggers: str, changes: list[str], stages: bool) -> dict[str, Any]:
    """Run a session until a line comes in, and return what it measured itself."""
    clock = WallClock()
    (folder / "nonces").mkdir(parents=True)
    draft = load(None, settings(triggers, changes))
    venue = HyperliquidVenue(
        HyperliquidSettings(
            base_url=url,
            second_url="",
            ip_weight=NO_LIMIT,
            stream_messages=NO_LIMIT,
            prepared_signatures=draft.settings.trading.prepared_signatures,
        ),
        PrivateKey.parse(key),
        folder / "nonces",
        clock_ns=clock,
    )
    live = LiveSession(draft, folder, venue, clock)
    await live.start()
    meter = Stages(live, venue) if stages else None
    loop = asyncio.get_running_loop()
    collector.calm()
    sweeping = loop.create_task(collector.sweep_often())
    loop.add_reader(sys.stdin.fileno(), live.request_stop, "the measurement is over")
    print(json.dumps({"ready": True, "build": build.mode()}), flush=True)
    await live.run()
    sweeping.cancel()
    times = live.trader.times
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "turns": live.trader.turns,
        "faults": live.trader.faults,
        "cpu_s": used.ru_utime + used.ru_stime,
        "turn_p50_us": times.quantile_ns(0.5) / 1e3,
        "turn_p99_us": times.quantile_ns(0.99) / 1e3,
        "turn_p999_us": times.quantile_ns(0.999) / 1e3,
        "orders_placed": int(live.session.engine.orders.placed),
        "cancels_sent": int(live.session.engine.orders.cancels_sent),
        "stages": meter.report() if meter else None,
    }
    summary = await live.stop()
    found["journal_bytes"] = os.path.getsize(summary.journal)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--triggers", default="")
    parser.add_argument("--stages", action="store_true")
    parser.add_argument("--set", action="append", default=[], dest="changes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        key = os.environ["HAT_AGENT_KEY"]
        run = trade(arguments.url, key, Path(folder), arguments.triggers, arguments.changes, arguments.stages)
        print(json.dumps({"done": uvloop.run(run)}), flush=True)


if __name__ == "__main__":
    main()
