"""The operator's desk, and the board everybody sees."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portal.kernel.period import Period
from scheduler.clusters import polling
from scheduler.clusters.models import Incident
from scheduler.jobs import ports
from scheduler.maintenance import services as maintenance
from scheduler.maintenance.models import MaintenanceWindow
from scheduler.resources.models import Partition, Rate
from tests import make
from tests.scheduler.clusters import asked

pytestmark = pytest.mark.django_db
NOW = make.NOW
PAGES = ("cluster_health", "cluster_reconcile", "cluster_partitions", "cluster_maintenance", "cluster_credentials")


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """It is Wednesday 25 November 2026, 10:00 in Beijing."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)


@pytest.fixture
def cluster(w, settings):
    asked.install(settings)
    asked.POOLS[:] = [ports.Pool("gpu", "a100", 8, 3, 1, 64, 24, 2, 0, running=2, waiting=5)]
    asked.AT[:] = [NOW - timedelta(minutes=2)]
    found = make.partition(w, adapter="asked").cluster
    polling.poll(cluster_id=found.pk, now=NOW)
    return found


def client_of(someone) -> Client:
    client = Client()
    if someone:
        client.force_login(make.user_of(someone))
    return client


class TestBoard:
    def test_anybody_sees_what_is_free_how_old_the_reading_is_and_what_is_announced(self, w, cluster):
        hours = Period(NOW + timedelta(hours=2), NOW + timedelta(hours=3))
        maintenance.announce(actor=w.operator, cluster=cluster, period=hours, reason="更换交换机", now=NOW)
        text = client_of(None).get(reverse("clusters")).content.decode()
        for part in ("4</b> / 8 卡", "在用 3", "停用 1", "排队 5 个作业", "2 分钟前的数据", "更换交换机", "¥9.00"):
            assert part in text, part

    def test_a_browser_that_shows_it_already_gets_nothing(self, cluster):
        client, path = client_of(None), reverse("clusters")
        page = client.get(path)
        digest = page.context["digest"]
        assert client.get(path, {"board": digest}).status_code == 204
        other = client.get(path, {"board": "older"})
        assert (other.status_code, other["ETag"]) == (200, f'"{digest}"')
        assert other.content.decode().count("<html") == 0
        again = client.get(path, {"board": "older"}, headers={"If-None-Match": other["ETag"]})
        assert again.status_code == 304

    def test_asking_again_asks_no_cluster_and_hardly_the_database(self, cluster, django_assert_max_num_queries):
        client, path = client_of(None), reverse("clusters")
        client.get(path, {"board": ""})
        calls = asked.CALLS["capacity"]
        with django_assert_max_num_queries(6):
            for _ in range(3):
                client.get(path, {"board": "x"})
        assert asked.CALLS["capacity"] == calls

    def test_during_maintenance_nobody_is_invited_and_afterwards_everybody_is(self, w, cluster, monkeypatch):
        hours = Period(NOW, NOW + timedelta(hours=1))
        maintenance.announce(actor=w.operator, cluster=cluster, period=hours, reason="升级", now=NOW)
        path = reverse("cluster", args=[cluster.code])
        text = client_of(w.researcher).get(path).content.decode()
        assert "维护中，暂停接收" in text
        assert reverse("job_new") + "?partition" not in text
        monkeypatch.setattr("django.utils.timezone.now", lambda: NOW + timedelta(hours=1))
        assert reverse("job_new") + "?partition" in client_of(w.researcher).get(path).content.decode()


class TestDesk:
    def test_every_page_is_the_operators_own(self, w, cluster):
        for name in PAGES:
            path = reverse(name, args=[cluster.code])
            assert client_of(w.operator).get(path).status_code == 200, name
            for someone in (w.researcher, w.keeper, w.lab_owner, w.finance):
                assert client_of(someone).get(path).status_code == 403, name
        assert client_of(None).get(reverse("cluster_desk")).status_code == 302

    def test_english_readers_find_no_chinese(self, w, cluster):
        client = client_of(w.operator)
        for path in [f"/en{reverse(name, args=[cluster.code])}" for name in PAGES]:
            text = client.get(path).content.decode()
            assert "Partitions and prices" in text, path
            assert "分区与价格" not in text, path

    def test_the_desks_queries_do_not_grow_with_clusters(self, w, cluster, django_assert_num_queries):
        client, path = client_of(w.operator), reverse("cluster_desk")
        client.get(path)
        with CaptureQueriesContext(connection) as first:
            client.get(path)
        for _ in range(3):
            make.partition(w, adapter="asked")
        with django_assert_num_queries(len(first)):
            client.get(path)

    def test_maintenance_is_announced_and_ended_on_the_page(self, w, cluster):
        client, path = client_of(w.operator), reverse("cluster_maintenance", args=[cluster.code])
        said = {
            "act": "announce",
            "day": "2026-11-25",
            "start": "10:00",
            "end_day": "2026-11-25",
            "end": "12:00",
            "reason": "升级",
        }
        assert client.post(path, {**said, "end": "09:00"}).status_code == 422
        assert client.post(path, said).status_code == 302
        window = MaintenanceWindow.objects.get()
        assert window.period == Period(NOW, NOW + timedelta(hours=2))
        assert client.post(path, {**said, "start": "11:00"}).status_code == 409
        assert client.post(path, {"act": "finish", "id": window.pk}).status_code == 302
        assert client.post(path, {"act": "finish", "id": "x"}).status_code == 404

    def test_limits_and_prices_are_set_on_the_page(self, w, cluster):
        client, path = client_of(w.operator), reverse("cluster_partition", args=[cluster.code, "gpu"])
        terms = {"act": "terms", "max_cards": 4, "max_cpus": 8, "max_memory_mb": 900, "max_time_min": 60}
        assert client.post(path, terms).status_code == 302
        row = Partition.objects.get()
        assert (row.max_cards, row.max_time_s, row.is_open) == (4, 3600, False)
        assert client.post(path, {**terms, "max_cpus": 0}).status_code == 422
        assert client.post(path, {"act": "price", "amount": "12.5", "since": "2026-12-01"}).status_code == 302
        assert Rate.objects.latest("pk").amount_fen == 1250
        assert "尚未生效" in client.get(path).content.decode()
        assert client.post(path, {"act": "price", "amount": "12.5", "since": "2026-11-01"}).status_code == 422

    def test_an_incident_gets_its_note(self, w, cluster):
        asked.AWAY.add("all")
        for minutes in (1, 2):
            polling.poll(cluster_id=cluster.pk, now=NOW + timedelta(minutes=minutes))
        client, path = client_of(w.operator), reverse("cluster_health", args=[cluster.code])
        assert "集群连不上" in client.get(path).content.decode()
        incident = Incident.objects.get()
        assert client.post(path, {"act": "note", "id": incident.pk, "note": "交换机重启"}).status_code == 302
        assert "交换机重启" in client.get(path).content.decode()

    def test_credentials_are_tested_and_exchanged_on_the_page(self, w, cluster):
        client, path = client_of(w.operator), reverse("cluster_credentials", args=[cluster.code])
        assert client.post(path, {"act": "test"}).status_code == 302
        assert client.post(path, {"act": "begin", "new_key": ""}).status_code == 422
        assert client.post(path, {"act": "begin", "new_key": "2027-a"}).status_code == 302
        assert client.post(path, {"act": "step", "step": "tested"}).status_code == 409
        assert client.post(path, {"act": "step", "step": "created"}).status_code == 302
        assert client.post(path, {"act": "step", "step": "nonsense"}).status_code == 404
