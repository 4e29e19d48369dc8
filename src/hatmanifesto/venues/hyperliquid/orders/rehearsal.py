"""Orders that are written and signed for nobody, so that the real ones find their way in the processor's caches.

An order is rare beside the market data around it, and the first one after a while takes two to three times as long as
the next: code and data of gateway, limits, signing and encoding have to be fetched again. A rehearsal walks that way in
a second gateway with parts of its own: a key that was made for it and that nobody approved, nonce 0, which no venue
takes, limits that count nothing real, and no connection.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from hatmanifesto.model.instrument import Instrument
from hatmanifesto.model.order import POST_ONLY
from hatmanifesto.venues.hyperliquid.limits import Limits
from hatmanifesto.venues.hyperliquid.orders.gateway import HyperliquidGateway
from hatmanifesto.venues.hyperliquid.orders.signed import ActionSigner
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey
from hatmanifesto.venues.hyperliquid.signing.l1 import L1Signer
from hatmanifesto.venues.hyperliquid.signing.prepared import PreparedSignatures
from hatmanifesto.venues.hyperliquid.transport.http import HttpChannel
from hatmanifesto.venues.hyperliquid.transport.posts import Posts

_NO_LIMIT: Final = 1 << 40
_NEVER_NS: Final = 1 << 62
_SIZE: Final = 1_234


class NoNonces:
    """Gives out the nonce that no venue takes: 1970 lies outside its window."""

    def next(self, now_ms: int = 0) -> int:
        """Return 0."""
        return 0


class Repeated(PreparedSignatures):
    """Uses one prepared signature again and again, which gives its key away: for a key that opens nothing."""

    def take(self, digest: bytes) -> bytes | None:
        """Sign as `PreparedSignatures` does, and put back what was taken."""
        last = self._ready[-1]
        signature = super().take(digest)
        self._ready.append(last)
        return signature


class Rehearsal:
    """Places two orders, and cancels them the next time. Nothing leaves, and nothing outside it changes."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        clock_ns: Callable[[], int],
        http: HttpChannel,
        *,
        prepared: bool = False,
    ) -> None:
        self.signed = 0
        """Actions written so far."""
        self._posts = Posts(self._take, lambda: True, _NEVER_NS)
        limits = self._limits = Limits(
            lambda notice: None, ip_weight=_NO_LIMIT, stream_messages=_NO_LIMIT, reserve_actions=0
        )
        limits.address.correct(0, _NEVER_NS)
        secret = b"\1" + os.urandom(31)
        key = PrivateKey(secret)
        if prepared:
            key.prepared = Repeated(secret, 1, clock_ns=lambda: 0)
            key.prepared.prepare()
        self.address: Final[str] = key.address
        """Whose signature its actions carry: nobody's account."""
        self._gateway = HyperliquidGateway(
            instruments=instruments,
            assets=range(len(instruments)),
            user=key.address,
            signer=ActionSigner(L1Signer(key, mainnet=False), NoNonces()),
            posts=self._posts,
            http=http,
            limits=limits,
            spawn=_refuse,
            clock_ns=clock_ns,
        )
        self.begin(0)
        self._prices = [int(instrument.snap(int(instrument.max_price) // 3, 1)) for instrument in instruments]
        self._at = 0

    def begin(self, session: int) -> None:
        """Write client order ids as this session does."""
        self._gateway.begin(self._gateway.tracker.listener, session)

    def run(self, now_ns: int) -> None:
        """Walk the way once: 40 to 150 µs, the less the oftener."""
        gateway = self._gateway
        if gateway.tracker.live:
            for order_id, live in gateway.tracker.live.items():
                gateway.cancel(now_ns, order_id, live.instrument)
            gateway.flush(now_ns)
            gateway.tracker.live.clear()
        else:
            self._at = at = (self._at + 1) % len(self._prices)
            for order_id, side in ((1, 1), (2, -1)):
                gateway.place(now_ns, order_id, at, side, self._prices[at], _SIZE, POST_ONLY, False)
            gateway.flush(now_ns)
        self._posts.forget()

    def kept(self) -> int:
        """Return how many things it remembers: orders, requests, entries of a minute's limits."""
        limits = self._limits
        return len(self._gateway.tracker.live) + len(self._posts) + len(limits.weight) + len(limits.messages)

    def _take(self, payload: bytes) -> bool:
        self.signed += 1
        return True


def _refuse(work: Any) -> None:
    work.close()
