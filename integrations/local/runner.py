"""Start jobs of a local spool, first come first served, as cpus, cards and memory become free.

``python -m integrations.local.runner --dir DIR [--cpus 8 --cards 8 --memory-mb N --card-type NAME]``

It decides only *when* a job starts; each job is kept by a shim of its own, so the runner may be killed at any moment
and the next one carries on. SIGTERM and SIGINT end all jobs (interrupted) and then the runner; with ``--keep-jobs``
they only end the runner. As root every running job gets a user id of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import logging
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integrations.local import sandbox, spool

__all__ = ["Runner", "main"]

VERSION = "1"
TICK_S = 0.1
BEAT_S = 1.0
SWEEP_S = 3600.0
ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger("runner")


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the runner hands out. `cards` may be pretended; `memory_mb` should not be."""

    cpus: int
    cards: int
    card_type: str
    memory_mb: int
    partitions: tuple[str, ...]
    longest_s: int


@dataclass(slots=True)
class Held:
    """What one granted job holds."""

    cpus: int
    memory_mb: int
    cards: tuple[int, ...]
    uid: int | None
    shim: subprocess.Popen[bytes] | None = None
    launches: int = 0


class Runner:
    """One per spool (a lock says so). `tick` looks once at every unfinished job and does what is due."""

    def __init__(self, folder: Path, capacity: Capacity, *, kill_wait_s: float, keep_days: float) -> None:
        self.folder, self.capacity = folder, capacity
        self.kill_wait_s, self.keep_days = kill_wait_s, keep_days
        self.jobs, self.work = folder / "jobs", work_root(folder)
        self.uids = uid_range(folder) if os.getuid() == 0 else []
        self.held: dict[str, Held] = {}
        self.open: set[str] = set()
        self.finished: set[str] = set()
        self.scanned: tuple[int, float] = (0, 0.0)
        self.stopping = False

    def prepare(self) -> None:
        """Make the spool's directories; they belong to whoever owns the spool, the work directories to the runner."""
        owner = self.folder.stat()
        for path in (self.jobs, self.folder / "incoming"):
            path.mkdir(mode=0o700, exist_ok=True)
            if os.getuid() == 0:
                os.chown(path, owner.st_uid, owner.st_gid)
        self.work.mkdir(mode=0o711, exist_ok=True)
        status = self.work.lstat()
        if status.st_uid != os.getuid() or self.work.is_symlink():
            raise PermissionError(f"{self.work} is not ours")
        self.work.chmod(0o711 if self.uids else 0o700)
        spool.write(self.folder / "capacity.json", {name: getattr(self.capacity, name) for name in Capacity.__slots__})

    def beat(self) -> None:
        isolation = ["user" if self.uids else "", "landlock" if sandbox.landlock_version() else ""]
        spool.write(
            self.folder / "heartbeat.json",
            {
                "who": spool.identity(os.getpid()),
                "at": time.time(),
                "version": VERSION,
                "isolation": "+".join(filter(None, isolation)) or "none",
                "running": len(self.held),
            },
        )

    # one look

    def tick(self) -> None:
        waiting: list[tuple[int, str]] = []
        self.scan()
        for marker in sorted(self.open):
            try:
                queued_at = self.look(marker)
            except (OSError, ValueError, KeyError):
                log.exception("job %s", marker)
                continue
            if queued_at is not None:
                waiting.append((queued_at, marker))
        if self.stopping:
            return
        for _queued_at, marker in sorted(waiting):
            # Strictly in order: a large job at the head is not overtaken for ever by small ones.
            if not self.grant(marker):
                break

    def scan(self) -> None:
        """Notice new jobs: when the directory has changed, and every second because its clock is coarse."""
        changed_at = self.jobs.stat().st_mtime_ns
        if changed_at != self.scanned[0] or time.monotonic() - self.scanned[1] > 1:
            self.scanned = (changed_at, time.monotonic())
            self.open = {entry.name for entry in os.scandir(self.jobs)} - self.finished

    def look(self, marker: str) -> int | None:
        """Bring one job up to date. Return its place in the queue if it waits for a grant."""
        job = self.jobs / marker
        held = self.held.get(marker)
        if held and held.shim:
            held.shim.poll()
        if (job / "exit.json").exists():
            self.forget(marker)
            return None
        claim = spool.read(job / "claim.json")
        if claim is not None:
            if not spool.alive(claim.get("who") or ""):
                self.bury(job, claim)
            elif held is None:
                self.hold(marker, spool.read(job / "grant.json") or {})
            return None
        grant = spool.read(job / "grant.json")
        if grant is not None:
            held = held or self.hold(marker, grant)
            if held.shim is None or held.shim.poll() is not None:
                # Killed between grant and claim: another shim, the same grant. Only one of them can claim.
                self.launch(marker, held)
            return None
        released = job / "released"
        return released.stat().st_mtime_ns if released.exists() else None

    def grant(self, marker: str) -> bool:
        """Give the job its share and start its shim, or return False when there is not enough left."""
        spec = spool.read(self.jobs / marker / "spec.json") or {}
        taken = {card for held in self.held.values() for card in held.cards}
        free_cards = [card for card in range(self.capacity.cards) if card not in taken]
        used_uids = {held.uid for held in self.held.values()}
        uid = next((uid for uid in self.uids if uid not in used_uids), None)
        if (
            spec["cpus"] > self.capacity.cpus - sum(held.cpus for held in self.held.values())
            or spec["memory_mb"] > self.capacity.memory_mb - sum(held.memory_mb for held in self.held.values())
            or spec["cards"] > len(free_cards)
            or (self.uids and uid is None)
        ):
            return False
        grant = {
            "cpus": spec["cpus"],
            "memory_mb": spec["memory_mb"],
            "cards": free_cards[: spec["cards"]],
            "uid": uid,
        }
        work = self.work / marker
        work.mkdir(mode=0o700, exist_ok=True)  # left over when the runner was killed right here
        (work / "tmp").mkdir(mode=0o700, exist_ok=True)
        if uid is not None:
            os.chown(work / "tmp", uid, uid)
            os.chown(work, uid, uid)
        if spool.create(self.jobs / marker / "grant.json", grant):
            self.launch(marker, self.hold(marker, grant))
        return True

    def hold(self, marker: str, grant: dict[str, Any]) -> Held:
        held = Held(grant["cpus"], grant["memory_mb"], tuple(grant["cards"]), grant["uid"])
        self.held[marker] = held
        return held

    def launch(self, marker: str, held: Held) -> None:
        """Start a shim; after five that did not even claim the job, claim it as failed."""
        held.launches += 1
        if held.launches > 5:
            spool.create(self.jobs / marker / "claim.json", {"by": "runner", "who": ""})
            return
        argv = [sys.executable, "-E", "-s", "-S", "-m", "integrations.local.shim"]
        argv += [str(self.jobs / marker), str(self.work / marker), str(self.kill_wait_s)]
        with (self.folder / "shims.log").open("ab") as errors:
            held.shim = subprocess.Popen(  # noqa: S603 - our own interpreter, our own module, paths of ours
                argv,
                cwd=ROOT,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )

    def bury(self, job: Path, claim: dict[str, Any]) -> None:
        """Write the end of a job whose shim is gone (a killed host, an out-of-memory kill), its processes first."""
        if (job / "exit.json").exists():
            return
        started = spool.read(job / "started.json")
        if claim["by"] == "cancel":
            end = {"state": "cancelled", "reason": ""}
        elif started is None:
            end = {"state": "launch_failed", "reason": "JobLaunchFailure: shim"}
        else:
            orphans = session_of(started["session"], job.name)
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if orphans:
                return  # look again when they are gone
            end = {"state": "interrupted", "reason": "NodeDown"}
        spec = spool.read(job / "spec.json") or {}
        elapsed = min(int(time.time() - started["at"]), spec["time_limit_s"]) if started else 0
        spool.create(job / "exit.json", {**end, "exit_code": None, "elapsed_s": elapsed, "at": time.time()})

    def forget(self, marker: str) -> None:
        """Free what a finished job held, once its shim is reaped."""
        held = self.held.get(marker)
        if held and held.shim and held.shim.poll() is None:
            return
        self.held.pop(marker, None)
        self.open.discard(marker)
        self.finished.add(marker)

    def sweep(self) -> None:
        """Remove work directories of jobs that ended `keep_days` ago. Their records and output stay."""
        for entry in os.scandir(self.work):
            with contextlib.suppress(FileNotFoundError):
                ended_at = (self.jobs / entry.name / "exit.json").stat().st_mtime
                if time.time() - ended_at > self.keep_days * 86_400:
                    shutil.rmtree(entry.path, ignore_errors=True)

    # life

    def run(self, *, keep_jobs: bool) -> None:
        self.prepare()
        beat_at = sweep_at = 0.0
        while not self.stopping or (not keep_jobs and self.held):
            if self.stopping:
                self.interrupt()
            try:
                self.tick()
                if time.monotonic() >= beat_at:
                    beat_at = time.monotonic() + BEAT_S
                    self.beat()
                if time.monotonic() >= sweep_at:
                    sweep_at = time.monotonic() + SWEEP_S
                    self.sweep()
            except OSError:
                log.exception("tick")
            time.sleep(TICK_S)

    def interrupt(self) -> None:
        """Ask every shim to end its job. Idempotent."""
        for marker in list(self.held):
            claim = spool.read(self.jobs / marker / "claim.json")
            if claim and spool.alive(claim.get("who") or ""):
                os.kill(int(claim["who"].partition("-")[0]), signal.SIGTERM)


def session_of(session: int, marker: str) -> list[int]:
    """Return live processes of a job whose shim is gone: same session *and* the job's marker in the environment.

    Both, because a session number alone may have been given to somebody else since.
    """
    found, wanted = [], f"JOB_MARKER={marker}".encode()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                marked = wanted in Path(entry.path, "environ").read_bytes().split(b"\0")
                if fields[0] not in "ZX" and marked and (int(fields[3]) == session or int(fields[1]) == 1):
                    found.append(int(entry.name))
    return found


def work_root(folder: Path) -> Path:
    """Return where work directories go: in the spool, unless other users could not reach it there (a root's home)."""
    if os.getuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents)):
        return folder / "work"
    return Path("/var/tmp") / f"gongxiang-runner-{zlib.crc32(bytes(folder)):08x}"  # noqa: S108


def uid_range(folder: Path) -> list[int]:
    """Return this spool's user ids: up to 64 of those systemd keeps for services without an account (61184 … 65519)."""
    first = 61_184 + zlib.crc32(bytes(folder)) % 66 * 64
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    return [uid for uid in range(first, first + 64) if uid not in taken]


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    host_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    parser.add_argument("--dir", type=Path, required=True, help="the spool; made when it is not there")
    parser.add_argument("--cpus", type=int, default=8)
    parser.add_argument("--cards", type=int, default=8)
    parser.add_argument("--card-type", default="", help="what the cards call themselves; empty = any type fits")
    parser.add_argument("--memory-mb", type=int, default=host_mb, help="default: the host's memory")
    parser.add_argument("--partition", action="append", default=[], help="accept only these; default: any name")
    parser.add_argument("--longest-s", type=int, default=7 * 86_400, help="longest wall limit accepted")
    parser.add_argument("--kill-wait-s", type=float, default=30.0, help="from TERM to KILL")
    parser.add_argument("--keep-days", type=float, default=7.0, help="how long work directories stay")
    parser.add_argument("--keep-jobs", action="store_true", help="a stopped runner leaves its jobs running")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    given = parsed(arguments)
    logging.basicConfig(format="runner: %(message)s", level=logging.INFO)
    folder = given.dir.absolute()
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    capacity = Capacity(
        given.cpus, given.cards, given.card_type, given.memory_mb, tuple(given.partition), given.longest_s
    )
    with (folder / "runner.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.error("another runner works on %s", folder)
            return 1
        runner = Runner(folder, capacity, kill_wait_s=given.kill_wait_s, keep_days=given.keep_days)

        def stop(*_: object) -> None:
            runner.stopping = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        log.info("%s", json.dumps({"dir": str(folder), "cpus": capacity.cpus, "cards": capacity.cards}))
        runner.run(keep_jobs=given.keep_jobs)
        (folder / "heartbeat.json").unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
