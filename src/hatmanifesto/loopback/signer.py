"""Whose an action is: parse, write it canonically, recover the signer as the venue does, and judge its nonce."""

from bisect import insort
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from hatmanifesto.venues.hyperliquid.signing.key import Signature
from hatmanifesto.venues.hyperliquid.signing.l1 import address_bytes, recover_l1
from hatmanifesto.venues.hyperliquid.signing.user_signed import SIGNED_FIELDS, recover_user_action
from hatmanifesto.venues.hyperliquid.wire.actions import Action, action_msgpack, parse_action

MALFORMED: Final = "Failed to deserialize the JSON body into the target type"
NO_SIGNER: Final = "Unable to recover signer."
NONCES_KEPT: Final = 100
_DAY_MS: Final = 86_400_000
_NESTED: Final = frozenset({"order", "t", "trigger", "limit", "builder", "twap", "details"})


class Malformed(ValueError):  # noqa: N818 - it is what the body is
    """The body is not what the venue understands: HTTP 422 and this text."""


class Refused(Exception):  # noqa: N818 - it is what the action is
    """The whole action is refused: `status: err` and this text."""


class Signers:
    """Who may have signed: as testnet, as mainnet (a client signs for the network it believes in).

    Recovering a signer is most of what an action costs, so the second is only looked for when the first is unknown.
    """

    def __init__(self, *recover: Callable[[], str]) -> None:
        self._recover = list(recover)
        self._found: list[str] = []

    def __getitem__(self, at: int) -> str:
        """Return one of them. Raises IndexError past the last, Refused when the signature is none."""
        while len(self._found) <= at and self._recover:
            try:
                self._found.append(self._recover.pop(0)())
            except ValueError:
                raise Refused(NO_SIGNER) from None
        return self._found[at]

    def __iter__(self) -> Iterator[str]:
        """Recover one after the other, as far as they are asked for."""
        at = 0
        while at < len(self._found) or self._recover:
            yield self[at]
            at += 1


class Envelope(NamedTuple):
    """A signed action as it arrived. `action` is None for a user-signed one, whose plain fields are in `fields`."""

    action: Action | None
    fields: dict[str, Any]
    nonce: int
    signers: Signers
    vault: str | None
    expires_ms: int | None
    packed: bytes


def read_envelope(body: Any) -> Envelope:
    """Read an /exchange body. Raises Malformed, or Refused when no signer can be recovered."""
    if not isinstance(body, dict):
        raise Malformed(MALFORMED)
    action, nonce, signed = body.get("action"), body.get("nonce"), body.get("signature")
    if not isinstance(action, dict) or not isinstance(action.get("type"), str) or not isinstance(signed, dict):
        raise Malformed(MALFORMED)
    if not isinstance(nonce, int) or isinstance(nonce, bool) or not 0 <= nonce < 1 << 64:
        raise Malformed(MALFORMED)
    expires = body.get("expiresAfter")
    if expires is not None and (
        not isinstance(expires, int) or isinstance(expires, bool) or not 0 <= expires < 1 << 64
    ):
        raise Malformed(MALFORMED)
    vault = _vault(body.get("vaultAddress"))
    signature = _signature(signed)
    if action["type"] in SIGNED_FIELDS:
        return _user_signed(action, nonce, signature)
    try:
        parsed = parse_action(msgspec.json.encode(_canonical(action)))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Malformed(MALFORMED) from None
    packed = action_msgpack(parsed)
    vault_bytes = None if vault is None else address_bytes(vault)
    signers = Signers(
        *(
            partial(recover_l1, packed, nonce, vault_bytes, expires, signature, mainnet=mainnet)
            for mainnet in (False, True)
        )
    )
    signers[0]  # a signature that is none is refused here
    return Envelope(parsed, action, nonce, signers, vault, expires, packed)


def _user_signed(action: dict[str, Any], nonce: int, signature: Signature) -> Envelope:
    chain = action.get("signatureChainId")
    inner = action.get("nonce", action.get("time"))
    if not isinstance(chain, str) or inner != nonce:
        raise Malformed(MALFORMED)
    mainnet = action.get("hyperliquidChain") == "Mainnet"
    kind = str(action["type"])
    signers = Signers(partial(recover_user_action, kind, action, signature, mainnet=mainnet, chain_id=chain))
    signers[0]
    return Envelope(None, action, nonce, signers, None, None, msgspec.json.encode(action))


def _vault(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise Malformed(MALFORMED)
    try:
        return "0x" + address_bytes(value).hex()
    except ValueError:
        raise Malformed(MALFORMED) from None


def _signature(signed: dict[str, Any]) -> Signature:
    r, s, v = signed.get("r"), signed.get("s"), signed.get("v")
    if not isinstance(r, str) or not isinstance(s, str) or not isinstance(v, int) or max(len(r), len(s)) > 66:
        raise Malformed(MALFORMED)
    try:
        return Signature(int(r, 16), int(s, 16), v)
    except ValueError:
        raise Refused(NO_SIGNER) from None


def _canonical(action: dict[str, Any]) -> dict[str, Any]:
    """Return the action with what the venue reads loosely written as it writes it: texts of numbers, of ids."""
    made: dict[str, Any] = {}
    for key, value in action.items():
        if key in ("orders", "cancels", "modifies") and isinstance(value, list):
            made[key] = [_canonical(entry) if isinstance(entry, dict) else entry for entry in value]
        elif key in _NESTED and isinstance(value, dict):
            made[key] = _canonical(value)
        elif key in ("p", "s", "triggerPx") and isinstance(value, str):
            made[key] = canonical_number(value)
        elif key in ("c", "cloid", "oid", "b") and isinstance(value, str):
            made[key] = value.lower()
        elif value is None and key in ("c", "builder", "f", "a", "time", "details"):
            continue
        else:
            made[key] = value
    return made


def canonical_number(text: str) -> str:
    """Return decimal text without needless zeros; raises Malformed for what is none."""
    body = text.removeprefix("-")
    whole, point, fraction = body.partition(".")
    if (
        not (whole + fraction).isdigit()
        or not (whole + fraction).isascii()
        or len(text) > 40
        or (point and not fraction)
    ):
        raise Malformed(MALFORMED)
    whole = whole.lstrip("0") or "0"
    fraction = fraction.rstrip("0")
    number = f"{whole}.{fraction}" if fraction else whole
    return number if number == "0" or not text.startswith("-") else f"-{number}"


class NonceSet:
    """The highest nonces of one signer; a new one must be above the least of them, new, and near the block's time."""

    def __init__(self) -> None:
        self._kept: list[int] = []

    def use(self, nonce: int, now_ms: int) -> None:
        """Use a nonce; raises Refused with the venue's words."""
        if not now_ms - 2 * _DAY_MS < nonce < now_ms + _DAY_MS:
            raise Refused(f"Invalid nonce: {nonce} is too far from the current time {now_ms}")
        if nonce in self._kept:
            raise Refused(f"Invalid nonce: duplicate nonce {nonce}")
        if len(self._kept) >= NONCES_KEPT:
            if nonce < self._kept[0]:
                raise Refused(f"Invalid nonce: nonce too low {nonce} < {self._kept[0]}")
            del self._kept[0]
        insort(self._kept, nonce)
