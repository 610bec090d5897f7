"""The signer's keys and its journal, on disk."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import re
import stat
import threading
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

__all__ = ["Faulty", "Journal", "Keys"]

_KEY_ID = re.compile(r"k[0-9]{8}-[0-9a-f]{6}")


class Faulty(Exception):
    """The signer's directory is not as it must be; the text says what to do."""


class Keys:
    """One or two RSA keys: the signing one, named by ``current``, and during a rotation the next or the last one.

    A rotation is three steps, because Slurm's daemons read ``jwks.json`` at their start: `rotate` publishes a new key
    beside the old, the daemons are restarted, `activate` signs with it, and when the last old token has ended `retire`
    withdraws the old one. At no moment is a token signed with a key that is not published.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def jwks(self) -> Path:
        return self.folder / "jwks.json"

    def names(self) -> list[str]:
        """Return key ids, oldest first."""
        found = [path for path in (self.folder / "keys").glob("*.pem") if _KEY_ID.fullmatch(path.stem)]
        return [path.stem for path in sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.stem))]

    def current(self) -> str:
        name = (self.folder / "current").read_text(encoding="utf-8").strip()
        if not _KEY_ID.fullmatch(name):
            raise Faulty(f"no key id: {name[:40]!r}")
        return name

    def signing(self) -> tuple[str, bytes]:
        """Return the signing key's id and its PEM, read anew: a rotation needs no restart here."""
        name = self.current()
        return name, (self.folder / "keys" / f"{name}.pem").read_bytes()

    def init(self) -> str:
        """Create the directory and the first key, and sign with it. Refuses to touch an existing one."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (self.folder / "keys").exists():
            raise Faulty(f"{self.folder} has keys already")
        (self.folder / "keys").mkdir(mode=0o700)
        if not (self.folder / "enrolled").exists():
            _write(self.folder / "enrolled", b"# one POSIX user per line, or name:uid\n", 0o640)
        name = self._make()
        _write(self.folder / "current", name.encode(), 0o600)
        self.publish()
        return f"{name}: put {self.jwks} on the cluster"

    def rotate(self) -> str:
        """Make the next key and publish it beside the signing one. Raises Faulty while a rotation is under way."""
        if len(self.names()) != 1:
            raise Faulty("a rotation is under way: activate, then retire")
        name = self._make()
        self.publish()
        return f"{name}: put {self.jwks} on the cluster, restart slurmctld and slurmdbd, then activate"

    def activate(self) -> str:
        """Sign with the newest key from now on."""
        names = self.names()
        if len(names) < 2 or self.current() == names[-1]:
            raise Faulty("no next key: rotate first")
        _write(self.folder / "current", names[-1].encode(), 0o600)
        return f"{names[-1]}: signs from now on; retire the old key when its last token has ended (120 s)"

    def retire(self) -> str:
        """Withdraw and delete every key but the signing one. Raises Faulty before `activate`."""
        names, current = self.names(), self.current()
        if current != names[-1]:
            raise Faulty("the old key still signs: activate first")
        for name in names[:-1]:
            (self.folder / "keys" / f"{name}.pem").unlink()
        self.publish()
        return f"{current}: the only key; put {self.jwks} on the cluster and restart its daemons"

    def status(self) -> dict[str, Any]:
        return {"current": self.current(), "published": self.names(), "jwks": str(self.jwks)}

    def publish(self) -> None:
        """Write ``jwks.json``: public halves only. 22.05 needs kid, alg, kty, n and e."""
        keys = []
        for name in self.names():
            key = serialization.load_pem_private_key((self.folder / "keys" / f"{name}.pem").read_bytes(), None)
            if not isinstance(key, rsa.RSAPrivateKey):
                raise Faulty(f"{name} is no RSA key")
            numbers = key.public_key().public_numbers()
            keys.append(
                {
                    "alg": "RS256",
                    "kty": "RSA",
                    "use": "sig",
                    "kid": name,
                    "n": _number(numbers.n),
                    "e": _number(numbers.e),
                }
            )
        _write(self.jwks, json.dumps({"keys": keys}, indent=1).encode(), 0o644)

    def check_modes(self) -> None:
        """Refuse keys that anybody else could read. Raises Faulty."""
        for path in [self.folder, self.folder / "keys", *(self.folder / "keys").glob("*.pem")]:
            status = path.stat()
            if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
                raise Faulty(f"{path} must be the signer's own and closed to others (chmod go=)")

    def _make(self) -> str:
        key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
        name = f"k{time.strftime('%Y%m%d', time.gmtime())}-{os.urandom(3).hex()}"
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(self.folder / "keys" / f"{name}.pem", pem, 0o600)
        return name


def _number(value: int) -> str:
    raw = value.to_bytes((value.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _write(path: Path, data: bytes, mode: int) -> None:
    """Put a whole file in place at once, on disk before it is seen."""
    fresh = path.with_name(f".{path.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(handle, mode)
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    fresh.rename(path)


class Journal:
    """An append-only log: one JSON object per line, each naming the hash of the line before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def write(self, **facts: Any) -> None:
        """Append a line and wait until it is on disk. Raises OSError."""
        with self._lock:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                line = json.dumps({"at": round(time.time(), 3), **facts, "before": _last_hash(handle)})
                data = line.encode() + b"\n"
                if os.write(handle, data) != len(data):
                    raise OSError("log: written in part")
                os.fdatasync(handle)
            finally:
                os.close(handle)

    def verify(self) -> int:
        """Return the number of lines. Raises Faulty at the first that was changed, removed or cut."""
        before, count = "", 0
        for count, line in enumerate(self.path.read_bytes().splitlines(), 1):
            try:
                whole = json.loads(line)["before"] == before
            except (ValueError, KeyError, TypeError):
                whole = False
            if not whole:
                raise Faulty(f"line {count} does not follow line {count - 1}")
            before = hashlib.sha256(line).hexdigest()
        return count


def _last_hash(handle: int) -> str:
    size = os.fstat(handle).st_size
    if not size:
        return ""
    tail = os.pread(handle, 8192, max(0, size - 8192))
    return hashlib.sha256(tail.rstrip(b"\n").rpartition(b"\n")[2]).hexdigest()
