"""A cluster that does not answer is left alone: nobody waits for it, one caller at a time tries, and it comes back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from portal.kernel.errors import Rejected, Unavailable
from scheduler.jobs import breaker, dispatching, ports, reconciling
from scheduler.jobs.doubt_models import ClusterBreaker
from tests import make
from tests.scheduler.jobs import scripted
from tests.scheduler.jobs.test_resolving import partition, scripted_cluster, submit  # noqa: F401  fixtures


class Moody:
    """An adapter in a mood: raises what it is told to, or answers."""

    def __init__(self) -> None:
        self.mood: Exception | None = None
        self.asked = 0
        self.found: object = ports.Absent()
        self.is_well = True

    def observe(self, refs):
        self.asked += 1
        if self.mood:
            raise self.mood
        return []

    def find(self, *, marker, since):
        self.asked += 1
        return self.found

    def health(self):
        return ports.Health(self.is_well, "", "", make.NOW)

    def log(self, ref, *, offset, limit):
        return ports.LogChunk(b"", offset, True)


@pytest.fixture
def moody():
    return Moody()


@pytest.fixture
def cluster(w, moody):
    row = make.partition(w, adapter="scripted").cluster
    guarded = breaker.guarded(row.pk, moody)
    guarded.row = row
    return guarded


def fail(cluster, moody, times=3):
    moody.mood = Unavailable(detail="connection refused")
    for _ in range(times):
        with pytest.raises(Unavailable):
            cluster.observe([])


def due(row):
    ClusterBreaker.objects.filter(cluster=row).update(retry_at=Now())


def standing(row):
    (one,) = breaker.standings([row.pk])[row.pk]
    return one


class TestOpening:
    def test_after_three_failures_in_a_row_nobody_calls(self, cluster, moody):
        fail(cluster, moody)
        fail(cluster, moody, times=5)
        assert moody.asked == 3
        one = standing(cluster.row)
        assert (one.circuit, one.failures, one.detail) == ("open", 3, "connection refused")

    def test_counts_only_failures_in_a_row(self, cluster, moody):
        fail(cluster, moody, times=2)
        moody.mood = None
        cluster.observe([])
        fail(cluster, moody, times=2)
        assert standing(cluster.row).circuit == "closed"

    def test_an_answer_that_says_no_is_an_answer(self, cluster, moody):
        moody.mood = Rejected(reason="no such job")
        for _ in range(4):
            with pytest.raises(Rejected):
                cluster.observe([])
        assert moody.asked == 4

    def test_accounting_being_away_does_not_stop_the_controller(self, cluster, moody):
        moody.found = ports.CannotTell("7000")
        for _ in range(4):
            assert isinstance(cluster.find(marker="zj", since=make.NOW), ports.CannotTell)
        assert moody.asked == 3
        cluster.observe([])
        assert moody.asked == 4

    def test_leaves_logs_and_other_clusters_alone(self, w, cluster, moody):
        fail(cluster, moody)
        assert cluster.log(None, offset=3, limit=9).next_offset == 3
        other = make.partition(w, adapter="scripted").cluster
        well = Moody()
        breaker.guarded(other.pk, well).observe([])
        assert well.asked == 1


class TestTrying:
    def test_one_caller_tries_and_success_closes(self, cluster, moody):
        fail(cluster, moody)
        due(cluster.row)
        assert standing(cluster.row).circuit == "half_open"
        moody.mood = None
        cluster.observe([])
        cluster.observe([])
        assert moody.asked == 5
        assert standing(cluster.row).circuit == "closed"

    def test_only_one_at_a_time(self, cluster, moody):
        fail(cluster, moody)
        due(cluster.row)
        inner = []

        def while_trying(refs):
            with pytest.raises(Unavailable):
                breaker.guarded(cluster.row.pk, Moody()).observe([])
            inner.append(1)
            return []

        moody.observe = while_trying
        cluster.observe([])
        assert inner == [1]

    def test_waits_longer_after_each_failed_try_up_to_a_minute(self, cluster, moody):
        fail(cluster, moody)
        waits = []
        for _ in range(6):
            due(cluster.row)
            fail(cluster, moody, times=1)
            row = ClusterBreaker.objects.annotate(at=Now()).get(cluster=cluster.row)
            waits.append(round((row.retry_at - row.at).total_seconds()))
        assert waits == [10, 20, 40, 60, 60, 60]

    def test_a_cluster_that_says_it_is_well_is_tried_at_once(self, cluster, moody):
        fail(cluster, moody)
        cluster.health()
        moody.mood = None
        cluster.observe([])
        assert standing(cluster.row).circuit == "closed"


def test_jobs_wait_without_a_row_of_their_own_for_each_try(w, partition):  # noqa: F811
    """Three fail, the others are not even tried; when the cluster is back, all are sent."""
    scripted.PLAN[:] = ["away"] * 3
    jobs = [submit(w, partition) for _ in range(8)]
    for job in jobs:
        dispatching.dispatch(job_id=job.pk, now=make.NOW)
    for job in jobs:
        job.refresh_from_db()
    assert scripted.CALLS.count("submit") == 3
    assert {(job.state, job.reason) for job in jobs} == {("pending", "cluster_away")}
    assert sum(job.evidence.count() for job in jobs) == 3

    due(partition.cluster)
    reconciling.reconcile(cluster_id=partition.cluster_id, now=make.NOW + timedelta(seconds=30))
    for job in jobs:
        job.refresh_from_db()
    assert {job.state for job in jobs} == {"placed"}
