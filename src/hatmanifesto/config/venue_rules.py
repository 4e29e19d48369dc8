"""What `auto` means for fees, funding and margin: the rules of the tape's venue as far as they are known and shown.

A faithful backtest has them all. Where one is left out, the reason is kept in the plan and said in the report.
"""

from typing import Final, NamedTuple

from hatmanifesto.config.clearing_settings import FeeSettings, FundingSettings, MarginSettings
from hatmanifesto.config.settings import ExchangeSettings
from hatmanifesto.model.instrument import Instrument

WITH_RULES: Final = ("hyperliquid",)
"""Venues whose fee schedule and margin rules for perpetuals are in `model`."""


class VenueFacts(NamedTuple):
    """What a tape shows of its venue: its name for each instrument, and the shortest interval of funding rates in ns.

    An empty name is a venue that is not known; an interval of 0 a tape without rates.
    """

    venues: list[str]
    funding_ns: int = 0


class VenueRules(NamedTuple):
    """Settings in which nothing is `auto`, and why what `auto` could not have is left out, by section."""

    fees: FeeSettings
    funding: FundingSettings
    margin: MarginSettings
    left_out: dict[str, str]


def rules_for(settings: ExchangeSettings, instruments: list[Instrument], facts: VenueFacts | None) -> VenueRules:
    """Decide every `auto`. Without facts (a live session: the venue itself does all this) nothing is simulated."""
    found = _Decision(settings, instruments, facts)
    return VenueRules(found.fees(), found.funding(), found.margin(), found.left_out)


class _Decision:
    def __init__(self, settings: ExchangeSettings, instruments: list[Instrument], facts: VenueFacts | None) -> None:
        self.settings = settings
        self.facts = facts
        self.left_out: dict[str, str] = {}
        self.contract = settings.model == "reference"
        self.unknown = _without_rules(instruments, facts) if facts is not None else ""

    def fees(self) -> FeeSettings:
        asked = self.settings.fees
        if asked.schedule != "auto":
            return asked
        by_hand = self.settings.maker_fee_bps is not None or self.settings.taker_fee_bps is not None
        if by_hand:
            self.leave("fees", "rates are set by hand")
        elif self.unknown:
            self.leave("fees", f"no schedule of {self.unknown} is known here")
        elif self.contract:
            self.leave("fees", "the exchange model reference has fixed rates")
        schedule = "instrument" if self.facts is None or "fees" in self.left_out else "hyperliquid"
        return asked.model_copy(update={"schedule": schedule})

    def funding(self) -> FundingSettings:
        asked = self.settings.funding
        if asked.source != "auto":
            return asked
        if self.contract:
            self.leave("funding", "the exchange model reference does not know it")
        elif self.facts is not None and not self.facts.funding_ns:
            self.leave("funding", "the tape has no funding rates")
        if self.facts is None or "funding" in self.left_out:
            return asked.model_copy(update={"source": "off"})
        interval = asked.interval if "interval" in asked.model_fields_set else self.facts.funding_ns
        return asked.model_copy(update={"source": "tape", "interval": interval})

    def margin(self) -> MarginSettings:
        asked = self.settings.margin
        if asked.mode != "auto":
            return asked
        if self.contract:
            self.leave("margin", "the exchange model reference does not know it")
        elif self.unknown:
            self.leave("margin", f"no margin rules of {self.unknown} are known here")
        mode = "off" if self.facts is None or "margin" in self.left_out else "cross"
        return asked.model_copy(update={"mode": mode})

    def leave(self, section: str, why: str) -> None:
        if self.facts is not None:
            self.left_out[section] = why


def _without_rules(instruments: list[Instrument], facts: VenueFacts) -> str:
    """Name what keeps the known rules from holding for every instrument, empty where nothing does."""
    for instrument, venue in zip(instruments, facts.venues, strict=True):
        if venue not in WITH_RULES:
            return venue or "the tape's venue"
        if instrument.max_leverage <= 1:
            return f"{venue} for spot pairs"
    return ""
