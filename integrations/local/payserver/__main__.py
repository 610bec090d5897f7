"""``python -m integrations.local.payserver --port 8421 --state DIR [--webhook URL --secret whsec_… --key sk_test_…]``.

Key and secret may come by the portal's own variables, GONGXIANG_STRIPE_KEY and GONGXIANG_STRIPE_WEBHOOK_SECRET: command lines
are read by everybody on the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import ipaddress
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from integrations.local.payserver.server import Server
from integrations.local.payserver.store import Store
from integrations.local.payserver.webhooks import Postman
from integrations.local.payserver.world import Endpoint, World

LIVE = ("sk_live_", "rk_live_", "pk_live_")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m integrations.local.payserver", description="沙箱支付服务器 · the sandbox payment server"
    )
    top.add_argument(
        "--port", type=int, default=0, help="0 takes any free port; the file address in --state tells which"
    )
    top.add_argument("--host", default="127.0.0.1", help="an address of this machine itself")
    top.add_argument("--socket", type=int, help="a listening socket that is open already, instead of host and port")
    top.add_argument("--state", type=Path, required=True, help="directory that holds everything")
    top.add_argument("--webhook", action="append", default=[], metavar="URL", help="where events go (repeatable)")
    top.add_argument("--secret", default="", help="what they are signed with")
    top.add_argument("--key", action="append", default=[], help="secret key that is let in (default: any sk_test_…)")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns 2 and says why where it may not start."""
    top = parser()
    options = top.parse_args(arguments)
    options.key = options.key or [key for key in [os.environ.get("GONGXIANG_STRIPE_KEY")] if key]
    options.secret = options.secret or os.environ.get("GONGXIANG_STRIPE_WEBHOOK_SECRET", "")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if wrong := refusal(options):
        top.error(wrong)
    options.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(options.state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        top.error(f"{options.state} is in use by another server")
    with listen(options) as listening:
        serve(options, listening)
    return 0


def refusal(options: argparse.Namespace) -> str:
    """Return why the server may not start like this; empty where it may."""
    if any(key.startswith(LIVE) for key in options.key):
        return "沙箱不接受正式密钥 · a live key (…_live_…) must never be used with the sandbox"
    if any(not key.startswith("sk_test_") for key in options.key):
        return "--key: sk_test_…"
    if not is_loopback(options.host):
        return f"--host {options.host}: loopback only"
    for url in options.webhook:
        parts = urlsplit(url)
        if parts.scheme != "http" or not is_own(parts.hostname or ""):
            return f"--webhook {url}: http, and this machine only"
    if options.webhook and not options.secret:
        return "--secret is missing: without one anybody could forge events"
    return ""


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def is_own(host: str) -> bool:
    """Whether an address is this machine's: loopback, or one that can be bound here."""
    if is_loopback(host):
        return True
    with contextlib.suppress(OSError, ValueError):
        ipaddress.ip_address(host)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as tried:
            tried.bind((host, 0))
            return not ipaddress.ip_address(host).is_unspecified
    return False


def listen(options: argparse.Namespace) -> socket.socket:
    if options.socket is not None:
        return socket.socket(fileno=options.socket)
    listening = socket.socket(socket.AF_INET6 if ":" in options.host else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((options.host, options.port))
    except OSError as error:
        listening.close()
        raise SystemExit(f"{options.host}:{options.port}: {error.strerror}") from None
    return listening


def serve(options: argparse.Namespace, listening: socket.socket) -> None:
    """Answer until a signal comes."""
    store = Store(options.state / "payserver.sqlite3")
    given = tuple(Endpoint(url, options.secret) for url in options.webhook)
    world = World(store, frozenset(options.key), given=given, folder=options.state)
    postman = Postman(world)
    server = Server(listening, world, postman)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    postman.start()
    whole = options.state / "address.new"
    whole.write_text(json.dumps({"address": world.address, "pid": os.getpid()}))
    whole.replace(options.state / "address")
    logging.getLogger("payserver").info("沙箱支付服务器 · sandbox payment server: %s", world.address)
    ended.wait()
    server.shutdown()
    postman.stop()
    store.close()


if __name__ == "__main__":
    sys.exit(main())
