"""placeholder"""

from pathlib import Path
from typing import Any

from hatmanifesto.backtest.projection import Projected


def write_report(path: Path, projected: Projected, summary: dict[str, Any]) -> None:
    path.write_text("")
