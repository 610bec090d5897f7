"""The state directory: everything a running portal keeps, in one place that can be moved or deleted as a whole."""

import fcntl
import json
import os
import secrets
import shlex
import shutil
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from portal.launch.console import LaunchError

__all__ = ["State"]

OURS = (
    "assets-key",
    # A file, or several: each Python keeps Celery beat's schedule in the database module it was built with.
    *(f"beat-schedule{suffix}" for suffix in ("", ".bak", ".dat", ".db", ".dir")),
    "certificates",
    "demo-accounts.txt",
    "engines",
    "engines-elsewhere",
    "environment",
    "evidence",
    "launcher.lock",
    "log",
    "payments",
    "runner",
    "secret-key",
    "sockets-elsewhere",
    "static",
)
"""What `reset` may delete; anything else in the directory is somebody else's and stays."""


class State:
    """One state directory, created on first use, 0700; 0711 for root, whose servers run as another user inside it."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.lock_fd = -1

    def create(self) -> None:
        """Create the directory; refuse one that holds things of others."""
        if self.path.is_dir() and any(self.path.iterdir()) and not (self.path / "launcher.lock").exists():
            strangers = {entry.name for entry in self.path.iterdir()} - set(OURS)
            if strangers:
                raise LaunchError(
                    f"{self.path} 不是状态目录，请用 STATE= 另选 · {self.path} is not a state directory, "
                    f"choose another with STATE="
                )
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        (self.path / "log").mkdir(mode=0o700, exist_ok=True)

    def log(self, name: str) -> Path:
        """Return where the process `name` logs."""
        return self.path / "log" / f"{name}.log"

    def lock(self, *, seconds: float = 20.0) -> None:
        """Take the directory for this launcher; every child inherits the lock.

        So after a launcher was killed, the next one waits here, at most `seconds`, until the last child is gone.
        Raises `LaunchError` when another launcher lives, or its remains do not go away.
        """
        if self.lock_fd < 0:
            self.lock_fd = os.open(self.path / "launcher.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = self.holder().get("pid")
                if holder and _is_launcher(int(str(holder))):
                    raise LaunchError(
                        f"{self.path} 已由进程 {holder} 使用；停止它或用 STATE= 另选 · "
                        f"already in use by process {holder}; stop it or choose another with STATE="
                    ) from None
                if time.monotonic() > deadline:
                    raise LaunchError(
                        f"{self.path} 仍被上次启动留下的进程占用 · still held by processes of an earlier launch"
                    ) from None
                time.sleep(0.1)
        self.publish({})

    def publish(self, facts: Mapping[str, object]) -> None:
        """Write who holds the directory, with facts such as the address, for `status` and `stop`."""
        os.ftruncate(self.lock_fd, 0)
        os.pwrite(self.lock_fd, json.dumps({"pid": os.getpid(), **facts}).encode(), 0)

    def holder(self) -> dict[str, object]:
        """Read what the last launcher published; empty where none did."""
        try:
            published = json.loads((self.path / "launcher.lock").read_text())
        except (OSError, ValueError):
            return {}
        return published if isinstance(published, dict) else {}

    def running(self) -> dict[str, object]:
        """Read what a living launcher published; empty where none lives."""
        published = self.holder()
        return published if _is_launcher(int(str(published.get("pid", 0)))) else {}

    def secret_key(self) -> str:
        """Return the secret key, made once, readable by this user only."""
        path = self.path / "secret-key"
        if not path.exists():
            self._write_private(path, secrets.token_urlsafe(64))
        return path.read_text().strip()

    def write_environment(self, environment: Mapping[str, str]) -> None:
        """Write what a shell needs to reach the running portal: `KEY='value'` lines, readable by this user only."""
        lines = [f"{key}={shlex.quote(value)}\n" for key, value in sorted(environment.items())]
        self._write_private(self.path / "environment", "".join(lines))

    def read_environment(self) -> dict[str, str]:
        """Read the environment of the running portal; empty where none runs."""
        try:
            lines = (self.path / "environment").read_text().splitlines()
        except OSError:
            return {}
        return {
            key: shlex.split(value)[0] if value else "" for key, _, value in (line.partition("=") for line in lines)
        }

    def forget_environment(self) -> None:
        """Remove that file: nothing answers there any more."""
        (self.path / "environment").unlink(missing_ok=True)

    def elsewhere(self, note_name: str) -> Path | None:
        """Return the private directory a note names, if it is still there and private."""
        try:
            path = Path((self.path / note_name).read_text())
            mode = path.lstat().st_mode
        except OSError:
            return None
        return path if stat.S_ISDIR(mode) and stat.S_IMODE(mode) == 0o700 else None

    def reset(self) -> None:
        """Delete everything the portal keeps here. The caller holds the lock."""
        for note_name in ("engines-elsewhere", "sockets-elsewhere"):
            if path := self.elsewhere(note_name):
                shutil.rmtree(path)
        for name in OURS:
            path = self.path / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _write_private(self, path: Path, text: str) -> None:
        new = path.with_name(path.name + ".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(text)
        new.replace(path)


def _is_launcher(pid: int) -> bool:
    try:
        return b"portal.launch" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
