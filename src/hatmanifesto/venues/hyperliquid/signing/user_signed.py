"""Actions that the account's own key must sign: money that leaves, agents, fees. EIP-712 over their fields.

An agent's signature under one of these makes the venue answer for the agent's own, empty account.
"""

from collections.abc import Mapping
from typing import Final

from hatmanifesto.venues.hyperliquid.signing.keccak import keccak256
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey, Signature, recover
from hatmanifesto.venues.hyperliquid.signing.l1 import address_bytes, domain_separator

Value = str | int | bool | bytes
SIGNATURE_CHAIN_ID: Final = "0x66eee"
"""Which chain a wallet says it is on; any does, and it travels with the action."""

_PREFIX: Final = "HyperliquidTransaction:"
SIGNED_FIELDS: Final[dict[str, tuple[str, tuple[tuple[str, str], ...]]]] = {
    # action type: (primary type, fields after hyperliquidChain as (EIP-712 type, name))
    "usdSend": ("UsdSend", (("string", "destination"), ("string", "amount"), ("uint64", "time"))),
    "spotSend": (
        "SpotSend",
        (("string", "destination"), ("string", "token"), ("string", "amount"), ("uint64", "time")),
    ),
    "withdraw3": ("Withdraw", (("string", "destination"), ("string", "amount"), ("uint64", "time"))),
    "usdClassTransfer": ("UsdClassTransfer", (("string", "amount"), ("bool", "toPerp"), ("uint64", "nonce"))),
    "sendAsset": (
        "SendAsset",
        (
            ("string", "destination"),
            ("string", "sourceDex"),
            ("string", "destinationDex"),
            ("string", "token"),
            ("string", "amount"),
            ("string", "fromSubAccount"),
            ("uint64", "nonce"),
        ),
    ),
    "approveAgent": ("ApproveAgent", (("address", "agentAddress"), ("string", "agentName"), ("uint64", "nonce"))),
    "approveBuilderFee": (
        "ApproveBuilderFee",
        (("string", "maxFeeRate"), ("address", "builder"), ("uint64", "nonce")),
    ),
    "userSetAbstraction": (
        "UserSetAbstraction",
        (("address", "user"), ("string", "abstraction"), ("uint64", "nonce")),
    ),
    "userDexAbstraction": ("UserDexAbstraction", (("address", "user"), ("bool", "enabled"), ("uint64", "nonce"))),
    "cDeposit": ("CDeposit", (("uint64", "wei"), ("uint64", "nonce"))),
    "cWithdraw": ("CWithdraw", (("uint64", "wei"), ("uint64", "nonce"))),
    "tokenDelegate": (
        "TokenDelegate",
        (("address", "validator"), ("uint64", "wei"), ("bool", "isUndelegate"), ("uint64", "nonce")),
    ),
    "convertToMultiSigUser": ("ConvertToMultiSigUser", (("string", "signers"), ("uint64", "nonce"))),
    "multiSig": ("SendMultiSig", (("bytes32", "multiSigActionHash"), ("uint64", "nonce"))),
}
"""What is signed of each action, in this order. A missing agentName is signed as empty."""


def _word(kind: str, name: str, value: Value | None) -> bytes:
    match kind:
        case "string" if isinstance(value, str):
            return keccak256(value.encode())
        case "address" if isinstance(value, str):
            return bytes(12) + address_bytes(value)
        case "bool" if isinstance(value, bool):
            return int(value).to_bytes(32, "big")
        case "uint64" if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64:
            return value.to_bytes(32, "big")
        case "bytes32" if isinstance(value, bytes) and len(value) == 32:
            return value
        case _:
            raise ValueError(f"{name} must be a {kind}, got {type(value).__name__}")


def user_digest(action_type: str, fields: Mapping[str, Value], *, mainnet: bool, chain_id: str) -> bytes:
    """Return the digest that is signed for a user-signed action.

    Raises ValueError for an unknown type, or a field that is missing or of the wrong kind.
    """
    if action_type not in SIGNED_FIELDS:
        raise ValueError(f"{action_type!r} is no user-signed action; known: {', '.join(SIGNED_FIELDS)}")
    name, kinds = SIGNED_FIELDS[action_type]
    declared = ",".join(("string hyperliquidChain", *(f"{kind} {field}" for kind, field in kinds)))
    words = keccak256(f"{_PREFIX}{name}({declared})".encode())
    words += keccak256(b"Mainnet" if mainnet else b"Testnet")
    for kind, field in kinds:
        value = fields.get(field, "" if field == "agentName" else None)
        words += _word(kind, f"{action_type}.{field}", value)
    domain = domain_separator("HyperliquidSignTransaction", "1", int(chain_id, 16))
    return keccak256(b"\x19\x01" + domain + keccak256(words))


def sign_user_action(
    key: PrivateKey, action_type: str, fields: Mapping[str, Value], *, mainnet: bool, chain_id: str = SIGNATURE_CHAIN_ID
) -> Signature:
    """Sign a user-signed action; raises ValueError as `user_digest` does."""
    return key.sign(user_digest(action_type, fields, mainnet=mainnet, chain_id=chain_id))


def recover_user_action(
    action_type: str, fields: Mapping[str, Value], signature: Signature, *, mainnet: bool, chain_id: str
) -> str:
    """Return the address that signed; raises ValueError when none can be recovered."""
    return recover(user_digest(action_type, fields, mainnet=mainnet, chain_id=chain_id), signature)


def user_action(
    action_type: str, fields: Mapping[str, str | int | bool], *, mainnet: bool
) -> dict[str, str | int | bool]:
    """Return the action as it travels, with the keys that say where and how it was signed."""
    return {
        "type": action_type,
        "signatureChainId": SIGNATURE_CHAIN_ID,
        "hyperliquidChain": "Mainnet" if mainnet else "Testnet",
        **fields,
    }
