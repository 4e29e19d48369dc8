"""The terminal view of a running session: market, positions, orders, money and times, a few times a second."""

from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

MOST_ORDERS = 12


def view(answer: dict[str, Any], notes: list[str]) -> RenderableType:
    """Return the picture of one `status` answer, and the last notes."""
    status = answer["status"]
    return Group(
        _headline(status),
        _money(status),
        positions_table(answer["positions"]),
        orders_table(answer["orders"]),
        *[Text(note, style="dim") for note in notes[-3:]],
    )


def _headline(status: dict[str, Any]) -> RenderableType:
    state = status["state"]
    words = Text()
    words.append(f" {state} ", style="black on green" if state == "quoting" else "black on yellow")
    words.append(f"  session {status['session']}  running {_clock(status['running_seconds'])}")
    why = [f"{source}: {override}" for source, override in status["held_by"].items()]
    why += [f"{desk}: {override}" for desk, override in status["desks_held"].items()]
    why += [f"{name}: {trust}" for name, trust in status["untrusted"].items()]
    if why:
        words.append("  held by " + "; ".join(why), style="yellow")
    if status["foreign_fills"]:
        words.append(
            f"\n {status['foreign_fills']} fills of orders that are not ours: somebody else trades this account",
            style="yellow",
        )
    for difference in status["differences"]:
        words.append(f"\n {difference}", style="red")
    return words


def _money(status: dict[str, Any]) -> RenderableType:
    # four columns: they fit a terminal of 80
    table = Table.grid(padding=(0, 2))
    ratio = status["maker_ratio"]
    profit = status["profit"]
    table.add_row(
        _pair("equity", short(status["equity"])),
        _pair("profit", short(profit), "red" if profit.startswith("-") else "green"),
        _pair("fees", short(status["fees"])),
        _pair("funding", short(status["funding"])),
    )
    loop = status["loop_us"]
    faults = sum(status["faults"].values())
    table.add_row(
        _pair("traded", short(status["traded"])),
        _pair("maker", "-" if ratio is None else f"{ratio:.0%}"),
        _pair("fills", str(status["fills"])),
        _pair("loop p50/p99", f"{loop['p50']:.0f}/{loop['p99']:.0f} µs"),
    )
    table.add_row(
        _pair("placed", str(status["orders_placed"])),
        _pair("cancels", str(status["cancels_sent"])),
        _pair("denied", str(status["orders_denied"])),
        _pair("faults", str(faults), "red" if faults else ""),
    )
    return Panel(table, padding=(0, 1))


def _pair(name: str, value: str, style: str = "") -> Text:
    return Text.assemble((f"{name} ", "dim"), (value, f"bold {style}".strip()))


def positions_table(positions: list[dict[str, Any]]) -> RenderableType:
    """Return markets and positions as a table."""
    table = Table(expand=False, box=None, header_style="dim")
    for name in ("market", "bid", "ask", "position", "average", "unrealized", "realized", "fills"):
        table.add_column(name, justify="left" if name == "market" else "right")
    for entry in positions:
        table.add_row(
            entry["instrument"],
            entry["bid"],
            entry["ask"],
            entry["size"],
            entry["average_price"] if entry["size"] != "0" else "-",
            _signed(entry["unrealized"]),
            _signed(entry["realized"]),
            str(entry["fills"]),
        )
    return table


def orders_table(orders: list[dict[str, Any]], most: int = MOST_ORDERS) -> RenderableType:
    """Return the live orders as a table, the last `most` of them."""
    table = Table(expand=False, box=None, header_style="dim")
    for name in ("order", "side", "price", "size", "filled", "state", "age"):
        table.add_column(name, justify="left" if name in ("order", "side", "state") else "right")
    for entry in orders[-most:]:
        side = entry["side"]
        table.add_row(
            entry["instrument"],
            Text(side, style="green" if side == "buy" else "red"),
            entry["price"],
            entry["size"],
            entry["filled"],
            entry["state"],
            f"{entry['age_seconds']:.1f} s",
        )
    if not orders:
        return Text("no open orders", style="dim")
    return table


def _signed(text: str) -> Text:
    value = short(text)
    return Text(value, style="red" if value.startswith("-") else "green" if value.strip("0.") else "")


def short(text: str) -> str:
    """Return money with two decimals, cut off."""
    whole, _, fraction = text.partition(".")
    return f"{whole}.{(fraction + '00')[:2]}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
