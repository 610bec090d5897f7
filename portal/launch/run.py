"""Bring the whole portal up: engines, preparation, web, worker, beat, local job runner and sandbox payment server."""

import contextlib
import hashlib
import http.client
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from portal.launch.console import LaunchError, say
from portal.launch.engines import Engines
from portal.launch.machine import provide_fonts
from portal.launch.payments import payments_environment, payments_process, payments_socket
from portal.launch.processes import Program, Supervisor
from portal.launch.state import State

__all__ = ["Options", "portal_environment", "run", "step"]

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Options:
    """What the person at the terminal may choose."""

    state: Path
    host: str
    port: int
    engines: str
    demo: bool
    web: int


def run(options: Options) -> None:
    """Bring the portal up and look after it until a signal; ends by `Stopped` or `LaunchError`, leaving no process."""
    provide_fonts()
    state = State(options.state)
    state.create()
    state.lock()
    with (
        bound_socket(options.host, options.port) as listening,
        payments_socket(demo=options.demo, port=listening.getsockname()[1]) as paying,
        Supervisor(ROOT) as supervisor,
    ):
        # A launch that ends here or anywhere below leaves through the supervisor, which ends every child.
        port = listening.getsockname()[1]
        near = reachable(options.host)
        address = f"http://{f'[{near}]' if ':' in near else near}:{port}/"
        engines = Engines(state, mode=options.engines)
        engines.prepare(os.environ)
        environment = portal_environment(state, engines.urls, demo=options.demo, host=options.host, port=port)
        environment |= payments_environment(state, paying)
        gate, opener = os.pipe()
        web = [web_process(state, environment, number + 1, listening, gate) for number in range(options.web)]
        assets = step("assets", state, environment) if assets_key() != _read(state.path / "assets-key") else None
        laid_out = supervisor.start(assets) if assets else None
        engines.start(supervisor)
        database = supervisor.start(step("database", state, environment))
        if laid_out:
            supervisor.finish(laid_out, seconds=120)
            (state.path / "assets-key").write_text(assets_key())
        supervisor.start(web[0])
        engines.wait(supervisor)
        supervisor.finish(database, seconds=600)
        os.close(opener)
        log = state.log("web-1")
        supervisor.wait(lambda: answers(near, port, log), what="web", seconds=60, log=log)
        met = {name: value for name, value in environment.items() if _ours(name)}
        state.write_environment({**met, "GONGXIANG_URL": address.rstrip("/")})
        try:
            sandbox = environment["GONGXIANG_STRIPE_API_BASE"] if paying else ""
            state.publish({"address": address, **({"payments": sandbox} if sandbox else {})})
            announce(state, address, sandbox)
            payments = payments_process(state, environment, paying, address)
            for program in (*web[1:], *payments, *background(state, environment)):
                supervisor.start(program)
            supervisor.run_forever()
        finally:
            state.forget_environment()


def portal_environment(
    state: State, urls: Mapping[str, str], *, demo: bool, host: str, port: int = 0
) -> dict[str, str]:
    """Return the environment of every portal process; what the caller's environment says about the portal wins.

    `port` is where it answers; 0 where it serves no pages, so that no link leads to it.
    """
    defaults = {
        "GONGXIANG_STATE_DIR": str(state.path),
        "GONGXIANG_SECRET_KEY": state.secret_key(),
        "GONGXIANG_DEMO": "1" if demo else "0",
        "GONGXIANG_ALLOWED_HOSTS": ",".join(
            dict.fromkeys(["localhost", "127.0.0.1", "[::1]", host, socket.gethostname()])
        ),
    }
    if port:
        named = socket.gethostname() if host in {"0.0.0.0", "::"} else host  # noqa: S104
        defaults["GONGXIANG_PUBLIC_URL"] = f"http://{f'[{named}]' if ':' in named else named}:{port}"
    chosen = {name: os.environ[name] for name in defaults if os.environ.get(name) and name != "GONGXIANG_STATE_DIR"}
    fixed = {"DJANGO_SETTINGS_MODULE": "portal.settings", "PYTHONUNBUFFERED": "1"}
    # Modules are compiled at their first import (the installation leaves that out), so they must be kept.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **defaults, **chosen, **urls, **fixed}


def web_process(
    state: State, environment: Mapping[str, str], number: int, listening: socket.socket, gate: int
) -> Program:
    """Return web process `number`; all of them accept from one socket."""
    files = (str(listening.fileno()), str(gate))
    return Program(
        f"web-{number}",
        [sys.executable, "-m", "portal.launch.serve", "--socket", files[0], "--gate", files[1]],
        environment,
        state.log(f"web-{number}"),
        pass_fds=(state.lock_fd, listening.fileno(), gate),
    )


def background(state: State, environment: Mapping[str, str]) -> list[Program]:
    """Return the processes that work behind the pages: Celery worker and beat, and the local job runner."""
    # Without root jobs share the user who may connect to the databases' sockets: where those lie is hidden from them.
    engines = [state.path / "engines", *map(state.elsewhere, ("engines-elsewhere", "sockets-elsewhere"))]
    celery = [sys.executable, "-m", "celery", "-A", "portal.celery"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    commands = {
        "worker": [*celery, "worker", "--concurrency", "2", "--loglevel", "INFO", *quiet],
        "beat": [*celery, "beat", "--loglevel", "INFO", "--schedule", str(state.path / "beat-schedule"), "--pidfile="],
        "runner": [
            sys.executable,
            "-m",
            "integrations.local.runner",
            "--dir",
            str(state.path / "runner"),
            "--kill-wait-s",
            "5",
            *(f"--hide={path}" for path in engines if path),
        ],
    }
    # When the launcher itself is killed nobody is left to wait for a running task: the worker ends at once (SIGQUIT).
    death = {"worker": signal.SIGQUIT}
    return [
        Program(
            name,
            command,
            environment,
            state.log(name),
            death_signal=death.get(name, signal.SIGTERM),
            pass_fds=(state.lock_fd,),
        )
        for name, command in commands.items()
    ]


@contextlib.contextmanager
def bound_socket(host: str, port: int) -> Iterator[socket.socket]:
    """Bind the web address before anything starts. Raises `LaunchError` naming the option when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            raise LaunchError(
                f"无法使用 {host}:{port}（{error.strerror}），请另选，如 make run PORT={port + 1} · "
                f"cannot listen there, choose another with PORT= or HOST="
            ) from None
        listening.set_inheritable(True)
        yield listening


def reachable(host: str) -> str:
    """Return the address by which this machine reaches a server bound to `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def answers(host: str, port: int, log: Path) -> bool:
    """Ask the web process for ``/healthz`` once. Raises `LaunchError` when it answers that it is broken."""
    client = http.client.HTTPConnection(host, port, timeout=3)
    try:
        client.request("GET", "/healthz", headers={"Host": "localhost"})
        status = client.getresponse().status
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()
    if status >= http.client.INTERNAL_SERVER_ERROR:
        raise LaunchError(f"/healthz 返回 {status} · answered {status}", log=log)
    return True


def announce(state: State, address: str, payments: str = "") -> None:
    """Say where the portal is, where its sandbox payments are, and who may sign in."""
    say(f"就绪 · ready: {address}")
    if payments:
        say(f"支付为沙箱，不动用真实资金 · payments are a sandbox, no real money: {payments}")
    accounts = _read(state.path / "demo-accounts.txt").strip()
    if accounts:
        say(f"演示账号 · demo accounts\n{accounts}")
    say(f"日志 · logs: {state.path / 'log'}；Ctrl-C 停止 · stops")


def assets_key() -> str:
    """Digest what the static files and the compiled catalogue are made from: the lock, our own files, this place."""
    digest = hashlib.sha256(str(ROOT).encode())
    digest.update((ROOT / "requirements" / "runtime.txt").read_bytes())
    sources = [ROOT / "portal" / "settings.py", ROOT / "portal" / "storage.py"]
    sources += [path for path in (ROOT / "portal" / "static").rglob("*") if path.is_file()]
    for catalogue in (ROOT / "portal" / "locale").rglob("*.po"):
        sources.append(catalogue)
        digest.update(b"1" if catalogue.with_suffix(".mo").exists() else b"0")
    for path in sorted(sources):
        digest.update(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}\n".encode())
    return digest.hexdigest()


def step(name: str, state: State, environment: Mapping[str, str]) -> Program:
    """Return a step of `prepare`, ``assets`` or ``database``."""
    return Program(
        name,
        [sys.executable, "-m", "portal.launch.prepare", name],
        environment,
        state.log(name),
        service=False,
        pass_fds=(state.lock_fd,),
    )


def _ours(name: str) -> bool:
    return name.startswith("GONGXIANG_") or name in {"DATABASE_URL", "REDIS_URL"}


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
