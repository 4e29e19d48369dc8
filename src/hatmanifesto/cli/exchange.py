"""`hat exchange`: the loopback exchange, Hyperliquid's own protocol on this machine."""

import asyncio
import random
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import typer

from hatmanifesto.cli.output import JsonOption, Output, command
from hatmanifesto.errors import UserError

if TYPE_CHECKING:
    from hatmanifesto.loopback.exchange import Loopback
    from hatmanifesto.loopback.server import LoopbackServer
    from hatmanifesto.loopback.sources import MarketSource

COINS = "BTC,ETH"


def exchange(
    port: Annotated[
        int, typer.Option("--port", help="Where to listen on 127.0.0.1; 0 takes a free port.", min=0, max=65_535)
    ] = 3001,
    market: Annotated[
        str,
        typer.Option(
            "--market", help="agents, replay:TAPE, or mirror[:URL], which follows the real venue's public feed."
        ),
    ] = "agents",
    coins: Annotated[str, typer.Option("--coins", help="What is listed, separated by commas.")] = COINS,
    fund: Annotated[
        list[str] | None, typer.Option("--fund", help="ADDRESS=USDC, paid in at the start; may be repeated.")
    ] = None,
    faults: Annotated[Path | None, typer.Option("--faults", help="A TOML file of scripted faults.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the agents' market.")] = 1,
    block_ms: Annotated[int, typer.Option("--block-ms", help="Time between two blocks.", min=1)] = 70,
    funding_seconds: Annotated[
        int, typer.Option("--funding-seconds", help="Time between two funding payments.", min=1)
    ] = 3600,
    limits: Annotated[bool, typer.Option("--limits/--no-limits", help="Whether the venue's IP limits hold.")] = True,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse to small accounts what the venue allows only to large ones.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Serve /info, /exchange and /ws on 127.0.0.1 until SIGTERM or Ctrl-C, with funded development accounts."""
    import uvloop

    wanted = Wanted(port, market, coins, fund or [], faults, seed, block_ms, funding_seconds, limits, strict)
    with command(as_json) as voice:
        uvloop.run(_serve(voice, wanted))


class Wanted(NamedTuple):
    """The command's options; see `exchange`."""

    port: int
    market: str
    coins: str
    fund: list[str]
    faults: Path | None
    seed: int
    block_ms: int
    funding_seconds: int
    limits: bool
    strict: bool


async def _serve(voice: Output, wanted: Wanted) -> None:
    from hatmanifesto.loopback.development import open_accounts
    from hatmanifesto.loopback.exchange import Loopback
    from hatmanifesto.loopback.faults import load_faults
    from hatmanifesto.loopback.markets import MARKETS, USDC
    from hatmanifesto.loopback.server import LoopbackServer

    names = [name.strip() for name in wanted.coins.split(",") if name.strip()]
    unknown = [name for name in names if name not in MARKETS]
    if unknown or not names:
        raise UserError(f"{', '.join(unknown) or 'nothing'} cannot be listed", f"choose from {', '.join(MARKETS)}")
    markets = [MARKETS[name] for name in dict.fromkeys(names)]
    loopback = Loopback(markets, funding_ms=wanted.funding_seconds * 1000, strict=wanted.strict)
    accounts = open_accounts(loopback, 10_000 * USDC)
    for entry in wanted.fund:
        loopback.fund(*_funding(entry))
    faults = None if wanted.faults is None else load_faults(wanted.faults)
    source = await open_market(loopback, wanted.market, wanted.seed, wanted.block_ms)
    server = LoopbackServer(loopback, source.step, block_ms=wanted.block_ms, limits=wanted.limits, faults=faults)
    try:
        port = await server.open(wanted.port)
    except OSError as error:
        await source.close()
        raise UserError(
            f"port {wanted.port} cannot be used: {error.strerror or error}",
            "choose another --port, or 0 for a free one",
        ) from error
    url = f"http://127.0.0.1:{port}"
    if voice.as_json:
        shown = [account._asdict() for account in accounts]
        voice.result({"ready": True, "url": url, "market": wanted.market, "coins": names, "accounts": shown})
    else:
        voice.note("development accounts (everybody knows these keys: never use them elsewhere):")
        for account in accounts:
            voice.note(f"  {account.address}  {account.usdc // USDC:,} USDC  key {account.key}")
            voice.note(f"    agents: trader {account.agent_key}")
            voice.note(f"            guard  {account.guard_key}")
        print(f"ready: {url} ({', '.join(names)}, {wanted.market}); Ctrl-C stops", flush=True)
    await _until_stopped(server)
    await server.close()
    await source.close()
    if server.failure is not None:
        raise server.failure
    counts = {**server.counts, **{f"fault {name}": count for name, count in server.faults.done.items()}}
    voice.note(f"stopped: {msgspec.json.encode(counts).decode()}")


async def _until_stopped(server: "LoopbackServer") -> None:
    """Wait for SIGINT or SIGTERM, or until the blocks end by themselves."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    waiting = [asyncio.ensure_future(stopping.wait()), asyncio.ensure_future(server.ended.wait())]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


def _funding(entry: str) -> tuple[str, int]:
    from hatmanifesto.loopback.transfers import usdc
    from hatmanifesto.venues.hyperliquid.signing.l1 import address_bytes

    address, _, amount = entry.partition("=")
    try:
        return "0x" + address_bytes(address).hex(), usdc(amount)
    except ValueError:
        raise UserError(f"--fund {entry} is no funding", "write --fund 0xADDRESS=1000") from None


async def open_market(loopback: "Loopback", market: str, seed: int, block_ms: int) -> "MarketSource":
    """Return who acts before each block. UserError for a market that there is not."""
    kind, _, name = market.partition(":")
    if kind == "agents":
        from hatmanifesto.loopback.agents import AgentsDriver

        return AgentsDriver(loopback, random.Random(seed), block_ms)
    if kind == "replay":
        return _replayed(loopback, name)
    if kind == "mirror":
        from hatmanifesto.loopback.mirror import Mirror
        from hatmanifesto.venues.hyperliquid.adapter import MAINNET_URL

        return await Mirror.open(loopback, name or MAINNET_URL)
    raise UserError(f"there is no market {market!r}", "use agents, replay:TAPE or mirror")


def _replayed(loopback: "Loopback", name: str) -> "MarketSource":
    from hatmanifesto.backtest.tape.reader import Tape
    from hatmanifesto.loopback.replayed import TapeMarket

    if not name:
        raise UserError("which tape?", "write --market replay:FILE.tape")
    tape = Tape.open(Path(name))
    coins = [loopback.by_coin.get(instrument.name, -1) for instrument in tape.instruments]
    for instrument, at in zip(tape.instruments, coins, strict=True):
        listed = loopback.instruments[at] if at >= 0 else None
        if listed is not None and (listed.price_scale, listed.size_scale) != (
            instrument.price_scale,
            instrument.size_scale,
        ):
            raise UserError(f"{instrument.name} has other decimals on this tape than at the venue", "use another tape")
    if all(at < 0 for at in coins):
        raise UserError(f"{name} has none of the listed coins", "list what it has: --coins")
    return TapeMarket(loopback, tape.stream("exchange"), coins)
