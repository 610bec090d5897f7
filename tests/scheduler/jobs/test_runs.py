"""Runs of jobs: each is written once, numbered, closed by accounting, and charged for itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.jobs import access, dispatching, ports, services
from scheduler.jobs.models import Job, JobRun
from scheduler.usage.models import UsageRecord
from tests import make
from tests.scheduler.jobs import scripted
from tests.scheduler.jobs.test_services import submit
from vouchers.charges.models import Charge
from vouchers.ledger import queries as ledger

S = ports.ClusterState
EIGHT_CARDS_A_MINUTE_FEN = 120


@pytest.fixture(autouse=True)
def scripted_cluster(settings):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    scripted.reset()


@pytest.fixture
def job(w) -> Job:
    made = submit(w, make.partition(w, adapter="scripted", rate="9"), voucher=make.voucher(w), minutes=120)
    dispatching.dispatch(job_id=made.pk, now=make.NOW)
    made.refresh_from_db()
    return made


def run(
    state: ports.ClusterState, elapsed_s: int, *, minute: int = 0, raw: str = "", task: int | None = None, **more
) -> ports.Run:
    """One run of 8 cards that began `minute` minutes from now; closed by accounting unless told otherwise."""
    start = make.NOW + timedelta(minutes=minute)
    fields = {"cpus": 8, "cards": 8, "confirmed": True, **more}
    return ports.Run(
        job_id="728",  # as the scripted cluster numbers a job
        task=task,
        submitted_at=start,
        state=state,
        raw_state=raw or state.value.upper(),
        started_at=start,
        ended_at=start + timedelta(seconds=elapsed_s) if state in ports.FINAL else None,
        elapsed_s=elapsed_s,
        **fields,
    )


def told(job: Job, state: ports.ClusterState, *runs: ports.Run, minute: int) -> ports.Observation:
    return ports.Observation(
        ref=access.ref_of(job),
        state=state,
        raw_state=state.value.upper(),
        as_of=make.NOW + timedelta(minutes=minute),
        started_at=runs[0].started_at if runs else None,
        ended_at=runs[-1].ended_at if runs else None,
        confirmed=all(run.confirmed for run in runs),
        runs=runs,
    )


def see(job: Job, state: ports.ClusterState, *runs: ports.Run, minute: int) -> Job:
    now = make.NOW + timedelta(minutes=minute)
    return services.apply(job_id=job.pk, seen=told(job, state, *runs, minute=minute), now=now)


class TestWriting:
    def test_numbers_runs_in_order_and_overwrites_what_is_not_closed(self, job):
        first = run(S.RUNNING, 60, confirmed=False)
        see(job, S.RUNNING, first, minute=1)
        closed = replace(first, state=S.INTERRUPTED, raw_state="NODE_FAIL", elapsed_s=90, confirmed=True)
        see(job, S.RUNNING, closed, run(S.RUNNING, 30, minute=3, confirmed=False), minute=4)

        assert [(row.no, row.state, row.elapsed_s, row.confirmed) for row in JobRun.objects.filter(job=job)] == [
            (1, "interrupted", 90, True),
            (2, "running", 30, False),
        ]

    def test_leaves_what_accounting_closed_as_it_is(self, job):
        closed = run(S.INTERRUPTED, 90, raw="NODE_FAIL")
        see(job, S.QUEUED, closed, minute=2)
        see(job, S.QUEUED, replace(closed, elapsed_s=999, confirmed=False), minute=3)
        assert JobRun.objects.get(job=job).elapsed_s == 90

    def test_ignores_older_news(self, job):
        see(job, S.RUNNING, run(S.RUNNING, 240, confirmed=False), minute=5)
        see(job, S.RUNNING, run(S.RUNNING, 60, confirmed=False), minute=2)
        assert JobRun.objects.get(job=job).elapsed_s == 240


class TestSettling:
    def test_charges_each_run_and_none_the_node_failed(self, job):
        done = see(
            job,
            S.SUCCEEDED,
            run(S.INTERRUPTED, 1800, raw="NODE_FAIL"),
            run(S.SUCCEEDED, 3600, minute=40),
            minute=110,
        )
        charge = Charge.objects.get(pk=done.charge_id)
        assert (done.settlement, charge.actual_fen) == ("settled", 60 * EIGHT_CARDS_A_MINUTE_FEN)
        assert list(UsageRecord.objects.filter(job=job).values_list("run_no", "duration_s", "count")) == [(2, 3600, 8)]
        assert ledger.unaccounted_fen() == 0

    def test_rounds_each_run_once(self, job):
        """Eight cards at 9 yuan are 2 fen a second: 3 tasks of 1 card for 7 s are 1.75 fen each, 2 fen each."""
        tasks = [run(S.SUCCEEDED, 7, task=at, cards=1, cpus=1) for at in range(3)]
        charge = Charge.objects.get(pk=see(job, S.SUCCEEDED, *tasks, minute=9).charge_id)
        assert charge.actual_fen == 6
        assert [line["amount_fen"] for line in charge.measured["runs"]] == [2, 2, 2]
