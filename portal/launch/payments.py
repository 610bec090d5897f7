"""The sandbox payment server beside the portal: when there is one, on which port, under which keys."""

import contextlib
import hashlib
import http.client
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from portal.launch.processes import Program
from portal.launch.state import State

__all__ = ["health", "payments_environment", "payments_process", "payments_socket"]

HOOK = "webhooks/payments/stripe"


@contextlib.contextmanager
def payments_socket(*, demo: bool, port: int) -> Iterator[socket.socket | None]:
    """Hold the sandbox's loopback socket, on the portal's port + 1 where that is free; None where none is wanted.

    It is wanted with demonstration data, or where GONGXIANG_STRIPE_SANDBOX=1 says so; never beside the operator's own
    GONGXIANG_STRIPE_KEY.
    """
    asked = os.environ.get("GONGXIANG_STRIPE_SANDBOX", "").lower()
    wanted = asked in {"1", "true", "yes", "on"} if asked else demo
    if not wanted or os.environ.get("GONGXIANG_STRIPE_KEY"):
        yield None
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port + 1))
        except (OSError, OverflowError):
            listening.bind(("127.0.0.1", 0))
        listening.set_inheritable(True)
        yield listening


def payments_environment(state: State, listening: socket.socket | None) -> dict[str, str]:
    """Return what the portal's settings say of the sandbox; its keys hang on the portal's secret key."""
    if listening is None:
        return {}

    def derived(name: str) -> str:
        return hashlib.sha256(f"{name}:{state.secret_key()}".encode()).hexdigest()[:40]

    return {
        "GONGXIANG_STRIPE_KEY": f"sk_test_{derived('payments-key')}",
        "GONGXIANG_STRIPE_WEBHOOK_SECRET": f"whsec_{derived('payments-webhook')}",
        "GONGXIANG_STRIPE_API_BASE": "http://{}:{}".format(*listening.getsockname()),
        "GONGXIANG_STRIPE_ACCOUNT": "acct_SandboxPlatform",
        "GONGXIANG_STRIPE_SANDBOX": "1",
    }


def payments_process(
    state: State, environment: Mapping[str, str], listening: socket.socket | None, portal: str
) -> list[Program]:
    """Return the sandbox's process; `portal` is the address its webhooks go to. Keys go by the environment alone."""
    if listening is None:
        return []
    command = [sys.executable, "-m", "integrations.local.payserver", "--socket", str(listening.fileno())]
    command += ["--state", str(state.path / "payments"), "--webhook", f"{portal}{HOOK}"]
    log, files = state.log("payments"), (state.lock_fd, listening.fileno())
    return [Program("payments", command, environment, log, pass_fds=files)]


def health(address: str) -> bool:
    """Ask a sandbox whether it is well."""
    parts = urlsplit(address)
    client = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=3)
    try:
        client.request("GET", "/_sandbox/health")
        return bool(json.loads(client.getresponse().read()).get("ok"))
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        client.close()
