"""The pages of computing granted, and of accounts on clusters with their limits."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.allocations.models import Allocation
from scheduler.limits import services
from scheduler.limits.models import ClusterAccount, LimitPolicy
from tests import make
from tests.portal.pages.reading import enter, text_of
from tests.scheduler.jobs import scripted
from tests.scheduler.jobs.test_services import submit

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture(autouse=True)
def scripted_cluster(settings, monkeypatch):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    monkeypatch.setattr("scheduler.limits.tasks.hint", lambda _cluster_id: None)
    scripted.reset()


@pytest.fixture
def scene(w):
    w.partition = make.partition(w, adapter="scripted", rate="9")
    w.partition.cluster.posix_user = "gx-jobs"
    w.partition.cluster.save()
    w.desk, w.office, w.firm = (enter(Client(), who) for who in (w.operator, w.officer, w.researcher))
    return w


def said(scene, **more):
    usual = {"name": "四季度算力", "organisation": scene.enterprise.name, "card_hours": "10", "cards": "8"}
    days = {"since": "2026-11-01", "until": "2026-12-31"}
    return {**usual, **days, "partition": str(scene.partition.pk), "idempotency_key": make.key(), **more}


def test_a_grant_is_given_read_by_its_enterprise_changed_and_ended(scene):
    page = reverse("allocation_new")
    assert scene.firm.get(page).status_code == 403
    wrong = scene.desk.post(page, said(scene, organisation="没有这家"))
    assert wrong.status_code == 404
    assert "四季度算力" in wrong.content.decode(), "what was typed stays"
    assert scene.desk.post(page, said(scene, card_hours="", cards="")).status_code == 422
    assert scene.desk.post(page, said(scene)).status_code == 302
    assert scene.desk.post(page, said(scene)).status_code == 409, "the same scope twice"
    submit(scene, scene.partition, cards=4, minutes=60)

    for who in (scene.desk, scene.firm):
        text = text_of(who.get(reverse("allocations")))
        assert "四季度算力" in text
        assert "未结束的作业 4" in text
        assert "剩余 6" in text
    assert "四季度算力" not in text_of(scene.office.get(reverse("allocations"))), "another's grant"

    row = Allocation.objects.get()
    assert (row.during.upper - row.during.lower) == timedelta(days=61), "to the end of the last day, in Beijing"
    one = reverse("allocation", args=[row.number])
    assert scene.office.get(one).status_code == 404
    changed = {"card_hours": "20", "cards": "", "until": "2026-12-31", "act": "change"}
    assert scene.desk.post(one, changed).status_code == 302
    assert "剩余 16" in text_of(scene.desk.get(one))
    assert scene.desk.post(one, {"act": "end"}).status_code == 302
    assert "已终止" in text_of(scene.desk.get(reverse("allocations") + "?phase=ended"))
    assert "四季度算力" not in text_of(scene.desk.get(reverse("allocations") + "?phase=in_force"))


def test_the_list_is_exported_with_what_is_used_and_left(scene):
    scene.desk.post(reverse("allocation_new"), said(scene))
    submit(scene, scene.partition, cards=4, minutes=60)
    lines = scene.desk.get(reverse("allocations") + "?format=csv").content.decode("utf-8-sig").splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("10,0,4,6,8,0,4,4")


def test_a_department_may_grant_over_everything(scene):
    assert scene.office.post(reverse("allocation_new"), said(scene, partition="")).status_code == 302
    assert "全部分区，合计" in text_of(scene.office.get(reverse("allocations")))
    english = scene.office.get("/en" + reverse("allocations"))
    assert english.status_code in {200, 404}


def test_the_operator_sets_the_policy_enrols_and_sees_what_differs(scene):
    page = reverse("cluster_limits", args=[scene.partition.cluster.code])
    assert scene.firm.get(page).status_code == 403
    assert scene.office.post(page, {"act": "apply"}).status_code == 403
    assert scene.desk.post(page, {"act": "policy", "mode": "covered"}).status_code == 302
    assert LimitPolicy.objects.get().mode == "covered"
    bad = scene.desk.post(page, {"act": "enrol", "organisation": scene.enterprise.name, "name": "root"})
    assert bad.status_code == 422
    wanted = {"act": "enrol", "organisation": scene.enterprise.name, "name": "", "posix_user": "gx-optics"}
    assert scene.desk.post(page, wanted).status_code == 302
    row = ClusterAccount.objects.get()
    assert services.sync(cluster_id=row.cluster_id, now=make.NOW)
    assert scene.desk.post(page, {"act": "apply"}).status_code == 302

    text = text_of(scene.desk.get(page))
    assert f"e-{scene.enterprise.pk} · gx-optics" in text
    assert "可提交作业数：0" in text
    assert "一致" in text
    submit(scene, scene.partition, cards=2, minutes=30)
    assert "运行卡分钟：应为 60，集群 0" in text_of(scene.desk.get(page))
    assert "登记企业" not in text_of(scene.office.get(page)), "who does not run it only reads"
    lines = scene.desk.get(page + "?format=csv").content.decode("utf-8-sig").splitlines()
    assert len(lines) == 2


def test_a_cluster_that_is_away_is_told_with_its_words(scene):
    page = reverse("cluster_limits", args=[scene.partition.cluster.code])
    scene.desk.post(page, {"act": "policy", "mode": "quota"})
    scene.desk.post(page, {"act": "enrol", "organisation": scene.enterprise.name})
    scripted.DOUBT["limits"] = True
    services.sync(cluster_id=scene.partition.cluster_id, now=make.NOW)
    assert "accounting does not answer" in text_of(scene.desk.get(page))
    assert "稍后自动重试" in text_of(scene.desk.get(reverse("limits")))


def test_the_pages_cost_as_many_queries_for_one_as_for_many(scene, django_assert_max_num_queries):
    for month in range(1, 6):
        day = f"2027-0{month}-01"
        scene.desk.post(reverse("allocation_new"), said(scene, since=day, until=day))
    with django_assert_max_num_queries(14):
        scene.desk.get(reverse("allocations"))
