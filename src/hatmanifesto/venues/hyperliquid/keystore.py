"""Where private keys come from: an environment variable, or a keystore file as Ethereum wallets write it (version 3).

Never from the configuration, and never into anything that is written: errors here say what is wrong with a key or a
file without quoting it, and what is read is held by a PrivateKey, which shows its address only.
"""

import hashlib
import hmac
import json
import os
import secrets
import uuid
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any, Final

from Crypto.Cipher import AES

from hatmanifesto.errors import UserError
from hatmanifesto.venues.hyperliquid.signing.keccak import keccak256
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey

AGENT_KEY: Final = "HAT_AGENT_KEY"
GUARD_KEY: Final = "HAT_GUARD_KEY"
PASSPHRASE: Final = "HAT_KEYSTORE_PASSPHRASE"
SCRYPT_N: Final = 1 << 18
"""Work factor of new keystores: about a second and 256 MiB to open one."""
_MAX_MEMORY: Final = 1 << 31
_MAX_FILE: Final = 1 << 16


def load_key(
    environment: MutableMapping[str, str],
    *,
    variable: str = AGENT_KEY,
    keystore: Path | None = None,
    ask_passphrase: Callable[[], str] | None = None,
) -> PrivateKey:
    """Return the key that a process signs with, from `variable` of the environment or from a keystore file.

    The variable, and that of the passphrase, are taken out of `environment`, so that processes started later do not
    inherit them. Without HAT_KEYSTORE_PASSPHRASE a passphrase is asked for. Raises UserError when there is no key,
    two, or a wrong one.
    """
    text = environment.pop(variable, "")
    passphrase = environment.pop(PASSPHRASE, None)
    if text and keystore is not None:
        raise UserError(
            f"a key in {variable} and a keystore file {keystore} were given", "use one: unset the variable, or the file"
        )
    if text:
        try:
            return PrivateKey.parse(text)
        except ValueError as error:
            raise UserError(f"{variable} holds no private key: {error}", "set it to the agent's private key") from None
    if keystore is None:
        raise UserError(
            "there is no key to sign with",
            f"set {variable} in the environment, or name a keystore file (`keystore` in the configuration)",
        )
    if passphrase is None:
        if ask_passphrase is None:
            raise UserError(f"{keystore} is encrypted", f"set {PASSPHRASE}, or run in a terminal to be asked for it")
        passphrase = ask_passphrase()
    return read_keystore(keystore, passphrase)


def read_keystore(path: Path, passphrase: str) -> PrivateKey:
    """Decrypt a keystore file; raises UserError when it cannot be read, is none, or the passphrase is wrong."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE)
    except OSError as error:
        raise UserError(f"cannot read keystore {path}: {error.strerror}", "check its name and permissions") from None
    try:
        secret = _decrypt(json.loads(text), passphrase)
    except (ValueError, KeyError, TypeError, AttributeError, MemoryError, OverflowError):
        raise UserError(
            f"{path} is no keystore that can be read here",
            "use a version 3 keystore (scrypt or pbkdf2, aes-128-ctr), as Ethereum wallets write it",
        ) from None
    if secret is None:
        raise UserError(f"the passphrase does not open {path}", f"check {PASSPHRASE}, or type it again")
    try:
        return PrivateKey(secret)
    except ValueError as error:
        raise UserError(f"{path} holds no private key: {error}", "make the keystore again") from None


def _decrypt(keystore: dict[str, Any], passphrase: str) -> bytes | None:
    """Return the secret, or None when the passphrase is wrong; raises ValueError and others for what is no keystore."""
    if keystore["version"] != 3:
        raise ValueError("not version 3")
    crypto = keystore.get("crypto") or keystore["Crypto"]
    if crypto["cipher"] != "aes-128-ctr":
        raise ValueError("another cipher")
    parameters = crypto["kdfparams"]
    salt = bytes.fromhex(parameters["salt"])
    length = int(parameters["dklen"])
    if length < 32 or length > 64:
        raise ValueError("key length")
    if crypto["kdf"] == "scrypt":
        derived = hashlib.scrypt(
            passphrase.encode(),
            salt=salt,
            n=int(parameters["n"]),
            r=int(parameters["r"]),
            p=int(parameters["p"]),
            dklen=length,
            maxmem=_MAX_MEMORY - 1,
        )
    elif crypto["kdf"] == "pbkdf2" and parameters["prf"] == "hmac-sha256":
        rounds = int(parameters["c"])
        if not 0 < rounds <= 10_000_000:
            raise ValueError("rounds")
        derived = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, rounds, length)
    else:
        raise ValueError("another key derivation")
    sealed = bytes.fromhex(crypto["ciphertext"])
    if not hmac.compare_digest(keccak256(derived[16:32] + sealed), bytes.fromhex(crypto["mac"])):
        return None
    secret: bytes = _stream(derived[:16], bytes.fromhex(crypto["cipherparams"]["iv"])).decrypt(sealed)
    return secret


def _stream(key: bytes, start: bytes) -> Any:
    return AES.new(key, AES.MODE_CTR, nonce=b"", initial_value=int.from_bytes(start, "big"))


def write_keystore(path: Path, secret: bytes, passphrase: str, *, scrypt_n: int = SCRYPT_N) -> str:
    """Write a new keystore file, readable by its owner only, and return the key's address.

    Raises UserError when the file exists or cannot be written, or the passphrase is empty; nothing is left behind
    then. Raises ValueError when `secret` is no private key.
    """
    key = PrivateKey(secret)
    if not passphrase:
        raise UserError("the passphrase is empty", "choose one; without it anybody with the file has the key")
    salt, start = secrets.token_bytes(32), secrets.token_bytes(16)
    derived = hashlib.scrypt(passphrase.encode(), salt=salt, n=scrypt_n, r=8, p=1, dklen=32, maxmem=_MAX_MEMORY - 1)
    sealed: bytes = _stream(derived[:16], start).encrypt(secret)
    content = {
        "version": 3,
        "id": str(uuid.uuid4()),
        "address": key.address.removeprefix("0x"),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": start.hex()},
            "ciphertext": sealed.hex(),
            "kdf": "scrypt",
            "kdfparams": {"dklen": 32, "n": scrypt_n, "r": 8, "p": 1, "salt": salt.hex()},
            "mac": keccak256(derived[16:32] + sealed).hex(),
        },
    }
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UserError(f"{path} exists", "choose another name; a keystore is never overwritten") from None
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}", "choose a folder that can be written") from None
    try:
        with os.fdopen(file, "w") as out:
            json.dump(content, out)
            out.write("\n")
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror}", "make room, and try again") from None
    return key.address
