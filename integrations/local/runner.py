"""Start jobs of a local spool, first come first served, as cpus, cards and memory become free.

``python -m integrations.local.runner --dir DIR [--cpus 8 --cards 8 --memory-mb N --card-type NAME]``

It decides only *when* a job starts; each run is kept by a shim of its own, so the runner may be killed at any moment
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
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from integrations.local import board, limits, outcomes, sandbox, spool, staging, units
from integrations.local.burying import bury
from integrations.local.holdings import Capacity, Held, Job, uid_range
from integrations.local.units import Unit

__all__ = ["Capacity", "Runner", "main"]

VERSION = "2"
TICK_S = 0.1
BEAT_S = 1.0
SWEEP_S = 3600.0
STAGED_S = 86_400.0
"""How long files wait for a job that never comes."""
ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger("runner")


class Runner:
    """One per spool (a lock says so). `tick` looks once at every unfinished job and does what is due."""

    def __init__(
        self, folder: Path, capacity: Capacity, *, kill_wait_s: float, keep_days: float, hidden: Sequence[str] = ()
    ) -> None:
        self.folder, self.capacity = folder, capacity
        self.kill_wait_s, self.keep_days = kill_wait_s, keep_days
        self.jobs, self.work = folder / "jobs", staging.work_root(folder)
        self.uids = uid_range(folder) if os.getuid() == 0 else []
        self.hidden = list(hidden) if hidden and not self.uids and sandbox.can_hide() else []
        self.held: dict[str, Held] = {}
        self.open: dict[str, Job] = {}
        self.finished: set[str] = set()
        self.reasons: dict[str, str] = {}
        self.waiting: list[tuple[int, Unit]] = []
        self.scanned: tuple[int, float] = (0, 0.0)
        self.stopping = False

    def prepare(self) -> None:
        """Make the spool's directories; they belong to whoever owns the spool, the work directories to the runner."""
        for path in (self.jobs, self.folder / "incoming", self.folder / "staged", self.folder / "limits"):
            path.mkdir(mode=0o700, exist_ok=True)
            self.give_to_portal(path)
        self.work.mkdir(mode=0o711, exist_ok=True)
        status = self.work.lstat()
        if status.st_uid != os.getuid() or self.work.is_symlink():
            raise PermissionError(f"{self.work} is not ours")
        self.work.chmod(0o711 if self.uids else 0o700)
        value = {name: getattr(self.capacity, name) for name in Capacity.__slots__}
        value |= {"kill_wait_s": self.kill_wait_s, "work": str(self.work), "version": VERSION}
        spool.write(self.folder / "capacity.json", value)

    def give_to_portal(self, path: Path) -> None:
        """Let a directory belong to whoever owns the spool: runner and portal may be different users."""
        if os.getuid() == 0:
            owner = self.folder.stat()
            os.chown(path, owner.st_uid, owner.st_gid)

    def beat(self) -> None:
        isolation = ["user" if self.uids else "", "landlock" if sandbox.landlock_version() else ""]
        isolation.append("hidden" if self.hidden else "")
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
        spool.write(self.folder / "board.json", board.drawn(self, now=time.time()))

    # one look

    def tick(self) -> None:
        waiting: list[tuple[int, Unit]] = []
        reasons: dict[str, str] = {}
        self.scan()
        for marker, job in list(self.open.items()):
            try:
                queued = self.look_at(marker, job)
                if queued and (reason := outcomes.hindrance(self.jobs, job.spec)):
                    reasons |= {unit.slot: reason for _at, unit in queued}
                    if reason == "DependencyNeverSatisfied":
                        self.give_up(queued, reason)
                    continue
                waiting += queued
            except (OSError, ValueError, KeyError):
                log.exception("job %s", marker)
        waiting.sort(key=lambda one: (one[0], one[1].job.name, one[1].task or 0))
        if not self.stopping:
            self.start_what_fits(waiting, reasons)
        self.waiting, self.reasons = waiting, reasons

    def scan(self) -> None:
        """Notice new jobs: when the directory has changed, and every second because its clock is coarse."""
        changed_at = self.jobs.stat().st_mtime_ns
        if changed_at != self.scanned[0] or time.monotonic() - self.scanned[1] > 1:
            self.scanned = (changed_at, time.monotonic())
            for entry in os.scandir(self.jobs):
                if entry.name in self.open or entry.name in self.finished:
                    continue
                path = self.jobs / entry.name
                if (spec := spool.read(path / "spec.json")) is not None:
                    self.open[entry.name] = Job(spec, {task: Unit(path, task) for task in units.slots(spec)})

    def look_at(self, marker: str, job: Job) -> list[tuple[int, Unit]]:
        """Bring a job up to date. Return those of its runs that wait for a grant, with their place in the queue."""
        queued = []
        for task, unit in list(job.current.items()):
            queued_at = self.look(job, unit)
            if queued_at is not None:
                queued.append((job.queued_since.get(task, queued_at), unit))
        if not job.current:
            del self.open[marker]
            self.finished.add(marker)
            staging.discard(self.folder, marker)
        return queued

    def look(self, job: Job, unit: Unit) -> int | None:
        """Bring a run up to date. Return its place in the queue if it waits for a grant."""
        held = self.held.get(unit.slot)
        if held and held.shim:
            held.shim.poll()
        if (unit.folder / "exit.json").exists():
            self.forget(job, unit)
            return None
        claim = spool.read(unit.folder / "claim.json")
        if claim is not None:
            if not spool.alive(claim.get("who") or ""):
                bury(unit, job.spec, claim)
            elif held is None:
                self.hold(job, unit, spool.read(unit.folder / "grant.json") or {})
            return None
        grant = spool.read(unit.folder / "grant.json")
        if grant is not None:
            held = held or self.hold(job, unit, grant)
            if held.shim is None or held.shim.poll() is not None:
                # Killed between grant and claim: another shim, the same grant. Only one of them can claim.
                self.launch(held)
            return None
        released = unit.job / "released"
        if unit.is_cancelled:
            self.give_up([(0, unit)], "")  # whoever asked was killed before it came to this run
            return None
        return released.stat().st_mtime_ns if released.exists() else None

    def give_up(self, queued: list[tuple[int, Unit]], reason: str) -> None:
        """Cancel runs that will never start."""
        for _at, unit in queued:
            self.make(unit)
            if spool.create(unit.folder / "claim.json", {"by": "cancel", "who": "", "reason": reason}):
                end = {"state": "cancelled", "exit_code": None, "reason": reason, "elapsed_s": 0}
                spool.create(unit.folder / "exit.json", {**end, "at": time.time()})

    def make(self, unit: Unit) -> None:
        """Make the directory of a run after the first."""
        if unit.no > 1 and not unit.folder.exists():
            unit.folder.mkdir(mode=0o755, exist_ok=True)
            self.give_to_portal(unit.folder)

    # the start

    def start_what_fits(self, waiting: list[tuple[int, Unit]], reasons: dict[str, str]) -> None:
        """Grant in order; a job its own limits keep back lets others pass, one that only waits for room does not."""
        if not waiting:
            return
        bounds = limits.load(self.folder)
        for place, (_at, unit) in enumerate(waiting):
            spec = self.open[unit.job.name].spec
            mine = sum(held.unit.job == unit.job for held in self.held.values())
            most = units.together(spec.get("array", ""))
            if most is not None and mine >= most:
                reasons[unit.slot] = "JobArrayTaskLimit"
            elif reason := limits.hindrance(spec, bounds.get(spec["account"]), self.uses()):
                reasons[unit.slot] = reason
            elif not self.grant(unit, spec):
                # Strictly in order: a large job at the head is not overtaken for ever by small ones.
                reasons[unit.slot] = "Resources"
                reasons.update({other.slot: "Priority" for _at, other in waiting[place + 1 :]})
                return

    def uses(self) -> list[limits.Use]:
        now = time.time()
        return [
            limits.Use(held.account, held.cpus, len(held.cards), max(0.0, held.until - now))
            for held in self.held.values()
        ]

    def grant(self, unit: Unit, spec: Mapping[str, Any]) -> bool:
        """Give the run its share and start its shim, or return False when there is not enough left."""
        taken = {card for held in self.held.values() for card in held.cards}
        free_cards = [card for card in range(self.capacity.cards) if card not in taken]
        sharing = [held.uid for held in self.held.values() if held.unit.job == unit.job]
        used_uids = {held.uid for held in self.held.values()}
        uid = sharing[0] if sharing else next((uid for uid in self.uids if uid not in used_uids), None)
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
        if not sharing:
            staging.prepare(self.folder, self.work, unit.job.name, uid)
        self.make(unit)
        if spool.create(unit.folder / "grant.json", grant):
            self.launch(self.hold(self.open[unit.job.name], unit, grant))
        return True

    def hold(self, job: Job, unit: Unit, grant: Mapping[str, Any]) -> Held:
        started = spool.read(unit.folder / "started.json")
        held = Held(
            unit=unit,
            cpus=grant["cpus"],
            memory_mb=grant["memory_mb"],
            cards=tuple(grant["cards"]),
            uid=grant["uid"],
            account=job.spec["account"],
            until=(started["at"] if started else time.time()) + job.spec["time_limit_s"],
        )
        self.held[unit.slot] = held
        return held

    def launch(self, held: Held) -> None:
        """Start a shim; after five that did not even claim the run, claim it as failed."""
        held.launches += 1
        unit = held.unit
        if held.launches > 5:
            spool.create(unit.folder / "claim.json", {"by": "runner", "who": ""})
            return
        argv = [sys.executable, "-E", "-s", "-S", "-m", "integrations.local.shim", str(unit.job)]
        argv += ["" if unit.task is None else str(unit.task), str(unit.no)]
        argv += [str(self.work / unit.job.name), str(self.kill_wait_s), *self.hidden]
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

    # the end

    def forget(self, job: Job, unit: Unit) -> None:
        """Free what an ended run held, once its shim is reaped, and go on to the run after it, if there is one."""
        held = self.held.get(unit.slot)
        if held and held.shim and held.shim.poll() is None:
            return
        if not any(other.unit.job == unit.job for slot, other in self.held.items() if slot != unit.slot):
            self.take_back(unit.job.name)
        self.held.pop(unit.slot, None)
        end = spool.read(unit.folder / "exit.json") or {}
        if units.requeues(job.spec, unit, end):
            job.current[unit.task] = unit.following
            job.queued_since[unit.task] = int(end["at"] * 1e9)
        else:
            del job.current[unit.task]

    def take_back(self, marker: str) -> None:
        """Give a work directory to the portal before its user id goes to another job."""
        work = self.work / marker
        if self.uids and work.exists() and work.lstat().st_uid in self.uids:
            owner = self.folder.stat()
            staging.give(work, owner.st_uid, owner.st_gid)

    def sweep(self) -> None:
        """Remove work directories of jobs that ended `keep_days` ago, and files no job came for. Records and output stay."""
        for entry in os.scandir(self.work):
            spec = spool.read(self.jobs / entry.name / "spec.json")
            ends = [units.last(self.jobs / entry.name, spec, task).end for task in units.slots(spec)] if spec else []
            if ends and all(ends) and time.time() - max(end["at"] for end in ends if end) > self.keep_days * 86_400:
                shutil.rmtree(entry.path, ignore_errors=True)
        for entry in os.scandir(self.folder / "staged"):
            with contextlib.suppress(FileNotFoundError):
                if not (self.jobs / entry.name).exists() and time.time() - entry.stat().st_mtime > STAGED_S:
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
        """Ask every shim to end its run. Idempotent."""
        for held in list(self.held.values()):
            claim = spool.read(held.unit.folder / "claim.json")
            if claim and spool.alive(claim.get("who") or ""):
                os.kill(int(claim["who"].partition("-")[0]), signal.SIGTERM)


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
    parser.add_argument("--hide", action="append", default=[], help="a directory that is empty to jobs; repeat")
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
        runner = Runner(folder, capacity, kill_wait_s=given.kill_wait_s, keep_days=given.keep_days, hidden=given.hide)

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
