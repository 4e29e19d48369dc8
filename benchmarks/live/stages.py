"""Where the time of a turn goes: stamps between the parts of the live path, of turns that sent something."""

import statistics
from time import perf_counter_ns
from typing import Any

NAMES = ("decoded", "rows made", "engine begins", "journal begins", "journal written", "first signed", "first sent",
         "last sent", "turn over")  # fmt: skip


class Stages:
    """Puts stamps around a session's parts. What a stamp costs (0.1 µs and a call) is in the figures."""

    def __init__(self, live: Any, venue: Any) -> None:
        self.stamps: dict[str, int] = {}
        self.found: list[dict[str, int]] = []
        self.others: list[int] = []
        self.slowest: list[tuple[int, dict[str, int]]] = []
        stream, trader, feed = venue._streams[0], live.trader, venue.market_feed
        marks = self.stamps
        on_frame = stream._on_frame

        def framed(payload: bytes, now_ns: int) -> None:
            marks.clear()
            begun = perf_counter_ns()
            on_frame(payload, now_ns)
            over = perf_counter_ns()
            self.slowest.append((over - begun, {name: at - begun for name, at in marks.items()}))
            if len(self.slowest) > 2_000:
                self._keep_slowest()
            if "last sent" in marks and "decoded" in marks:
                marks["turn over"] = over
                self.found.append({name: at - begun for name, at in marks.items()})
            elif "decoded" in marks:
                self.others.append(over - begun)

        stream._on_frame = framed
        connection = on_frame.__self__
        kinds = connection.handlers
        for kind, handler in list(kinds.items()):
            if kind.__name__ == "Bbo":
                kinds[kind] = self._before(handler, "decoded")
        feed._listener = _Ear(trader, marks)
        feeder = trader._feeder

        class Feeder:
            def take(self, rows: bytes) -> None:
                marks.setdefault("engine begins", perf_counter_ns())
                feeder.take(rows)

            def fire(self, now: int) -> None:
                feeder.fire(now)

        trader._feeder = Feeder()
        writer = live._writer
        append = writer._append_group

        def appended(first: int, count: int, payload: bytes) -> None:
            marks.setdefault("journal begins", perf_counter_ns())
            append(first, count, payload)
            marks["journal written"] = perf_counter_ns()

        writer._append_group = appended
        signer = venue._signer
        gateway = venue._gateway
        body = signer.body

        class Signer:
            def body(self, *words: Any) -> bytes:
                made: bytes = body(*words)
                marks.setdefault("first signed", perf_counter_ns())
                return made

        gateway._signer = Signer()
        posts = venue._posts
        send = posts._send

        def sent(payload: bytes) -> bool:
            done: bool = send(payload)
            now = perf_counter_ns()
            marks.setdefault("first sent", now)
            marks["last sent"] = now
            return done

        posts._send = sent

    def _before(self, handler: Any, name: str) -> Any:
        def called(message: Any, now_ns: int) -> None:
            self.stamps[name] = perf_counter_ns()
            handler(message, now_ns)

        return called

    def _keep_slowest(self) -> None:
        self.slowest.sort(key=lambda turn: -turn[0])
        del self.slowest[5:]

    def report(self) -> dict[str, Any]:
        """Return the median moment of each stage, µs after the frame came in, and of turns that sent nothing."""
        found: dict[str, Any] = {}
        for name in NAMES:
            moments = [marks[name] for marks in self.found if name in marks]
            if moments:
                found[name] = round(statistics.median(moments) / 1e3, 1)
        self._keep_slowest()
        found["slowest turns"] = [
            {name: round(at / 1e3) for name, at in (*marks.items(), ("over", over))} for over, marks in self.slowest
        ]
        found["turns that sent"] = len(self.found)
        found["other turns"] = round(statistics.median(self.others) / 1e3, 1) if self.others else None
        return found


class _Ear:
    """The trader as the feed sees it, with a stamp before rows."""

    def __init__(self, trader: Any, marks: dict[str, int]) -> None:
        self._trader = trader
        self._marks = marks

    def on_rows(self, now_ns: int, instrument: int, rows: bytes) -> None:
        self._marks["rows made"] = perf_counter_ns()
        self._trader.on_rows(now_ns, instrument, rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trader, name)
