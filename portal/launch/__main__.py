"""The launcher's command line: `python -m portal.launch run|engines|exec|status|stop|reset|setup|test`."""

import argparse
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from portal.launch import environment, machine
from portal.launch.console import LaunchError, say, tail
from portal.launch.engines import Engines
from portal.launch.payments import health
from portal.launch.processes import Program, Stopped, Supervisor
from portal.launch.run import ROOT, Options, portal_environment, run, step
from portal.launch.state import State


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status. Every failure a person can mend is one line, not a traceback."""
    options = parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except Stopped as stopped:
        say(f"已停止（{stopped}） · stopped")
        return 0 if stopped.signal_number == signal.SIGINT else 128 + stopped.signal_number
    except LaunchError as error:
        say(str(error), error=True)
        if error.log and (last := tail(error.log)):
            say(f"{error.log}:\n{last}", error=True)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    top = argparse.ArgumentParser(
        prog="python -m portal.launch", description="共享门户的启动器 · the portal's launcher"
    )
    commands = top.add_subparsers(required=True)

    def command(name: str, function: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=function)
        added.add_argument("--state", type=Path, default=ROOT / ".state", help="state directory (.state)")
        return added

    added = command("run", run_portal, "bring the whole portal up and keep it up")
    added.add_argument("--host", default="127.0.0.1")
    added.add_argument("--port", type=int, default=8000, help="0 takes any free port")
    added.add_argument("--engines", choices=("auto", "debian", "wheels"), default="auto")
    added.add_argument("--web", type=int, default=2, help="web processes")
    added.add_argument("--demo", choices=("0", "1"), default="1", help="seed demonstration data once")

    added = command("engines", run_with_engines, "run a command beside private engines; their data is thrown away")
    added.add_argument("--engines", choices=("auto", "debian", "wheels"), default="auto")
    added.add_argument("--exec", nargs=argparse.REMAINDER, default=[], metavar="COMMAND")

    added = command("exec", run_in_environment, "run a command in the environment of the running portal")
    added.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")

    command("status", show_status, "say whether a portal runs, and where")
    command("stop", stop_portal, "end the running portal")
    command("reset", reset_portal, "delete the state directory's contents: the next run starts anew")

    added = command("setup", run_setup, "make the environment from the locks")
    added.add_argument("--engines", choices=("auto", "debian", "wheels"), default="auto")
    added.add_argument("locks", nargs="+", choices=("runtime", "engines", "test", "check"))

    added = command("test", run_tests, "install what the tests need, and run them")
    added.add_argument("words", nargs=argparse.REMAINDER, metavar="PYTEST-ARGUMENTS")
    return top


def run_portal(options: argparse.Namespace) -> int:
    """Bring the portal up; returns only by an exception."""
    demo = options.demo == "1"
    run(Options(options.state, options.host, options.port, options.engines, demo, max(1, options.web)))
    return 0


def run_with_engines(options: argparse.Namespace) -> int:
    """Run a command beside private engines and return its status; without one, print the URLs and wait."""
    return with_engines(options.engines, options.exec)


def with_engines(mode: str, command: Sequence[str], *, assets: bool = False) -> int:
    """Bring PostgreSQL and Redis up in a temporary directory, run `command`, take all down; return its status.

    With `assets` the static files and the English catalogue are made there first.
    """
    with tempfile.TemporaryDirectory(prefix="gx-", ignore_cleanup_errors=True) as directory:
        state = State(Path(directory))
        state.create()
        state.lock()
        try:
            with Supervisor(Path.cwd()) as supervisor:
                engines = Engines(state, mode=mode, fast=True)
                return beside_engines(supervisor, engines, command, assets=assets)
        finally:
            state.reset()


def beside_engines(supervisor: Supervisor, engines: Engines, command: Sequence[str], *, assets: bool) -> int:
    """Start the engines and run `command` in the foreground; without one, print the URLs and wait for a signal."""
    engines.prepare(os.environ)
    variables = portal_environment(engines.state, engines.urls, demo=False, host="localhost")
    laid_out = supervisor.start(step("assets", engines.state, variables)) if assets else None
    engines.start(supervisor)
    engines.wait(supervisor)
    if laid_out:
        supervisor.finish(laid_out, seconds=120)
    if not command:
        for name in ("DATABASE_URL", "REDIS_URL", "GONGXIANG_STATE_DIR"):
            sys.stdout.write(f"export {name}={shlex.quote(variables[name])}\n")
        sys.stdout.flush()
        supervisor.run_forever()
    child = supervisor.start(Program("command", command, variables, log=None, service=False))
    supervisor.finish(child, seconds=24 * 3600)
    status = child.status or 0
    return status if status >= 0 else 128 - status


def run_in_environment(options: argparse.Namespace) -> int:
    """Become the command, in the environment of the running portal."""
    state = State(options.state)
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if not state.running() or not words:
        raise LaunchError(f"{state.path} 中没有运行的门户，请先 make run · no portal runs there, make run first")
    os.execvpe(words[0], words, {**os.environ, **state.read_environment()})  # noqa: S606 - the person's own command


def show_status(options: argparse.Namespace) -> int:
    """Print where the portal answers; status 3 where none runs."""
    running = State(options.state).running()
    if not running:
        say("未运行 · not running")
        return 3
    say(f"运行中：{running.get('address', '…')}（进程 {running['pid']}） · running")
    if payments := str(running.get("payments", "")):
        state = "正常 · well" if health(payments) else "没有应答 · does not answer"
        say(f"沙箱支付服务器：{payments}（{state}） · sandbox payment server")
    return 0


def stop_portal(options: argparse.Namespace) -> int:
    """End the running portal and wait until its last process is gone."""
    state = State(options.state)
    running = state.running()
    if running:
        os.kill(int(str(running["pid"])), signal.SIGTERM)
        deadline = time.monotonic() + 30
        while state.running():
            if time.monotonic() > deadline:
                raise LaunchError("30 秒内没有停止 · it did not stop within 30 s")
            time.sleep(0.1)
    say("已停止 · stopped")
    return 0


def reset_portal(options: argparse.Namespace) -> int:
    """Delete what the portal keeps in the state directory; refuse while it runs."""
    state = State(options.state)
    if state.path.exists():
        state.create()
        state.lock()
        state.reset()
    if os.environ.get("DATABASE_URL"):
        say("DATABASE_URL 指向的数据库未改动 · the database of DATABASE_URL is untouched")
    say(f"{state.path} 已清空 · cleared")
    return 0


def run_setup(options: argparse.Namespace) -> int:
    """Install the named locks, and the servers' wheels where the machine has no servers."""
    locks = list(options.locks)
    if "engines" not in locks and environment.needs_wheels(options.engines):
        locks.append("engines")
    environment.setup(locks)
    return 0


def run_tests(options: argparse.Namespace) -> int:
    """Install what is missing where that is possible, and run pytest beside private engines."""
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    left_out = machine.provide()
    machine.provide_readers()
    return with_engines("auto", machine.pytest_command(left_out, words), assets=True)


if __name__ == "__main__":
    sys.exit(main())
