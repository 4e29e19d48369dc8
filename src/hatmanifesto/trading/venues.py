"""Which adapter a configuration names, with the key it trades with."""

from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from hatmanifesto.config.settings import VenueSettings
from hatmanifesto.errors import UserError
from hatmanifesto.trading.clock import Clock
from hatmanifesto.venues.hyperliquid.adapter import (
    MAINNET_URL,
    TESTNET_URL,
    HyperliquidSettings,
    HyperliquidVenue,
)
from hatmanifesto.venues.hyperliquid.keystore import load_key
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey
from hatmanifesto.venues.port import Venue

URLS: Final = {"mainnet": MAINNET_URL, "testnet": TESTNET_URL}


def address_of(settings: VenueSettings) -> str:
    """Return the venue's base URL."""
    return URLS.get(settings.url, settings.url).rstrip("/")


def is_real_money(settings: VenueSettings) -> bool:
    """Whether orders go to the venue's mainnet: anything that is neither the testnet nor this machine."""
    url = address_of(settings)
    host = url.partition("://")[2].partition("/")[0].rpartition(":")[0] or url.partition("://")[2]
    return url != TESTNET_URL and host not in ("127.0.0.1", "localhost", "[::1]")


def make_venue(
    settings: VenueSettings, key: PrivateKey, folder: Path, clock: Clock, *, prepared_signatures: int = 0
) -> Venue:
    """Return the adapter, with so many signatures kept ready. Raises UserError for a URL that is none."""
    url = address_of(settings)
    if not url.startswith(("http://", "https://")):
        raise UserError(f"venue.url {settings.url!r} is no address", "write mainnet, testnet, or http://HOST:PORT")
    state = folder / "nonces"
    state.mkdir(parents=True, exist_ok=True)
    second = settings.second_source
    return HyperliquidVenue(
        HyperliquidSettings(
            base_url=url,
            second_url=second if second else "",
            account=settings.account,
            prepared_signatures=prepared_signatures,
        ),
        key,
        state,
        clock_ns=clock,
    )


def key_of(where: str, environment: MutableMapping[str, str]) -> PrivateKey:
    """Return the key that `env:NAME` or `keystore:FILE` names; UserError says what is missing, never what was read."""
    kind, _, name = where.partition(":")
    if kind == "env":
        return load_key(environment, variable=name)
    return load_key(environment, keystore=Path(name))
