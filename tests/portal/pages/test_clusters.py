"""Clusters as everybody sees them, and the operator's board, which tells nobody's secrets."""

import csv
import io
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from openpyxl import load_workbook

from portal.organisations import rules as roles
from scheduler.clusters.queries import health_of
from scheduler.clusters.rules import STALE_AFTER
from scheduler.jobs import rules, services
from scheduler.jobs.models import Job
from scheduler.resources.models import Cluster
from tests import make
from tests.scheduler.jobs import handrun


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """It is Wednesday 25 November 2026, 10:00 in Beijing."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)


def client_of(someone):
    client = Client()
    if someone:
        client.force_login(make.user_of(someone))
    return client


@pytest.fixture
def scene(w, tmp_path):
    """A cluster with one running and one waiting job."""
    w.partition = handrun.partition(w, tmp_path)
    w.cluster = w.partition.cluster
    w.running, w.waiting = submitted(w, "机密训练", cards=3), submitted(w, "机密推理")
    handrun.start(w.running, handrun.place(w.running))
    return w


def submitted(w, title, *, cards=1):
    return services.submit(
        actor=w.researcher,
        wanted=services.Wanted(
            partition=w.partition,
            title=title,
            ask=rules.Ask(cards=cards, cpus=1, memory_mb=100, time_limit_s=3600, script="#!/bin/bash\necho 商业秘密\n"),
        ),
        now=make.NOW,
        key=make.key(),
        dispatch=lambda _id: None,
    )


def page(scene, someone, **query):
    return client_of(someone).get(reverse("cluster", args=[scene.cluster.code]), query)


@pytest.mark.parametrize(
    ("changes", "health"),
    [
        ({}, "unknown"),
        ({"health_ok": True, "health_at": make.NOW}, "well"),
        ({"health_ok": False, "health_at": make.NOW}, "away"),
        ({"health_ok": True, "health_at": make.NOW - STALE_AFTER - timedelta(seconds=1)}, "stale"),
        ({"health_ok": True, "health_at": make.NOW, "accepts_work": False}, "maintenance"),
    ],
)
def test_health_is_what_was_seen_lately(changes, health):
    assert health_of(Cluster(**changes), in_maintenance=False, now=make.NOW) == health


class TestList:
    def test_anybody_sees_partitions_prices_limits_and_load(self, scene):
        Cluster.objects.update(health_ok=True, health_at=make.NOW)
        response = client_of(None).get(reverse("clusters"))
        assert response.status_code == 200
        for part in ("之江智算", "运行正常", "检查于", "NVIDIA A100", "8 卡 32 核", "¥9.00", "每卡时", "占用 3 卡"):
            assert part in response.text
        assert response.text.count("1 个作业") == 2
        assert f"{reverse('job_new')}?partition={scene.cluster.code}/gpu" in response.text
        assert "机密" not in response.text

    def test_only_who_may_submit_is_invited_to(self, scene):
        assert "?partition=" in client_of(scene.researcher).get(reverse("clusters")).text
        assert "?partition=" not in client_of(scene.operator).get(reverse("clusters")).text

    def test_a_closed_cluster_takes_nothing(self, scene):
        Cluster.objects.update(accepts_work=False)
        text = client_of(scene.researcher).get(reverse("clusters")).text
        assert "维护中，暂停接收" in text
        assert "?partition=" not in text

    def test_queries_do_not_grow_with_clusters(self, scene, django_assert_num_queries):
        with django_assert_num_queries(6):
            client_of(None).get(reverse("clusters"))
        for _ in range(3):
            make.partition(scene)
        with django_assert_num_queries(6):
            client_of(None).get(reverse("clusters"))

    def test_without_clusters_it_says_so(self, w):
        assert "还没有集群" in client_of(None).get(reverse("clusters")).text


class TestBoard:
    def test_the_operator_sees_whose_jobs_but_not_what_they_are(self, scene):
        response = page(scene, scene.operator)
        for part in (scene.running.number, scene.waiting.number, "杭州星河智能科技有限公司", "运行中", "集群作业号 1"):
            assert part in response.text
        assert "机密" not in response.text
        assert "商业秘密" not in response.text

    def test_titles_are_not_even_searched(self, scene):
        text = page(scene, scene.operator, q="机密").text
        assert scene.running.number not in text
        assert "没有符合条件的作业" in text

    @pytest.mark.parametrize("who", [None, "researcher", "lab_owner", "keeper", "officer"])
    def test_nobody_else_sees_the_board(self, scene, who):
        response = page(scene, who and getattr(scene, who))
        assert response.status_code == 200
        assert "本集群的作业" not in response.text
        assert scene.running.number not in response.text
        assert page(scene, who and getattr(scene, who), format="csv")["Content-Type"].startswith("text/html")

    def test_another_operator_sees_its_own_clusters_only(self, scene):
        other = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.CLUSTER_OPERATOR)
        assert scene.running.number not in page(scene, other).text

    def test_filters_and_order(self, scene):
        def shown(**query):
            text = page(scene, scene.operator, **query).text
            return [job.number for job in (scene.running, scene.waiting) if job.number in text]

        assert shown(state="running") == [scene.running.number]
        scene.waiting.refresh_from_db()
        assert shown(state=scene.waiting.state) == [scene.waiting.number]
        assert shown(q="星河") == shown(state="open") == [scene.running.number, scene.waiting.number]
        assert shown(state="ended") == []
        text = page(scene, scene.operator, sort="-cards").text
        assert text.index(scene.running.number) < text.index(scene.waiting.number)

    def test_jobs_of_unknown_fate_stand_on_top(self, scene):
        assert "有作业正在核实" not in page(scene, scene.operator).text
        Job.objects.filter(pk=scene.waiting.pk).update(state="unknown", attempted_at=make.NOW)
        assert "有作业正在核实" in page(scene, scene.operator).text

    def test_the_file_has_no_secrets_either(self, scene):
        response = page(scene, scene.operator, format="csv")
        [head, *rows] = csv.reader(io.StringIO(response.text.removeprefix("\ufeff")))
        assert head[:4] == ["作业号", "集群作业号", "单位", "分区"]
        assert [row[0] for row in rows] == [scene.waiting.number, scene.running.number]
        assert "机密" not in response.text
        book = load_workbook(io.BytesIO(page(scene, scene.operator, format="xlsx").content))
        titles, *cells = book.active.iter_rows(values_only=True)
        assert (list(titles), len(cells)) == (head, 2)
        assert "机密" not in str(cells)

    def test_titles_and_scripts_never_leave_the_database(self, scene, django_assert_num_queries):
        client = client_of(scene.operator)
        address = reverse("cluster", args=[scene.cluster.code])
        with django_assert_num_queries(14) as asked:
            client.get(address)
        jobs = [query["sql"] for query in asked.captured_queries if 'FROM "job"' in query["sql"]]
        assert jobs
        assert not any('"job"."title"' in sql or '"job"."script"' in sql for sql in jobs)
        for number in range(4):
            submitted(scene, f"机密 {number}")
        with django_assert_num_queries(14):
            client.get(address)

    def test_an_unknown_cluster_is_not_found(self, scene):
        assert client_of(scene.operator).get(reverse("cluster", args=["nowhere"])).status_code == 404
