"""Coverage-guided fuzzing with atheris: `make fuzz`, or `python tests/fuzz/run.py --seconds 300` with src and tests on
the path.

What breaks is kept as a file `crash-…` beside the corpus, and is run again alone by naming it.
"""

import argparse
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["hatmanifesto.venues", "hatmanifesto.model"], enable_loader_override=False):
    import hatmanifesto.venues.hyperliquid.adapter
    import hatmanifesto.venues.hyperliquid.connection  # noqa: F401

from fuzz import venue_messages


def write_dictionary(path: Path, seeds: list[bytes]) -> None:
    """Write the words of honest inputs, so that whole names are tried in each other's places."""
    words: set[bytes] = set()
    for seed in seeds:
        for word in seed.split(b'"')[1::2]:
            if 0 < len(word) <= 40:
                words.add(word)
    words |= {
        b"null",
        b"true",
        b"[]",
        b"{}",
        b"1e9",
        b"-1",
        b"9" * 30,
        b"NaN",
        b"18446744073709551616",
        b"0x" + b"f" * 32,
    }
    lines = ('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in sorted(words))
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Fuzz for a bounded time, or run named inputs once."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("inputs", nargs="*", type=Path, help="run these inputs once instead of fuzzing")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--corpus", type=Path, default=Path(".cache/fuzz-corpus"))
    arguments = parser.parse_args()
    if arguments.inputs:
        for path in arguments.inputs:
            venue_messages.one_input(path.read_bytes())
            print(f"{path}: nothing broke")
        return
    arguments.corpus.mkdir(parents=True, exist_ok=True)
    seeds = venue_messages.seeds()
    for number, seed in enumerate(seeds):
        (arguments.corpus / f"honest-{number:02d}").write_bytes(seed)
    dictionary = arguments.corpus.parent / "fuzz-words"
    write_dictionary(dictionary, seeds)
    options = [
        sys.argv[0],
        str(arguments.corpus),
        f"-max_total_time={arguments.seconds}",
        f"-dict={dictionary}",
        f"-artifact_prefix={arguments.corpus}/",
        "-max_len=8192",
        "-rss_limit_mb=1024",  # a leak ends the run
        "-timeout=10",
        "-print_final_stats=1",
    ]
    atheris.Setup(options, venue_messages.one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
