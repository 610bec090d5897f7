"""Say how a job of the spool stands, and what ran in a stretch of time. Reads files only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from integrations.local import outcomes, spool, units
from scheduler.jobs.capabilities import Capacity, Pool
from scheduler.jobs.ports import ClusterState, Observation, Ref, Run, UsageRow

__all__ = ["capacity", "gone", "observation", "usage"]


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def gone(ref: Ref) -> Observation:
    return Observation(ref, ClusterState.UNKNOWN, "ABSENT", datetime.now(UTC), gone=True)


def _state(seen: units.Seen) -> ClusterState:
    if seen.end is not None:
        return ClusterState(seen.end["state"])
    if seen.started is not None:
        return ClusterState.RUNNING
    return ClusterState.QUEUED if seen.claim is None and seen.grant is None else ClusterState.STARTING


def _run(seen: units.Seen, spec: Mapping[str, Any], now: datetime) -> Run | None:
    """Return a run that began, None for one that did not: it held nothing anybody could be charged for."""
    if seen.started is None or seen.grant is None:
        return None
    state, end, began = _state(seen), seen.end, _at(seen.started["at"])
    cards = len(seen.grant["cards"])
    return Run(
        job_id=str(spec["job_id"]),
        task=seen.unit.task,
        submitted_at=_at(seen.submitted_at),
        state=state,
        raw_state=state.value.upper(),
        reason=end["reason"] if end else "",
        started_at=began,
        ended_at=_at(end["at"]) if end else None,
        elapsed_s=end["elapsed_s"] if end else max(0, int((now - began).total_seconds())),
        cpus=seen.grant["cpus"],
        cards=cards,
        card_type=spec["card_type"] if cards else "",
        memory_mb=seen.grant["memory_mb"],
        nodes=1,
        exit_code=end["exit_code"] if end else None,
        confirmed=end is not None,
    )


def observation(ref: Ref, job: Path, board: Mapping[str, Any] | None) -> Observation:
    """Return how a job stands, its tasks together. `board` is the runner's own account of who waits why."""
    as_of = datetime.now(UTC)
    spec = spool.read(job / "spec.json")
    if spec is None:
        return gone(ref)
    every = [list(units.runs(job, spec, task)) for task in units.slots(spec)]
    runs = sorted(
        (run for chain in every for seen in chain if (run := _run(seen, spec, as_of)) is not None),
        key=lambda run: (run.submitted_at, run.task or 0),
    )
    newest = [chain[-1] for chain in every]
    state = _together(newest)
    if spec.get("array"):
        current = runs
        share = {"cpus": spec["cpus"], "cards": spec["cards"], "memory_mb": spec["memory_mb"]} if runs else {}
    else:
        current = [run for run in runs if run.submitted_at == _at(newest[0].submitted_at)]
        grant = newest[0].grant if current or newest[0].end is None else None
        share = {"cpus": grant["cpus"], "cards": len(grant["cards"]), "memory_mb": grant["memory_mb"]} if grant else {}
    waits = state is ClusterState.QUEUED
    held = waits and not (job / "released").exists()
    over = all(seen.end is not None for seen in newest)
    starts = [at for seen in newest if (at := ((board or {}).get("starts") or {}).get(seen.unit.slot)) is not None]
    return Observation(
        ref,
        state,
        state.value.upper(),
        as_of,
        reason="JobHeldUser" if held else _reason(newest, state, board),
        started_at=min((run.started_at for run in current if run.started_at), default=None),
        ended_at=max((_at(seen.end["at"]) for seen in newest if seen.end), default=None) if over else None,
        elapsed_s=sum(run.elapsed_s for run in current) if current else None,
        exit_code=_exit_code(newest) if over else None,
        held=held,
        confirmed=over,
        expected_start_at=_at(min(starts)) if starts and waits and not held else None,
        runs=tuple(runs),
        **share,
    )


def _together(newest: Sequence[units.Seen]) -> ClusterState:
    """Return one state for all tasks: running as long as some ran and some have not ended."""
    states = [_state(seen) for seen in newest]
    if len(states) == 1:
        return states[0]
    if all(seen.end is not None for seen in newest):
        return ClusterState(outcomes.together([state.value for state in states]))
    if ClusterState.RUNNING in states or any(seen.end is not None and seen.started is not None for seen in newest):
        return ClusterState.RUNNING
    return ClusterState.STARTING if ClusterState.STARTING in states else ClusterState.QUEUED


def _reason(newest: Sequence[units.Seen], state: ClusterState, board: Mapping[str, Any] | None) -> str:
    if state is ClusterState.QUEUED:
        reasons = (board or {}).get("reasons") or {}
        return next((reasons[seen.unit.slot] for seen in newest if seen.unit.slot in reasons), "Resources")
    return next(
        (str(seen.end["reason"]) for seen in newest if seen.end is not None and seen.end["state"] == state.value), ""
    )


def _exit_code(newest: Sequence[units.Seen]) -> int | None:
    """Return the script's own code, of an array the highest; None unless every task ended by itself."""
    codes = [seen.end["exit_code"] for seen in newest if seen.end is not None]
    return None if None in codes else max(codes)


def usage(jobs: Path, accounts: Sequence[str], since: datetime, until: datetime) -> list[UsageRow]:
    """Return the runs of `accounts` that held anything in [since, until), oldest job first."""
    rows, now, wanted = [], datetime.now(UTC), frozenset(accounts)
    for job in jobs.iterdir():
        spec = spool.read(job / "spec.json")
        if spec is None or spec["account"] not in wanted or _at(spec["submitted_at"]) >= until:
            continue
        for task in units.slots(spec):
            for seen in units.runs(job, spec, task):
                run = _run(seen, spec, now)
                if run is None or run.started_at is None or run.started_at >= until:
                    continue
                if run.ended_at is None or run.ended_at >= since:
                    who = (spec["account"], spec["user"], spec["partition"])
                    rows.append(UsageRow(job.name, *who, run, time_limit_s=spec["time_limit_s"]))
    return sorted(rows, key=lambda row: (int(row.run.job_id), row.run.task or 0, row.run.submitted_at))


def capacity(total: Mapping[str, Any], board: Mapping[str, Any]) -> Capacity:
    """Return a pool per partition. They share the one host, so what another uses is missing in each."""
    used = board["partitions"]
    cpus = sum(counts["cpus"] for counts in used.values())
    cards = sum(counts["cards"] for counts in used.values())
    return Capacity(
        pools=[
            Pool(
                partition=name,
                card_type=total["card_type"] if total["cards"] else "",
                cards=total["cards"],
                cards_used=cards,
                cards_down=0,
                cpus=total["cpus"],
                cpus_used=cpus,
                nodes=1,
                nodes_down=0,
                running=counts["running"],
                waiting=counts["waiting"],
            )
            for name, counts in sorted(used.items())
        ],
        as_of=_at(board["at"]),
    )
