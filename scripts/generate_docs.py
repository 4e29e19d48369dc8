"""Makes the pages that come from the code: docs/order-lifecycle.md and docs/refusals.md.

`python scripts/generate_docs.py` writes them; a test finds when they have drifted.
"""

from pathlib import Path
from typing import Final

from hatmanifesto.model.order_state import (
    DENY_PATH,
    DONE_STATES,
    FINAL_STATE,
    LIVE_STATES,
    STATE_MEANINGS,
    SUBMIT_PATH,
    TRANSITIONS,
    OrderState,
    Trigger,
)
from hatmanifesto.model.reasons import REASONS

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
NOTE: Final = "<!-- made by scripts/generate_docs.py from the code: do not edit -->"


def order_lifecycle() -> str:
    """Return the page on order states: meanings, the table of transitions, and a diagram."""
    lines = [
        NOTE,
        "# Order lifecycle",
        "",
        "Every own order is in one of these states, and only the state machine moves it, always by the table below. "
        "*Live* means that the venue has the order or may have it, so that it counts toward exposure.",
        "",
        "| state | kind | meaning |",
        "| --- | --- | --- |",
    ]
    for state in OrderState:
        lines.append(f"| `{state.name}` | {_kind(state)} | {STATE_MEANINGS[state]} |")
    submit = " → ".join(f"`{Trigger(trigger).name}`" for trigger in SUBMIT_PATH)
    deny = " → ".join(f"`{Trigger(trigger).name}`" for trigger in DENY_PATH)
    lines += [
        "",
        "## Transitions",
        "",
        "What is not in this table does not happen: the state stays, and a fault `unexpected_event` is journaled.",
        "",
        "| state | trigger | next state |",
        "| --- | --- | --- |",
    ]
    for (before, trigger), after in sorted(TRANSITIONS.items()):
        lines.append(f"| `{OrderState(before).name}` | `{Trigger(trigger).name}` | `{OrderState(after).name}` |")
    lines += [
        "",
        "Two paths are taken in one step and journaled as one record: a new order's way to the wire, "
        f"{submit} (record `submit`), and a local refusal, {deny} (record `deny`).",
        "",
        "```mermaid",
        "stateDiagram-v2",
        "    [*] --> idle",
    ]
    edges: dict[tuple[int, int], list[str]] = {}
    for (before, trigger), after in sorted(TRANSITIONS.items()):
        if before != after:
            edges.setdefault((before, after), []).append(Trigger(trigger).name)
    for (before, after), triggers in edges.items():
        lines.append(f"    {OrderState(before).name} --> {OrderState(after).name}: {', '.join(triggers)}")
    lines += [f"    {OrderState(FINAL_STATE).name} --> [*]", "```", ""]
    return "\n".join(lines)


def _kind(state: OrderState) -> str:
    if state in LIVE_STATES:
        return "live"
    if state in DONE_STATES:
        return "ended"
    return "final" if state == FINAL_STATE else "local"


def refusals() -> str:
    """Return the page on reasons: number, key, who says it, message, meaning, remedy."""
    lines = [
        NOTE,
        "# Refusals and other reasons",
        "",
        "Why an order was refused, cancelled or reported. The number stands in the journal and never gets another "
        "meaning; a refusal's record also has the value that broke the rule and the limit.",
        "",
        "| number | key | said by | message | meaning | what to do |",
        "| ---: | --- | --- | --- | --- | --- |",
    ]
    for number, reason in sorted(REASONS.items()):
        lines.append(
            f"| {number} | `{reason.key}` | {reason.component} | {reason.message} | {reason.meaning} "
            f"| {reason.remedy} |"
        )
    return "\n".join([*lines, ""])


PAGES: Final = {"order-lifecycle.md": order_lifecycle, "refusals.md": refusals}


def main() -> None:
    """Write every page."""
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")
        print(f"docs/{name} written")


if __name__ == "__main__":
    main()
