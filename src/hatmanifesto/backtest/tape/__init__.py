"""Tapes: recorded market data as packed rows in two time orders, imported once and streamed by backtests."""

from hatmanifesto.backtest.tape.format import InstrumentSpec, RowStream, TapeLike
from hatmanifesto.backtest.tape.reader import MemoryTape, Tape
from hatmanifesto.backtest.tape.writer import TapeWriter

__all__ = ["Tape", "MemoryTape", "TapeWriter", "TapeLike", "RowStream", "InstrumentSpec"]
