"""From settings to plans for what the simulated venue does with money: fee schedule, funding, margin."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final

from hatmanifesto.config.clearing_settings import FeeSettings, FundingSettings, MarginSettings
from hatmanifesto.config.plan import FeePlan, FundingPlan, InstrumentPlan, MarginPlan
from hatmanifesto.config.problems import shown, suggestion
from hatmanifesto.config.quantities import exact_decimal, to_units
from hatmanifesto.errors import UserError
from hatmanifesto.model.margin_tables import hyperliquid_tiers

FUNDING_DECIMALS: Final = 12
_LARGEST_RATE: Final = Decimal("0.5")
_LINE: Final = "time_ns,instrument,rate"
_ONLY_WITH_SCHEDULE: Final = (
    'counts only with schedule = "hyperliquid", or "auto" on a tape of that venue\'s perpetuals'
)

Complain = Callable[[str, object, str], None]
"""Takes a mistake: where it stands, the value, what is allowed."""


def _units(path: str, number: Decimal, scale: int, complain: Complain) -> int:
    try:
        return to_units(number, scale)
    except ValueError as error:
        complain(path, number, str(error))
        return 0


def fee_plan(settings: FeeSettings, complain: Complain) -> FeePlan | None:
    """Return the account's place in a schedule; None for the instruments' own rates."""
    if settings.schedule == "instrument":
        plain = FeeSettings()
        for key in sorted(settings.model_fields_set - {"schedule"}):
            if getattr(settings, key) != getattr(plain, key):
                complain(f"exchange.fees.{key}", getattr(settings, key), _ONLY_WITH_SCHEDULE)
        return None
    return FeePlan(
        schedule=settings.schedule,
        volume=_units("exchange.fees.volume_14d", settings.volume_14d, 0, complain),
        maker_share=_units("exchange.fees.maker_share", settings.maker_share, 9, complain),
        staked=_units("exchange.fees.staked", settings.staked, 6, complain),
        referred=settings.referred,
        builder_tenths=_units("exchange.fees.builder_fee_bps", settings.builder_fee_bps, 1, complain),
    )


def funding_plan(settings: FundingSettings, names: list[str], folder: Path, complain: Complain) -> FundingPlan | None:
    """Return how funding is paid, None when it is off. UserError when the file of rates cannot be used."""
    plain = FundingSettings()
    for key, source in (("rate", "constant"), ("file", "file")):
        if getattr(settings, key) != getattr(plain, key) and settings.source != source:
            complain(f"exchange.funding.{key}", getattr(settings, key), f'counts only with source = "{source}"')
    if settings.source == "off":
        return None
    if settings.interval % 1_000_000_000:
        complain("exchange.funding.interval", f"{settings.interval}ns", "must be whole seconds")
    constant: int | None = None
    table: list[tuple[int, int, int]] = []
    if settings.source == "constant":
        if abs(settings.rate) > _LARGEST_RATE:
            complain("exchange.funding.rate", settings.rate, "must lie between -0.5 and 0.5, a fraction of notional")
        constant = _units("exchange.funding.rate", settings.rate, FUNDING_DECIMALS, complain)
    if settings.source == "file":
        if settings.file is None:
            complain("exchange.funding.file", "", f'source = "file" needs a file of lines {_LINE}')
        else:
            table = read_rates(folder / settings.file, names)
    return FundingPlan(interval_ns=settings.interval, constant=constant, table=table)


def margin_plan(
    settings: MarginSettings, instruments: list[InstrumentPlan], money_scale: int, complain: Complain
) -> MarginPlan | None:
    """Return the venue's margin rules with every instrument's tiers, None when they are off."""
    if settings.mode == "off":
        return None
    return MarginPlan(
        isolated=settings.mode == "isolated",
        mark_interval_ns=settings.mark_interval,
        partial_notional=_units("exchange.margin.partial_above", settings.partial_above, money_scale, complain),
        deleverage_move=_units("exchange.margin.deleverage_move_bps", settings.deleverage_move_bps, 5, complain),
        deleverage_percent=settings.deleverage_percent,
        tiers=[hyperliquid_tiers(entry.name, entry.max_leverage, 10**money_scale) for entry in instruments],
    )


def read_rates(path: Path, names: list[str]) -> list[tuple[int, int, int]]:
    """Read funding rates: CSV lines of time_ns,instrument,rate (a fraction of notional an interval, up to twelve
    decimals).

    A header and lines of instruments that are not traded are skipped. UserError names the line that is wrong.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read", f"name a CSV file of {_LINE}") from error
    rates: list[tuple[int, int, int]] = []
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        words = [word.strip() for word in line.split(",")]
        if not line.strip() or (number == 1 and not words[0].isdigit()):
            continue
        try:
            time_text, name, rate_text = words
            rate = exact_decimal(rate_text)
            entry = (int(time_text), name, to_units(rate, FUNDING_DECIMALS))
        except ValueError:
            raise UserError(
                f"{path}, line {number}: {shown(line)} is not {_LINE}",
                "correct that line; the rate is a decimal with at most twelve places",
            ) from None
        if entry[0] < 0 or abs(rate) > _LARGEST_RATE:
            raise UserError(
                f"{path}, line {number}: the time must not be negative and the rate lie between -0.5 and 0.5",
                "correct that line",
            )
        seen.add(name)
        if name in names:
            rates.append((entry[0], names.index(name), entry[2]))
    if not rates:
        known = sorted(seen)
        hint = suggestion(names[0], known) if names and known else f"write lines of {_LINE}"
        raise UserError(f"{path} has no rate of {', '.join(names)}", hint)
    return sorted(rates)
