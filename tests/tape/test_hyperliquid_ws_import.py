"""Raw WebSocket lines of Hyperliquid: which rows each channel gives, what is left out, what is refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from hatmanifesto.backtest.tape.format import META
from hatmanifesto.errors import UserError
from hatmanifesto.model.market_row import (
    BBO,
    CHANNEL_BBO,
    CHANNEL_BOOK,
    CHANNEL_CONTEXT,
    CHANNEL_TRADES,
    FIRST,
    FUNDING,
    MARK,
    MORE,
    ORACLE,
    SNAPSHOT,
    TRADE,
    make_meta,
)
from tape.samples import import_tape, tape_rows

MS = 1_000_000
T0 = 1_737_918_843_000  # ms


def level(price: str, size: str) -> dict[str, Any]:
    return {"px": price, "sz": size, "n": 1}


def book(
    time: int, bid: str = "100.0", ask: str = "101.0", coin: str = "BTC", ask_size: str = "0.00001"
) -> dict[str, Any]:
    levels = [[level(bid, "1.5")], [level(ask, ask_size)]]
    return {"channel": "l2Book", "data": {"coin": coin, "time": time, "levels": levels}}


def bbo(time: int, *sides: dict[str, Any] | None) -> dict[str, Any]:
    return {"channel": "bbo", "data": {"coin": "BTC", "time": time, "bbo": list(sides)}}


def trade(time: int, tid: int, side: str = "B", price: str = "101.0") -> dict[str, Any]:
    return {"coin": "BTC", "side": side, "px": price, "sz": "0.2", "time": time, "tid": tid, "hash": "0x", "users": []}


def trades(*some: dict[str, Any]) -> dict[str, Any]:
    return {"channel": "trades", "data": list(some)}


def context(coin: str = "BTC") -> dict[str, Any]:
    ctx = {"funding": "-0.00001250", "oraclePx": "100.26", "markPx": "100.25", "openInterest": "1.0", "midPx": None}
    return {"channel": "activeAssetCtx", "data": {"coin": coin, "ctx": ctx}}


def write(path: Path, *lines: tuple[int | None, dict[str, Any]]) -> Path:
    """Write lines of (local ms, message)."""
    text = "".join(f"{'' if at is None else f'{at * MS} '}{json.dumps(message)}\n" for at, message in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_every_channel_becomes_exactly_these_rows(tmp_path: Path) -> None:
    source = write(
        tmp_path / "btc.gz",
        (T0 + 5, {"channel": "subscriptionResponse", "data": {}}),
        (T0 + 10, book(T0)),
        (T0 + 20, bbo(T0 + 4, level("100.0", "2.0"), None)),
        (T0 + 25, context()),
        (T0 + 30, trades(trade(T0 + 4, 1), trade(T0 + 6, 2, "A", "100.0"))),
    )
    with import_tape(source, tmp_path / "a.tape", "hyperliquid-ws") as tape:
        t0 = T0 * MS

        def row(exch: int, local: int, kind: int, side: int, channel: int, price: int, size: int, flags: int = 0):
            return [t0 + exch * MS, t0 + local * MS, make_meta(kind, side, channel, 0, flags), price, size]

        assert tape_rows(tape).tolist() == [
            row(0, 10, SNAPSHOT, 1, CHANNEL_BOOK, 1000, 150_000, FIRST | MORE),
            row(0, 10, SNAPSHOT, -1, CHANNEL_BOOK, 1010, 1),
            row(4, 25, MARK, 0, CHANNEL_CONTEXT, 1003, 0, MORE),  # 100.25 rounded to the coin's 0.1
            row(4, 25, ORACLE, 0, CHANNEL_CONTEXT, 1003, 0, MORE),
            row(4, 25, FUNDING, 0, CHANNEL_CONTEXT, -12_500_000, 3_600),
            row(4, 30, TRADE, 1, CHANNEL_TRADES, 1010, 20_000),
            row(4, 20, BBO, 1, CHANNEL_BBO, 1000, 200_000, MORE),
            row(4, 20, BBO, -1, CHANNEL_BBO, 0, 0),  # no ask: an empty side
            row(6, 30, TRADE, -1, CHANNEL_TRADES, 1000, 20_000),
        ]
        assert not tape.same_order
        statistics = tape.meta.statistics
        assert statistics["lines"] == 5
        assert statistics["other_messages"] == {"subscriptionResponse": 1}
        assert statistics["instruments"]["BTC"]["bbo_one_sided"] == 1
        assert tape.meta.source.notes == []


def test_the_backlog_on_subscribing_and_repeated_trades_are_left_out(tmp_path: Path) -> None:
    source = write(
        tmp_path / "a.jsonl",
        (T0 + 10, book(T0)),
        (T0 + 20, trades(trade(T0 - 30_000, 1), trade(T0 + 1, 2))),
        (T0 + 30, trades(trade(T0 + 1, 2))),
    )
    with import_tape(source, tmp_path / "a.tape") as tape:
        counts = tape.meta.statistics["instruments"]["BTC"]
        kept = {key: counts[f"trades_{key}"] for key in ("read", "kept", "backlog_dropped", "duplicate_dropped")}
        assert kept == {"read": 3, "kept": 1, "backlog_dropped": 1, "duplicate_dropped": 1}


@pytest.mark.parametrize(
    ("clock", "locals_ms", "note"),
    [
        ("", [1, 11], "1271.000 ms added to all receive times, so that the fastest takes 1.000 ms"),
        ("keep", [-1270, -1260], "receive times kept although the fastest message took -1270.000 ms"),
        ("2s", [730, 740], "2000.000 ms added to all receive times, as asked"),
        ("-5ms", [-1275, -1265], "-5.000 ms added to all receive times, as asked"),
    ],
)
def test_a_recorder_clock_behind_the_venues_is_corrected_kept_or_shifted(
    tmp_path: Path, clock: str, locals_ms: list[int], note: str
) -> None:
    source = write(tmp_path / "a.gz", (T0 - 1270, book(T0)), (T0 - 1200, book(T0 + 60, bid="99.0")))
    with import_tape(source, tmp_path / "a.tape", clock=clock) as tape:
        rows = tape_rows(tape)
        delay = [int(value) // MS for value in rows[:, 1] - rows[:, 0]]
        assert delay == [locals_ms[0]] * 2 + [locals_ms[1]] * 2
        assert note in " ".join(tape.meta.source.notes)
        assert tape.meta.statistics["receiver_clock_shift_ns"] == (locals_ms[0] + 1270) * MS


def test_an_unknown_clock_choice_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "a.gz", (T0 + 10, book(T0)))
    with pytest.raises(UserError, match="--clock 'soon'"):
        import_tape(source, tmp_path / "a.tape", clock="soon")


def test_lines_without_receive_time_take_the_venues(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", (None, context()), (None, book(T0)), (None, context()))
    with import_tape(source, tmp_path / "a.tape", "hyperliquid-ws") as tape:
        rows = tape_rows(tape)
        assert (rows[:, 0] == rows[:, 1]).all()
        assert len(rows) == 5
        assert "3 lines carry no receive time" in tape.meta.source.notes[0]
        assert tape.meta.statistics["instruments"]["BTC"]["context_before_first_time_dropped"] == 1


def test_several_files_are_read_in_order_of_their_times(tmp_path: Path) -> None:
    later = write(tmp_path / "a.gz", (T0 + 1010, book(T0 + 1000, bid="99.0")))
    first = write(tmp_path / "b.gz", (T0 + 10, book(T0)))
    with import_tape([later, first], tmp_path / "a.tape") as tape:
        assert [one.name for one in tape.meta.source.files] == ["b.gz", "a.gz"]
        assert tape.stream("exchange").rows == 4


def test_coins_can_be_chosen_and_spot_pairs_have_their_own_rules(tmp_path: Path) -> None:
    source = write(
        tmp_path / "a.gz", (T0 + 1, book(T0)), (T0 + 2, book(T0, "0.97925", "0.97934", coin="@162", ask_size="50.0"))
    )
    with import_tape(source, tmp_path / "a.tape", instruments=["@162"]) as tape:
        (spot,) = tape.meta.instruments
        assert (spot.name, spot.price_scale, spot.size_scale, spot.money_scale) == ("@162", 7, 1, 8)
    with pytest.raises(UserError, match="no instrument ETH; choose from @162, BTC"):
        import_tape(source, tmp_path / "b.tape", instruments=["ETH"])
    assert not (tmp_path / "b.tape").exists()


BAD = [
    ("{nonsense", "line 2: no message of Hyperliquid"),
    ("soon {}", "line 2: is neither `{message}` nor `time {message}`"),
    (json.dumps({"channel": "trades", "data": [{"coin": "BTC"}]}), "line 2: no trades message"),
    (json.dumps(book(T0 + 1, bid="1e")), "line 2: px '1e' is no number"),
    (json.dumps(trades(trade(T0 + 1, 1, side="X"))), "line 2: side is 'X', not A or B"),
    (json.dumps(trades(trade(T0 + 1, 1, price="abc"))), "line 2: price 'abc' is not a number"),
    (json.dumps(bbo(T0 + 1, level("-1", "1"), None)), "line 2: price '-1' is negative"),
]


@pytest.mark.parametrize(("line", "why"), BAD)
def test_a_wrong_line_is_named_and_nothing_is_written(tmp_path: Path, line: str, why: str) -> None:
    source = write(tmp_path / "a.jsonl", (T0 + 10, book(T0)))
    source.write_text(source.read_text() + line + "\n")
    with pytest.raises(UserError, match=f"a.jsonl, {why}"):
        import_tape(source, tmp_path / "a.tape")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_more_decimals_than_the_coin_has_are_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "a.gz", (T0 + 10, book(T0, bid="100.05")))
    with pytest.raises(UserError, match=r"BTC: the recording has prices off the step 0\.1"):
        import_tape(source, tmp_path / "a.tape")


@pytest.mark.parametrize("keep", [12, 40, -4])
def test_a_cut_off_capture_is_refused(tmp_path: Path, keep: int) -> None:
    source = write(tmp_path / "a.gz", *((T0 + i, book(T0 + i, bid=f"{90 + i % 9}.0")) for i in range(500)))
    source.write_bytes(source.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"a.gz is cut off or damaged"):
        import_tape(source, tmp_path / "a.tape")


def test_the_real_capture_of_25_seconds(shared_dir: Path, tmp_path: Path) -> None:
    with import_tape(
        shared_dir / "data/hyperliquid/ws_raw", tmp_path / "a.tape", "hyperliquid-ws", strict=True
    ) as tape:
        statistics = tape.meta.statistics
        btc = statistics["instruments"]["BTC"]
        assert statistics["lines"] == 55
        assert btc["snapshots"]["read"] == 46  # one of them repeated
        assert (btc["snapshots"]["kept"], btc["trades_kept"], btc["trades_backlog_dropped"]) == (45, 34, 30)
        assert statistics["received_before_sent"] == 0


def test_real_messages_of_every_channel(shared_dir: Path, tmp_path: Path) -> None:
    source = shared_dir / "data/multi_venue/tardis_node_hyperliquid_ws.jsonl"
    with import_tape(source, tmp_path / "a.tape", "hyperliquid-ws") as tape:
        statistics = tape.meta.statistics
        assert statistics["lines"] == 10
        assert statistics["other_messages"] == {"activeSpotAssetCtx": 1}
        found = statistics["instruments"]
        assert sum(one["trades_read"] for one in found.values()) == 6
        assert found["BTC"]["bbo_one_sided"] == found["SHIA"]["snapshots"]["one_sided_dropped"] == 1
        rows = tape_rows(tape)
        funding = rows[(rows[:, META] & 0xFF) == FUNDING]
        assert funding[:, 3:].tolist() == [[48_630_000, 3_600]]
