"""Receipts, use, the audit and runs without a price, as those see them whom they concern."""

from __future__ import annotations

import json
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse

from scheduler.jobs import receipts
from scheduler.jobs.models import JobRun
from scheduler.metering import auditing, queries, sweeping
from scheduler.metering.models import QuarantinedRun
from tests import make
from tests.calling import Caller
from tests.scheduler.jobs import scripted
from tests.scheduler.jobs.test_runs import S, run, see
from tests.scheduler.metering.making import at, placed, ran, row


@pytest.fixture(autouse=True)
def scripted_cluster(settings):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    scripted.reset()


@pytest.fixture
def partition(w):
    return make.partition(w, adapter="scripted", rate="9")


def client_of(someone) -> Client:
    client = Client()
    client.force_login(make.user_of(someone))
    return client


def test_a_receipt_can_be_recomputed_and_cannot_be_changed(w, partition):
    job = ran(w, partition)
    client = client_of(w.researcher)
    page = client.get(reverse("job_receipts", args=[job.number]))
    assert page.status_code == 200
    assert "¥36.00" in page.content.decode()

    said = json.loads(client.get(reverse("job_receipt_json", args=[job.number, 1])).content)
    price = said["price"]
    assert said["amount_fen"] * 3600 == price["unit_price_fen"] * price["count"] * price["seconds"]
    assert receipts.is_genuine(said)
    assert not receipts.is_genuine({**said, "amount_fen": 1})
    assert Caller(w.researcher).get(f"/jobs/{job.number}/receipts").body == [said]
    pdf = client.get(reverse("job_receipt_pdf", args=[job.number, 1]))
    assert pdf.status_code == 503 or pdf.content.startswith(b"%PDF")
    stranger = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER)
    assert client_of(stranger).get(reverse("job_receipt_json", args=[job.number, 1])).status_code == 404


def test_the_jobs_page_says_what_all_of_its_runs_cost(w, partition):
    """Put back by its user after half an hour: 36 yuan, and 72 for the hour after it, from two holds."""
    job = placed(w, partition)
    runs = [run(S.INTERRUPTED, 1800, raw="REQUEUED"), run(S.SUCCEEDED, 3600, minute=40)]
    see(job, S.QUEUED, runs[0], minute=31)
    see(job, S.SUCCEEDED, *runs, minute=101)
    assert "¥108.00" in client_of(w.researcher).get(reverse("job", args=[job.number])).content.decode()


def test_use_is_shown_summed_and_as_a_file(w, partition):
    ran(w, partition)
    client = client_of(w.operator)
    page = client.get(reverse("job_use"), {"since": "2026-11-25", "until": "2026-11-25"}).content.decode()
    assert "A100" in page
    assert "<svg" in page
    table = client.get(reverse("job_use"), {"format": "csv"}).content.decode()
    assert "36.00" in table
    assert client.get(reverse("job_use"), {"format": "xlsx"}).content.startswith(b"PK")
    assert "A100" not in client.get(reverse("job_use"), {"until": "2026-11-20"}).content.decode()


def later(job, days: int) -> None:
    JobRun.objects.filter(job=job).update(ended_at=F("ended_at") + timedelta(days=days))


def test_use_is_drawn_day_by_day_and_leads_its_own_firm_to_the_receipts(w, partition):
    ran(w, partition)
    firm, operator = client_of(w.researcher), client_of(w.operator)
    assert "逐日用量" not in firm.get(reverse("job_use")).content.decode()
    later(ran(w, partition), 2)
    page = firm.get(reverse("job_use")).content.decode()
    assert "逐日用量" in page
    later(ran(w, partition), 20)
    assert "逐周用量" in firm.get(reverse("job_use")).content.decode()
    assert page.count("/receipts/") == 2
    assert "/receipts/" not in operator.get(reverse("job_use")).content.decode()


def test_days_without_use_are_told_too(w, partition):
    ran(w, partition)
    later(ran(w, partition), 2)
    days = queries.by_day(queries.billed_runs(w.operator), zone=ZoneInfo("Asia/Shanghai"))
    assert [(day.day.day, dict(day.units_s)) for day in days] == [
        (25, {"a100": 14400}),
        (26, {}),
        (27, {"a100": 14400}),
    ]


def test_use_without_the_portal_is_listed_as_owed(w, partition):
    placed(w, partition)
    scripted.USAGE.append(row(w, run(S.SUCCEEDED, 3600, cards=1)))
    sweeping.sweep(cluster_id=partition.cluster_id, now=at(61))
    assert "¥9.00" in client_of(w.researcher).get(reverse("unmanaged_runs")).content.decode()


def test_the_auditor_reads_the_audit(w, partition):
    job = ran(w, partition)
    scripted.USAGE.clear()
    made = auditing.audit(since=make.NOW, until=at(200), now=at(200))
    client = client_of(make.actor(w.department, make.roles.Role.AUDITOR))
    assert client.get(reverse("job_audits")).status_code == 200
    assert job.number in client.get(reverse("job_audit", args=[made.pk])).content.decode()
    assert client_of(w.researcher).get(reverse("job_audits")).status_code == 403


def test_two_operators_price_a_run_on_the_page(w, partition):
    see(placed(w, partition), S.SUCCEEDED, run(S.SUCCEEDED, 1800, cards=None), minute=40)
    sweeping.sweep(cluster_id=partition.cluster_id, now=at(41))
    found = QuarantinedRun.objects.get()
    url = reverse("quarantined_run", args=[found.pk])
    first, second = client_of(w.operator), client_of(make.actor(w.lab, make.roles.Role.CLUSTER_OPERATOR))
    assert first.get(reverse("quarantine")).status_code == 200
    assert first.post(url, {"act": "propose", "count": "8", "reason": ""}).status_code == 422
    assert first.post(url, {"act": "propose", "count": "8", "reason": "日志显示分配 8 张卡"}).status_code == 302
    assert first.post(url, {"act": "approve"}).status_code == 403
    assert second.post(url, {"act": "approve"}).status_code == 302
    found.refresh_from_db()
    assert found.state == "resolved"
