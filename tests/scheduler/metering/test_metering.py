"""Metering: accounting read with an overlap, use without the portal, runs without a price, three books compared."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
from django.core.management import call_command

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, NotFound
from scheduler.jobs import closing, settling
from scheduler.jobs.models import Job, JobLine, JobRun
from scheduler.limits import services as accounts
from scheduler.metering import access, auditing, quarantining, queries, rules, sweeping
from scheduler.metering.models import QuarantinedRun, Sweep, UnmanagedRun
from tests import make
from tests.scheduler.jobs import scripted
from tests.scheduler.jobs.test_runs import S, run, see
from tests.scheduler.jobs.test_services import submit
from tests.scheduler.metering.making import at, placed, ran, row
from vouchers.charges.models import Charge


@pytest.fixture(autouse=True)
def scripted_cluster(settings):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    scripted.reset()


@pytest.fixture
def partition(w):
    return make.partition(w, adapter="scripted", rate="9")


def sweep(partition, minute: int) -> Sweep:
    found = sweeping.sweep(cluster_id=partition.cluster_id, now=at(minute))
    assert found is not None
    return found


class TestSweeping:
    def test_closes_a_job_settled_before_accounting_had_it(self, w, partition):
        job = placed(w, partition)
        late = run(S.SUCCEEDED, 1800, confirmed=False)
        see(job, S.SUCCEEDED, late, minute=46)
        scripted.USAGE.append(row(w, replace(late, elapsed_s=1790, confirmed=True), name=job.marker))

        mark = sweep(partition, 47)

        job.refresh_from_db()
        assert (job.settlement, settling.settled_fen(job)) == ("adjusted", 3580)
        assert (mark.until, mark.rows, mark.error) == (at(47), 1, "")

    def test_settles_what_accounting_is_late_with(self, w, partition):
        job = placed(w, partition)
        see(job, S.SUCCEEDED, run(S.SUCCEEDED, 1800, confirmed=False), minute=31)
        sweep(partition, 46)
        job.refresh_from_db()
        assert job.settlement == "provisional"

    def test_meters_use_without_the_portal_once_and_says_so(self, w, partition):
        placed(w, partition)
        scripted.USAGE.append(row(w, run(S.SUCCEEDED, 3600, cards=1)))
        sweep(partition, 61)
        sweep(partition, 62)

        found = UnmanagedRun.objects.get()
        assert (found.organisation_id, found.amount_fen, found.count) == (w.researcher.acting_for, 900, 1)
        assert queries.owed_fen(organisation_id=w.researcher.acting_for) == 900
        assert Record.objects.filter(action="run.unmanaged_seen").count() == 1

    def test_follows_a_run_without_the_portal_until_it_ends(self, w, partition):
        placed(w, partition)
        live = run(S.RUNNING, 600, cards=1, confirmed=False)
        scripted.USAGE.append(row(w, live))
        sweep(partition, 10)
        assert UnmanagedRun.objects.get().amount_fen is None
        scripted.USAGE[:] = [row(w, replace(live, state=S.SUCCEEDED, elapsed_s=1200, ended_at=at(20), confirmed=True))]
        sweep(partition, 21)
        assert UnmanagedRun.objects.get().amount_fen == 300

    def test_takes_a_forged_marker_for_use_without_the_portal(self, w, partition):
        placed(w, partition)
        scripted.USAGE.append(row(w, run(S.SUCCEEDED, 60, cards=1), name="zj" + "a" * 26))
        sweep(partition, 5)
        assert UnmanagedRun.objects.count() == 1

    def test_a_job_named_like_another_firms_is_charged_to_whoever_ran_it(self, w, partition):
        job = placed(w, partition)
        other = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER)
        submit(SimpleNamespace(researcher=other), partition)
        theirs = replace(run(S.SUCCEEDED, 3600, cards=8), job_id="666")
        scripted.USAGE.append(row(w, theirs, name=job.marker, account=f"e-{other.acting_for}"))
        sweep(partition, 61)

        assert not JobRun.objects.filter(job=job).exists()
        found = UnmanagedRun.objects.get()
        assert (found.organisation_id, found.amount_fen) == (other.acting_for, 7200)

    def test_reads_an_account_that_bears_a_name_of_its_own(self, w, partition):
        accounts.enrol(
            actor=w.operator, cluster=partition.cluster, organisation=w.enterprise, name="e-star",
            posix_user="gx-star", now=make.NOW,
        )  # fmt: skip
        placed(w, partition)
        scripted.USAGE.append(row(w, run(S.SUCCEEDED, 3600, cards=1), account="e-star"))
        sweep(partition, 61)
        assert queries.owed_fen(organisation_id=w.enterprise.pk) == 900

    def test_a_second_job_under_ones_own_marker_is_use_without_the_portal(self, w, partition):
        job = ran(w, partition)
        scripted.USAGE.append(row(w, replace(run(S.SUCCEEDED, 3600, minute=40, cards=8), job_id="8"), name=job.marker))
        sweep(partition, 101)

        job.refresh_from_db()
        assert settling.settled_fen(job) == 3600
        assert queries.owed_fen(organisation_id=w.researcher.acting_for) == 7200
        assert auditing.audit(since=make.NOW, until=at(200), now=at(200)).is_clean

    def test_an_account_that_does_not_answer_moves_no_watermark(self, w, partition):
        placed(w, partition)
        sweep(partition, 5)
        scripted.DOUBT["usage"] = True
        mark = sweep(partition, 9)
        assert (mark.until, mark.failed_at) == (at(5), at(9))
        assert mark.error

    def test_never_passes_a_run_without_a_price(self, w, partition):
        placed(w, partition)
        scripted.USAGE.append(row(w, run(S.SUCCEEDED, 600, cards=1), partition="nobody-knows"))
        mark = sweep(partition, 30)
        assert mark.until == at(10)
        assert UnmanagedRun.objects.get().doubt == "no_rate"

    def test_reads_three_days_behind_the_watermark(self, w, partition):
        placed(w, partition)
        sweep(partition, 0)
        scripted.USAGE.append(row(w, run(S.SUCCEEDED, 3600, minute=-70 * 60, cards=1)))
        scripted.USAGE.append(row(w, run(S.SUCCEEDED, 3600, minute=-80 * 60, cards=2)))
        sweep(partition, 1)
        assert [one.cards for one in UnmanagedRun.objects.all()] == [1]


class TestQuarantine:
    @pytest.fixture
    def found(self, w, partition) -> QuarantinedRun:
        job = placed(w, partition)
        see(job, S.SUCCEEDED, run(S.SUCCEEDED, 1800, cards=None), minute=40)
        sweep(partition, 41)
        return QuarantinedRun.objects.get()

    def test_opens_with_an_alarm_and_holds_the_money(self, found):
        assert (found.state, found.doubt) == ("open", "allocation_unknown")
        assert Charge.objects.get().state == "held"
        assert Record.objects.filter(action="run.quarantined").count() == 1

    def test_needs_two_operators_and_then_settles_the_job(self, w, found):
        other = make.actor(w.lab, make.roles.Role.CLUSTER_OPERATOR)
        ruling = rules.Ruling(8, "集群日志显示分配了 8 张卡")
        quarantining.propose(actor=w.operator, quarantined=found, ruling=ruling, now=at(50))
        with pytest.raises(rules.SamePerson):
            quarantining.approve(actor=w.operator, quarantined=found, now=at(51))
        quarantining.approve(actor=other, quarantined=found, now=at(52))

        job = Job.objects.get()
        assert (job.settlement, settling.settled_fen(job)) == ("settled", 3600)
        with pytest.raises(rules.AlreadyRuled):
            quarantining.approve(actor=other, quarantined=found, now=at(53))

    def test_a_run_ruled_free_costs_nothing_and_says_why(self, w, found):
        other = make.actor(w.lab, make.roles.Role.CLUSTER_OPERATOR)
        ruling = rules.Ruling(None, "节点记录丢失，不计费")
        quarantining.propose(actor=w.operator, quarantined=found, ruling=ruling, now=at(50))
        quarantining.approve(actor=other, quarantined=found, now=at(52))
        assert Charge.objects.get().state == "released"
        assert JobRun.objects.get().not_billed == "ruled"

    def test_a_ruling_needs_words_and_somebody_of_that_cluster(self, w, found):
        with pytest.raises(rules.NoReason):
            quarantining.propose(actor=w.operator, quarantined=found, ruling=rules.Ruling(8, " "), now=at(50))
        stranger = make.actor(make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.CLUSTER_OPERATOR)
        with pytest.raises(NotFound):
            access.get_quarantined(stranger, found.pk)
        with pytest.raises(Forbidden):
            quarantining.propose(actor=stranger, quarantined=found, ruling=rules.Ruling(8, "八张卡八张"), now=at(50))

    def test_is_closed_when_accounting_brings_what_was_missing(self, w, partition):
        job = placed(w, partition)
        late = run(S.SUCCEEDED, 1800, cards=None, confirmed=False)
        see(job, S.SUCCEEDED, late, minute=46)
        sweep(partition, 47)
        scripted.USAGE.append(row(w, replace(late, cards=8, confirmed=True), name=job.marker))
        mark = sweep(partition, 48)
        job.refresh_from_db()
        assert (QuarantinedRun.objects.get().state, job.settlement) == ("resolved", "settled")
        assert mark.until == at(48)


class TestAuditing:
    def test_three_books_agree(self, w, partition):
        for elapsed_s in (600, 1800):
            ran(w, partition, elapsed_s=elapsed_s)
        done = auditing.audit(since=make.NOW, until=at(200), now=at(200))
        assert done.is_clean
        assert (done.jobs, done.portal_units_s, done.scheduler_units_s) == (2, 8 * 2400, 8 * 2400)
        assert (done.lines_fen, done.ledger_fen) == (4800, 4800)

    def test_names_the_job_that_accounting_tells_otherwise(self, w, partition):
        job = ran(w, partition)
        scripted.USAGE[:] = [replace(scripted.USAGE[0], run=replace(scripted.USAGE[0].run, elapsed_s=1801))]
        done = auditing.audit(since=make.NOW, until=at(200), now=at(200))
        assert done.differences == [{"subject": job.number, "kind": "seconds", "portal": 14400, "other": 14408}]

    def test_compares_the_schedulers_own_billing_where_it_is_published(self, w, partition):
        partition.cluster.config = {"billing_per_unit": 10}
        partition.cluster.save()
        job = ran(w, partition, billing=80)
        assert auditing.audit(since=make.NOW, until=at(200), now=at(200)).is_clean
        scripted.USAGE[:] = [replace(scripted.USAGE[0], run=replace(scripted.USAGE[0].run, billing=81))]
        [found] = auditing.audit(since=make.NOW, until=at(200), now=at(200)).differences
        assert (found["subject"], found["kind"]) == (job.number, "seconds")

    def test_names_money_that_no_line_explains(self, w, partition):
        job = ran(w, partition)
        line = JobLine.objects.get()
        JobLine.objects.create(
            run=line.run, revision=2, count=8, seconds=1800, unit="card_hour", unit_price_fen=900,
            amount_fen=3601, confirmed=True, recorded_at=at(60),
        )  # fmt: skip
        [found] = auditing.audit(since=make.NOW, until=at(200), now=at(200)).differences
        assert found == {"subject": job.number, "kind": "money", "portal": 3601, "other": 3600}

    def test_says_which_cluster_was_away(self, w, partition):
        ran(w, partition)
        scripted.DOUBT["usage"] = True
        done = auditing.audit(since=make.NOW, until=at(200), now=at(200))
        assert (done.away, done.differences, done.is_clean) == ([partition.cluster.code], [], False)

    def test_the_command_fails_on_a_difference(self, w, partition):
        ran(w, partition)
        scripted.USAGE.clear()
        out = StringIO()
        with pytest.raises(SystemExit):
            call_command("audit_jobs", since="2026-11-25", until="2026-11-27", json=True, stdout=out)
        assert json.loads(out.getvalue())["differences"][0]["kind"] == "missing"


class TestReading:
    def test_everybody_sees_only_the_use_that_is_theirs(self, w, partition):
        ran(w, partition)
        auditor = make.actor(w.department, make.roles.Role.AUDITOR)
        other = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER)
        submit(SimpleNamespace(researcher=other), partition)
        stranger = make.actor(make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.CLUSTER_OPERATOR)
        for reader, runs in ((w.researcher, 1), (w.operator, 1), (auditor, 1), (other, 0), (stranger, 0)):
            assert queries.billed_runs(reader).count() == runs
        [one] = queries.by_card(queries.billed_runs(auditor))
        assert (one.card_type, one.runs, one.units_s, one.amount_fen) == ("a100", 1, 14400, 3600)
        with pytest.raises(Forbidden):
            queries.billed_runs(make.actor(w.department, make.roles.Role.EXPERT))

    def test_sums_in_one_query_whatever_there_is(self, w, partition, django_assert_num_queries):
        ran(w, partition)
        ran(w, partition, elapsed_s=60)
        runs = queries.billed_runs(w.operator, since=make.NOW, until=make.NOW + timedelta(days=1))
        with django_assert_num_queries(1):
            queries.by_card(runs)

    def test_counts_a_corrected_run_once(self, w, partition):
        job = placed(w, partition)
        late = run(S.SUCCEEDED, 1800, confirmed=False)
        see(job, S.SUCCEEDED, late, minute=46)
        closing.hear(job_id=job.pk, told=[replace(late, elapsed_s=1700, confirmed=True)], now=at(50))
        [one] = queries.by_card(queries.billed_runs(w.researcher))
        assert (one.runs, one.amount_fen) == (1, 3400)
