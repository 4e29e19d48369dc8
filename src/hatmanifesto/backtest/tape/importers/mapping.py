"""What the columns of a table mean: the mapping of `hat tape import --map`, checked with every error at once."""

import fnmatch
import re
import tomllib
from pathlib import Path
from typing import Final, Literal

import msgspec

from hatmanifesto.config.quantities import duration_ns, rate_of_bps
from hatmanifesto.errors import UserError

LEVEL: Final = "{level}"

Kind = Literal["trades", "book", "best", "levels"]
TimeUnit = Literal["s", "ms", "us", "ns", "iso"]


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a recording does not say of an instrument. Texts are decimals; an empty step is inferred.

    `best_size` stands in for the sizes of best prices that were recorded without.
    """

    tick: str = ""
    lot: str = ""
    maker_fee_bps: str = "1.5"
    taker_fee_bps: str = "4.5"
    max_leverage: int = 20
    best_size: str = ""

    def maker_fee(self) -> int:
        """Return the maker's rate in parts per billion."""
        return rate_of_bps(self.maker_fee_bps)

    def taker_fee(self) -> int:
        """Return the taker's rate in parts per billion."""
        return rate_of_bps(self.taker_fee_bps)


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of file. Column names are as in the file; `{level}` in a name counts levels from `first_level`.

    `trades`: price, size, side (left out: inferred from the book), id. `book`: whole books, a row each, either in
    one column a level (`bid_px_{level}`) or in list columns. `best`: bid_price and ask_price, sizes if there are.
    `levels`: one changed level a row; rows with the same times are one message; `snapshot` flags rows of whole books.
    """

    files: str
    kind: Kind
    instrument: str = ""
    instrument_column: str = ""
    instrument_pattern: str = ""
    instrument_suffix: str = ""
    exchange_time: str = ""
    exchange_unit: TimeUnit = "ms"
    receive_time: str = ""
    receive_unit: TimeUnit = "ms"
    price: str = ""
    size: str = ""
    price_decimals: int = 0
    size_decimals: int = 0
    side: str = ""
    buy: tuple[str, ...] = ("buy", "b", "bid")
    sell: tuple[str, ...] = ("sell", "s", "ask", "a")
    id: str = ""
    first_level: int = 0
    bid_price: str = ""
    bid_size: str = ""
    ask_price: str = ""
    ask_size: str = ""
    truncated_to: str = ""
    snapshot: str = ""
    snapshot_words: tuple[str, ...] = ("true", "1")

    def named(self, path: Path) -> bool:
        """Tell whether a file is of this table, by its name."""
        return fnmatch.fnmatchcase(path.name, self.files)

    def wide(self) -> bool:
        """Tell whether levels lie in columns of their own."""
        return LEVEL in self.bid_price

    def needed(self) -> list[str]:
        """Return the columns that the table must have, those of levels left out."""
        names = [self.exchange_time, self.receive_time, self.price, self.size, self.side, self.id]
        names += [self.instrument_column, self.snapshot]
        if not self.wide():
            names += [self.bid_price, self.bid_size, self.ask_price, self.ask_size]
        return [name for name in dict.fromkeys(names) if name]

    def level_columns(self, columns: list[str]) -> list[tuple[str, str, str, str]]:
        """Return (bid price, bid size, ask price, ask size) columns of each level that the table has."""
        found = []
        for level in range(self.first_level, self.first_level + len(columns)):
            names = [
                template.replace(LEVEL, str(level))
                for template in (self.bid_price, self.bid_size, self.ask_price, self.ask_size)
            ]
            if not all(name in columns for name in names):
                break
            found.append((names[0], names[1], names[2], names[3]))
        return found

    def fits(self, columns: list[str]) -> bool:
        """Tell whether a file with these columns can be read as this table."""
        if any(name not in columns for name in self.needed()):
            return False
        return not self.wide() or bool(self.level_columns(columns))

    def problems(self) -> list[str]:
        """Return everything that makes no table."""
        found = []
        if not (self.exchange_time or self.receive_time):
            found.append("needs exchange_time or receive_time")
        if not (self.instrument or self.instrument_column or self.instrument_pattern):
            found.append("needs instrument, instrument_column or instrument_pattern")
        if self.instrument_pattern:
            try:
                if re.compile(self.instrument_pattern).groups != 1:
                    found.append("instrument_pattern needs one group: ^trades_([A-Z]+)_")
            except re.error as error:
                found.append(f"instrument_pattern is no regular expression: {error}")
        required = {
            "trades": ("price", "size"),
            "levels": ("price", "size", "side"),
            "book": ("bid_price", "bid_size", "ask_price", "ask_size"),
            "best": ("bid_price", "ask_price"),
        }[self.kind]
        found += [f"needs {name}" for name in required if not getattr(self, name)]
        if self.kind == "book":
            templates = [LEVEL in getattr(self, name) for name in required]
            if any(templates) and not all(templates):
                found.append(f"uses {LEVEL} in some of bid_price, bid_size, ask_price, ask_size only")
        if self.kind == "best" and bool(self.bid_size) != bool(self.ask_size):
            found.append("needs both bid_size and ask_size, or none")
        if not (0 <= self.price_decimals <= 10 and 0 <= self.size_decimals <= 8):
            found.append("price_decimals must lie between 0 and 10, size_decimals between 0 and 8")
        return found


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All tables of a recording. `latency` stands in for the way to the recorder where a table has one clock only."""

    tables: list[Table]
    venue: str = "other"
    latency: str = "0ms"
    defaults: Rules = Rules()
    instruments: dict[str, Rules] = {}
    notes: list[str] = []

    def latency_ns(self) -> int:
        """Return `latency` in nanoseconds."""
        return duration_ns(self.latency)

    def rules(self, name: str) -> Rules:
        """Return what holds for an instrument."""
        return self.instruments.get(name, self.defaults)

    def table_of(self, path: Path, columns: list[str]) -> Table:
        """Return the table that a file is; raises UserError naming what is missing."""
        named = [table for table in self.tables if table.named(path)]
        if not named:
            raise UserError(
                f"the mapping says nothing of {path.name}",
                f"add a [[tables]] with files = {path.name!r}, or leave the file out",
            )
        for table in named:
            if table.fits(columns):
                return table
        missing = [name for name in named[0].needed() if name not in columns] or [named[0].bid_price]
        raise UserError(
            f"{path.name} has no column {', '.join(missing)}",
            f"its columns are: {', '.join(columns[:12])}{' …' if len(columns) > 12 else ''}",
        )


def load_mapping(path: Path) -> Mapping:
    """Read a mapping; raises UserError with everything that is wrong with it."""
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "check its name and permissions") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no TOML: {error}", "see docs/tapes.md for an example") from error
    try:
        mapping = msgspec.convert(found, Mapping)
    except msgspec.ValidationError as error:
        raise UserError(f"{path}: {error}", "see docs/tapes.md for the keys of a mapping") from error
    problems = [
        f"tables[{place}] ({table.kind}, {table.files}) {problem}"
        for place, table in enumerate(mapping.tables)
        for problem in table.problems()
    ]
    if not mapping.tables:
        problems.append("it has no [[tables]]")
    for what, check in (
        ("latency", mapping.latency_ns),
        *((f"{name}: maker_fee_bps", rules.maker_fee) for name, rules in _all_rules(mapping)),
        *((f"{name}: taker_fee_bps", rules.taker_fee) for name, rules in _all_rules(mapping)),
    ):
        try:
            check()
        except ValueError as error:
            problems.append(f"{what} {error}")
    if problems:
        raise UserError(f"{path}: {'; '.join(problems)}", "see docs/tapes.md for the keys of a mapping")
    return mapping


def _all_rules(mapping: Mapping) -> list[tuple[str, Rules]]:
    return [("defaults", mapping.defaults), *mapping.instruments.items()]
