"""Tables that fit the terminal: columns that do not fit beside each other go below, with the first one repeated."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

_GAP = 2


def print_table(out: Console, names: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> None:
    """Print rows of text under their names; the first column and those named in `left` begin at the left.

    Where the output is no terminal, everything stays in one table, however wide, for grep and awk.
    """
    widths = [max(len(name), *(len(row[at]) for row in rows)) if rows else len(name) for at, name in enumerate(names)]
    room = out.width if out.is_terminal else sum(widths) + _GAP * len(widths)
    begin = 1
    while begin < len(names) or begin == 1:
        end, used = begin, widths[0]
        while end < len(names) and (end == begin or used + _GAP + widths[end] <= room):
            used += _GAP + widths[end]
            end += 1
        if begin > 1:
            out.print()
        shown = [0, *range(begin, end)]
        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
        for at in shown:
            side = "left" if at == 0 or names[at] in left else "right"
            table.add_column(names[at], justify=side, no_wrap=True)  # type: ignore[arg-type]
        for row in rows:
            table.add_row(*(row[at] for at in shown))
        out.print(table, markup=False, highlight=False, width=max(room, used + _GAP), crop=False)
        begin = max(end, 2)
