"""What fails while a cluster is away is given back by the refund table, whatever told of it first."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.clusters import incidents, polling
from scheduler.clusters.models import Incident
from scheduler.clusters.rules import IncidentKind
from scheduler.jobs import closing, refunds, settling
from scheduler.jobs import services as jobs
from scheduler.jobs.models import Job, JobRun
from scheduler.metering import sweeping
from scheduler.metering.models import UnmanagedRun
from tests import make
from tests.scheduler.clusters import asked
from tests.scheduler.jobs import scripted
from tests.scheduler.jobs.test_runs import S, run, see
from tests.scheduler.metering.making import at, placed, row
from vouchers.ledger import verification


@pytest.fixture
def partition(w, settings):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    asked.install(settings)
    scripted.reset()
    return make.partition(w, adapter="asked", rate="9")


@pytest.fixture
def job(w, partition) -> Job:
    return placed(w, partition, voucher=make.voucher(w))


def away(partition, *, start: int, until: int) -> None:
    """Let polls fail from one minute to another."""
    for minute in range(start - 1, until + 1):
        asked.AWAY.update({"all"} if start <= minute < until else ())
        asked.AWAY.intersection_update({"all"} if start <= minute < until else ())
        polling.poll(cluster_id=partition.cluster_id, now=at(minute), force=True)


@pytest.mark.parametrize(
    ("ended", "fen", "ground"), [(19, 2280, ""), (20, 0, "incident"), (29, 0, "incident"), (30, 3600, "")]
)
def test_a_failure_within_an_incident_is_not_billed_and_one_outside_is(job, partition, ended, fen, ground):
    away(partition, start=20, until=30)
    done = see(job, S.FAILED, run(S.FAILED, ended * 60), minute=40)
    assert (done.state, done.settlement, settling.settled_fen(done)) == ("failed", "settled", fen)
    assert JobRun.objects.get(job=job).not_billed == ground
    assert verification.verify() == []


def test_what_ended_well_or_by_its_own_limit_is_paid_all_the_same(w, partition):
    away(partition, start=20, until=30)
    for state in (S.SUCCEEDED, S.TIMED_OUT, S.OUT_OF_MEMORY):
        done = see(placed(w, partition), state, run(state, 1500), minute=40)
        assert settling.settled_fen(done) == 3000


def test_whoever_cancels_pays_for_what_was_used_and_nobody_else(w, partition, job):
    mine = placed(w, partition)
    jobs.cancel(actor=w.researcher, job=mine, now=at(24), ask_cluster=lambda _id: None)
    away(partition, start=20, until=30)
    assert settling.settled_fen(see(mine, S.CANCELLED, run(S.CANCELLED, 1500), minute=40)) == 3000
    assert settling.settled_fen(see(job, S.CANCELLED, run(S.CANCELLED, 1500), minute=40)) == 0


def test_accounting_away_ends_no_job(job, partition):
    Incident.objects.create(cluster=partition.cluster, kind=IncidentKind.ACCOUNTING, opened_at=at(0))
    assert settling.settled_fen(see(job, S.FAILED, run(S.FAILED, 1500), minute=40)) == 3000


def test_a_provisional_settlement_is_given_back_once_accounting_says_when_it_failed(job, partition):
    away(partition, start=20, until=30)
    late = run(S.FAILED, 1860, confirmed=False)
    assert settling.settled_fen(see(job, S.FAILED, late, minute=60)) == 3720
    done = closing.hear(job_id=job.pk, told=[run(S.FAILED, 1500)], now=at(70))
    assert (done.settlement, settling.settled_fen(done)) == ("adjusted", 0)
    assert verification.verify() == []


def test_a_task_of_an_array_is_judged_by_its_own_end(job, partition):
    away(partition, start=20, until=30)
    tasks = [run(S.FAILED, 600, task=0), run(S.FAILED, 1500, task=1), run(S.SUCCEEDED, 1500, task=2)]
    done = see(job, S.FAILED, *tasks, minute=40)
    assert settling.settled_fen(done) == 1200 + 3000
    assert list(JobRun.objects.filter(job=job).values_list("not_billed", flat=True)) == ["", "incident", ""]


def test_a_run_without_the_portal_is_judged_by_the_same_table(w, partition):
    away(partition, start=20, until=30)
    rows = [row(w, run(S.FAILED, 1500)), row(w, run(S.FAILED, 1000, minute=1))]
    sweeping.enter(partition.cluster, rows, now=at(40))
    assert sorted(UnmanagedRun.objects.values_list("not_billed", flat=True)) == ["", "incident"]


def test_an_incident_that_touches_no_end_is_not_even_read(partition):
    away(partition, start=20, until=30)
    read = incidents.outages
    assert read(cluster_id=partition.cluster_id, since=at(0), until=at(19)) == []
    assert read(cluster_id=partition.cluster_id, since=at(30), until=at(40)) == []
    assert read(cluster_id=partition.cluster_id, since=at(0), until=at(20)) == [(at(20), at(30))]


MINUTES = st.integers(0, 100)


@given(MINUTES, st.lists(st.tuples(MINUTES, st.none() | MINUTES), max_size=4))
def test_a_span_begins_with_its_first_moment_and_ends_before_its_last(minute, spans):
    base = make.NOW
    said = [(base + timedelta(minutes=a), None if b is None else base + timedelta(minutes=b)) for a, b in spans]
    inside = any(minute in range(start, 101 if end is None else end) for start, end in spans)
    assert refunds.within(base + timedelta(minutes=minute), said) is inside
    assert not refunds.within(None, said)
