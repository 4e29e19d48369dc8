"""Keys are read from the environment or an Ethereum keystore, and nothing that is shown ever contains one."""

import json
import logging
import stat
import traceback
from pathlib import Path
from typing import Any

import eth_keyfile
import pytest

from hatmanifesto.errors import UserError
from hatmanifesto.venues.hyperliquid.keystore import AGENT_KEY, PASSPHRASE, load_key, read_keystore, write_keystore
from hatmanifesto.venues.hyperliquid.signing.key import PrivateKey

SECRET = "0123456789012345678901234567890123456789012345678901234567890123"
ADDRESS = "0x14791697260e4c9a71f18484c9f997b308e59325"
WORDS = "correct horse"


def keystore(folder: Path, n: int = 4096) -> Path:
    path = folder / "agent.json"
    assert write_keystore(path, bytes.fromhex(SECRET), WORDS, scrypt_n=n) == ADDRESS
    return path


class TestSources:
    def test_environment(self) -> None:
        environment = {AGENT_KEY: f"0x{SECRET}", "OTHER": "kept"}
        assert load_key(environment).address == ADDRESS
        assert environment == {"OTHER": "kept"}, "a child process must not inherit the key"

    def test_keystore_with_the_passphrase_of_the_environment_or_a_person(self, tmp_path: Path) -> None:
        path = keystore(tmp_path)
        environment = {PASSPHRASE: WORDS}
        assert load_key(environment, keystore=path).address == ADDRESS
        assert not environment
        assert load_key({}, keystore=path, ask_passphrase=lambda: WORDS).address == ADDRESS

    def test_nothing_two_or_a_wrong_key_is_refused_with_a_remedy(self, tmp_path: Path) -> None:
        path = keystore(tmp_path)
        with pytest.raises(UserError, match=f"set {AGENT_KEY}"):
            load_key({})
        with pytest.raises(UserError, match="use one"):
            load_key({AGENT_KEY: SECRET}, keystore=path)
        with pytest.raises(UserError, match="holds no private key"):
            load_key({AGENT_KEY: SECRET[:-2]})
        with pytest.raises(UserError, match=f"set {PASSPHRASE}"):
            load_key({}, keystore=path)
        with pytest.raises(UserError, match="does not open"):
            load_key({PASSPHRASE: "wrong"}, keystore=path)
        with pytest.raises(UserError, match="cannot read"):
            load_key({PASSPHRASE: WORDS}, keystore=tmp_path / "missing")


class TestFiles:
    @pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
    def test_reads_what_ethereum_wallets_write(self, tmp_path: Path, kdf: Any) -> None:
        path = tmp_path / "wallet.json"
        iterations = 2 if kdf == "scrypt" else 1000
        made = eth_keyfile.create_keyfile_json(bytes.fromhex(SECRET), WORDS.encode(), kdf=kdf, iterations=iterations)
        path.write_text(json.dumps(made))
        assert read_keystore(path, WORDS).address == ADDRESS

    def test_ethereum_wallets_read_what_is_written_here(self, tmp_path: Path) -> None:
        path = keystore(tmp_path)
        assert eth_keyfile.extract_key_from_keyfile(str(path), WORDS.encode()).hex() == SECRET
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert SECRET not in path.read_text()

    def test_a_keystore_is_never_overwritten_nor_left_unprotected(self, tmp_path: Path) -> None:
        path = keystore(tmp_path)
        before = path.read_bytes()
        with pytest.raises(UserError, match="never overwritten"):
            write_keystore(path, bytes.fromhex(SECRET), WORDS, scrypt_n=2)
        assert path.read_bytes() == before
        with pytest.raises(UserError, match="passphrase is empty"):
            write_keystore(tmp_path / "other", bytes.fromhex(SECRET), "", scrypt_n=2)
        assert not (tmp_path / "other").exists()

    @pytest.mark.parametrize(
        "change",
        [
            {"version": 1},
            {"crypto": None},
            {"crypto.cipher": "rot13"},
            {"crypto.kdf": "md5"},
            {"crypto.mac": "zz"},
            {"crypto.kdfparams": {"dklen": 8, "n": 2, "r": 8, "p": 1, "salt": "00"}},
            {"crypto.kdfparams": {"dklen": 32, "n": 1 << 40, "r": 8, "p": 1, "salt": "00"}},
            {"crypto.kdfparams": {"dklen": 32, "n": 3, "r": 8, "p": 1, "salt": "00"}},
            {"crypto.kdfparams": {}},
        ],
    )
    def test_what_is_no_keystore_is_refused(self, tmp_path: Path, change: dict[str, Any]) -> None:
        path = keystore(tmp_path)
        content = json.loads(path.read_text())
        for name, value in change.items():
            first, _, second = name.partition(".")
            if second:
                content[first][second] = value
            else:
                content[first] = value
        path.write_text(json.dumps(content))
        with pytest.raises(UserError, match="no keystore"):
            read_keystore(path, WORDS)

    @pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff" * 100, b"{" * 70_000])
    def test_noise_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "noise"
        path.write_bytes(content)
        with pytest.raises(UserError, match="no keystore"):
            read_keystore(path, WORDS)


class TestSecrecy:
    """Greps what errors, reprs, logs and tracebacks show for the key in hexadecimal, as a number and as bytes."""

    FORMS = (SECRET, SECRET.upper(), str(int(SECRET, 16)), repr(bytes.fromhex(SECRET))[2:-1])

    def shown_nowhere(self, *texts: str) -> None:
        for text in texts:
            for form in self.FORMS:
                assert form not in text
                assert form[:16] not in text

    @pytest.mark.parametrize("spoiled", [SECRET + "00", SECRET[:-1] + "g", SECRET[:-2], f"0x0x{SECRET}"])
    def test_a_mistyped_key_is_not_shown_by_its_error_or_traceback(
        self, spoiled: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(UserError) as caught:
            load_key({AGENT_KEY: spoiled})
        error = caught.value
        logging.getLogger("hat").error("could not start", exc_info=error)
        self.shown_nowhere(str(error), error.message, error.remedy, "".join(traceback.format_exception(error)))
        assert error.__cause__ is None
        assert error.__suppress_context__
        self.shown_nowhere(caplog.text)

    def test_a_key_in_use_shows_its_address_only(self) -> None:
        key = load_key({AGENT_KEY: SECRET})
        signature = key.sign(bytes(32))
        self.shown_nowhere(repr(key), str(key), f"{key}", repr([key]), repr({"key": key}), repr(signature))
        assert not hasattr(key, "__dict__"), "vars() and debuggers' dumps of attributes show nothing"
        assert isinstance(key, PrivateKey)
