"""The loopback exchange without sockets or clock: signed actions in, answers out, block by block."""

import copy
import json
from typing import Any

import msgspec

from hatmanifesto.loopback.development import DevelopmentAccount, open_accounts
from hatmanifesto.loopback.exchange import Loopback, refused
from hatmanifesto.loopback.info.answers import answer
from hatmanifesto.loopback.markets import MARKETS, USDC
from hatmanifesto.loopback.news import BlockNews
from hatmanifesto.loopback.participants import Participant
from hatmanifesto.loopback.signer import Refused, read_envelope
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey
from hatmanifesto.venues.hyperliquid.signing.l1 import L1Signer, address_bytes
from hatmanifesto.venues.hyperliquid.signing.user_signed import sign_user_action, user_action
from hatmanifesto.venues.hyperliquid.wire.actions import action_msgpack, parse_action
from loopback.running import QuietMarket

START_MS = 1_780_272_000_000  # midnight UTC
BLOCK_MS = 100
BTC, ETH = 0, 1


class Desk:
    """A quiet market (tests/loopback/running.py) and three accounts with `usdc` each."""

    def __init__(self, usdc: int = 100_000, **options: Any) -> None:
        self.loopback = Loopback([MARKETS["BTC"], MARKETS["ETH"]], **options)
        self.market = QuietMarket(self.loopback)
        self.accounts: list[DevelopmentAccount] = open_accounts(self.loopback, usdc * USDC)
        self.now_ms = START_MS
        self.news: list[BlockNews] = []
        self._nonce = START_MS
        self.block(2)

    # -- time -------------------------------------------------------------------------------------

    def block(self, count: int = 1) -> BlockNews:
        """Execute blocks and return the last one's news; `news` keeps them all."""
        for _ in range(count):
            self.now_ms += BLOCK_MS
            self.market.step(self.now_ms)
            self.news.append(self.loopback.advance(self.now_ms))
        return self.news[-1]

    def pass_time(self, seconds: float) -> BlockNews:
        """Let time pass in one step."""
        self.now_ms += int(seconds * 1000)
        return self.block()

    def move(self, coin: str, price: int, *, quoting: bool = True) -> None:
        """Move a market to a price; with `quoting` False the house's quotes stay where they are."""
        self.market.prices[coin] = price
        self.market.quoting = quoting
        self.block(2)

    # -- actions ----------------------------------------------------------------------------------

    def body(
        self,
        action: dict[str, Any],
        key: str,
        *,
        vault: str | None = None,
        nonce: int | None = None,
        expires: int | None = None,
        mainnet: bool = False,
    ) -> dict[str, Any]:
        """Return a signed /exchange body."""
        self._nonce = max(self._nonce + 1, self.now_ms)
        nonce = self._nonce if nonce is None else nonce
        packed = action_msgpack(parse_action(msgspec.json.encode(action)))
        signer = L1Signer(PrivateKey.parse(key), mainnet=mainnet, vault=address_bytes(vault) if vault else None)
        signature = signer.sign(packed, nonce, expires)
        return {
            "action": copy.deepcopy(action),
            "nonce": nonce,
            "signature": {"r": hex(signature.r), "s": hex(signature.s), "v": signature.v},
            "vaultAddress": vault,
            "expiresAfter": expires,
        }

    def submit(self, body: Any) -> Any:
        """Hand in a body and return the answer, after as many blocks as it takes (one)."""
        found: list[Any] = []
        try:
            self.loopback.act(read_envelope(json.loads(json.dumps(body))), found.append)
        except Refused as error:
            return refused(str(error))
        if not found:
            self.block()
        return found[0]

    def send(self, action: dict[str, Any], who: int = 0, **options: Any) -> Any:
        """Sign an action with an account's agent and return its answer."""
        return self.submit(self.body(action, options.pop("key", self.accounts[who].agent_key), **options))

    def send_as_user(self, kind: str, fields: dict[str, Any], who: int = 0, key: str | None = None) -> Any:
        """Sign a user-signed action with an account's own key and return its answer."""
        self._nonce = max(self._nonce + 1, self.now_ms)
        moment = "time" if kind in ("usdSend", "spotSend", "withdraw3") else "nonce"
        signing = PrivateKey.parse(key or self.accounts[who].key)
        signed = {**fields, moment: self._nonce}
        action = user_action(kind, signed, mainnet=False)
        signature = sign_user_action(signing, kind, signed, mainnet=False)
        parts = {"r": hex(signature.r), "s": hex(signature.s), "v": signature.v}
        return self.submit({"action": action, "nonce": self._nonce, "signature": parts})

    def order(self, buy: bool, size: str, price: str, tif: str = "Gtc", who: int = 0, **more: Any) -> Any:
        """Place one order and return its status, or the text that refuses the action."""
        options = {name: more.pop(name) for name in ("vault", "key", "expires") if name in more}
        coin = more.pop("coin", BTC)
        wire = {"a": coin, "b": buy, "p": price, "s": size, "r": False, "t": {"limit": {"tif": tif}}, **more}
        answer_ = self.send({"type": "order", "orders": [wire], "grouping": "na"}, who, **options)
        return answer_["response"] if answer_["status"] == "err" else answer_["response"]["data"]["statuses"][0]

    # -- looks ------------------------------------------------------------------------------------

    def participant(self, who: int = 0) -> Participant:
        return self.loopback.participants[self.accounts[who].address]

    def ask(self, kind: str, who: int = 0, **more: Any) -> Any:
        return answer(self.loopback, {"type": kind, "user": self.accounts[who].address, **more})

    def position(self, who: int = 0) -> Any:
        """Return the one position of an account, None when it is flat."""
        held = self.ask("clearinghouseState", who)["assetPositions"]
        return held[0]["position"] if held else None

    def told(self, what: str, who: int = 0) -> list[Any]:
        """Return everything of a kind (`fills`, `order_updates`, …) that was told an account so far."""
        address = self.accounts[who].address
        return [entry for news in self.news for entry in getattr(news, what).get(address, ())]
