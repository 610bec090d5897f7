"""Start the portal's launcher as a person would, and see which processes belong to it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_S = 300


def environment(**changes: str) -> dict[str, str]:
    """The caller's environment without what it says about a portal: the launcher is to find its own engines."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GONGXIANG_", "PYTEST_", "COV_")) and name not in {"DATABASE_URL", "REDIS_URL"}
    }
    return {**kept, **changes}


@contextlib.contextmanager
def state_directory() -> Iterator[Path]:
    """A directory other users can reach, so that root's servers may live in it; nothing of it is left behind."""
    with tempfile.TemporaryDirectory(prefix="gx-test-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory / "state"


def eventually(true: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def belonging_to(state: Path) -> dict[int, str]:
    """The living processes that name the state directory in their arguments or environment, or work inside it."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            arguments = (entry / "cmdline").read_bytes()
            if not arguments:  # the kernel's own, and those already dead
                continue
            traces = arguments + (entry / "environ").read_bytes() + os.fsencode((entry / "cwd").readlink())
            if os.fsencode(state) in traces:
                found[int(entry.name)] = arguments.replace(b"\0", b" ").decode(errors="replace")
    return found


class Launch:
    """One launcher on one state directory."""

    def __init__(self, state: Path, *options: str, **changes: str) -> None:
        self.state = state
        self.output = state.parent / f"output-{time.monotonic_ns()}"
        self.started = time.monotonic()
        command = [sys.executable, "-m", "portal.launch", "run", "--state", str(state), "--port", "0", "--demo", "0"]
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [*command, *options],
                cwd=ROOT,
                env=environment(**changes),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def said(self) -> str:
        return self.output.read_text()

    def ready(self) -> "Launch":
        """Wait until the portal answers and all its processes have been started."""

        def complete() -> bool:
            assert self.process.poll() is None, self.said
            return bool(self.published().get("address")) and self.pid("integrations.local.runner") > 0

        assert eventually(complete, START_S), self.said
        return self

    def published(self) -> dict[str, str]:
        try:
            facts = json.loads((self.state / "launcher.lock").read_text())
        except (OSError, ValueError):
            return {}
        return facts if facts.get("pid") == self.process.pid else {}

    def pid(self, *words: str) -> int:
        """The oldest of this portal's processes whose arguments hold all `words`; 0 where there is none."""
        pids = (pid for pid, arguments in belonging_to(self.state).items() if all(word in arguments for word in words))
        return min(pids, default=0)

    def get(self, path: str) -> tuple[int, str]:
        """Ask for a page: status and body; status 0 where nobody answers."""
        url = f"{self.published()['address']}{path.lstrip('/')}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def end(self, number: int = signal.SIGTERM, seconds: float = 25) -> int:
        """Send a signal and wait; return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)
