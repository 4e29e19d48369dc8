"""`hat --version`: what runs, and a loud failure when the binaries are not those of the sources."""

import json
import sys
from typing import Final

import hatmanifesto
from hatmanifesto import build

EXIT_STALE_BUILD: Final = 3


def show_version(as_json: bool) -> int:
    """Print what runs; return the exit code: 0, or 3 when binaries and sources do not belong together."""
    problem = build_problem()
    built = build.info()
    facts = {
        "version": hatmanifesto.__version__,
        "mode": build.mode(),
        "python": build.python(),
        "source_hash": build.source_hash(),
        "built_from": built.get("source_hash"),
        "reason": built.get("reason", "run from the sources"),
        "sanitized": bool(built.get("sanitized", False)),
        "problem": problem,
    }
    if as_json:
        print(json.dumps(facts))
    else:
        note = ", overflow sanitizer" if facts["sanitized"] else ""
        running = f"{facts['mode']}{note}"
        print(f"hat {facts['version']} ({running}) on {facts['python']}, sources {facts['source_hash']}")
        if facts["mode"] == "interpreted":
            print(f"Interpreted ({facts['reason']}): everything works, about ten times slower.")
    if problem:
        print(f"hat: STALE BUILD: {problem}", file=sys.stderr)
        return EXIT_STALE_BUILD
    return 0


def build_problem() -> str | None:
    """What is wrong with the build that would be loaded, with its remedy; None when it is sound."""
    try:
        build.check()
    except build.StaleBuildError as error:
        return str(error)
    return None
