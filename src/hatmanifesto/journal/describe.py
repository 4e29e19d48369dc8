"""The table of record kinds in docs/journal.md, made from model.record.

`python -m hatmanifesto.journal.describe docs/journal.md` renews it; a test finds when it has drifted.
"""

import sys
from pathlib import Path
from typing import Final

from hatmanifesto.model import record

BEGIN: Final = "<!-- record kinds: made by hatmanifesto.journal.describe, do not edit -->"
END: Final = "<!-- end of record kinds -->"


def record_table() -> str:
    """Return the kinds as a Markdown table: number, name, direction, words 2 and on."""
    lines = ["| kind | name | engine | words from 2 on |", "| ---: | --- | --- | --- |"]
    for kind, name in sorted(record.KIND_NAMES.items()):
        if kind >= record.FIRST_BLOB:
            direction = "in" if kind in record.INPUTS else "–"
            fields = "length, CRC-32, JSON"
        else:
            direction = "in" if kind in record.INPUTS else "out"
            fields = ", ".join(f"`{field}`" for field in record.FIELDS[kind])
        lines.append(f"| {kind} | `{name}` | {direction} | {fields} |")
    return "\n".join(lines)


def renewed(page: str) -> str:
    """Return the page with its table made anew; ValueError when it has no place for one."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{record_table()}\n{END}{after}"


def main() -> None:
    """Renew the table in the page named on the command line."""
    page = Path(sys.argv[1])
    page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
