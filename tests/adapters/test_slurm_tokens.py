"""Tokens are short, of one ordinary user, and never of a privileged one."""

from __future__ import annotations

import secrets
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from integrations.slurm.tokens import LIFETIME_S, RENEW_BEFORE_S, Command, KeyFile, NoToken, source_from


@pytest.fixture
def shared_key(tmp_path: Path) -> Path:
    path = tmp_path / "hs256.key"
    path.write_bytes(secrets.token_bytes(32))
    return path


@pytest.fixture
def private_key(tmp_path: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = tmp_path / "portal.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def signer(tmp_path: Path, body: str) -> Command:
    script = tmp_path / "sign.py"
    script.write_text(body)
    return Command([sys.executable, str(script)], timeout_s=5)


class TestKeyFile:
    def test_a_token_names_its_user_its_key_and_a_near_end(self, private_key: Path) -> None:
        token = KeyFile(private_key, algorithm="RS256", key_id="k1").token("optics")
        key = serialization.load_pem_private_key(private_key.read_bytes(), None)
        claims = jwt.decode(token, key.public_key(), algorithms=["RS256"])  # type: ignore[arg-type]
        assert claims["sun"] == "optics"
        assert claims["exp"] - claims["iat"] == LIFETIME_S == 120
        assert jwt.get_unverified_header(token) == {"alg": "RS256", "kid": "k1", "typ": "JWT"}

    def test_it_is_kept_until_shortly_before_its_end(self, shared_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source = KeyFile(shared_key, algorithm="HS256")
        first = source.token("optics")
        assert source.token("optics") == first
        assert source.token("pharma") != first
        later = time.time() + LIFETIME_S - RENEW_BEFORE_S + 1
        monkeypatch.setattr("integrations.slurm.tokens.time.time", lambda: later)
        assert source.token("optics") != first

    def test_without_a_key_there_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(NoToken):
            KeyFile(tmp_path / "absent", algorithm="RS256").token("optics")
        (tmp_path / "broken").write_text("not a key")
        with pytest.raises(NoToken):
            KeyFile(tmp_path / "broken", algorithm="RS256").token("optics")

    @pytest.mark.parametrize(
        "user", ["root", "slurm", "munge", "nobody", "daemon", "games", "", "a", "Root", "x" * 40, "a b", "../x", "-x"]
    )
    def test_never_for_a_privileged_or_malformed_user(self, shared_key: Path, user: str) -> None:
        with pytest.raises(NoToken):
            KeyFile(shared_key, algorithm="HS256").token(user)


class TestCommand:
    TOKEN = (
        "import json,base64,sys,time\n"
        "b=lambda v: base64.urlsafe_b64encode(json.dumps(v).encode()).decode().rstrip('=')\n"
        "t='.'.join([b({'alg':'RS256'}), b({'sun': sys.argv[1], 'exp': int(time.time())+%d}), 'c2ln'])\n"
    )

    @pytest.mark.parametrize("line", ["print(t)", "print('SLURM_JWT='+t)"])
    def test_it_asks_the_signer_with_the_user_as_its_last_word(self, tmp_path: Path, line: str) -> None:
        token = signer(tmp_path, self.TOKEN % 100 + line).token("optics")
        assert jwt.decode(token, options={"verify_signature": False})["sun"] == "optics"

    @pytest.mark.parametrize(
        "body",
        [
            "raise SystemExit(1)",
            "print('')",
            "print('a.b.c')",
            TOKEN.replace("sys.argv[1]", "'root'") % 100 + "print(t)",
        ],
    )
    def test_a_signer_that_fails_or_answers_for_another_gives_none(self, tmp_path: Path, body: str) -> None:
        with pytest.raises(NoToken):
            signer(tmp_path, body).token("optics")

    def test_a_signer_that_is_not_there_or_does_not_end_gives_none(self, tmp_path: Path) -> None:
        with pytest.raises(NoToken):
            Command(["/no/such/signer"]).token("optics")
        with pytest.raises(NoToken):
            Command(["/bin/sleep", "9"], timeout_s=0.2).mint("9")


class TestChoosing:
    @pytest.mark.parametrize(
        "config",
        [
            {},
            {"token_command": "sign --for"},
            {"token_command": ["sign"], "jwks_private_key_file": "/k", "key_id": "1"},
            {"jwt_key_file": "/k"},
            {"jwt_key_file": "/k", "development": "yes"},
        ],
    )
    def test_anything_but_exactly_one_way_is_refused(self, config: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"token_command|development"):
            source_from(config)

    def test_the_same_choice_is_the_same_source(self) -> None:
        assert source_from({"token_command": ["sign"]}) is source_from({"token_command": ["sign"], "url": "http://x"})
        assert source_from({"token_command": ["sign"]}) is not source_from({"token_command": ["sign", "2"]})

    def test_each_way(self) -> None:
        assert isinstance(source_from({"token_command": ["sign"]}), Command)
        assert isinstance(source_from({}, default_command=["sign"]), Command)
        assert isinstance(source_from({"jwks_private_key_file": "/k", "key_id": "1"}), KeyFile)
        assert isinstance(source_from({"jwt_key_file": "/k", "development": True}), KeyFile)
