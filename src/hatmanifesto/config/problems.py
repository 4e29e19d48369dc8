"""Mistakes in a configuration, collected so that a person sees every one of them at once."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple

from hatmanifesto.errors import UserError

_SHOWN: Final = 60


class Problem(NamedTuple):
    """One mistake: where it stands (`risk.account.max_leverage`), the value found, and what is allowed."""

    path: str
    value: str
    allowed: str

    def text(self) -> str:
        """Return the mistake as one line."""
        found = f" = {self.value}" if self.value else ""
        return f"{self.path}{found}: {self.allowed}"


def shown(value: object) -> str:
    """Return a value as it is repeated to the person, shortened."""
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def suggestion(name: str, known: Sequence[str]) -> str:
    """Return `did you mean …?` or the list of what there is."""
    close = get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"there is {', '.join(known)}" if known else "nothing may stand here"


def refuse(problems: Sequence[Problem], source: str) -> None:
    """Raise one UserError that names every mistake; return when there is none."""
    if not problems:
        return
    count = "a mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
    lines = "".join(f"\n  {problem.text()}" for problem in problems)
    raise UserError(f"{source} has {count}:{lines}", "correct them; examples/config.toml shows every setting")
