"""A private key in use: it signs, and shows nobody more than its address."""

from typing import Final, NamedTuple, NoReturn

import coincurve
import msgspec

from hatmanifesto.venues.hyperliquid.signing.keccak import keccak256
from hatmanifesto.venues.hyperliquid.signing.prepared import ORDER, PreparedSignatures


class Signature(NamedTuple):
    """An ECDSA signature; `v` is 27 or 28."""

    r: int
    s: int
    v: int

    def json(self) -> bytes:
        """Return it as the venue wants it."""
        return b'{"r":"0x%064x","s":"0x%064x","v":%d}' % (self.r, self.s, self.v)

    def to_bytes(self) -> bytes:
        """Return 65 bytes: r, s, recovery id."""
        return self.r.to_bytes(32, "big") + self.s.to_bytes(32, "big") + bytes((self.v - 27,))


def address_of(public_key: coincurve.PublicKey) -> str:
    """Return a public key's address, lower case."""
    return "0x" + keccak256(public_key.format(compressed=False)[1:])[12:].hex()


def recover(digest: bytes, signature: Signature) -> str:
    """Return the address whose key signed a digest, lower case; raises ValueError when it cannot be recovered."""
    if not (0 < signature.r < ORDER and 0 < signature.s < ORDER and signature.v in (27, 28)):
        raise ValueError("the signature's r, s or v lie outside their range")
    try:
        return address_of(coincurve.PublicKey.from_signature_and_message(signature.to_bytes(), digest, hasher=None))
    except Exception as error:
        raise ValueError("no key can have made this signature") from error


class PrivateKey:
    """Signs 32-byte digests. Its repr, and every error it raises, name the address and never the key.

    Raises ValueError, without quoting what was given, for anything but 32 bytes that make a key.
    """

    __slots__ = ("_key", "address", "prepared")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < ORDER:
            raise ValueError("a private key has 32 bytes and lies below the order of secp256k1")
        self._key = coincurve.PrivateKey(secret)
        self.address: Final[str] = address_of(self._key.public_key)
        self.prepared: PreparedSignatures | None = None
        """What `sign_json` uses up first; none unless `keep_prepared` says so."""

    @classmethod
    def parse(cls, text: str) -> "PrivateKey":
        """Read a key from hexadecimal text with or without 0x; raises ValueError without quoting it."""
        body = text.strip().removeprefix("0x").removeprefix("0X")
        try:
            secret = bytes.fromhex(body)
        except ValueError:
            raise ValueError("a private key is written as 64 hexadecimal digits") from None
        return cls(secret)

    def sign(self, digest: bytes) -> Signature:
        """Sign a digest (deterministic nonce, RFC 6979; low s)."""
        made = self._key.sign_recoverable(digest, hasher=None)
        return Signature(int.from_bytes(made[:32], "big"), int.from_bytes(made[32:64], "big"), made[64] + 27)

    def sign_json(self, digest: bytes) -> bytes:
        """Sign a digest and return the signature as the venue wants it; the hot path's form.

        With a prepared k where there is one, else as `sign` does: both are valid, and differ from each other.
        """
        prepared = self.prepared
        if prepared is not None:
            ready = prepared.take(digest)
            if ready is not None:
                return ready
        made = self._key.sign_recoverable(digest, hasher=None)
        return b'{"r":"0x%b","s":"0x%b","v":%d}' % (
            made[:32].hex().encode(),
            made[32:64].hex().encode(),
            made[64] + 27,
        )

    def keep_prepared(self, size: int) -> None:
        """Prepare up to so many signatures, whenever `prepared.prepare` is called; 0 = none.

        Raises RuntimeError when one that was tried does not recover to this key.
        """
        self.prepared = PreparedSignatures(self._key.secret, size) if size else None
        if self.prepared is not None:
            self.prepared.prepare()
            digest = keccak256(b"a prepared signature")
            fields = msgspec.json.decode(self.sign_json(digest))
            if recover(digest, Signature(int(fields["r"], 16), int(fields["s"], 16), fields["v"])) != self.address:
                self.prepared = None
                raise RuntimeError("a prepared signature is wrong; this is a defect, please report it")

    def __repr__(self) -> str:
        return f"PrivateKey(address={self.address})"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is neither pickled nor copied")

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)
