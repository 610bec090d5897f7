"""A submission whose answer was lost: only proof decides, and what was asked and answered is kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from scheduler.jobs import dispatching, ports, reconciling, resolving, rules, services
from scheduler.jobs.doubt_models import ClusterBreaker, JobAlert, JobEvidence
from scheduler.jobs.models import Job
from tests import make
from tests.scheduler.jobs import scripted
from vouchers.charges.models import Charge


@pytest.fixture(autouse=True)
def scripted_cluster(settings):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    scripted.reset()


@pytest.fixture
def partition(w):
    return make.partition(w, adapter="scripted")


def submit(w, partition) -> Job:
    return services.submit(
        actor=w.researcher,
        wanted=services.Wanted(
            partition=partition,
            title="训练",
            ask=rules.Ask(cards=8, cpus=8, memory_mb=1000, time_limit_s=3600, script="#!/bin/sh\n"),
        ),
        now=make.NOW,
        key=make.key(),
        dispatch=lambda _job_id: None,
    )


@pytest.fixture
def unclear(w, partition):
    """A job whose request never arrived, and whose answer nobody heard."""
    scripted.PLAN[:] = ["dropped"]
    job = submit(w, partition)
    dispatching.dispatch(job_id=job.pk, now=make.NOW)
    return job


def at(seconds: float):
    return make.NOW + timedelta(seconds=seconds)


def look(job, seconds: float) -> Job:
    reconciling.reconcile(cluster_id=job.partition.cluster_id, now=at(seconds))
    job.refresh_from_db()
    return job


class TestAbsence:
    def test_is_not_asked_for_before_the_server_has_given_up(self, unclear):
        look(unclear, 29)
        assert "find" not in scripted.CALLS

    def test_waits_twice_the_schedulers_own_message_timeout(self, unclear):
        cluster = unclear.partition.cluster
        cluster.config = {"message_timeout_s": 100}
        cluster.save()
        look(unclear, 199)
        assert "find" not in scripted.CALLS
        look(unclear, 200)
        assert "find" in scripted.CALLS

    def test_needs_two_answers_half_a_minute_apart(self, unclear):
        for seconds in (30, 40, 50, 59):
            assert look(unclear, seconds).state == "unknown"
        assert look(unclear, 65).state == "pending"
        assert look(unclear, 66).state == "placed"
        assert scripted.TRUTH[unclear.marker]["count"] == 1

    def test_proven_for_one_attempt_proves_nothing_for_the_next(self, unclear):
        look(unclear, 30)
        look(unclear, 65)
        scripted.PLAN[:] = ["dropped"]
        assert look(unclear, 66).state == "unknown"
        assert look(unclear, 100).state == "unknown"
        assert look(unclear, 131).state == "pending"

    def test_gives_up_after_five_attempts_and_pays_back(self, unclear):
        scripted.PLAN[:] = ["dropped"] * 9
        seconds = 0
        while unclear.state != "rejected" and seconds < 3000:
            seconds += 10
            look(unclear, seconds)
        assert (unclear.attempts, unclear.reason) == (5, "attempts")
        assert scripted.CALLS.count("submit") == 5
        assert Charge.objects.get(pk=unclear.charge_id).state == "released"

    def test_of_a_cancelled_job_ends_it_without_another_attempt(self, w, unclear):
        services.cancel(actor=w.researcher, job=unclear, now=at(5), ask_cluster=lambda _: None)
        look(unclear, 30)
        assert look(unclear, 65).state == "cancelled"
        assert scripted.CALLS.count("submit") == 1
        assert Charge.objects.get(pk=unclear.charge_id).state == "released"


class TestDoubt:
    def test_never_sends_again_and_tells_a_person_after_a_quarter_of_an_hour(self, unclear):
        scripted.DOUBT["find"] = True
        look(unclear, 60)
        assert not JobAlert.objects.exists()
        for minutes in (15, 20, 120):
            assert look(unclear, minutes * 60).state == "unknown"
        alert = JobAlert.objects.get()
        assert (alert.kind, alert.raised_at) == ("unresolved", at(900))
        assert scripted.CALLS.count("submit") == 1

        scripted.DOUBT["find"] = False
        ClusterBreaker.objects.update(retry_at=Now())
        look(unclear, 7300)
        assert look(unclear, 7340).state == "pending"
        alert.refresh_from_db()
        assert alert.cleared_at == at(7340)

    def test_is_written_down_once_and_counted(self, unclear):
        scripted.DOUBT["find"] = True
        for seconds in (30, 40, 50):
            look(unclear, seconds)
        submitted, asked = JobEvidence.objects.filter(job=unclear)
        assert (submitted.op, submitted.verdict, submitted.detail) == ("submit", "unknown", "read timed out")
        assert (asked.op, asked.verdict, asked.times) == ("find", "cannot_tell", 3)
        assert asked.question["marker"] == unclear.marker
        assert asked.answered_at >= at(30)
        assert asked.last_at >= at(50)


class TestFinding:
    def copies(self, job, *minutes: int) -> list[ports.Ref]:
        return [ports.Ref(str(900 + n), at(60 * n), job.marker) for n in minutes]

    def test_keeps_the_oldest_of_several_cancels_the_others_and_tells_a_person(self, unclear):
        old, newer, newest = self.copies(unclear, 1, 2, 3)
        scripted.COPIES[unclear.marker] = [newer, newest, old]
        resolving.resolve(job_id=unclear.pk, cluster=connect(unclear), now=at(300))
        unclear.refresh_from_db()
        assert (unclear.state, unclear.cluster_job_id) == ("placed", "901")
        assert scripted.COPIES[unclear.marker] == [old]
        assert JobAlert.objects.get(job=unclear).kind == "duplicate"
        told = JobEvidence.objects.filter(job=unclear, op="cancel").values_list("refs", flat=True)
        assert list(told) == [["902"], ["903"]]

    def test_adopts_nothing_while_another_copy_cannot_be_cancelled(self, unclear):
        scripted.COPIES[unclear.marker] = self.copies(unclear, 1, 2)

        def refuse():
            raise scripted.Unavailable(detail="no answer")

        scripted.HOOKS["cancel"] = refuse
        resolving.resolve(job_id=unclear.pk, cluster=connect(unclear), now=at(300))
        unclear.refresh_from_db()
        assert unclear.state == "unknown"
        scripted.HOOKS.clear()
        resolving.resolve(job_id=unclear.pk, cluster=connect(unclear), now=at(330))
        unclear.refresh_from_db()
        assert unclear.state == "placed"

    def test_an_answer_about_an_earlier_attempt_decides_nothing(self, unclear):
        """While one worker asks, another proves absence and the job is sent again: the first must not act."""
        look(unclear, 30)

        def meanwhile():
            scripted.HOOKS.clear()
            Job.objects.filter(pk=unclear.pk).update(attempts=2, attempted_at=at(69))

        scripted.HOOKS["find"] = meanwhile
        resolving.resolve(job_id=unclear.pk, cluster=connect(unclear), now=at(70))
        unclear.refresh_from_db()
        assert (unclear.state, unclear.attempts) == ("unknown", 2)


class TestLateAnswers:
    def test_a_worker_given_up_may_still_say_that_its_job_is_placed(self, w, partition):
        job = submit(w, partition)

        def given_up():
            scripted.HOOKS.clear()
            resolving.declare_stale(job.pk, at(301))

        scripted.HOOKS["submit"] = given_up
        dispatching.dispatch(job_id=job.pk, now=make.NOW)
        job.refresh_from_db()
        assert job.state == "placed"

    def test_what_it_placed_is_cancelled_once_another_was_adopted(self, w, partition):
        job = submit(w, partition)

        def adopted():
            scripted.HOOKS.clear()
            Job.objects.filter(pk=job.pk).update(
                state="running", attempts=2, cluster_job_id="1", cluster_submitted_at=make.NOW
            )

        scripted.HOOKS["submit"] = adopted
        dispatching.dispatch(job_id=job.pk, now=make.NOW)
        job.refresh_from_db()
        assert (job.state, job.cluster_job_id) == ("running", "1")
        assert scripted.TRUTH[job.marker]["cancelled"]
        assert JobAlert.objects.get().kind == "duplicate"

    def test_a_request_that_never_left_is_no_attempt(self, w, partition):
        scripted.PLAN[:] = ["away", "away"]
        job = submit(w, partition)
        dispatching.dispatch(job_id=job.pk, now=make.NOW)
        look(job, 20)
        assert (job.state, job.attempts) == ("pending", 0)
        assert look(job, 40).state == "placed"
        away, _placed, _released = JobEvidence.objects.filter(job=job)
        assert (away.verdict, away.times) == ("not_sent", 2)


def connect(job):
    return resolving.dispatching.access.connect(job.partition.cluster)
