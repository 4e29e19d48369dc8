"""Signing of trading actions ("L1 actions"): hash of the packed action, wrapped as a phantom agent, EIP-712.

Source: Hyperliquid docs, "signing"; hyperliquid-python-sdk signing.py; vectors in tests/venues.
"""

from typing import Final

from hatmanifesto.venues.hyperliquid.signing.keccak import keccak256
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey, Signature, recover

_DOMAIN_TYPE: Final = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_AGENT_TYPE: Final = b"Agent(string source,bytes32 connectionId)"
_CHAIN_ID: Final = 1337
_ZERO_ADDRESS: Final = bytes(32)


def domain_separator(name: str, version: str, chain_id: int) -> bytes:
    """Return an EIP-712 domain's hash, verifying contract zero."""
    return keccak256(
        keccak256(_DOMAIN_TYPE)
        + keccak256(name.encode())
        + keccak256(version.encode())
        + chain_id.to_bytes(32, "big")
        + _ZERO_ADDRESS
    )


_DIGEST_HEAD: Final = b"\x19\x01" + domain_separator("Exchange", "1", _CHAIN_ID)
_STRUCT_HEAD: Final = {
    mainnet: keccak256(_AGENT_TYPE) + keccak256(b"a" if mainnet else b"b") for mainnet in (True, False)
}


def address_bytes(address: str) -> bytes:
    """Return an address's 20 bytes; raises ValueError when it is none."""
    body = address.removeprefix("0x").removeprefix("0X")
    if len(body) != 40:
        raise ValueError(f"{address!r} is no address; write 0x and 40 hexadecimal digits")
    try:
        return bytes.fromhex(body)
    except ValueError:
        raise ValueError(f"{address!r} is no address; write 0x and 40 hexadecimal digits") from None


def hash_input(packed: bytes, nonce: int, vault: bytes | None, expires_after: int | None) -> bytes:
    """Return what is hashed: packed action, nonce, vault address, expiry (ms); the latter two when set."""
    tail = nonce.to_bytes(8, "big") + (b"\x00" if vault is None else b"\x01" + vault)
    if expires_after is not None:
        tail += b"\x00" + expires_after.to_bytes(8, "big")
    return packed + tail


def action_hash(packed: bytes, nonce: int, vault: bytes | None = None, expires_after: int | None = None) -> bytes:
    """Return the connection id of a packed action."""
    return keccak256(hash_input(packed, nonce, vault, expires_after))


def l1_digest(connection_id: bytes, *, mainnet: bool) -> bytes:
    """Return the digest that is signed for a connection id."""
    return keccak256(_DIGEST_HEAD + keccak256(_STRUCT_HEAD[mainnet] + connection_id))


def recover_l1(
    packed: bytes, nonce: int, vault: bytes | None, expires_after: int | None, signature: Signature, *, mainnet: bool
) -> str:
    """Return the address that signed a packed action; raises ValueError when none can be recovered."""
    return recover(l1_digest(action_hash(packed, nonce, vault, expires_after), mainnet=mainnet), signature)


class L1Signer:
    """Signs packed actions for one account: the hot path.

    `vault`: the 20 bytes of a vault or sub-account to act for. `mainnet` False signs for the testnet.
    """

    def __init__(self, key: PrivateKey, *, mainnet: bool, vault: bytes | None = None) -> None:
        self.key: Final[PrivateKey] = key
        self.mainnet: Final[bool] = mainnet
        self.vault: Final[bytes | None] = vault
        self._struct_head: Final = _STRUCT_HEAD[mainnet]

    def sign_json(self, packed: bytes, nonce: int, expires_after: int | None) -> bytes:
        """Return the signature of a packed action as JSON."""
        connection_id = keccak256(hash_input(packed, nonce, self.vault, expires_after))
        return self.key.sign_json(keccak256(_DIGEST_HEAD + keccak256(self._struct_head + connection_id)))

    def sign(self, packed: bytes, nonce: int, expires_after: int | None = None) -> Signature:
        """Return the signature of a packed action."""
        return self.key.sign(l1_digest(action_hash(packed, nonce, self.vault, expires_after), mainnet=self.mainnet))
