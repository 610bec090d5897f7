"""The portal under test: brought up once by its own launcher, shared by every test process of the session.

A keeper process owns the launcher. Test processes hold a shared lock while they use the portal; the keeper ends the
launcher as soon as nobody holds it, so nothing is left behind however the tests end.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
START_S = 600
STOP_S = 40


def directory() -> Path:
    """Return where this session's portal lives: the same for all its test processes, reachable for the servers."""
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    path = Path(tempfile.gettempdir()) / f"gx-journeys-{session[:12]}"
    path.mkdir(mode=0o711, exist_ok=True)
    return path


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[IO[str]]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield file


def is_locked(path: Path) -> bool:
    """Say whether somebody holds the lock for himself."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def address(home: Path, state: str = "state") -> str:
    """Return where the portal answers; empty until it does."""
    with contextlib.suppress(OSError, ValueError):
        return str(json.loads((home / state / "launcher.lock").read_text()).get("address", ""))
    return ""


@contextlib.contextmanager
def portal() -> Iterator[tuple[str, Path]]:
    """Use the session's portal, starting it where it does not run yet: its address and its state directory.

    ``JOURNEYS_STATE`` names the state directory of a portal that runs already: quicker while writing tests.
    """
    if state := os.environ.get("JOURNEYS_STATE"):
        yield address(Path(state).parent, Path(state).name).rstrip("/"), Path(state)
        return
    home = directory()
    with contextlib.ExitStack() as use:
        with locked(home / "start.lock"):
            use.enter_context(locked(home / "users.lock", shared=True))
            if not is_locked(home / "keeper.lock"):
                start(home)
        yield address(home).rstrip("/"), home / "state"
    ended(home)


def start(home: Path) -> None:
    """Start the keeper, which lives on its own, and wait until the portal answers."""
    command = [sys.executable, "-m", "tests.journeys.serving", str(home)]
    nothing = subprocess.DEVNULL
    subprocess.run(command, cwd=ROOT, stdin=nothing, stdout=nothing, stderr=nothing, check=True)
    deadline = time.monotonic() + START_S
    while not address(home):
        assert is_locked(home / "keeper.lock") and time.monotonic() < deadline, (home / "output").read_text()
        time.sleep(0.1)


def ended(home: Path) -> None:
    """Wait for the portal's end where this was its last user."""
    deadline = time.monotonic() + STOP_S
    time.sleep(0.5)
    while (home / "stopping").exists():
        assert time.monotonic() < deadline, "the portal did not stop"
        time.sleep(0.1)


def keep(home: Path) -> None:
    """Leave the caller, hold the keeper's lock, and run the launcher until nobody uses the portal any more."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GONGXIANG_", "PYTEST_"))}
    engines = {"DATABASE_URL", "REDIS_URL"}
    with locked(home / "keeper.lock"), (home / "output").open("w") as output:
        if os.fork():
            os._exit(0)
        os.setsid()
        options = ["--state", str(home / "state"), "--port", "0", "--demo", "1"]
        launcher = subprocess.Popen(
            [sys.executable, "-m", "portal.launch", "run", *options],
            cwd=ROOT,
            env={name: value for name, value in kept.items() if name not in engines},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        while launcher.poll() is None and is_shared(home / "users.lock"):
            time.sleep(0.1)
        (home / "stopping").touch()
        launcher.terminate()
        launcher.wait(STOP_S)
    shutil.rmtree(home, ignore_errors=True)


def is_shared(path: Path) -> bool:
    """Say whether anybody uses the portal."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
