"""Reading what the expected-value router journaled."""

from typing import NamedTuple

from hatmanifesto.core.routing.rules import Rules, UrgencyRules
from hatmanifesto.model import record
from hatmanifesto.model.order import IMMEDIATE_OR_CANCEL, POST_ONLY, time_in_force_of
from hatmanifesto.model.routing import POST, POST_CAPPED, POST_VALUE, TAKE_AGE, TAKE_ASKED, TAKE_VALUE, VERDICTS
from support.engines import S
from support.rows import Entry

POSTS = {POST, POST_VALUE, POST_CAPPED}
TAKES = {TAKE_VALUE, TAKE_AGE, TAKE_ASKED}


class Routed(NamedTuple):
    """One order with the decision that sent it."""

    order: Entry
    why: Entry

    @property
    def verdict(self) -> int:
        return self.why.aux & 0xFF


def routed_orders(entries: list[Entry]) -> list[Routed]:
    """Join orders to their reasons; every submission and denial must have one, of its own kind."""
    found: list[Routed] = []
    waiting: list[Entry] = []
    for entry in entries:
        if entry.kind == record.VIEW:
            assert not waiting, "an order was announced and not sent"
        elif entry.kind == record.ROUTE and entry.aux & 0xFF in POSTS | TAKES:
            waiting.append(entry)
        elif entry.kind in (record.SUBMIT, record.DENY):
            why = waiting.pop(0)
            for name in ("price", "size", "side_flags"):
                assert why.fields[name] == entry.fields[name]
            wanted = POST_ONLY if why.aux & 0xFF in POSTS else IMMEDIATE_OR_CANCEL
            assert time_in_force_of(entry.fields["side_flags"]) == wanted
            found.append(Routed(entry, why))
    assert not waiting
    return found


def verdicts(entries: list[Entry]) -> list[str]:
    """The keys of every decision, in sequence."""
    return [VERDICTS[entry.aux & 0xFF].key for entry in entries if entry.kind == record.ROUTE]


def some_rules(**changes: object) -> Rules:
    """Rules whose intents post by value until 20 s and take by age at 60 s."""
    rules = Rules()
    rules.drift_ppm = 0
    rules.max_book_age_ns = 1000 * S
    rules.urgencies = [
        UrgencyRules(
            improve_after_ns=5 * S, touch_after_ns=15 * S, take_after_ns=60 * S, cap_ppb=20_000_000, weight_percent=100
        )
        for _ in range(3)
    ]
    for name, value in changes.items():
        setattr(rules, name, value)
    return rules
