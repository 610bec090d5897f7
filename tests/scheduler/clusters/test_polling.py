"""One poller per cluster; what it writes is what everybody reads; one cluster away troubles no other."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connections

from portal.audit.models import Record
from portal.kernel.errors import Unavailable
from scheduler.clusters import orphans, polling, queries, rules
from scheduler.clusters.models import ClusterPool, ClusterStatus, HealthReading, Incident, OrphanJob, PoolUse
from scheduler.jobs import ports
from scheduler.resources.models import Cluster
from tests import make
from tests.scheduler.clusters import asked

pytestmark = pytest.mark.django_db
NOW = make.NOW
S = timedelta(seconds=1)


@pytest.fixture
def cluster(w, settings) -> Cluster:
    asked.install(settings)
    return make.partition(w, adapter="asked").cluster


def poll(cluster, at=NOW) -> bool:
    asked.AT[:] = [at]
    return polling.poll(cluster_id=cluster.pk, now=at)


def test_a_poll_keeps_health_pools_and_use(cluster):
    asked.POOLS[:] = [ports.Pool("gpu", "a100", 8, 3, 1, 64, 24, 2, 0, running=2, waiting=5)]
    assert poll(cluster)
    status = ClusterStatus.objects.get()
    assert (status.ok, status.good_at, status.capacity_at) == (True, NOW, NOW)
    [pool] = queries.pools_of([cluster.pk])[cluster.pk, "gpu"]
    assert (pool.cards, pool.cards_used, pool.cards_down, pool.cards_idle, pool.waiting) == (8, 3, 1, 4, 5)
    assert PoolUse.objects.get().at == rules.bucket(NOW)
    cluster.refresh_from_db()
    assert (cluster.health_ok, cluster.health_at, cluster.version) == (True, NOW, "asked 1")


def test_nobody_asks_before_the_cluster_is_due(cluster):
    poll(cluster)
    assert polling.due(now=NOW + 5 * S) == []
    assert not poll(cluster, NOW + 5 * S)
    assert polling.due(now=NOW + rules.SHORTEST) == [cluster.pk]
    assert asked.CALLS["capacity"] == 1


def test_a_rival_poller_returns_at_once(cluster):
    rival = connections["default"].copy()
    rival.connect()
    try:
        with rival.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [polling.POLLER_LOCK, cluster.pk])
            assert not poll(cluster)
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [polling.POLLER_LOCK, cluster.pk])
    finally:
        rival.close()
    assert asked.CALLS["capacity"] == 0
    assert poll(cluster)


def test_ten_minutes_cost_thirty_questions_however_often_it_is_called(cluster):
    asked.POOLS[:] = [ports.Pool("gpu", "a100", 8, 3, 0, 64, 24, 2, 0)]
    for second in range(0, 600, 5):
        poll(cluster, NOW + second * S)
    assert asked.CALLS["capacity"] == 30
    assert asked.CALLS["health"] <= 11
    assert PoolUse.objects.count() == 2


@pytest.mark.parametrize(("took_ms", "pause_s"), [(0, 20), (500, 20), (1250, 40), (2000, 60), (90_000, 60)])
def test_a_slow_cluster_is_asked_less_often(took_ms, pause_s):
    assert rules.next_pause(took_ms) == timedelta(seconds=pause_s)


def test_an_incident_begins_with_the_first_of_two_failures_and_ends_with_a_good_answer(cluster):
    poll(cluster)
    asked.AWAY.add("all")
    poll(cluster, NOW + 60 * S)
    assert not Incident.objects.exists()
    poll(cluster, NOW + 120 * S)
    incident = Incident.objects.get()
    assert (incident.kind, incident.opened_at, incident.partitions) == ("away", NOW + 60 * S, ["gpu"])
    poll(cluster, NOW + 180 * S)
    alert, circuit = queries.alerts_of([Cluster.objects.get()], now=NOW + 180 * S)[cluster.pk]
    assert (alert.kind, alert.since) == (rules.AlertKind.AWAY, NOW + 60 * S)
    assert (circuit.kind, circuit.subjects) == (rules.AlertKind.BREAKER, ["control"])
    asked.AWAY.clear()
    poll(cluster, NOW + 240 * S)
    incident.refresh_from_db()
    assert incident.closed_at == NOW + 240 * S
    told = Record.objects.filter(action__startswith="incident.").order_by("pk").values_list("action", flat=True)
    assert list(told) == ["incident.opened", "incident.closed"]
    poll(cluster, NOW + 300 * S)
    assert queries.alerts_of([Cluster.objects.get()], now=NOW + 300 * S) == {cluster.pk: []}, (
        "the circuit is closed too"
    )


def test_one_cluster_away_or_misconfigured_troubles_no_other(w, cluster):
    broken = make.partition(w, adapter="slurm", config={}).cluster
    asked.POOLS[:] = [ports.Pool("gpu", "a100", 8, 3, 0, 64, 24, 2, 0)]
    for at in (NOW, NOW + 60 * S):
        asked.AT[:] = [at]
        for pk in polling.due(now=at):
            polling.poll(cluster_id=pk, now=at)
    broken.refresh_from_db()
    cluster.refresh_from_db()
    assert broken.health_ok is False
    assert broken.health_detail.startswith("configuration: ")
    assert cluster.health_ok is True
    assert ClusterPool.objects.get().cluster == cluster
    assert Incident.objects.get().cluster == broken


def test_capacity_that_fails_leaves_the_last_pools_with_their_age(cluster):
    asked.POOLS[:] = [ports.Pool("gpu", "a100", 8, 3, 0, 64, 24, 2, 0)]
    poll(cluster)
    asked.AWAY.add("capacity")
    poll(cluster, NOW + 60 * S)
    status = ClusterStatus.objects.get()
    assert (status.ok, status.capacity_at, status.capacity_detail) == (True, NOW, "asked and silent")
    assert ClusterPool.objects.get().as_of == NOW


def test_a_pool_that_is_gone_goes(cluster):
    asked.POOLS[:] = [ports.Pool("gpu", card, 8, 3, 0, 64, 24, 2, 0) for card in ("a100", "h20")]
    poll(cluster)
    del asked.POOLS[1]
    poll(cluster, NOW + 60 * S)
    assert ClusterPool.objects.get().card_type == "a100"


def run(job_id="91", ended=None) -> ports.Run:
    return ports.Run(job_id, None, NOW - 300 * S, ports.ClusterState.RUNNING, "RUNNING", started_at=NOW, ended_at=ended)


class TestOrphans:
    MARKER = "zj" + "a" * 26

    def row(self, name, **changes) -> ports.UsageRow:
        return ports.UsageRow(name, "portal", "svc", "gpu", run(**changes))

    @pytest.fixture(autouse=True)
    def known(self, cluster):
        Cluster.objects.update(config={"account": "portal"})
        poll(cluster)

    def sweep(self, cluster, at=NOW):
        return orphans.sweep(cluster_id=cluster.pk, now=at)

    def test_only_what_bears_a_marker_nobody_knows_is_an_orphan(self, w, cluster):
        asked.USAGE[:] = [self.row(self.MARKER), self.row("train.sh", job_id="92")]
        assert self.sweep(cluster)
        orphan = OrphanJob.objects.get()
        assert (orphan.cluster_job_id, orphan.marker, orphan.first_seen_at) == ("91", self.MARKER, NOW)
        self.sweep(cluster, NOW + 600 * S)
        orphan.refresh_from_db()
        assert (orphan.first_seen_at, orphan.last_seen_at) == (NOW, NOW + 600 * S)
        kinds = [alert.kind for alert in queries.alerts_of([cluster], now=NOW)[cluster.pk]]
        assert kinds == [rules.AlertKind.ORPHAN]
        assert asked.CANCELLED == []

    def test_it_ends_by_an_operators_act_only_and_once(self, w, cluster):
        asked.USAGE[:] = [self.row(self.MARKER)]
        self.sweep(cluster)
        orphan = OrphanJob.objects.select_related("cluster").get()
        for _ in range(2):
            orphan = orphans.take_off(actor=w.operator, orphan=orphan, now=NOW)
        assert asked.CANCELLED == ["91"]
        assert orphan.taken_off_by_id == w.operator.user_id
        assert Record.objects.filter(action="orphan.taken_off").count() == 1

    def test_a_cluster_that_does_not_answer_leaves_the_orphan_untouched(self, w, cluster):
        asked.USAGE[:] = [self.row(self.MARKER)]
        self.sweep(cluster)
        asked.AWAY.add("cancel")
        with pytest.raises(Unavailable):
            orphans.take_off(actor=w.operator, orphan=OrphanJob.objects.get(), now=NOW)
        assert OrphanJob.objects.get().taken_off_at is None

    def test_accounting_away_is_an_incident_of_its_own(self, cluster):
        asked.AWAY.add("usage")
        self.sweep(cluster)
        self.sweep(cluster, NOW + 120 * S)
        incident = Incident.objects.get()
        assert (incident.kind, incident.opened_at) == ("accounting", NOW)
        asked.AWAY.clear()
        self.sweep(cluster, NOW + 240 * S)
        incident.refresh_from_db()
        assert incident.closed_at == NOW + 240 * S


def test_readings_are_kept_for_a_week(cluster):
    old = HealthReading.objects.create(cluster=cluster, at=NOW - timedelta(days=8), ok=True, latency_ms=1)
    poll(cluster, NOW.replace(minute=0))
    assert not HealthReading.objects.filter(pk=old.pk).exists()
