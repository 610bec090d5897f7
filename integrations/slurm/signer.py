"""The signer: the one process that holds the key Slurm tokens are signed with.

Who can sign tokens can be anybody on the cluster. So this is a process of its own, with its own user, its own key
directory and its own list of enrolled users; the portal reaches it by a Unix socket and gets tokens of at most 120 s.
Every token, and every refusal, is a line in an append-only log whose lines are chained by hashes.

    python -m integrations.slurm.signer init   --dir DIR
    python -m integrations.slurm.signer serve  --dir DIR --socket PATH --client USER…
    python -m integrations.slurm.signer rotate | activate | retire | verify | status  --dir DIR
    python -m integrations.slurm.signer token  --socket PATH USER

Standard library and PyJWT only: no Django, no database.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import pwd
import secrets
import signal
import socket
import socketserver
import stat
import struct
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from integrations.slurm.signer_keys import Faulty, Journal, Keys
from integrations.slurm.tokens import LIFETIME_S, NoToken, check_user

__all__ = ["FIRST_UID", "Refusal", "Server", "Signer", "main"]

FIRST_UID = 1000
MAX_REQUEST = 4096
PATIENCE_S = 5.0
SHORTEST_S = 1


class Refusal(Exception):
    """No token for this; `code` is one of: request, client, user, not_enrolled, unknown, system, ttl, key, log."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of the socket, as the kernel says (SO_PEERCRED)."""

    pid: int
    uid: int


class Signer:
    """Decides and signs. `folder` holds ``keys/``, ``current``, ``enrolled``, ``jwks.json`` and ``signer.log``."""

    def __init__(self, folder: Path, *, clients: frozenset[int]) -> None:
        self.folder, self.clients = folder, clients
        self.keys, self.journal = Keys(folder), Journal(folder / "signer.log")

    def answer(self, line: bytes, peer: Peer) -> dict[str, Any]:
        """Answer one request line. The log line is on disk before the token leaves; without it there is no token."""
        request: Mapping[str, Any] = {}
        try:
            request = _request(line)
            answer = self.mint(str(request.get("user", "")), request.get("ttl", LIFETIME_S), peer)
        except Refusal as refusal:
            # What was asked for is the caller's text: kept short, and JSON keeps it on its line.
            asked = str(request.get("user", ""))[:64]
            with contextlib.suppress(OSError):
                self.journal.write(act="refused", code=refusal.code, user=asked, pid=peer.pid, uid=peer.uid)
            return {"error": refusal.code, "detail": refusal.detail}
        return answer

    def mint(self, user: str, ttl: object, peer: Peer) -> dict[str, Any]:
        """Return a token for an enrolled user and its end. Raises Refusal."""
        if peer.uid not in self.clients:
            raise Refusal("client", f"uid {peer.uid} is no client of this signer")
        if isinstance(ttl, bool) or not isinstance(ttl, int) or not SHORTEST_S <= ttl <= LIFETIME_S:
            raise Refusal("ttl", f"{SHORTEST_S} to {LIFETIME_S} seconds")
        self.check(user)
        now = int(time.time())
        try:
            key_id, key = self.keys.signing()
        except (OSError, Faulty) as error:
            raise Refusal("key", str(error)) from error
        number = secrets.token_hex(8)
        claims = {"sun": user, "iat": now, "exp": now + ttl, "jti": number}
        try:
            token = jwt.encode(claims, key, algorithm="RS256", headers={"kid": key_id})
        except (ValueError, TypeError, jwt.PyJWTError) as error:
            raise Refusal("key", type(error).__name__) from error
        try:
            self.journal.write(
                act="minted", user=user, kid=key_id, exp=now + ttl, jti=number, pid=peer.pid, uid=peer.uid
            )
        except OSError as error:
            raise Refusal("log", "the log cannot be written") from error
        return {"token": token, "expires_at": now + ttl, "kid": key_id}

    def check(self, user: str) -> None:
        """Refuse whoever is not enrolled, not known here, or not an ordinary user. Raises Refusal."""
        try:
            check_user(user)
        except NoToken as error:
            raise Refusal("user", str(error)) from error
        enrolled = self.enrolled()
        if user not in enrolled:
            raise Refusal("not_enrolled", f"{user} is not enrolled")
        uid = enrolled[user]
        try:
            here: int | None = pwd.getpwnam(user).pw_uid
        except KeyError:
            here = uid
        if here is None:
            raise Refusal("unknown", f"{user} is no user here, and the list gives no uid")
        if here < FIRST_UID or (uid is not None and uid < FIRST_UID):
            raise Refusal("system", f"{user} has a uid below {FIRST_UID}")
        if uid is not None and uid != here:
            raise Refusal("unknown", f"{user} has uid {here} here and {uid} in the list")

    def enrolled(self) -> dict[str, int | None]:
        """Read the list anew: a name per line, or ``name:uid`` for users this machine does not know; # comments."""
        found: dict[str, int | None] = {}
        try:
            lines = (self.folder / "enrolled").read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeError):
            return found
        for line in lines:
            name, _colon, uid = line.partition("#")[0].strip().partition(":")
            if name:
                # A uid that cannot be read is none of an ordinary user.
                found[name] = (int(uid) if uid.isdecimal() else 0) if uid else None
        return found


def _request(line: bytes) -> Mapping[str, Any]:
    try:
        request = json.loads(line)
    except ValueError:
        raise Refusal("request", "one line of JSON") from None
    if not isinstance(request, dict) or set(request) - {"user", "ttl"} or not isinstance(request.get("user"), str):
        raise Refusal("request", "user and ttl")
    return request


class _Handler(socketserver.StreamRequestHandler):
    timeout = PATIENCE_S

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        raw = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, uid, _gid = struct.unpack("3i", raw)
        with contextlib.suppress(OSError):
            line = self.rfile.readline(MAX_REQUEST + 1)
            if len(line) > MAX_REQUEST:
                line = b""
            answer = server.signer.answer(line, Peer(pid, uid))
            self.wfile.write(json.dumps(answer).encode() + b"\n")


class Server(socketserver.ThreadingUnixStreamServer):
    """Serves a Unix socket. Its file mode lets anybody connect; who may ask is decided by the peer's uid."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path, signer: Signer) -> None:
        self.signer = signer
        self._room = threading.BoundedSemaphore(64)
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise Faulty(f"{path} is no socket")
            path.unlink()
        before = os.umask(0o111)
        try:
            super().__init__(str(path), _Handler)
        finally:
            os.umask(before)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(timeout=PATIENCE_S):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base's
        sys.stderr.write(f"signer: {sys.exc_info()[0]}\n")


def serve(folder: Path, path: Path, clients: Sequence[str], user: str) -> int:
    """Serve until SIGTERM. As root only long enough to become `user`. Raises Faulty when keys lie open."""
    allowed = frozenset(pwd.getpwnam(name).pw_uid for name in clients)
    # Sign once before giving up root: whatever Python loads late may lie where the signer's user cannot read.
    jwt.encode({}, Keys(folder).signing()[1], algorithm="RS256")
    if os.getuid() == 0:
        if not user or pwd.getpwnam(user).pw_uid == 0:
            raise Faulty("not as root: start as the signer's own user, or name it with --user")
        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    if os.getuid() in allowed:
        raise Faulty("the signer's user must not be a client's: whoever asks must not be able to read the key")
    os.umask(0o077)
    signer = Signer(folder, clients=allowed)
    signer.keys.check_modes()
    signer.keys.signing()
    with (folder / ".lock").open("a") as lock, Server(path, signer) as server:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Faulty("another signer serves this directory") from error
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        sys.stdout.write(f"signer: {path}\n")
        sys.stdout.flush()
        server.serve_forever(poll_interval=0.2)
    return 0


def ask(path: Path, user: str, ttl: int = LIFETIME_S, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
    """Ask a signer for a token. Raises OSError, ValueError; a refusal is ``{"error", "detail"}``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout_s)
        link.connect(str(path))
        link.sendall(json.dumps({"user": user, "ttl": ttl}).encode() + b"\n")
        with link.makefile("rb") as answers:
            answer = json.loads(answers.readline(64 * 1024))
    if not isinstance(answer, dict):
        raise TypeError("signer: no object")
    return answer


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="signer", description="Signs short-lived Slurm tokens.")
    parser.add_argument("act", choices=["init", "serve", "rotate", "activate", "retire", "status", "verify", "token"])
    parser.add_argument("user_name", nargs="?", default="", metavar="USER", help="with token: for whom")
    parser.add_argument("--dir", type=Path, default=Path("/var/lib/gongxiang-signer"))
    parser.add_argument("--socket", type=Path, default=Path("/run/gongxiang-signer/socket"))
    parser.add_argument("--client", action="append", default=[], help="a user that may ask; repeat")
    parser.add_argument("--user", default="", help="whom to become when started as root")
    given = parser.parse_intermixed_args(argv)
    keys = Keys(given.dir)
    try:
        match given.act:
            case "serve":
                return serve(given.dir, given.socket, given.client, given.user)
            case "token":
                answer = ask(given.socket, given.user_name)
                if "token" not in answer:
                    raise Faulty(f"{answer.get('error')}: {answer.get('detail')}")
                sys.stdout.write(f"{answer['token']}\n")
            case "verify":
                sys.stdout.write(f"{Journal(given.dir / 'signer.log').verify()} lines, whole\n")
            case "init" | "rotate" | "activate" | "retire" as act:
                sys.stdout.write(f"{getattr(keys, act)()}\n")
            case "status":
                sys.stdout.write(json.dumps(keys.status(), indent=1) + "\n")
    except (Faulty, OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"signer: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
