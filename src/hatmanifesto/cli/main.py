"""The `hat` command. Each command lives in a file of its own and is added to `app` here.

A command imports the rooms it needs inside its function: `hat --version` and `hat --help` stay quick, and can
speak even when the compiled rooms cannot be loaded.
"""

import json
import sys
from typing import Annotated

import typer

from hatmanifesto.cli import (
    backtest,
    calibrate,
    control,
    demo,
    exchange,
    journal,
    ledger,
    orders,
    pnl,
    replay,
    run,
    tape,
)
from hatmanifesto.cli.version import EXIT_STALE_BUILD, build_problem, show_version

UsageError: type[typer.BadParameter] = typer.BadParameter.__mro__[1]
"""A mistake on the command line; typer has no public name for this base of BadParameter."""

app = typer.Typer(
    name="hat",
    help="A maker-first trading system for crypto perpetual futures.",
    no_args_is_help=False,
    pretty_exceptions_show_locals=False,
)


@app.callback(invoke_without_command=True)
def hat(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Say which version and build runs, and exit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --version: print one JSON object.")] = False,
) -> None:
    if version:
        raise typer.Exit(show_version(as_json))
    problem = build_problem()
    if problem:
        print(f"hat: STALE BUILD: {problem}", file=sys.stderr)
        raise typer.Exit(EXIT_STALE_BUILD)
    if context.invoked_subcommand is None:
        print(context.get_help())


app.command("backtest", epilog="Example: hat backtest --tape btc.tape --strategy my.py:MyMaker --out runs/first")(
    backtest.backtest
)
app.command("calibrate", epilog="Example: hat calibrate btc.tape --instrument BTC --out btc.toml")(calibrate.calibrate)
app.command("demo", epilog="Example: hat demo --out runs/first")(demo.demo)
app.command("replay", epilog="Example: hat replay runs/first/journal --until 2025-09-04T20:00:00Z")(replay.replay)
app.command("orders", epilog="Example: hat orders runs/first --why --count 5")(orders.orders)
app.command("exchange", epilog="Example: hat exchange --port 3001 --market agents --fund 0xADDRESS=5000")(
    exchange.exchange
)
app.command("run", epilog="Example: hat run --config maker.toml --for 10m")(run.run)
app.command("status", epilog="Example: hat status --folder sessions/maker")(control.status)
app.command("positions", epilog="Example: hat positions --json")(control.positions)
app.command("pause", epilog='Example: hat pause --desk BTC --reason "before the announcement"')(control.pause)
app.command("resume", epilog="Example: hat resume")(control.resume)
app.command("flatten", epilog="Example: hat flatten --slippage-bps 30")(control.flatten)
app.command("cancel", epilog="Example: hat cancel 4194304")(control.cancel)
app.command("set", epilog="Example: hat set risk.account.max_open_orders=20")(control.set_values)
app.command("reconcile", epilog="Example: hat reconcile")(control.reconcile)
app.command("stop", epilog="Example: hat stop --flatten")(control.stop)
app.command("pnl", epilog="Example: hat pnl runs/first --by cause")(pnl.pnl)
app.add_typer(tape.app, name="tape")
app.add_typer(journal.app, name="journal")
app.add_typer(ledger.app, name="ledger")


def main() -> None:
    if "--json" not in sys.argv[1:]:
        app()
        return
    try:
        code = typer.main.get_command(app).main(standalone_mode=False)
    except UsageError as error:
        # a mistake on the command line is one object too
        message = {"message": error.format_message(), "remedy": "see --help", "exit_code": error.exit_code}
        print(json.dumps({"error": message}))
        print(f"error: {error.format_message()} See --help.", file=sys.stderr)
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
