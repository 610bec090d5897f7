"""Settlement: provisional while accounting is late, adjusted by it, never priced at a guess, never above what was agreed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.jobs import closing, dispatching, holds, reconciling, settling
from scheduler.jobs.models import Job, JobCharge, JobLine, JobRun
from scheduler.usage.models import UsageRecord
from tests import make
from tests.calling import Caller
from tests.scheduler.jobs import scripted
from tests.scheduler.jobs.test_runs import S, run, see, told
from tests.scheduler.jobs.test_services import submit
from vouchers.charges.models import Charge
from vouchers.ledger import queries as ledger
from vouchers.ledger import verification


@pytest.fixture(autouse=True)
def scripted_cluster(settings):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    scripted.reset()


@pytest.fixture
def partition(w):
    return make.partition(w, adapter="scripted", rate="9")


def placed(w, partition, **changes) -> Job:
    made = submit(w, partition, **{"minutes": 120, **changes})
    dispatching.dispatch(job_id=made.pk, now=make.NOW)
    made.refresh_from_db()
    return made


@pytest.fixture
def job(w, partition) -> Job:
    return placed(w, partition, voucher=make.voucher(w))


def at(minute: int):
    return make.NOW + timedelta(minutes=minute)


class TestProvisional:
    def test_waits_a_quarter_of_an_hour_for_accounting(self, job):
        late = run(S.SUCCEEDED, 1800, confirmed=False)
        waiting = see(job, S.SUCCEEDED, late, minute=31)
        assert (waiting.state, waiting.settlement, waiting.settled_at) == ("succeeded", "none", None)

        done = see(job, S.SUCCEEDED, late, minute=46)
        assert (done.settlement, Charge.objects.get(pk=job.charge_id).actual_fen) == ("provisional", 3600)
        assert not UsageRecord.objects.exists()

    def test_is_settled_when_accounting_says_the_same(self, job):
        late = run(S.SUCCEEDED, 1800, confirmed=False)
        see(job, S.SUCCEEDED, late, minute=46)
        done = closing.hear(job_id=job.pk, told=[replace(late, confirmed=True)], now=at(50))
        assert (done.settlement, settling.settled_fen(done)) == ("settled", 3600)
        assert UsageRecord.objects.get(job=job).duration_s == 1800
        assert JobLine.objects.count() == 1

    @pytest.mark.parametrize(("elapsed_s", "fen"), [(1500, 3000), (2100, 4200)])
    def test_is_adjusted_by_an_entry_when_accounting_says_otherwise(self, job, elapsed_s, fen):
        late = run(S.SUCCEEDED, 1800, confirmed=False)
        see(job, S.SUCCEEDED, late, minute=46)
        done = closing.hear(job_id=job.pk, told=[replace(late, elapsed_s=elapsed_s, confirmed=True)], now=at(50))

        assert (done.settlement, settling.settled_fen(done), done.written_off_fen) == ("adjusted", fen, 0)
        assert [line.amount_fen for line in JobLine.objects.filter(run__job=job)] == [3600, fen]
        assert verification.verify() == []
        closing.hear(job_id=job.pk, told=[replace(late, elapsed_s=1, confirmed=True)], now=at(60))
        assert settling.settled_fen(done) == fen

    def test_takes_no_more_than_was_agreed_and_shows_who_bears_the_rest(self, job):
        late = run(S.TIMED_OUT, 7200, confirmed=False)
        see(job, S.TIMED_OUT, late, minute=140)
        done = closing.hear(job_id=job.pk, told=[replace(late, elapsed_s=7276, confirmed=True)], now=at(150))
        assert (settling.settled_fen(done), done.written_off_fen) == (14400, 152)

    def test_a_run_the_accounting_knows_as_the_nodes_failure_is_given_back(self, job):
        late = run(S.FAILED, 1800, confirmed=False)
        see(job, S.FAILED, late, minute=46)
        closed = replace(late, state=S.INTERRUPTED, raw_state="NODE_FAIL", confirmed=True)
        done = closing.hear(job_id=job.pk, told=[closed], now=at(50))
        assert (done.settlement, settling.settled_fen(done)) == ("adjusted", 0)
        assert JobRun.objects.get(job=job).not_billed == "node_fail"

    def test_the_clock_settles_what_nobody_asks_about(self, job, partition):
        see(job, S.SUCCEEDED, run(S.SUCCEEDED, 1800, confirmed=False), minute=31)
        closing.settle_late(cluster_id=partition.cluster_id, now=at(40))
        job.refresh_from_db()
        assert job.settlement == "none"
        closing.settle_late(cluster_id=partition.cluster_id, now=at(45))
        job.refresh_from_db()
        assert job.settlement == "provisional"

    def test_drops_a_run_that_only_the_controller_knew(self, job):
        see(job, S.RUNNING, run(S.RUNNING, 60, confirmed=False), minute=2)
        done = see(job, S.SUCCEEDED, run(S.SUCCEEDED, 600, minute=5), minute=20)
        assert settling.settled_fen(done) == 1200
        assert list(JobRun.objects.filter(job=job).values_list("state", "not_billed")) == [
            ("lost", "lost"),
            ("succeeded", ""),
        ]


class TestUnpriced:
    @pytest.mark.parametrize(
        ("changes", "doubt"),
        [
            ({"cards": None}, "allocation_unknown"),
            ({"cards": 0}, "allocation_none"),
            ({"card_type": "k80"}, "card_type"),
        ],
    )
    def test_is_neither_priced_at_nothing_nor_passed_over(self, job, changes, doubt):
        done = see(job, S.SUCCEEDED, run(S.SUCCEEDED, 1800, **changes), minute=40)
        assert (done.state, done.settlement, done.settled_at) == ("succeeded", "none", None)
        assert Charge.objects.get(pk=job.charge_id).state == "held"
        assert JobRun.objects.get(job=job).doubt == doubt

    def test_is_settled_once_its_count_is_ruled(self, job):
        see(job, S.SUCCEEDED, run(S.SUCCEEDED, 1800, cards=None), minute=40)
        JobRun.objects.filter(job=job).update(ruled_count=4)
        done = closing.settle_again(job_id=job.pk, now=at(60))
        assert (done.settlement, settling.settled_fen(done)) == ("settled", 1800)


class TestRequeuedByItsUser:
    """compute.md A5: the user puts the job back after 1,800 s; both runs are paid, the second only after a fresh hold."""

    first = run(S.INTERRUPTED, 1800, raw="REQUEUED")

    def test_both_runs_are_paid_from_two_holds(self, job):
        see(job, S.QUEUED, self.first, minute=31)
        further = JobCharge.objects.get(job=job)
        assert (further.purpose, further.charge.price_fen, further.charge.state) == ("requeue", 3600, "held")

        done = see(job, S.SUCCEEDED, self.first, run(S.SUCCEEDED, 3600, minute=35), minute=100)
        assert (settling.settled_fen(done), done.written_off_fen) == (3600 + 7200, 0)
        assert UsageRecord.objects.filter(job=job).count() == 2
        assert verification.verify() == []

    def test_page_and_api_say_the_cost_of_both_runs_before_and_after_settlement(self, w, job, monkeypatch):
        """8 cards at 9 yuan: 30 minutes are 36 yuan, the second run's first 15 another 18; a lost node's time costs nothing."""
        again = run(S.RUNNING, 600, minute=35, confirmed=False)
        see(job, S.RUNNING, self.first, run(S.INTERRUPTED, 90, raw="NODE_FAIL", minute=33), again, minute=45)
        client = Client()
        client.force_login(make.user_of(w.researcher))
        caller = Caller(w.researcher)

        def said() -> set[int]:
            page = client.get(reverse("job_status", args=[job.number])).context["cost_fen"]
            one, listed = caller.get(f"/jobs/{job.number}").body, caller.get("/jobs").body["items"][0]
            return {page, one["cost_so_far"]["fen"], listed["cost_so_far"]["fen"]}

        monkeypatch.setattr("django.utils.timezone.now", lambda: at(50))
        assert said() == {3600 + 1800}
        see(job, S.SUCCEEDED, self.first, run(S.SUCCEEDED, 3600, minute=35), minute=100)
        assert said() == {3600 + 7200}

    def test_is_held_for_once_however_often_it_is_seen(self, job):
        see(job, S.QUEUED, self.first, minute=31)
        see(job, S.QUEUED, self.first, minute=32)
        see(job, S.RUNNING, self.first, run(S.RUNNING, 60, minute=35, confirmed=False), minute=36)
        assert JobCharge.objects.filter(job=job).count() == 1

    def test_waits_held_on_the_cluster_until_the_hold_stands(self, job, partition):
        seen = replace(told(job, S.QUEUED, self.first, minute=31), held=True)
        scripted.TRUTH[job.marker].update(held=True, seen=seen)
        reconciling.reconcile(cluster_id=partition.cluster_id, now=at(31))
        assert JobCharge.objects.filter(job=job).exists()
        reconciling.reconcile(cluster_id=partition.cluster_id, now=at(32))
        assert scripted.TRUTH[job.marker]["held"] is False

    def test_is_cancelled_where_nobody_can_pay(self, w, partition):
        """The voucher carries half of 144 yuan and no more: nothing is left for the run put back."""
        poor = placed(w, partition, voucher=make.voucher(w, items={"compute": make.Money.from_yuan("144")}))
        seen = see(poor, S.QUEUED, self.first, minute=31)
        assert (seen.reason, seen.cancel_asked_at) == ("requeue_unfunded", at(31))
        assert not JobCharge.objects.exists()
        reconciling.reconcile(cluster_id=partition.cluster_id, now=at(32))
        assert scripted.TRUTH[poor.marker]["cancelled"]

    def test_costs_nothing_more_when_the_node_failed(self, job):
        see(job, S.QUEUED, run(S.INTERRUPTED, 1800, raw="NODE_FAIL"), minute=31)
        assert holds.uncovered_fen(job) == 0
        assert not JobCharge.objects.exists()


ENDS = {
    (S.SUCCEEDED, "COMPLETED"): True,
    (S.FAILED, "FAILED"): True,
    (S.TIMED_OUT, "TIMEOUT"): True,
    (S.OUT_OF_MEMORY, "OUT_OF_MEMORY"): True,
    (S.CANCELLED, "CANCELLED"): True,
    (S.INTERRUPTED, "NODE_FAIL"): False,
    (S.INTERRUPTED, "PREEMPTED"): False,
    (S.LAUNCH_FAILED, "BOOT_FAIL"): False,
}
HISTORIES = st.lists(
    st.tuples(st.sampled_from(list(ENDS)), st.integers(0, 9000), st.integers(1, 8)), min_size=1, max_size=6
)


@pytest.mark.django_db
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=HISTORIES, late=st.booleans())
def test_what_the_ledger_took_is_the_sum_of_the_runs(w, partition, history, late):
    """Whatever the runs: lines = ledger + what the operator bears, each run rounded once, settled late or not."""
    job = placed(w, partition)
    told_runs = [
        run(end, elapsed_s, minute=200 * no, raw=raw, cards=cards, confirmed=not late)
        for no, ((end, raw), elapsed_s, cards) in enumerate(history)
    ]
    last = told_runs[-1].state
    done = see(job, last, *told_runs, minute=200 * len(history))
    if late:
        done = closing.settle_again(job_id=job.pk, now=at(200 * len(history) + 400))
        done = closing.hear(job_id=job.pk, told=[replace(one, confirmed=True) for one in told_runs], now=at(2000))

    expected = sum((2 * 900 * cards * s + 3600) // 7200 for (end, s, cards) in history if ENDS[end])
    taken = sum(ledger.taken(source_type="charge", source_ids=[c.number for c in holds.charges_of(done)]).values())
    assert done.settlement == "settled"
    assert settling.lines_fen(done) == expected == taken + done.written_off_fen
    assert taken == settling.settled_fen(done) <= 14400
