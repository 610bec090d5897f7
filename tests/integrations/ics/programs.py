"""Calendar programs that are not ours, as their users run them: Radicale as server, vdirsyncer and khal as readers.

`make test` installs them with the tests' own lock. Each runs as a process of its own, on loopback, in a folder of its own.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from portal.kernel.period import Period

__all__ = ["Radicale", "khal_list", "radicale", "sync"]

BIN = Path(sys.executable).parent
QUERY = """<?xml version="1.0" encoding="utf-8"?>
<C:free-busy-query xmlns:C="urn:ietf:params:xml:ns:caldav"><C:time-range start="{start}" end="{end}"/></C:free-busy-query>"""
CALENDAR = {"Content-Type": "text/calendar; charset=utf-8"}
AUTH = ("lab", "any: the server asks for none")
STAMP = "%Y%m%dT%H%M%SZ"
FORMAT = "{start-date} {start-time}|{end-date} {end-time}|{title}|{status}"


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "TZ": "UTC"}


@dataclass(frozen=True)
class Radicale:
    """A running CalDAV server."""

    url: str

    def put(self, name: str, body: bytes) -> None:
        """Let a calendar be exactly what `body` says."""
        answer = httpx.put(f"{self.url}/lab/{name}/", content=body, headers=CALENDAR, auth=AUTH)
        assert answer.status_code == 201, (answer.status_code, answer.text[:400])

    def put_one(self, name: str, item: str, body: bytes) -> int:
        """Store one event in a calendar; return the status."""
        answer = httpx.put(f"{self.url}/lab/{name}/{item}.ics", content=body, headers=CALENDAR, auth=AUTH)
        return answer.status_code

    def get(self, name: str) -> str:
        """Return a calendar as the server tells it."""
        return httpx.get(f"{self.url}/lab/{name}/", auth=AUTH).raise_for_status().text

    def busy(self, name: str, window: Period) -> list[tuple[str, Period]]:
        """Ask when a calendar is busy (free-busy-query, RFC 4791 §7.10): kinds and spans, sorted."""
        query = QUERY.format(start=window.start.strftime(STAMP), end=window.end.strftime(STAMP))
        headers = {"Depth": "1", "Content-Type": "application/xml; charset=utf-8"}
        answer = httpx.request(
            "REPORT", f"{self.url}/lab/{name}/", content=query, headers=headers, auth=AUTH, timeout=20
        )
        found = []
        for line in re.sub(r"\r?\n[ \t]", "", answer.raise_for_status().text).splitlines():
            name_, _colon, values = line.partition(":")
            if name_.startswith("FREEBUSY"):
                kind = re.search(r"FBTYPE=([A-Z-]+)", name_)
                for value in values.split(","):
                    start, _slash, end = value.partition("/")
                    found.append((kind[1] if kind else "BUSY", Period(_moment(start), _moment(end))))
        return sorted(found, key=lambda each: (each[1], each[0]))


def _moment(text: str) -> datetime:
    return datetime.strptime(text, STAMP).replace(tzinfo=UTC)


@contextmanager
def radicale(folder: Path) -> Iterator[Radicale]:
    """Run Radicale on a free port of loopback with its storage below `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "radicale", "--config", "", "--auth-type", "none", "--rights-type", "authenticated"),
        *("--server-hosts", f"127.0.0.1:{port}", "--storage-filesystem-folder", str(folder / "radicale")),
        *("--logging-level", "error", "--reporting-max-freebusy-occurrence", "10000"),
    ]
    with subprocess.Popen(command, env=_environment(folder), stderr=subprocess.PIPE) as process:
        try:
            until = time.monotonic() + 20
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert process.poll() is None, process.stderr.read().decode()
                    assert time.monotonic() < until, "Radicale does not answer"
                    time.sleep(0.05)
            yield Radicale(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(10)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, env=_environment(folder), capture_output=True, text=True, timeout=60, check=False, cwd=folder
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def sync(url: str, folder: Path) -> Path:
    """Let vdirsyncer fetch a feed to disk as a subscriber does; return the folder of its events."""
    items = folder / "items"
    items.mkdir(exist_ok=True)
    config = folder / "vdirsyncer"
    config.write_text(
        f"""[general]
status_path = "{folder / "status"}"
[pair feed]
a = "there"
b = "here"
collections = null
[storage there]
type = "http"
url = "{url}"
[storage here]
type = "filesystem"
path = "{items}"
fileext = ".ics"
"""
    )
    program = [str(BIN / "vdirsyncer"), "-c", str(config)]
    if not (folder / "status").exists():
        _run([*program, "discover", "feed"], folder)
    _run([*program, "sync", "feed"], folder)
    return items


def khal_list(items: Path, folder: Path, *, window: Period, zone: str = "Asia/Shanghai") -> list[str]:
    """Return what khal lists of synchronised events, a line each: start|end|title|status, in local time of `zone`."""
    config = folder / "khal"
    config.write_text(
        f"""[calendars]
[[feed]]
path = {items}
readonly = True
[locale]
local_timezone = {zone}
default_timezone = {zone}
timeformat = %H:%M
dateformat = %Y-%m-%d
longdateformat = %Y-%m-%d
datetimeformat = %Y-%m-%d %H:%M
longdatetimeformat = %Y-%m-%d %H:%M
[default]
highlight_event_days = False
[sqlite]
path = {folder / "khal.db"}
"""
    )
    days = (window.end - window.start) // timedelta(days=1)
    program = [str(BIN / "khal"), "-c", str(config), "--no-color"]
    said = _run(
        [*program, "list", "--once", "--format", FORMAT, "--day-format", "", f"{window.start:%Y-%m-%d}", f"{days}d"],
        folder,
    )
    return [line for line in said.splitlines() if line.strip()]
