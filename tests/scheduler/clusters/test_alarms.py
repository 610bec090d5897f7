"""What needs a hand stands in one place with where it is solved, and its operators are told of it once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import translation

from portal.kernel.period import Period
from portal.organisations.models import User
from portal.organisations.rules import Role
from scheduler.clusters import keeping, queries
from scheduler.clusters.rules import AlertKind
from scheduler.jobs import alerts
from scheduler.jobs.doubt_models import ClusterBreaker, JobAlert
from scheduler.jobs.models import Job
from scheduler.limits import services as limits
from scheduler.limits.models import ClusterAccount
from scheduler.limits.rules import LimitMode
from scheduler.maintenance import services as maintenance
from scheduler.messages import services as messages
from scheduler.messages.models import Message
from scheduler.messages.wording import worded
from scheduler.metering import auditing, quarantining, sweeping
from scheduler.metering import rules as metering_rules
from scheduler.metering.models import QuarantinedRun, UnmanagedRun
from tests import make
from tests.portal.pages.reading import enter, raw_codes, text_of
from tests.scheduler.jobs import scripted
from tests.scheduler.jobs.test_runs import S, run, see
from tests.scheduler.jobs.test_services import submit
from tests.scheduler.metering.making import at, placed, ran, row

NOW = make.NOW


@pytest.fixture(autouse=True)
def scripted_cluster(settings):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    scripted.reset()


@pytest.fixture
def partition(w):
    return make.partition(w, adapter="scripted", rate="9")


@pytest.fixture
def cluster(partition):
    return partition.cluster


def kinds(cluster, *, now=NOW) -> dict[AlertKind, int]:
    return {one.kind: one.number for one in queries.alerts_of([cluster], now=now)[cluster.pk]}


def told(who) -> list[str]:
    return list(Message.objects.filter(user_id=who.user_id).order_by("pk").values_list("kind", flat=True))


def quarantined(w, partition) -> QuarantinedRun:
    job = placed(w, partition)
    see(job, S.SUCCEEDED, run(S.SUCCEEDED, 1800, cards=None), minute=40)
    quarantining.keep(cluster_id=partition.cluster_id, now=at(41))
    return QuarantinedRun.objects.get(run__job=job)


class TestUnmanaged:
    def test_each_account_is_told_of_once_a_day_and_shown_for_a_week(self, w, partition, cluster):
        for number in range(3):
            one = run(S.SUCCEEDED, 600, minute=number)
            sweeping.enter(cluster, [row(w, one)], now=at(30 + number))
        assert UnmanagedRun.objects.count() == 3
        assert told(w.operator) == ["run_unmanaged"]
        assert told(w.researcher) == []
        assert kinds(cluster, now=at(60)) == {AlertKind.UNMANAGED: 3}

        tomorrow = NOW + timedelta(days=1)
        sweeping.enter(cluster, [row(w, run(S.SUCCEEDED, 600, minute=9))], now=tomorrow)
        assert told(w.operator) == ["run_unmanaged"] * 2
        assert kinds(cluster, now=tomorrow + timedelta(days=8)) == {}


class TestQuarantine:
    def test_is_told_of_when_it_fills_and_ends_with_the_ruling_of_two(self, w, partition, cluster):
        found = quarantined(w, partition)
        quarantining.keep(cluster_id=cluster.pk, now=at(45))
        quarantined(w, partition)
        assert told(w.operator) == ["run_quarantined"]
        assert kinds(cluster)[AlertKind.QUARANTINE] == 2
        assert Message.objects.get().params == {"run": f"{found.run.job.number}/1"}

        second = make.actor(w.lab, Role.CLUSTER_OPERATOR, name="另一位运维")
        for each in QuarantinedRun.objects.order_by("pk"):
            ruling = metering_rules.Ruling(8, "集群漏记，按申请计")
            quarantining.propose(actor=w.operator, quarantined=each, ruling=ruling, now=at(50))
            quarantining.approve(actor=second, quarantined=each, now=at(51))
        assert AlertKind.QUARANTINE not in kinds(cluster)


class TestLimits:
    @pytest.fixture
    def account(self, w, cluster) -> ClusterAccount:
        limits.set_policy(actor=w.operator, cluster=cluster, mode=LimitMode.QUOTA, now=NOW)
        made = limits.enrol(actor=w.operator, cluster=cluster, organisation=w.enterprise, now=NOW)
        limits.sync(cluster_id=cluster.pk, now=NOW)
        return made

    def meddle(self, account, *, now) -> None:
        scripted.LIMITS[account.name] = replace(scripted.LIMITS[account.name], cards=7)
        limits.sync(cluster_id=account.cluster_id, now=now)

    def test_a_drift_repaired_once_is_nobodys_business_and_twice_is(self, w, cluster, account):
        self.meddle(account, now=at(1))
        assert told(w.operator) == []
        assert kinds(cluster, now=at(2)) == {}
        for minute in (5, 9):
            self.meddle(account, now=at(minute))
        assert told(w.operator) == ["limits_drifted"]
        assert kinds(cluster, now=at(10)) == {AlertKind.DRIFT: 1}
        assert kinds(cluster, now=at(10) + timedelta(days=1)) == {}

    def test_what_the_cluster_does_not_take_is_told_once_while_it_lasts(self, w, cluster, account, monkeypatch):
        with monkeypatch.context() as stubborn:
            stubborn.setattr(scripted.ScriptedCluster, "apply_limits", lambda _self, _wanted: [])
            for minute in (1, 2):
                self.meddle(account, now=at(minute))
        assert told(w.operator) == ["limits_refused"]
        assert kinds(cluster, now=at(3)) == {AlertKind.REFUSED: 1, AlertKind.DRIFT: 1}
        limits.sync(cluster_id=cluster.pk, now=at(4))
        assert kinds(cluster, now=at(4)) == {}


class TestAudit:
    def test_a_difference_is_told_to_who_audits_and_to_whose_cluster_it_is(self, w, partition, cluster):
        job = ran(w, partition)
        Job.objects.filter(pk=job.pk).update(written_off_fen=7)
        made = auditing.audit(since=NOW - timedelta(days=1), until=at(600), now=at(600))
        assert [one["kind"] for one in made.differences] == ["money"]
        assert (told(w.auditor), told(w.operator), told(w.finance)) == (["audit_differs"], ["cluster_differs"], [])
        [alert] = queries.alerts_of([cluster], now=at(600))[cluster.pk]
        assert (alert.kind, alert.subjects) == (AlertKind.AUDIT, [job.number])

        Job.objects.filter(pk=job.pk).update(written_off_fen=0)
        auditing.audit(since=NOW - timedelta(days=1), until=at(700), now=at(700))
        assert kinds(cluster, now=at(700)) == {}
        assert len(told(w.auditor)) == 1


class TestUnresolved:
    def test_the_first_of_a_cluster_is_told_and_those_with_it_are_not(self, w, partition):
        first, second = placed(w, partition), placed(w, partition)
        for job in (first, second, first):
            alerts.sound(job, JobAlert.Kind.UNRESOLVED, now=NOW)
        assert told(w.operator) == ["job_unresolved"]
        assert Message.objects.get().params == {"job": first.number}
        for job in (first, second):
            alerts.clear(job, JobAlert.Kind.UNRESOLVED, now=at(5))
        alerts.sound(second, JobAlert.Kind.UNRESOLVED, now=at(9))
        assert told(w.operator) == ["job_unresolved"] * 2


class TestDesk:
    """Everything at once, on the operator's page: each with a link that opens."""

    @pytest.fixture
    def trouble(self, w, partition, cluster, monkeypatch):
        monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
        stuck, unseen, odd = submit(w, partition), placed(w, partition), placed(w, partition)
        Job.objects.filter(pk=stuck.pk).update(created_at=at(-5))
        Job.objects.filter(pk=unseen.pk).update(state="running", observed_at=at(-9))
        Job.objects.filter(pk=odd.pk).update(state="unknown", attempted_at=at(-20))
        quarantined(w, partition)
        sweeping.enter(cluster, [row(w, run(S.SUCCEEDED, 60))], now=NOW)
        account = limits.enrol(actor=w.operator, cluster=cluster, organisation=w.enterprise, now=NOW)
        ClusterAccount.objects.filter(pk=account.pk).update(state="refused")
        wrong = ran(w, partition)
        Job.objects.filter(pk=wrong.pk).update(written_off_fen=7)
        auditing.audit(since=NOW - timedelta(days=1), until=at(600), now=at(600))
        period = Period(at(-10), at(50))
        maintenance.announce(actor=w.operator, cluster=cluster, period=period, reason="更换交换机", now=NOW)
        ClusterBreaker.objects.create(cluster=cluster, channel="control", failures=3, opened_at=NOW)
        return {"stuck": {stuck.number, unseen.number}}

    def test_says_all_of_it_and_leads_to_where_it_is_solved(self, w, cluster, trouble):
        found = kinds(cluster)
        assert set(found) == {
            AlertKind.UNRESOLVED,
            AlertKind.STUCK,
            AlertKind.QUARANTINE,
            AlertKind.REFUSED,
            AlertKind.UNMANAGED,
            AlertKind.AUDIT,
            AlertKind.BREAKER,
            AlertKind.MAINTENANCE,
        }
        [stuck] = [one for one in queries.alerts_of([cluster], now=NOW)[cluster.pk] if one.kind is AlertKind.STUCK]
        assert set(stuck.subjects) == trouble["stuck"]
        assert all(keeping.stuck_since(Job.objects.get(number=number), now=NOW) for number in stuck.subjects)

        client = Client()
        client.force_login(make.user_of(w.operator))
        page = client.get(reverse("cluster_desk"))
        [line] = page.context["lines"]
        places = {alert.url for alert in line["alerts"]} | {
            url for a in line["alerts"] for _n, url in a.subjects if url
        }
        places.add(reverse("cluster_maintenance", args=[cluster.code]))
        assert "更换交换机" in text_of(page)
        assert len(places) >= 8
        for place in places:
            assert f'href="{place}"' in page.content.decode()
            assert client.get(place).status_code == 200, place

    def test_costs_as_many_queries_for_one_cluster_as_for_many(
        self, w, cluster, trouble, django_assert_max_num_queries
    ):
        others = [make.partition(w, adapter="scripted").cluster for _ in range(3)]
        with django_assert_max_num_queries(13):
            queries.alerts_of([cluster], now=NOW)
        with django_assert_max_num_queries(13):
            queries.alerts_of([cluster, *others], now=NOW)


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_every_word_reads_well_leads_somewhere_and_goes_by_mail_once(w, partition, settings, language):
    """All kinds, on the page of whoever was told, and by mail to those who have an address."""
    settings.PUBLIC_URL = "https://portal.example"
    User.objects.filter(pk__in=[w.operator.user_id, w.auditor.user_id]).update(email="ops@lab.example")
    quarantined(w, partition)
    sweeping.enter(partition.cluster, [row(w, run(S.SUCCEEDED, 60))], now=NOW)
    alerts.sound(placed(w, partition), JobAlert.Kind.UNRESOLVED, now=NOW)
    wrong = ran(w, partition)
    Job.objects.filter(pk=wrong.pk).update(written_off_fen=7)
    auditing.audit(since=NOW - timedelta(days=1), until=at(600), now=at(600))
    for who in (w.operator, w.auditor):
        client = enter(Client(), who)
        with translation.override(language):
            page = client.get(reverse("my_messages"))
        text = text_of(page)
        assert not raw_codes(text)
        assert ("What needs a hand" in text) is (language == "en")
        assert ("需要处理的事项" in text) is (language == "zh-hans")
        for line in page.context["lines"]:
            assert "%(" not in line["said"].headline + line["said"].text
            assert client.get(line["said"].path).status_code == 200, line["said"].path
    with translation.override(language):
        assert all(worded(one).headline for one in Message.objects.all())
    sent = messages.send_due(now=at(700))
    assert sent == len(mail.outbox) == len(told(w.operator)) + len(told(w.auditor)) == 5
    assert messages.send_due(now=at(701)) == 0


def test_messages_stay_with_whom_they_were_told(w, partition):
    quarantined(w, partition)
    client = Client()
    client.force_login(make.user_of(w.auditor))
    assert client.get(reverse("my_messages")).context["listing"].total == 0
    client.force_login(make.user_of(w.reviewer))
    assert client.get(reverse("my_messages")).status_code == 403
