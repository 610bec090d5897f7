"""API workers as they run in production, on the database of the running test: processes of their own, over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import httpx
from django.db import connection

__all__ = ["api_workers"]


def _database_url() -> str:
    said = connection.settings_dict
    host, port = said["HOST"] or "", said["PORT"] or ""
    login = f"{quote(said['USER'] or '')}:{quote(said['PASSWORD'])}" if said["PASSWORD"] else quote(said["USER"] or "")
    if host.startswith("/"):
        return f"postgresql://{login}@/{said['NAME']}?host={quote(host, safe='')}&port={port}"
    return f"postgresql://{login}@{host}:{port}/{said['NAME']}"


@contextmanager
def api_workers(count: int) -> Iterator[str]:
    """Serve the portal's API from `count` processes on one socket; yields the address below which it answers."""
    environment = os.environ | {"DATABASE_URL": _database_url(), "GONGXIANG_LOG_LEVEL": "CRITICAL"}
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        gate, opener = os.pipe()
        os.close(opener)
        words = ["-m", "portal.launch.serve", "--socket", str(listening.fileno()), "--gate", str(gate)]
        workers = [
            subprocess.Popen([sys.executable, *words], env=environment, pass_fds=(listening.fileno(), gate))
            for _ in range(count)
        ]
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            until = time.monotonic() + 180
            while not _answers(address):
                assert time.monotonic() < until, "no worker answers"
                assert all(worker.poll() is None for worker in workers), "a worker ended"
                time.sleep(0.2)
            yield address
        finally:
            os.close(gate)
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait(timeout=20)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
