"""The launcher's few lines for people: Chinese first, English after the dot, no colours."""

import contextlib
import sys
import time
from pathlib import Path

__all__ = ["LaunchError", "say", "tail"]

STARTED = time.monotonic()


class LaunchError(Exception):
    """The launch cannot go on; the text is one line for the person at the terminal, Chinese · English."""

    def __init__(self, text: str, *, log: Path | None = None) -> None:
        self.log = log
        super().__init__(text)


def say(text: str, *, error: bool = False) -> None:
    """Print one line with the seconds since the launcher started; a closed terminal is no reason to stop."""
    with contextlib.suppress(OSError):
        print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", file=sys.stderr if error else sys.stdout, flush=True)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last `lines` of a log, indented; empty where there is none."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 16_384))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])
