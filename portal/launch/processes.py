"""Start, watch, restart and end child processes so that none is ever left behind.

How each way of ending is covered:

* Ctrl-C, SIGTERM, SIGHUP: blocked before the first child exists and read at one place, `Supervisor._turn`, so a signal
  can never fall between a child's start and its entry in the list.
* The launcher is killed with SIGKILL: the kernel sends every child its `Program.death_signal` (PR_SET_PDEATHSIG).
* A child is killed: its process group is swept, then it is started again; more than `RESTARTS_A_MINUTE` end the launch.
* A child's own children: the launcher is their sub-reaper, so that orphans become its children; at the end all its
  descendants go.

One thread only: the death signal is tied to the thread that started the child.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self

from portal.launch.console import LaunchError, say

__all__ = ["Identity", "Program", "Stopped", "Supervisor", "read_lines"]

RESTARTS_A_MINUTE = 5
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
POLL_S = 0.05
LARGEST_LOG = 10 * 1024 * 1024

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LIBC = ctypes.CDLL(None, use_errno=True)
OURS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}


class Stopped(Exception):
    """A person or the system asked the launcher to end."""

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        super().__init__(signal.Signals(signal_number).name)


@dataclass(frozen=True, slots=True)
class Identity:
    """The unprivileged user a server runs as when the launcher is root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. `log` None keeps the launcher's own terminal, process group and input."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path | None
    service: bool = True
    """A service is restarted when it ends; a step is expected to end, with status 0."""
    stop_signal: int = signal.SIGTERM
    death_signal: int = signal.SIGTERM
    identity: Identity | None = None
    pass_fds: tuple[int, ...] = ()
    engine: bool = False
    """Engines end last: the others still need them while they finish."""
    cwd: Path | None = None
    before: Callable[[], None] | None = None
    """Called before every start, restarts included."""


@dataclass(slots=True)
class Child:
    """A program and its current process, if any."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    starts: list[float] = field(default_factory=list)
    next_start: float = 0.0

    @property
    def running(self) -> bool:
        """Tell whether the process is there."""
        return self.process is not None and self.process.returncode is None

    @property
    def status(self) -> int | None:
        """Exit status of the last process, negative for a signal; None while it runs."""
        return self.process.returncode if self.process else None


class Supervisor:
    """The children of this process. Use it as a context: leaving it ends them all."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.children: dict[str, Child] = {}
        self._inherited_mask: set[int] = set()

    def __enter__(self) -> Self:
        self._inherited_mask = {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, OURS)}
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        signal.pthread_sigmask(signal.SIG_SETMASK, self._inherited_mask)

    def start(self, program: Program) -> Child:
        """Start a program; a second one under the same name replaces an ended first."""
        child = self.children.setdefault(program.name, Child(program))
        child.program = program
        self._spawn(child)
        return child

    def wait(self, ready: Callable[[], bool], *, what: str, seconds: float, log: Path | None = None) -> None:
        """Wait until `ready` says so, looking after all children meanwhile.

        Raises `LaunchError` when a step fails or `seconds` pass, `Stopped` when a signal asks for the end.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self._turn()
            if time.monotonic() > deadline:
                words = f"{what} {seconds:.0f} 秒内没有就绪 · {what} was not ready within {seconds:.0f} s"
                raise LaunchError(words, log=log)

    def finish(self, *steps: Child, seconds: float) -> None:
        """Wait until each step has ended with status 0."""
        for step in steps:
            self.wait(lambda step=step: not step.running, what=step.program.name, seconds=seconds, log=step.program.log)  # type: ignore[misc]

    def run_forever(self) -> None:
        """Look after the children until a signal or an incurable child ends it."""
        while True:
            self._turn()

    def stop(self) -> None:
        """End every child: services first, then engines, then whatever descends from this process.

        A signal that arrives meanwhile (a second Ctrl-C) ends the politeness.
        """
        engines = [child for child in self.children.values() if child.program.engine]
        others = [child for child in self.children.values() if not child.program.engine]
        for group, seconds in ((others, 8.0), (engines, 15.0)):
            for child in group:
                self._send(child, child.program.stop_signal)
            deadline = time.monotonic() + seconds
            while any(child.running for child in group) and time.monotonic() < deadline:
                if self._next_signal(POLL_S) in {signal.SIGINT, signal.SIGTERM}:
                    deadline = time.monotonic()
                self._reap()
            for child in group:
                self._send(child, signal.SIGKILL)
        self._sweep()
        self.children.clear()

    def _turn(self) -> None:
        received = self._next_signal(POLL_S)
        ended = self._reap()
        if received in {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}:
            raise Stopped(received)
        for child in ended:
            self._took_note(child)
        now = time.monotonic()
        for child in self.children.values():
            if child.program.service and not child.running and now >= child.next_start:
                self._spawn(child)

    @staticmethod
    def _next_signal(seconds: float) -> int:
        received = signal.sigtimedwait(OURS, seconds)
        return received.si_signo if received else 0

    def _reap(self) -> list[Child]:
        """Collect the status of every ended child, adopted orphans included."""
        ended: list[Child] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == 0:
                return ended
            for child in self.children.values():
                if child.process and child.process.pid == pid:
                    self._kill_group(child)
                    child.process.returncode = os.waitstatus_to_exitcode(status)
                    ended.append(child)

    def _took_note(self, child: Child) -> None:
        """Fail for a step that failed, plan the restart of a service."""
        program, status = child.program, child.status
        if not program.service:
            if status and program.log:
                raise LaunchError(f"{program.name} 失败（{_words(status)}） · failed", log=program.log)
            return
        now = time.monotonic()
        child.starts = [start for start in child.starts if now - start < 60]
        if len(child.starts) > RESTARTS_A_MINUTE:
            raise LaunchError(
                f"{program.name} 一分钟内终止 {len(child.starts)} 次，不再重启 · "
                f"{program.name} ended {len(child.starts)} times within a minute, giving up",
                log=program.log,
            )
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (len(child.starts) - 1))
        child.next_start = now + pause
        words = _words(status)
        say(f"{program.name} 意外终止（{words}），{pause:.1f} 秒后重启 · ended ({words}), restarting in {pause:.1f} s")

    def _spawn(self, child: Child) -> None:
        program = child.program
        if program.before:
            program.before()
        identity, log, parent = program.identity, program.log, os.getpid()

        def child_side() -> None:
            # Runs between fork and exec, after the change of user: that change would clear the death signal.
            LIBC.prctl(PR_SET_PDEATHSIG, program.death_signal, 0, 0, 0)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            if os.getppid() != parent:
                os._exit(1)

        with contextlib.ExitStack() as opened:
            output = opened.enter_context(_open_log(log)) if log else None
            child.process = subprocess.Popen(  # noqa: S603 - the commands are the launcher's own
                list(program.command),
                env=dict(program.environment),
                cwd=program.cwd or self.directory,
                stdin=subprocess.DEVNULL if log else None,
                stdout=output,
                stderr=subprocess.STDOUT if log else None,
                process_group=0 if log else None,
                pass_fds=program.pass_fds,
                user=identity.uid if identity else None,
                group=identity.gid if identity else None,
                extra_groups=[] if identity else None,
                preexec_fn=child_side,  # noqa: PLW1509 - this process has one thread
            )
        child.starts.append(time.monotonic())

    @staticmethod
    def _send(child: Child, number: int) -> None:
        if child.process and child.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.process.pid, number)

    @staticmethod
    def _kill_group(child: Child) -> None:
        """Kill what an ended child left behind in its process group, such as the pool of a killed worker."""
        if child.process and child.program.log:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.process.pid, signal.SIGKILL)

    def _sweep(self) -> None:
        """Kill every remaining descendant; thanks to the sub-reaper none can have escaped."""
        deadline = time.monotonic() + 5
        while (left := descendants(os.getpid())) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            self._next_signal(POLL_S)
            self._reap()


def descendants(root: int) -> list[int]:
    """List the living processes below `root`, at any depth, as /proc shows them now."""
    below = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # "pid (name) state ppid …": the name may hold spaces and brackets.
            parent = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
            below[parent].append(int(entry.name))
    found, open_ = [], [root]
    while open_:
        children = below.pop(open_.pop(), [])
        found.extend(children)
        open_.extend(children)
    return found


def read_lines(command: Sequence[str]) -> str:
    """Run a short command outside any supervisor and return its output; empty when it cannot be run."""
    try:
        done = subprocess.run(list(command), capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _open_log(log: Path) -> BinaryIO:
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_suffix(".log.1"))
    return log.open("ab")


def _words(status: int | None) -> str:
    if status is not None and status < 0:
        return f"signal {-status}"
    return f"status {status}"
