"""What observations make of a job: the state table, whatever order they come in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.jobs import access, dispatching, ports, services
from scheduler.jobs.doubt_models import JobAlert
from scheduler.jobs.models import Job
from scheduler.jobs.sightings import COMES_BACK
from tests import make
from tests.scheduler.jobs import scripted
from tests.scheduler.jobs.test_resolving import partition, scripted_cluster, submit  # noqa: F401  fixtures
from vouchers.charges.models import Charge

C = ports.ClusterState


@pytest.fixture
def job(w, partition) -> Job:  # noqa: F811
    job = submit(w, partition)
    dispatching.dispatch(job_id=job.pk, now=make.NOW)
    job.refresh_from_db()
    return job


def see(job: Job, state: C, *, minutes: float, at: float | None = None, **more) -> Job:
    """Let the cluster say `state` as of `minutes`, written down at `at` (the same where not said)."""
    as_of = make.NOW + timedelta(minutes=minutes)
    seen = ports.Observation(access.ref_of(job), state, more.pop("raw", state.value), as_of, **more)
    services.apply(job_id=job.pk, seen=seen, now=as_of if at is None else make.NOW + timedelta(minutes=at))
    job.refresh_from_db()
    return job


def alerts(job: Job) -> list[str]:
    return list(JobAlert.objects.filter(job=job, cleared_at=None).values_list("kind", flat=True))


class TestUnknownCodes:
    def test_keep_the_state_and_tell_a_person_until_a_known_one_comes(self, job):
        see(job, C.RUNNING, minutes=1)
        see(job, C.UNKNOWN, minutes=2, raw="FUTURE_STATE")
        assert (job.state, alerts(job)) == ("running", ["unknown_code"])
        assert JobAlert.objects.get().detail == "FUTURE_STATE"
        see(job, C.RUNNING, minutes=3)
        assert alerts(job) == []


class TestHolding:
    def test_shows_that_somebody_holds_a_released_job(self, job):
        see(job, C.QUEUED, minutes=1, held=True, reason="JobHeldAdmin")
        assert (job.held, alerts(job)) == (True, ["attention"])
        see(job, C.QUEUED, minutes=2, reason="Priority")
        assert (job.held, alerts(job)) == (False, [])

    def test_keeps_the_expected_start_while_it_waits(self, job):
        soon = make.NOW + timedelta(hours=1)
        see(job, C.QUEUED, minutes=1, expected_start_at=soon)
        assert job.expected_start_at == soon
        see(job, C.RUNNING, minutes=2)
        assert job.expected_start_at is None


class TestRequeue:
    def test_goes_back_to_the_queue_without_start_or_end(self, job):
        see(job, C.RUNNING, minutes=1, started_at=make.NOW)
        see(job, C.QUEUED, minutes=2, reason="BeginTime")
        assert (job.state, job.started_at, job.ended_at) == ("queued", None, None)


class TestInterruption:
    def test_ends_nothing_while_the_job_may_come_back(self, job):
        see(job, C.RUNNING, minutes=1, started_at=make.NOW)
        see(job, C.INTERRUPTED, minutes=2, ended_at=make.NOW + timedelta(minutes=2), confirmed=True)
        assert job.state == "finishing"
        see(job, C.QUEUED, minutes=6)
        see(job, C.RUNNING, minutes=7)
        assert (job.state, job.settled_at) == ("running", None)

    def test_is_final_after_five_minutes_when_accounting_agrees(self, job):
        ended = make.NOW + timedelta(minutes=2)
        see(job, C.INTERRUPTED, minutes=2, ended_at=ended)
        see(job, C.INTERRUPTED, minutes=2 + COMES_BACK.seconds / 60, ended_at=ended)
        assert job.state == "finishing"
        see(job, C.INTERRUPTED, minutes=8, ended_at=ended, confirmed=True)
        assert job.state == "interrupted"
        assert Charge.objects.get(pk=job.charge_id).state == "released"

    def test_counts_without_accounting_after_an_hour_and_tells_a_person(self, job):
        ended = make.NOW + timedelta(minutes=2)
        for minutes in (3, 30, 61):
            see(job, C.INTERRUPTED, minutes=minutes, ended_at=ended)
            assert job.state == "finishing"
        see(job, C.INTERRUPTED, minutes=62, ended_at=ended)
        assert (job.state, alerts(job)) == ("interrupted", ["unconfirmed"])


def test_what_the_cluster_proves_gone_is_lost(job):
    assert see(job, C.UNKNOWN, minutes=5, gone=True, raw="ABSENT").state == "lost"


def test_an_older_observation_changes_nothing(job):
    see(job, C.RUNNING, minutes=5, started_at=make.NOW)
    see(job, C.QUEUED, minutes=4, held=True)
    assert (job.state, job.held, job.started_at) == ("running", False, make.NOW)
    assert scripted.TRUTH
