"""The configuration file: its sections, defaults and checks.

Money and sizes are decimal text or TOML numbers, read exactly; times are text with a unit. Parsing never
stops at the first mistake: what is wrong is collected, what is right is kept, so that later checks can add
theirs.
"""

import tomllib
from decimal import Decimal
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from hatmanifesto.config.clearing_settings import FeeSettings, FundingSettings, MarginSettings
from hatmanifesto.config.ledger_settings import LedgerSettings
from hatmanifesto.config.problems import Problem, shown, suggestion
from hatmanifesto.config.quantities import Amount, Bps, Duration
from hatmanifesto.config.router_settings import Policy, RouterSettings, StrategyRouter
from hatmanifesto.config.section import Section
from hatmanifesto.errors import UserError

DEFAULT: Final = "default"
"""The section of `risk.instrument` that holds for every instrument without one of its own."""
TriggerName = Literal["best_changed", "traded_through", "own_event", "timer"]
ExchangeModel = Literal["auto", "queue", "cross", "reference"]
QueueModelName = Literal["risk_averse", "traced", "power", "power2", "power3", "log", "log2"]
LatencyModel = Literal["auto", "constant", "recorded", "lognormal", "sampled", "feed"]
POWER_MODELS: Final = ("traced", "power", "power2", "power3")


class AccountSettings(Section):
    """`[account]`: deposit in quote currency."""

    deposit: Annotated[Amount, Field(gt=0)] = Decimal("10000")


class AccountRisk(Section):
    """`[risk.account]`: worst-case gross notional, gross notional / equity, orders live and sent a second."""

    max_account_notional: Amount = Decimal("50000")
    max_leverage: Annotated[Amount, Field(gt=0, le=1000)] = Decimal("5")
    max_open_orders: Annotated[int, Field(ge=0, le=16_384)] = 100
    max_orders_per_second: Annotated[int, Field(ge=0, le=1_000_000)] = 200


class InstrumentRisk(Section):
    """`[risk.instrument.NAME]`: sizes in coins (left out: what the instrument allows), notionals in quote."""

    max_order_size: Amount | None = None
    max_order_notional: Amount = Decimal("1000")
    max_position: Amount | None = None
    max_position_notional: Amount = Decimal("5000")
    leverage: Annotated[int, Field(ge=1, le=1000)] = 10


class RiskSettings(Section):
    """`[risk]`."""

    account: AccountRisk = AccountRisk()
    instrument: dict[str, InstrumentRisk] = {}

    def limits_of(self, name: str) -> InstrumentRisk:
        """Return an instrument's limits: its own section's keys, over those of `default`."""
        general = self.instrument.get(DEFAULT, InstrumentRisk())
        own = self.instrument.get(name)
        if own is None:
            return general
        return general.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})


class StrategySettings(Section):
    """`[strategies.NAME]`: a class, where it trades, its constructor's arguments, and when it is asked.

    `class` is a shipped strategy's name or `file.py:ClassName`; `instruments` left out means all. Times left
    out are the class's own.
    """

    cls: Annotated[str, Field(alias="class", min_length=1)] = "touch_joiner"
    instruments: Annotated[list[str], Field(min_length=1)] | None = None
    params: dict[str, Any] = {}
    max_notional: Amount | None = None
    triggers: Annotated[list[TriggerName], Field(min_length=1)] | None = None
    interval: Annotated[Duration, Field(gt=0)] | None = None
    min_decision_interval: Duration | None = None
    router: StrategyRouter = StrategyRouter()


class EngineSection(Section):
    """`[engine]`: how long answers may take, how old a book may be, and how quotes are kept."""

    answer_timeout: Annotated[Duration, Field(ge=1_000_000)] = 5_000_000_000
    max_cancel_attempts: Annotated[int, Field(ge=1, le=20)] = 5
    max_book_age: Annotated[Duration, Field(gt=0)] = 10_000_000_000
    min_decision_interval: Duration | None = None
    equity_interval: Annotated[Duration, Field(gt=0)] = 1_000_000_000
    router: Policy = "keep"
    refresh_tolerance_ticks: Annotated[int, Field(ge=0, le=10_000)] = 0


class ExchangeSettings(Section):
    """`[exchange]`: the simulated venue.

    `queue_model` is how the exchange model `queue` reads what a level loses besides prints; `queue_power` the exponent
    of the powers.
    `latency_model` `auto` is `recorded` with a `latency_file`, `constant` without one. `lognormal` takes the two
    latencies as medians, with the `_p99` keys and `latency_floor`; `sampled` draws from that file; `feed` takes
    the market data's own delay on the tape for both ways. The key `feed` is
    `recorded` (rows reach the engine when they reached the recorder) or a constant delay. Pessimistic fills multiply
    the latencies of requests and answers by `pessimistic_latency_factor`.
    """

    model: ExchangeModel = "auto"
    queue_model: QueueModelName = "traced"
    queue_power: Annotated[Amount, Field(ge=Decimal("0.001"), le=100)] = Decimal("3")
    order_entry_latency: Duration = 10_000_000
    response_latency: Duration = 10_000_000
    latency_model: LatencyModel = "auto"
    order_entry_latency_p99: Duration | None = None
    response_latency_p99: Duration | None = None
    latency_floor: Duration = 0
    latency_file: Annotated[str, Field(min_length=1)] | None = None
    feed: Literal["recorded"] | Duration = "recorded"
    pessimistic_latency_factor: Annotated[Amount, Field(ge=1, le=1000)] = Decimal("2")
    maker_fee_bps: Bps | None = None
    taker_fee_bps: Bps | None = None
    fees: FeeSettings = FeeSettings()
    funding: FundingSettings = FundingSettings()
    margin: MarginSettings = MarginSettings()


class VenueSettings(Section):
    """`[venue]`: where live orders go, as which account, and where the keys are; keys themselves are never here.

    `url` is `mainnet`, `testnet` or an address such as http://127.0.0.1:3001. `account` is the account's own address.
    A key is `env:NAME` (an environment variable) or `keystore:FILE` (encrypted); the guard needs one of its own.
    """

    name: Literal["hyperliquid"] = "hyperliquid"
    url: Annotated[str, Field(min_length=1)] = "testnet"
    account: str | None = None
    key: Annotated[str, Field(pattern=r"^(env|keystore):.+")] = "env:HAT_AGENT_KEY"
    guard_key: Annotated[str, Field(pattern=r"^(env|keystore):.+")] = "env:HAT_GUARD_KEY"
    second_source: str | None = None


def _off_or_long_enough(lead_ns: int) -> int:
    """A venue wants its dead man's switch some seconds ahead, and it is set anew three times before it goes off."""
    if 0 < lead_ns < 15_000_000_000:
        raise ValueError("must be 0s (not used) or at least 15s")
    return lead_ns


class TradingSettings(Section):
    """`[trading]`: how a live session looks after itself.

    When the trader's loop has not turned for `guard_timeout`, the guard ends it and cancels everything; with
    `flatten_on_guard` it closes the positions too, and with `flatten_on_stop` an orderly stop does. After a turn, at
    most every `rehearse_interval` (0s = never), the way of an order to the socket is walked with a worthless key, so
    that the next real one takes it faster. `prepared_signatures` are kept ready (0 = none). With `busy_poll` the
    trader never sleeps: it takes a whole core, and `core` says which one its loop stays on.
    `open_orders` says what becomes of orders that an earlier session left open: they are taken over with their queue
    positions, or cancelled. The venue's own `dead_mans_switch` is kept so far ahead (0s = it is left alone).
    """

    reconcile_interval: Annotated[Duration, Field(ge=1_000_000_000)] = 60_000_000_000
    checkpoint_interval: Annotated[Duration, Field(ge=1_000_000_000)] = 60_000_000_000
    journal_sync_interval: Annotated[Duration, Field(ge=10_000_000)] = 200_000_000
    max_clock_offset: Annotated[Duration, Field(gt=0)] = 1_000_000_000
    guard_timeout: Annotated[Duration, Field(ge=500_000_000)] = 3_000_000_000
    rehearse_interval: Duration = 2_000_000
    prepared_signatures: Annotated[int, Field(ge=0, le=1_000)] = 32
    busy_poll: bool = False
    core: Annotated[int, Field(ge=0)] | None = None
    open_orders: Literal["adopt", "cancel"] = "adopt"
    dead_mans_switch: Annotated[Duration, AfterValidator(_off_or_long_enough)] = 60_000_000_000
    flatten_on_guard: bool = False
    flatten_on_stop: bool = False


class Settings(Section):
    """The whole file. Drawn latencies come from the `seed`."""

    seed: Annotated[int, Field(ge=0)] = 0
    account: AccountSettings = AccountSettings()
    risk: RiskSettings = RiskSettings()
    strategies: Annotated[dict[str, StrategySettings], Field(min_length=1, max_length=255)] = {
        "touch_joiner": StrategySettings()
    }
    engine: EngineSection = EngineSection()
    router: RouterSettings = RouterSettings()
    exchange: ExchangeSettings = ExchangeSettings()
    venue: VenueSettings = VenueSettings()
    trading: TradingSettings = TradingSettings()
    ledger: LedgerSettings = LedgerSettings()

    def as_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON values, defaults included, in one fixed form."""
        return self.model_dump(mode="json", by_alias=True)


class Draft:
    """Settings as far as they could be understood, what is wrong with the rest, and where they come from."""

    def __init__(self, settings: Settings, problems: list[Problem], source: str, folder: Path) -> None:
        self.settings: Final = settings
        self.problems: Final = problems
        self.source: Final = source
        self.folder: Final = folder


def load(path: Path | None = None, overrides: list[str] | None = None, strategy: str = "") -> Draft:
    """Read a TOML file (None: the defaults) and apply `key=value` overrides such as `account.deposit=500`.

    `strategy` leaves only the file's strategies of that class, or makes one with its defaults. UserError when
    the file cannot be read or is not TOML; mistakes inside it are in the draft's problems.
    """
    raw: dict[str, Any] = {}
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise UserError(f"cannot read the configuration {path}: {why}", "check --config") from error
        try:
            raw = tomllib.loads(text, parse_float=Decimal)
        except tomllib.TOMLDecodeError as error:
            raise UserError(
                f"{path} is not TOML: {error}", "correct that line; examples/config.toml is an example"
            ) from error
    if strategy:
        _choose_strategy(raw, strategy, path.parent if path is not None else Path())
    for override in overrides or []:
        _apply(raw, override)
    source = (
        str(path) if path is not None else "the configuration" if overrides or strategy else "the default configuration"
    )
    return parse(raw, source, path.parent if path is not None else Path())


def _choose_strategy(raw: dict[str, Any], strategy: str, folder: Path) -> None:
    """Leave only the sections of the class asked for, or one with defaults where the file has none."""
    given = raw.get("strategies")
    entries = given if isinstance(given, dict) else {}
    same = {
        name: entry
        for name, entry in entries.items()
        if isinstance(entry, dict) and _same_class(entry.get("class", "touch_joiner"), folder, strategy)
    }
    name = strategy.rpartition(":")[2] if ":" in strategy else Path(strategy).stem
    raw["strategies"] = same or {name or strategy: {"class": strategy}}


def _same_class(configured: object, folder: Path, asked: str) -> bool:
    """Tell whether a class in a file in `folder` is the one asked for on the command line."""
    if configured == asked or not isinstance(configured, str):
        return configured == asked
    file, _, name = configured.rpartition(":")
    asked_file, _, asked_name = asked.rpartition(":")
    if not file or not asked_file or name != asked_name:
        return False
    beside = folder / file
    return (beside if beside.is_file() else Path(file)).resolve() == Path(asked_file).resolve()


def _apply(raw: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    names = [name.strip() for name in key.split(".")]
    if not equals or not all(names):
        raise UserError(f"--set {override} is no setting", "write --set section.key=value")
    try:
        value = tomllib.loads(f"value = {text}", parse_float=Decimal)["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    section = raw
    for name in names[:-1]:
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            raise UserError(f"--set {override}: {name} is a value, not a section", "check the path of the key")
    section[names[-1]] = value


def parse(raw: dict[str, Any], source: str = "the configuration", folder: Path = Path()) -> Draft:
    """Check plain values against the sections; what is wrong is left out and named in the problems."""
    problems: list[Problem] = []
    while True:
        try:
            return Draft(Settings.model_validate(raw), problems, source, folder)
        except ValidationError as error:
            places: list[tuple[int | str, ...]] = []
            for detail in error.errors(include_url=False):
                place = _place(raw, detail["loc"])
                if place not in places:
                    places.append(place)
                    problems.append(_describe(place, detail["type"], detail["msg"], detail["input"]))
            for place in sorted(places, key=len, reverse=True):
                raw = _without(raw, tuple(takewhile(lambda step: isinstance(step, str), place)))


def _place(raw: Any, location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Keep the part of pydantic's location that exists in the file (it also names members of unions)."""
    place: list[int | str] = []
    for step in location:
        section: Any = raw
        if not (isinstance(raw, dict) and step in raw) and not isinstance(raw, list):
            break
        raw = section[step]
        place.append(step)
    return tuple(place)


def _without(raw: Any, place: tuple[int | str, ...]) -> Any:
    """Return the sections without one key, lists as a whole."""
    if not place:
        return {}
    copy = raw.copy()
    if len(place) == 1:
        copy.pop(place[0], None)
        return copy
    if place[0] in copy:
        copy[place[0]] = _without(copy[place[0]], place[1:])
    return copy


def _describe(place: tuple[int | str, ...], kind: str, message: str, value: Any) -> Problem:
    path = ".".join(str(step) for step in place) or "the file"
    if kind == "extra_forbidden":
        known = _keys_of(place[:-1])
        return Problem(path, shown(value), f"there is no such setting; {suggestion(str(place[-1]), known)}")
    if place == ("ledger", "database"):
        value = "(not shown)"  # it may hold a password
    text = message.removeprefix("Value error, ").removeprefix("Input should be ")
    if text != message and not message.startswith("Value error"):
        text = f"must be {text}"
    if place == ("exchange", "feed"):
        text = 'must be "recorded" or a duration such as "5ms"'
    return Problem(path, shown(value), text)


def _keys_of(place: tuple[int | str, ...]) -> list[str]:
    """Return the names that may stand in the section at a place."""
    model: type[BaseModel] = Settings
    steps = list(place)
    while steps:
        field = model.model_fields.get(str(steps.pop(0)))
        if field is None:
            return []
        kind: Any = field.annotation
        if getattr(kind, "__origin__", None) is dict:
            kind = get_args(kind)[1]
            if not steps:
                return []
            steps.pop(0)
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return []
        model = kind
    return [field.alias or name for name, field in model.model_fields.items()]
