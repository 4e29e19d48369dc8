"""Makes the reference pages that come from the code: docs/cli.md and docs/configuration.md.

`python scripts/generate_reference.py` writes them; a test finds when they have drifted. What the code does
not say by itself (what a setting means, which exit codes a command has) stands here, one entry for each.
"""

from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hatmanifesto.cli.journal import EXIT_DAMAGED
from hatmanifesto.cli.main import app
from hatmanifesto.cli.version import EXIT_STALE_BUILD
from hatmanifesto.config import router_settings
from hatmanifesto.config.quantities import amount, duration_ns, duration_text, exact_decimal, rate_of_bps
from hatmanifesto.config.settings import Settings

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
NOTE: Final = "<!-- made by scripts/generate_reference.py from the code: do not edit -->"

# -- the command line ---------------------------------------------------------------------------

EXITS: Final = {
    0: "Done, and nothing is wrong.",
    1: "Done, and something was found: damage (`hat journal verify`) or a difference (`hat replay`); a session"
    " that failed while it ran (`hat run`).",
    2: "It could not be done: a wrong option, a missing or damaged file, mistakes in the configuration, a"
    " strategy that failed. Standard error says what is wrong and what to do; nothing half-written is left.",
    EXIT_STALE_BUILD: "The compiled modules do not belong to the sources beside them. Run `make setup`.",
    130: "Interrupted with Ctrl-C; nothing half-written is left.",
}
_USUAL: Final = (0, 2, EXIT_STALE_BUILD, 130)
COMMAND_EXITS: Final = {
    "hat backtest": _USUAL,
    "hat calibrate": _USUAL,
    "hat demo": _USUAL,
    "hat replay": (0, 1, 2, EXIT_STALE_BUILD, 130),
    "hat orders": _USUAL,
    "hat exchange": _USUAL,
    "hat run": (0, 1, 2, EXIT_STALE_BUILD, 130),
    "hat status": _USUAL,
    "hat positions": _USUAL,
    "hat pause": _USUAL,
    "hat resume": _USUAL,
    "hat flatten": _USUAL,
    "hat cancel": _USUAL,
    "hat set": _USUAL,
    "hat reconcile": _USUAL,
    "hat stop": _USUAL,
    "hat pnl": _USUAL,
    "hat tape import": _USUAL,
    "hat tape info": _USUAL,
    "hat tape synthetic": _USUAL,
    "hat journal verify": (0, EXIT_DAMAGED, 2, EXIT_STALE_BUILD, 130),
    "hat journal repair": _USUAL,
    "hat journal show": _USUAL,
    "hat journal index": _USUAL,
    "hat ledger rebuild": _USUAL,
    "hat ledger verify": (0, 1, 2, EXIT_STALE_BUILD, 130),
    "hat ledger query": _USUAL,
    "hat ledger export": _USUAL,
    "hat ledger close-day": _USUAL,
    "hat ledger correct": _USUAL,
    "hat ledger reconcile": (0, 1, 2, EXIT_STALE_BUILD, 130),
}
"""Exit codes by command; a test finds a command without an entry and an entry without a command."""


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command's full name and its object, groups opened, in the order of `hat --help`."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        inside = getattr(command, "commands", None)
        if inside is None:
            yield name, command
            return
        for key, one in inside.items():
            yield from walk(f"{name} {key}", one)

    yield from walk("hat", typer.main.get_command(app))


def cli() -> str:
    """Return the page on the command line."""
    root: Any = typer.main.get_command(app)
    found = dict(commands())
    lines = [
        NOTE,
        "# Command line",
        "",
        f"`hat`: {root.help}",
        "",
        "Every command takes `--help`, and `--json`: then standard output carries exactly one JSON object, an"
        ' error included (`{"error": {"message", "remedy", "exit_code"}}`).'
        " Words for people, notes and progress bars go to standard error. Colours follow the terminal and `NO_COLOR`.",
        "",
        "| command | what it does |",
        "| --- | --- |",
    ]
    lines += [
        f"| [`{name}`](#{name.replace(' ', '-')}) | {_cell(_first_line(one.help))} |" for name, one in found.items()
    ]
    lines += ["", "## Exit codes", "", "| code | meaning |", "| ---: | --- |"]
    lines += [f"| {code} | {meaning} |" for code, meaning in sorted(EXITS.items())]
    lines += [
        "",
        "## hat",
        "",
        "Options of `hat` itself, before a command's name:",
        "",
        *_options(root.params),
    ]
    for name, one in found.items():
        lines += ["", f"## {name}", "", f"    {_usage(name, one.params)}", ""]
        lines += [" ".join(part.split()) for part in _paragraphs(one.help)]
        arguments = [item for item in one.params if item.param_type_name == "argument"]
        options = [item for item in one.params if item.param_type_name == "option"]
        if arguments:
            lines += ["", "| argument | type | meaning |", "| --- | --- | --- |"]
            lines += [
                f"| `{item.name.upper()}`{' …' if _many(item) else ''} | {_kind(item)} | {_cell(item.help)} |"
                for item in arguments
            ]
        lines += ["", *_options(options)]
        codes = ", ".join(str(code) for code in COMMAND_EXITS[name])
        lines += ["", f"Exit codes: {codes}."]
    return "\n".join([*lines, ""])


def _options(params: list[Any]) -> list[str]:
    lines = ["| option | type | default | meaning |", "| --- | --- | --- | --- |"]
    for item in params:
        names = ", ".join(f"`{name}`" for name in item.opts)
        lines.append(f"| {names} | {_kind(item)} | {_default(item)} | {_cell(item.help)} |")
    return lines


def _usage(name: str, params: list[Any]) -> str:
    words = [name]
    words += [
        f"{item.opts[-1]} {_kind(item).upper()}"
        for item in params
        if item.param_type_name == "option" and item.required
    ]
    words.append("[OPTIONS]")
    words += [
        item.name.upper() + ("..." if _many(item) else "") for item in params if item.param_type_name == "argument"
    ]
    return " ".join(words)


_KINDS: Final = {Path: "path", str: "text", int: "whole number", float: "number", bool: "flag"}


def _many(item: Any) -> bool:
    return get_origin(item.type_descriptor.annotation) is list


def _kind(item: Any) -> str:
    """Name an option's type: path, text, whole number, number or flag, with its least value."""
    annotation = item.type_descriptor.annotation if item.type_descriptor is not None else bool
    if get_origin(annotation) is list:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{one.value}`" for one in annotation)
    words = _KINDS[annotation]
    return words if item.min is None else f"{words}, at least {item.min:g}"


def _default(item: Any) -> str:
    if item.required:
        return "required"
    if item.default is None or item.default is False or item.default == "":
        return "–"
    return f"`{item.default}`"


def _first_line(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _paragraphs(text: str | None) -> list[str]:
    """Return the help's paragraphs with empty lines between them."""
    lines: list[str] = []
    for part in (text or "").split("\n\n"):
        lines += [part, ""]
    return lines[:-1]


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


# -- the configuration --------------------------------------------------------------------------


class Meaning(NamedTuple):
    """What a key means, its unit, and the words for its default where it is left out."""

    unit: str
    text: str
    left_out: str = ""


def router_meanings() -> dict[str, Meaning]:
    """Return the keys of `[router]` with their built-in defaults."""
    budget = {
        "cancels_per_minute": Meaning("cancels", "Cancels of one desk a minute, refilled evenly.", "no limit"),
        "cancel_burst": Meaning("cancels", "Cancels that may be sent at once after a pause."),
        "actions_per_minute": Meaning("actions", "Orders and cancels of one desk a minute.", "no limit"),
        "action_burst": Meaning("actions", "Orders and cancels that may be sent at once after a pause."),
    }
    rules = {
        **budget,
        "half_life": Meaning("ns to h", "Half-life of what is learned from the market: trade flow and volatility."),
        "turnover": Meaning(
            "ns to h", "Before anything is known: the size at the best trades once, and the mid moves a spread, in it."
        ),
        "markout": Meaning("ns to h", "How long after a maker fill its adverse selection is measured."),
        "prior_weight": Meaning("observations", "How many own observations the configured estimates count for."),
        "fill_scale": Meaning(
            "times", "Divides the exponent of the fill chance: above 1 fills are likelier than flow alone says."
        ),
        "adverse_selection_bps": Meaning("bps", "A, before own fills are known; positive is a loss."),
        "drift_share": Meaning(
            "times", "D, before own misses are known, in standard deviations of the mid over the time that is left."
        ),
        "imbalance_drift_bps": Meaning(
            "bps", "Added to D: where the mid is expected to go when all size at the best is on one side."
        ),
        "imbalance_lean_bps": Meaning(
            "bps", "Shift of prices when all size at the best is on one side; urgent orders only ever step back."
        ),
        "improve_inside": Meaning("", "Whether the touch is a tick before the best price where the spread has room."),
        "quote_horizon": Meaning("ns to h", "Time over which the fill chance of a resting quote counts."),
        "cancel_cost_bps": Meaning("bps", "What queueing again must be worth more than the present place."),
        "max_keep_ticks": Meaning("ticks", "How far from the wanted price a place in a queue may be kept at most."),
        "layers": Meaning("percent", "A quote's size over layers, the first at its price; must add up to 100."),
        "layer_spacing_ticks": Meaning("ticks", "Between two layers."),
        "inventory_skew_ticks": Meaning("ticks", "Shift of bids and asks at a position of `inventory_skew_size`."),
        "inventory_skew_size": Meaning(
            "", 'A size such as `"1000 USD"` or `"0.5 coins"`.', "the risk limit of the position"
        ),
        "funding_skew_intervals": Meaning(
            "intervals", "Shift by what longs are expected to pay over so many funding intervals."
        ),
        "max_skew_ticks": Meaning("ticks", "Largest shift by both."),
        "stop_loss": Meaning("quote currency", "Loss at the mark at which a desk leaves its position.", "none"),
        "stop_loss_bps": Meaning("bps", "The same as a share of the position's cost.", "none"),
        "take_profit": Meaning("quote currency", "Profit at the mark at which a desk leaves its position.", "none"),
        "take_profit_bps": Meaning("bps", "The same as a share of the position's cost.", "none"),
        "reenter_after": Meaning("ns to h", "Pause before quoting again once such a position is closed."),
    }
    ages = {
        "improve_after": Meaning("ns to h", "Age from which an urgent order's price moves toward the touch."),
        "touch_after": Meaning("ns to h", "Age from which it stands at the touch."),
        "take_after": Meaning("ns to h", "Age from which it takes."),
        "slippage_cap_bps": Meaning(
            "bps", "Worst price from the mid at its start; for reduce-only orders from the present mid."
        ),
        "weight": Meaning("times", "Multiplies D: the larger, the sooner it takes."),
    }
    defaults = router_settings.DEFAULTS
    found = {f"router.{key}": _with_default(meaning, defaults.get(key)) for key, meaning in rules.items()}
    for key, meaning in ages.items():
        values = ", ".join(f"`{defaults['urgency'][name][key]}`" for name in router_settings.URGENCIES)
        found[f"router.urgency.NAME.{key}"] = meaning._replace(left_out=f"{values} for low, normal, high")
    for key, meaning in budget.items():
        found[f"router.account.{key}"] = _with_default(
            meaning._replace(text=meaning.text.replace("of one desk", "of all desks")), defaults.get(key)
        )
    return found


def _with_default(meaning: Meaning, default: Any) -> Meaning:
    if default is None:
        return meaning
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    return meaning._replace(left_out=f"`{shown}`")


MEANINGS: Final = {
    "seed": Meaning("", "Kept with the run. Nothing in a backtest draws random numbers yet."),
    "account.deposit": Meaning("quote currency", "What the account starts with."),
    "risk.account.max_account_notional": Meaning(
        "quote currency", "Largest worst-case gross notional of all instruments together."
    ),
    "risk.account.max_leverage": Meaning(
        "times", "Largest worst-case gross notional over equity; at most two decimals."
    ),
    "risk.account.max_open_orders": Meaning("orders", "Orders that may be live at the venue at once."),
    "risk.account.max_orders_per_second": Meaning("orders", "Orders that may be sent within any one second."),
    "risk.instrument.NAME.max_order_size": Meaning(
        "coins", "Largest size of one order.", "what the instrument allows"
    ),
    "risk.instrument.NAME.max_order_notional": Meaning(
        "quote currency", "Largest notional of one order, at its price or the mark, whichever is higher."
    ),
    "risk.instrument.NAME.max_position": Meaning(
        "coins",
        "Largest position, long or short, with every open order of that side filled.",
        "what the instrument allows",
    ),
    "risk.instrument.NAME.max_position_notional": Meaning(
        "quote currency", "The same at the mark: the larger of the two sides' worst cases."
    ),
    "risk.instrument.NAME.leverage": Meaning(
        "times",
        "Initial margin is the worst-case notional divided by it. More than the instrument allows is a"
        " mistake when it is written, and lowered to that when it is the default.",
    ),
    "strategies.NAME.class": Meaning(
        "",
        "The name of a shipped strategy, or `file.py:ClassName`. A relative file is looked for beside the"
        " configuration first, then in the working directory.",
    ),
    "strategies.NAME.instruments": Meaning("names", "Where it trades.", "all of the tape"),
    "strategies.NAME.params": Meaning(
        "",
        "The constructor's arguments, see [Parameters of a strategy](#parameters-of-a-strategy)."
        ' `touch_joiner` has `order_size = "100 USD"` and `max_position = "1000 USD"` where none are given.',
        "none",
    ),
    "strategies.NAME.max_notional": Meaning(
        "quote currency",
        "Largest worst-case gross notional of this strategy, all its instruments together.",
        "the account's",
    ),
    "strategies.NAME.triggers": Meaning("", "What has the strategy asked for quotes.", "the class's own"),
    "strategies.NAME.interval": Meaning(
        "ns to h", "Time between two decisions by the trigger `timer`.", "the class's own"
    ),
    "strategies.NAME.min_decision_interval": Meaning(
        "ns to h",
        "Least market time between two decisions on one instrument.",
        "`engine.min_decision_interval`, else the class's own",
    ),
    "engine.answer_timeout": Meaning(
        "ns to h",
        "How long the venue may take to answer. Then the order is `unknown`, is cancelled and asked about.",
    ),
    "engine.max_cancel_attempts": Meaning(
        "times", "How often the cancel of one order is sent before its instrument stays blocked."
    ),
    "engine.max_book_age": Meaning(
        "ns to h", "An older book is not quoted on: working orders are withdrawn, new ones refused."
    ),
    "engine.min_decision_interval": Meaning(
        "ns to h",
        "`min_decision_interval` of every strategy whose section has none.",
        "the class's own",
    ),
    "engine.equity_interval": Meaning("ns to h", "Least market time between two points of the equity curve."),
    "engine.router": Meaning(
        "",
        "`keep`: a resting order that still serves a quote stays in its queue. `requote_always`: every"
        " decision cancels what rests and sends every quote anew. `expected_value`: weighs costs, see"
        " [the maker router](maker-router.md). `strategies.NAME.router.policy` is the same for one strategy.",
    ),
    "engine.refresh_tolerance_ticks": Meaning(
        "ticks",
        "With `keep` and `expected_value`: a resting order at most this far from the wanted price still serves. The"
        " tick is that of the tape's first price.",
    ),
    **router_meanings(),
    "exchange.model": Meaning(
        "",
        "How own orders fill, see [backtesting](backtesting.md). `auto`: `queue` where the tape has"
        " trades, `cross` where it has none.",
    ),
    "exchange.queue_model": Meaning(
        "",
        "How the exchange model `queue` divides what a level loses besides prints between the size before an own"
        " order and the size behind it, see [queue models](queue-models.md). Other exchange models have no queue.",
    ),
    "exchange.queue_power": Meaning(
        "", "The exponent n of `traced`, `power`, `power2` and `power3`; the other queue models have none."
    ),
    "exchange.order_entry_latency": Meaning("ns to h", "From the engine to the venue."),
    "exchange.response_latency": Meaning("ns to h", "From the venue back to the engine."),
    "exchange.latency_model": Meaning(
        "",
        "`constant`: always these two. `lognormal`: drawn, these two being the medians. `recorded`: the last sample of"
        " `latency_file` before the moment. `sampled`: drawn from `latency_file`. `feed`: what the tape's market data"
        " took. `auto`: `recorded` with a `latency_file`, else `constant`.",
    ),
    "exchange.order_entry_latency_p99": Meaning(
        "ns to h", "With `lognormal`: one way in a hundred to the venue takes longer.", "none"
    ),
    "exchange.response_latency_p99": Meaning(
        "ns to h", "With `lognormal`: one way in a hundred back takes longer.", "none"
    ),
    "exchange.latency_floor": Meaning("ns to h", "With `lognormal`: no message is quicker."),
    "exchange.latency_file": Meaning(
        "",
        "Measured latencies, looked for beside the configuration. `recorded`: CSV lines `time_ns,entry_ns,response_ns`"
        " with rising times. `sampled`: CSV or Parquet with columns `entry_ns` and `response_ns`.",
        "none",
    ),
    "exchange.feed": Meaning(
        "ns to h",
        "`recorded`: market data reaches the engine at the tape's receipt stamp. A duration: so long after"
        " the venue's stamp.",
    ),
    "exchange.pessimistic_latency_factor": Meaning(
        "",
        "Pessimistic fills multiply the latencies of requests and answers by it; their queue model is `risk_averse`",
    ),
    "exchange.maker_fee_bps": Meaning("bps", "Negative is a rebate.", "the instrument's"),
    "exchange.taker_fee_bps": Meaning("bps", "Negative is a rebate.", "the instrument's"),
    "exchange.fees.schedule": Meaning(
        "",
        "`instrument`: the instrument's two rates. `hyperliquid`: volume tiers that move with own volume, rebates"
        " and discounts, see [fees and margin](fees-and-margin.md). The other keys count only with a schedule. `auto`:"
        " the schedule of the tape's venue where it is known, unless a rate is set by hand.",
    ),
    "exchange.fees.volume_14d": Meaning(
        "quote currency", "Weighted volume of the 14 days before the tape, whole, taken as evenly spread."
    ),
    "exchange.fees.maker_share": Meaning(
        "0 to 1", "Share of the exchange's maker volume of 14 days; above 0.005 it earns a rebate. It stays as given."
    ),
    "exchange.fees.staked": Meaning("coins", "HYPE staked, for the staking discount."),
    "exchange.fees.referred": Meaning("", "Whether a referral code is used: 4 % off for the first 25 million."),
    "exchange.fees.builder_fee_bps": Meaning("bps", "A builder's fee on top of each fill; one decimal."),
    "exchange.funding.source": Meaning(
        "",
        "Where rates come from: the tape's rows, one constant, or a file; or no funding at all. `auto`: the tape's"
        " where it has some. Positive: longs pay.",
    ),
    "exchange.funding.interval": Meaning(
        "ns to h",
        "Time between payments, on its whole multiples since 1970 UTC. With `auto` and left out: the tape's own.",
    ),
    "exchange.funding.rate": Meaning("of notional", "The constant rate an interval, at most twelve decimals."),
    "exchange.funding.file": Meaning(
        "",
        "CSV lines `time_ns,instrument,rate`, looked for beside the configuration. A payment takes the last rate"
        " stamped at most a minute after it.",
        "none",
    ),
    "exchange.margin.mode": Meaning(
        "",
        "`cross` or `isolated`: the venue checks margin on arrival and when a resting order is about to fill, and"
        " liquidates. Leverage is `risk.instrument.NAME.leverage`. `auto`: `cross` where the rules of the tape's venue"
        " are known.",
    ),
    "exchange.margin.mark_interval": Meaning(
        "ns to h", "Time between looks at margin; where the tape has no marks, the mid becomes the mark then."
    ),
    "exchange.margin.partial_above": Meaning("quote currency", "Larger positions are liquidated a fifth first."),
    "exchange.margin.deleverage_move_bps": Meaning(
        "bps", "A move of the mark within a minute in a position's favour after which it is auto-deleveraged; 0: never."
    ),
    "exchange.margin.deleverage_percent": Meaning("percent", "How much of the position that closes."),
    "venue.name": Meaning("", "The venue's adapter."),
    "venue.url": Meaning("", "`mainnet`, `testnet`, or an address such as `http://127.0.0.1:3001`."),
    "venue.account": Meaning("", "The account's own address; a key only signs for it.", "the key's own address"),
    "venue.key": Meaning("", "Where the trader's key is: `env:NAME` or `keystore:FILE`; never the key itself."),
    "venue.guard_key": Meaning("", "The same for the guard, which needs a key of its own."),
    "venue.second_source": Meaning("", "A second address for market data, merged with the first.", "none"),
    "trading.reconcile_interval": Meaning("s to h", "Time between two comparisons with the venue."),
    "trading.checkpoint_interval": Meaning("s to h", "Time between two checkpoints in the journal."),
    "trading.journal_sync_interval": Meaning(
        "ms to s",
        "Time between two flushes of the journal to the disk: what a power cut may lose. A kill loses nothing.",
    ),
    "trading.max_clock_offset": Meaning("ns to h", "Largest difference of this machine's clock from the venue's."),
    "trading.guard_timeout": Meaning(
        "ns to h", "The guard ends a trader whose loop has not turned for so long, and cancels everything."
    ),
    "trading.rehearse_interval": Meaning(
        "0s, us to s",
        "Least time between two rehearsals of an order, which keep its way to the socket in the processor's caches; "
        "0s = none.",
    ),
    "trading.prepared_signatures": Meaning(
        "",
        "How many signatures are prepared ahead, so that an order waits for a microsecond of it instead of "
        "27 ([how, and what it assumes](venue-hyperliquid.md#prepared-signatures)); 0 = none.",
    ),
    "trading.busy_poll": Meaning(
        "",
        "Whether the trader asks its sockets without ever sleeping: a whole core, for some tens of microseconds.",
    ),
    "trading.core": Meaning("", "The processor core that the trader's loop stays on, counted from 0.", "any"),
    "trading.open_orders": Meaning(
        "", "Orders that an earlier session left open are taken over with their queue positions, or cancelled."
    ),
    "trading.dead_mans_switch": Meaning(
        "0s, 15s to h",
        "The venue cancels everything by itself when it has not heard of us for so long, where the account may "
        "use that; 0s = not used.",
    ),
    "trading.flatten_on_guard": Meaning("", "Whether the guard closes the positions then, too."),
    "trading.flatten_on_stop": Meaning("", "Whether an orderly stop closes the positions."),
    "ledger.database": Meaning(
        "",
        "Where `hat ledger` and `hat pnl` keep the ledger of a live folder: empty for an SQLite file beside the "
        "journals, another file, or `postgresql://USER@HOST/NAME`. The password is never here: `PGPASSWORD`, "
        "`PGPASSFILE` or a service file. A command's `--database` (or `HAT_LEDGER_DATABASE`) comes first.",
    ),
    "ledger.schema": Meaning("", "PostgreSQL: the schema that holds this ledger; one schema a ledger."),
    "ledger.fee_tolerance_units": Meaning(
        "money units", "By how much a fee may differ from our model of it before `hat ledger verify` notes it; or"
    ),
    "ledger.fee_tolerance_bps": Meaning(
        "bps of notional", "by this much, whichever is more. Holds from the next `hat ledger rebuild` on."
    ),
}  # fmt: skip
"""Every key that the settings have, and no other; a test compares the two."""

_INTRODUCTION: Final = """\
# Configuration

A TOML file, given with `--config`. Every key may be left out.
[examples/config.toml](../examples/config.toml) shows them all in place.

- A single key can be set on the command line, over the file's: `--set engine.router=requote_always`. The
  value is read as TOML, and as text where it is not TOML. `--set` may be repeated.
- An unknown key is a mistake. All mistakes are reported at once, each with its path, its value and what is
  allowed, and the command ends with exit code 2.
- **decimal**: `0.001` or `"0.001"`. Both are read digit by digit, never through a binary float. More
  decimals than the instrument's or the currency's scale has is a mistake.
- **duration**: text with a unit, `ns`, `us`, `ms`, `s`, `min` or `h`: `"250us"`, `"10ms"`, `"1.5s"`.
- **basis points** (bps): a decimal with at most five decimals, between −1000 and 1000. 1 bps = 0.01 %.
- **worst case**: the position if every open order of the worse side were filled, valued at the mark. A
  limit of 0 allows nothing.

The section `risk.instrument.default` holds for every instrument; a section with an instrument's name, such
as `risk.instrument.BTC`, replaces single keys of it.

The keys of `[router]` may stand in `[router.instrument.NAME]`, `[strategies.NAME.router]` and
`[strategies.NAME.router.instrument.NAME]` too, each time for less; the last of these that says a key is believed.
"""

_PARAMETERS: Final = """\
## Parameters of a strategy

`params` go to the constructor of the class by name. Their values are turned into what the engine calculates
with:

| written | becomes |
| --- | --- |"""
_WRITTEN: Final = {
    '`"100 USD"` (or `USDC`, `USDT`, `quote`)': "the size, in size units and whole lots, that costs at most"
    " so much at the tape's first price",
    '`"0.001 BTC"`, `"0.001 coins"`': "that size in size units; the name must be the instrument's, the size a"
    " multiple of its lot",
    '`"50ms"`': "nanoseconds",
    "`2`": "the whole number",
    "`0.5`": "a float, for arithmetic inside the strategy; the prices and sizes that it asks for must be whole numbers",
    "any other text, true, false": "itself",
    "a list": "a list, its items turned one by one",
}
_SEVERAL: Final = """
With several instruments each gets an object of its own, and `"100 USD"` becomes each instrument's own size.
"""


def configuration() -> str:
    """Return the page on the configuration: a table for each section."""
    lines = [NOTE, _INTRODUCTION]
    section = None
    for path, field, default in settings_keys():
        here, _, key = path.rpartition(".")
        if here != section:
            section = here
            if lines[-1].startswith("|"):
                lines.append("")
            lines += [
                f"## `[{here}]`" if here else "## At the top",
                "",
                "| key | type | unit | default | meaning |",
                "| --- | --- | --- | --- | --- |",
            ]
        meaning = MEANINGS[path]
        shown = meaning.left_out if default is None or meaning.left_out == "none" else f"`{_shown(default)}`"
        lines.append(f"| `{key}` | {_type_of(field)} | {meaning.unit or '–'} | {shown} | {_cell(meaning.text)} |")
    lines += ["", _PARAMETERS, *(f"| {written} | {becomes} |" for written, becomes in _WRITTEN.items())]
    return "\n".join([*lines, _SEVERAL])


def settings_keys() -> Iterator[tuple[str, FieldInfo, Any]]:
    """Yield every key's path (NAME where the person chooses one), its field, and its default as JSON."""
    yield from _keys_of(Settings, "")


SAID_ELSEWHERE: Final = (router_settings.StrategyRouter, router_settings.RouterRules)
"""Sections that repeat the keys of `[router]`."""


def _keys_of(model: type[BaseModel], path: str) -> Iterator[tuple[str, FieldInfo, Any]]:
    defaults = model().model_dump(mode="json", by_alias=True)
    sections: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        inner = _section_in(field.annotation)
        if inner is None:
            yield path + key, field, defaults[key]
        elif get_origin(field.annotation) is dict:
            sections.append((f"{path}{key}.NAME.", inner))
        else:
            sections.append((f"{path}{key}.", inner))
    for place, inner in sections:
        if inner in SAID_ELSEWHERE:
            continue
        yield from _keys_of(inner, place)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field holds, by itself or by name; None for a plain value."""
    if get_origin(annotation) is dict:
        annotation = get_args(annotation)[1]
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _type_of(field: FieldInfo) -> str:
    return _type_words(field.annotation, list(field.metadata))


def _type_words(annotation: Any, metadata: list[Any]) -> str:
    """Say a type and its bounds in words."""
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        return _type_words(annotation, [*more, *metadata])
    readers = {getattr(item, "func", None) for item in metadata}
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is list:
        return f"list of {_type_words(get_args(annotation)[0], [])}"
    if get_origin(annotation) is dict:
        return "table"
    choices = [choice for choice in get_args(annotation) if choice is not type(None)]
    if choices:
        return " or ".join(_type_words(choice, metadata) for choice in choices)
    if duration_ns in readers:
        return "duration" + _bounds(metadata, duration_text)
    if exact_decimal in readers:
        return "decimal, signed" + _bounds(metadata, str)
    if amount in readers:
        return "decimal" + _bounds(metadata, str)
    if rate_of_bps in readers:
        return "basis points"
    words = {int: "whole number", str: "text", Decimal: "decimal", bool: "true or false"}[annotation]
    return words if annotation is str else words + _bounds(metadata, str)


def _bounds(metadata: list[Any], text: Any) -> str:
    words = ""
    for item in metadata:
        for constraint in getattr(item, "metadata", [item]):
            for name, said in (("gt", "above"), ("ge", "from"), ("le", "to")):
                limit = getattr(constraint, name, None)
                if limit is not None and not (text is duration_text and limit == 0):
                    words += f", {said} {text(limit)}"
                elif limit is not None:
                    words += ", above 0"
    return words


def _shown(default: Any) -> str:
    return str(default)


PAGES: Final = {"cli.md": cli, "configuration.md": configuration}


def main() -> None:
    """Write every page."""
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")
        print(f"docs/{name} written")


if __name__ == "__main__":
    main()
