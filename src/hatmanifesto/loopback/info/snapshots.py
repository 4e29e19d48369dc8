"""What the venue's own web page reads of an account: everything at once."""

from typing import Any

from hatmanifesto.loopback.exchange import Loopback
from hatmanifesto.loopback.info import accounts, markets
from hatmanifesto.loopback.info.orders import open_orders, twap_states
from hatmanifesto.loopback.markets import meta
from hatmanifesto.loopback.participants import Participant
from hatmanifesto.loopback.spot import SPOT_CONTEXTS
from hatmanifesto.loopback.text import money_text


def _about(loopback: Loopback, participant: Participant | None, user: str) -> dict[str, Any]:
    """Return what both forms tell of the account: its unnamed agent, what was paid in, whose it is."""
    agent = None if participant is None else participant.agents.get("")
    return {
        "agentAddress": None if agent is None else agent.address,
        "agentValidUntil": None if agent is None else agent.valid_until_ms,
        "cumLedger": money_text(0 if participant is None else participant.paid_in),
        "serverTime": loopback.now_ms,
        "isVault": False,
        "user": user,
    }


def web_data_2(loopback: Loopback, user: str) -> dict[str, Any]:
    """Return the older form, with every market's context."""
    participant = loopback.participants.get(user)
    return {
        **_about(loopback, participant, user),
        "clearinghouseState": accounts.clearinghouse(loopback, participant),
        "leadingVaults": [],
        "totalVaultEquity": "0.0",
        "openOrders": open_orders(loopback, participant, long=True),
        "meta": meta(loopback.markets),
        "assetCtxs": markets.contexts(loopback),
        "twapStates": twap_states(loopback, participant),
        "spotState": accounts.wallet(participant),
        "spotAssetCtxs": SPOT_CONTEXTS,
    }


def web_data_3(loopback: Loopback, user: str) -> dict[str, Any]:
    """Return the newer form, which leaves to other streams what they tell."""
    return {
        "userState": {**_about(loopback, loopback.participants.get(user), user), "abstraction": "disabled"},
        "perpDexStates": [{"totalVaultEquity": "0.0", "perpsAtOpenInterestCap": [], "leadingVaults": []}],
    }
