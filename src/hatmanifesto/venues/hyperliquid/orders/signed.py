"""An action with nonce and signature: the body of /exchange, the same over WebSocket and HTTP."""

from typing import Final, Protocol

from hatmanifesto.venues.hyperliquid.signing.l1 import L1Signer
from hatmanifesto.venues.hyperliquid.wire.actions import Action, action_json, action_msgpack


class Nonces(Protocol):
    """Gives out nonces, as venues.hyperliquid.nonces does."""

    def next(self, now_ms: int = 0) -> int:
        """Return the next nonce, ms."""
        ...


class ActionSigner:
    """Signs actions of one agent key for one account."""

    def __init__(self, signer: L1Signer, nonces: Nonces) -> None:
        self._sign = signer.sign_json
        self._next_nonce = nonces.next
        self._tail: Final = b',"vaultAddress":"0x%b"' % signer.vault.hex().encode() if signer.vault else b""

    def body(self, action: Action, expires_after: int | None = None, now_ms: int = 0) -> bytes:
        """Return the signed request; `expires_after` (ms) is when the venue must refuse it, `now_ms` the time if known.

        Raises NonceWindowError or OSError when no nonce can be had; nothing was used up then.
        """
        nonce = self._next_nonce(now_ms)
        signature = self._sign(action_msgpack(action), nonce, expires_after)
        if expires_after is None:
            return b'{"action":%b,"nonce":%d,"signature":%b%b}' % (action_json(action), nonce, signature, self._tail)
        return b'{"action":%b,"nonce":%d,"signature":%b%b,"expiresAfter":%d}' % (
            action_json(action),
            nonce,
            signature,
            self._tail,
            expires_after,
        )
