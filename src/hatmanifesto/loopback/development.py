"""Ready-funded accounts for development, the same on every machine, as local chains give out. Never use their keys
anywhere else: everybody knows them."""

import hashlib
from typing import Final, NamedTuple

from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey

ACCOUNTS: Final = 3
AGENT_NAME: Final = "trader"
GUARD_NAME: Final = "guard"


class DevelopmentAccount(NamedTuple):
    """An account, its own key, and the keys of two approved agents; keys as hexadecimal text."""

    address: str
    key: str
    agent_key: str
    guard_key: str
    usdc: int


def development_account(number: int, amount: int) -> DevelopmentAccount:
    """Return one of the accounts, its money in micro-USDC."""
    secrets = [
        hashlib.blake2b(f"hat manifesto development {role} {number}".encode(), digest_size=32).digest()
        for role in ("account", AGENT_NAME, GUARD_NAME)
    ]
    key, agent, guard = (f"0x{secret.hex()}" for secret in secrets)
    return DevelopmentAccount(PrivateKey(secrets[0]).address, key, agent, guard, amount)


def open_accounts(loopback: Loopback, amount: int, count: int = ACCOUNTS) -> list[DevelopmentAccount]:
    """Fund the accounts and approve their agents."""
    made = []
    for number in range(count):
        account = development_account(number, amount)
        loopback.fund(account.address, amount)
        loopback.approve(account.address, PrivateKey.parse(account.agent_key).address, AGENT_NAME)
        loopback.approve(account.address, PrivateKey.parse(account.guard_key).address, GUARD_NAME)
        made.append(account)
    return made
