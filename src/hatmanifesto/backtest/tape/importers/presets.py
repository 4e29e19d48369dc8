"""Mappings of recordings that come up often: StandX and Aster sets, and Binance's deep books as Parquet.

They are ordinary mappings (mapping.py); what they assume is in their notes and in docs/tapes.md.
"""

from typing import Final

from hatmanifesto.backtest.tape.format import Footer
from hatmanifesto.backtest.tape.importers.columns import import_mapped
from hatmanifesto.backtest.tape.importers.mapping import Mapping, Rules, Table
from hatmanifesto.backtest.tape.importers.request import ImportRequest, Progress
from hatmanifesto.backtest.tape.writer import TapeWriter

_COIN_OF_NAME: Final = r"_([A-Z0-9]+(?:-[A-Z0-9]+)?)_"

STANDX: Final = Mapping(
    venue="standx",
    defaults=Rules(tick="0.01", lot="0.0001", maker_fee_bps="1", taker_fee_bps="4", max_leverage=20),
    tables=[
        Table(
            files="l2_*",
            kind="book",
            instrument_pattern=_COIN_OF_NAME,
            exchange_time="ts_ms",
            receive_time="recv_us",
            receive_unit="us",
            bid_price="bid_px_{level}",
            bid_size="bid_sz_{level}",
            ask_price="ask_px_{level}",
            ask_size="ask_sz_{level}",
            price_decimals=1,
            size_decimals=4,
            truncated_to="0.1",
        ),
        Table(
            files="trades_*",
            kind="trades",
            instrument_pattern=_COIN_OF_NAME,
            exchange_time="ts_ms",
            receive_time="recv_us",
            receive_unit="us",
            price="px_x100",
            size="sz_x10000",
            price_decimals=2,
            size_decimals=4,
        ),
    ],
)
"""Prices of the book are cut down to 0.1 while trades are on a 0.01 grid; the aggressor's side was not recorded."""

ASTER: Final = Mapping(
    venue="aster",
    latency="400ms",
    defaults=Rules(maker_fee_bps="1", taker_fee_bps="3.5"),
    instruments={
        "BTCUSDT": Rules(tick="0.1", lot="0.001", maker_fee_bps="1", taker_fee_bps="3.5", best_size="25"),
        "ETHUSDT": Rules(tick="0.01", lot="0.001", maker_fee_bps="1", taker_fee_bps="3.5", best_size="100"),
    },
    tables=[
        Table(
            files="orderbook*",
            kind="book",
            instrument_pattern=_COIN_OF_NAME,
            receive_time="unix_timestamp",
            receive_unit="s",
            bid_price="bid_price_{level}",
            bid_size="bid_qty_{level}",
            ask_price="ask_price_{level}",
            ask_size="ask_qty_{level}",
        ),
        Table(
            files="prices_*",
            kind="best",
            instrument_pattern=_COIN_OF_NAME,
            receive_time="unix_timestamp",
            receive_unit="s",
            bid_price="bid",
            ask_price="ask",
        ),
        Table(
            files="trades_*",
            kind="trades",
            instrument_pattern=_COIN_OF_NAME,
            exchange_time="unix_timestamp_ms",
            price="price",
            size="quantity",
            side="side",
            id="id",
        ),
    ],
)
"""Books and best prices have the recorder's clock only, trades the venue's only."""


def _deep(files: str, suffix: str) -> list[Table]:
    return [
        Table(
            files=f"lobdeep_*{files}*",
            kind="book",
            instrument_column="symbol",
            instrument_suffix=suffix,
            exchange_time="exch_ts_ms",
            receive_time="ts_ms",
            bid_price="bids_px",
            bid_size="bids_qty",
            ask_price="asks_px",
            ask_size="asks_qty",
        ),
        Table(
            files=f"trades_*{files}*",
            kind="trades",
            instrument_column="symbol",
            instrument_suffix=suffix,
            exchange_time="exch_ts_ms",
            receive_time="ts_ms",
            price="price",
            size="qty",
            side="side",
            id="trade_id",
        ),
    ]


BINANCE_DEEPBOOK: Final = Mapping(
    venue="binance",
    defaults=Rules(maker_fee_bps="2", taker_fee_bps="5"),
    instruments={
        "BTCUSDT": Rules(tick="0.1", lot="0.001", maker_fee_bps="2", taker_fee_bps="5"),
        "BTCUSDT-SPOT": Rules(tick="0.01", lot="0.00001", maker_fee_bps="10", taker_fee_bps="10", max_leverage=1),
    },
    tables=[*_deep("_spot_", "-SPOT"), *_deep("_fut_", "")],
)

PRESETS: Final[dict[str, Mapping]] = {"standx": STANDX, "aster": ASTER, "binance-deepbook": BINANCE_DEEPBOOK}


def import_standx(request: ImportRequest, writer: TapeWriter, progress: Progress) -> Footer:
    """Write one tape from StandX tables."""
    return import_mapped(request, writer, progress, STANDX, "standx")


def import_aster(request: ImportRequest, writer: TapeWriter, progress: Progress) -> Footer:
    """Write one tape from Aster tables."""
    return import_mapped(request, writer, progress, ASTER, "aster")


def import_deepbook(request: ImportRequest, writer: TapeWriter, progress: Progress) -> Footer:
    """Write one tape from Binance's deep books."""
    return import_mapped(request, writer, progress, BINANCE_DEEPBOOK, "binance-deepbook")
