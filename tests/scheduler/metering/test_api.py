"""Use, quarantine and audits by interface: who reads what, two persons for a ruling, as many queries for one as for many."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.organisations.rules import Role
from scheduler.jobs import settling
from scheduler.jobs.models import Job
from scheduler.metering import auditing, quarantining, sweeping
from scheduler.metering.models import QuarantinedRun
from tests import make
from tests.calling import Caller
from tests.scheduler.jobs import scripted
from tests.scheduler.jobs.test_runs import S, run, see
from tests.scheduler.metering.making import at, placed, ran, row


@pytest.fixture(autouse=True)
def scripted_cluster(settings, monkeypatch):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    scripted.reset()
    monkeypatch.setattr("django.utils.timezone.now", lambda: at(60))


@pytest.fixture
def partition(w):
    return make.partition(w, adapter="scripted", rate="9")


def doubtful(w, partition) -> QuarantinedRun:
    job = placed(w, partition)
    see(job, S.SUCCEEDED, run(S.SUCCEEDED, 1800, cards=None), minute=40)
    quarantining.keep(cluster_id=partition.cluster_id, now=at(41))
    return QuarantinedRun.objects.get(run__job=job)


def queries_of(caller: Caller, path: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as caught:
        assert caller.get(path).status == 200
    return len(caught)


class TestUse:
    def test_is_summed_by_enterprise_and_card_within_a_span(self, w, partition):
        for _ in range(2):
            ran(w, partition)
        [one] = Caller(w.researcher).get("/compute/use").body
        assert (one["organisation"], one["card_type"], one["unit"]) == (w.enterprise.name, "a100", "card_hour")
        assert (one["runs"], one["units_s"], one["amount"]["fen"]) == (2, 2 * 8 * 1800, 7200)
        for who in (w.operator, w.auditor, w.finance):
            assert Caller(who).get("/compute/use").body == [one]
        assert Caller(make.applicant()).get("/compute/use").body == []
        assert Caller(w.reviewer).get("/compute/use").status == 403

        end = "2026-11-25T10:30:00%2B08:00"
        assert Caller(w.researcher).get(f"/compute/use?until={end}").body == []
        assert Caller(w.researcher).get(f"/compute/use?since={end}").body == [one]
        assert Caller(w.researcher).get("/compute/use?since=2026-11-25").status == 422

    def test_past_the_portal_is_listed_with_what_is_owed(self, w, partition):
        sweeping.enter(partition.cluster, [row(w, run(S.SUCCEEDED, 1800))], now=at(40))
        [one] = Caller(w.researcher).get("/compute/unmanaged").body["items"]
        assert (one["amount"]["fen"], one["organisation"], one["cards"]) == (3600, w.enterprise.name, 8)
        assert Caller(make.applicant()).get("/compute/unmanaged").body["items"] == []


class TestQuarantine:
    def test_one_proposes_another_approves_and_the_job_is_settled(self, w, partition):
        found = doubtful(w, partition)
        one, other = Caller(w.operator), Caller(make.actor(w.lab, Role.CLUSTER_OPERATOR))
        path = f"/compute/quarantine/{found.pk}"
        [listed] = one.get("/compute/quarantine?state=open").body["items"]
        assert (listed["run"], listed["doubt"]) == (f"{found.run.job.number}/1", "allocation_unknown")
        ruling = {"count": 4, "reason": "集群漏记了卡数"}
        assert one.post(f"{path}/approve").status == 409
        for _ in range(2):
            assert one.post(f"{path}/propose", ruling).body["state"] == "proposed"
        same = one.post(f"{path}/approve")
        assert (same.status, same.code) == (403, "quarantine.same_person")
        assert other.post(f"{path}/reject").body["state"] == "open"
        assert one.post(f"{path}/propose", ruling).status == 200
        done = other.post(f"{path}/approve").body
        assert (done["state"], done["count"]) == ("resolved", 4)
        assert settling.settled_fen(Job.objects.get(pk=found.run.job_id)) == 1800
        assert other.post(f"{path}/approve").code == "quarantine.ruled"
        assert one.get("/compute/quarantine?state=open").body["items"] == []

    def test_is_its_operators_to_rule_and_an_overseers_to_read(self, w, partition):
        found = doubtful(w, partition)
        stranger = make.actor(make.organisation(make.roles.Kind.PROVIDER), Role.CLUSTER_OPERATOR)
        ruling = {"count": None, "reason": "集群漏记了卡数"}
        path = f"/compute/quarantine/{found.pk}/propose"
        statuses = [Caller(who).post(path, ruling).status for who in (stranger, w.auditor, w.researcher)]
        assert statuses == [404, 403, 403]
        assert Caller(stranger).get("/compute/quarantine").body["items"] == []
        assert len(Caller(w.auditor).get("/compute/quarantine").body["items"]) == 1
        assert Caller(w.researcher).get("/compute/quarantine").status == 403

    @pytest.mark.parametrize("body", [{"count": 0, "reason": "集群漏记了"}, {"count": 1, "reason": "短"}, {"count": 1}])
    def test_needs_a_count_and_a_reason(self, w, partition, body):
        found = doubtful(w, partition)
        assert Caller(w.operator).post(f"/compute/quarantine/{found.pk}/propose", body).status == 422


class TestAudits:
    def test_name_every_difference_to_who_oversees_and_to_nobody_else(self, w, partition):
        job = ran(w, partition)
        Job.objects.filter(pk=job.pk).update(written_off_fen=7)
        auditing.audit(since=make.NOW - timedelta(days=1), until=at(600), now=at(600))
        [one] = Caller(w.auditor).get("/compute/audits").body["items"]
        assert (one["is_clean"], one["jobs"], one["ledger"]["fen"], one["away"]) == (False, 1, 3600, [])
        assert one["differences"] == [{"subject": job.number, "kind": "money", "portal": 3600, "other": 3607}]
        assert [Caller(who).get("/compute/audits").status for who in (w.operator, w.researcher)] == [403, 403]


def test_lists_cost_as_many_queries_for_one_as_for_many(w, partition):
    paths = ("/compute/use", "/compute/unmanaged", "/compute/quarantine", "/compute/audits")

    def one_more(minute: int) -> None:
        ran(w, partition)
        doubtful(w, partition)
        sweeping.enter(partition.cluster, [row(w, run(S.SUCCEEDED, 60, minute=minute))], now=at(50))
        auditing.audit(since=make.NOW - timedelta(days=1), until=at(600), now=at(600))

    auditor = Caller(w.auditor)
    one_more(1)
    auditor.get("/compute/use")
    before = [queries_of(auditor, path) for path in paths]
    for minute in (2, 3):
        one_more(minute)
    assert [queries_of(auditor, path) for path in paths] == before
