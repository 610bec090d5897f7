"""Jobs: funds held before a byte is sent, one effect whatever is lost, the actual use charged."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.kernel.errors import Forbidden, InvalidTransition, NotFound, Refused
from portal.kernel.idempotency import KeyReused
from scheduler.jobs import access, dispatching, ports, reconciling, rules, services
from scheduler.jobs.models import Job
from scheduler.usage.models import UsageRecord
from tests import make
from tests.scheduler.jobs import scripted
from vouchers.charges.models import Charge
from vouchers.ledger import queries as ledger

SCRIPT = "#!/bin/bash\necho ok\n"
LATER = make.NOW + timedelta(minutes=5)


@pytest.fixture(autouse=True)
def scripted_cluster(settings):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    scripted.reset()


def wanted(partition, *, voucher=None, script=SCRIPT, minutes=60, cards=8, title="训练"):
    return services.Wanted(
        partition=partition,
        title=title,
        ask=rules.Ask(cards=cards, cpus=8, memory_mb=1000, time_limit_s=minutes * 60, script=script),
        vouchers=[voucher] if voucher else [],
    )


def submit(w, partition, *, key=None, **changes) -> Job:
    return services.submit(
        actor=w.researcher,
        wanted=wanted(partition, **changes),
        now=make.NOW,
        key=key or make.key(),
        dispatch=lambda _job_id: None,
    )


@pytest.fixture
def partition(w):
    return make.partition(w, adapter="scripted", rate="9")


def seen(
    job: Job, state: ports.ClusterState, *, minutes: int, elapsed_s: int | None = None, **more
) -> ports.Observation:
    job.refresh_from_db()
    return ports.Observation(
        ref=access.ref_of(job),
        state=state,
        raw_state=state.value.upper(),
        as_of=make.NOW + timedelta(minutes=minutes),
        started_at=make.NOW + timedelta(minutes=1) if elapsed_s else None,
        elapsed_s=elapsed_s,
        **more,
    )


class TestSubmitting:
    def test_holds_the_price_of_the_time_limit_before_anything_is_sent(self, w, partition):
        voucher = make.voucher(w)
        job = submit(w, partition, voucher=voucher)

        assert job.state == "pending"
        assert (job.charge.price_fen, job.charge.voucher_held_fen) == (7200, 3600)
        assert scripted.TRUTH == {}

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"script": "echo no interpreter"}, "job.script_interpreter"),
            ({"script": "#!/usr/bin/perl\n"}, "job.script_interpreter_unknown"),
            ({"script": "#!/bin/bash\n#SBATCH --gres=gpu:8\n"}, "job.script_directives"),
            ({"script": "#!/bin/bash\n" + "#" * 1024 * 1024}, "job.script_size"),
            ({"minutes": 0}, "job.time_limit"),
            ({"minutes": 3000}, "job.time_limit"),
            ({"cards": 9}, "job.cards"),
        ],
    )
    def test_refuses_what_could_not_run(self, w, partition, changes, code):
        with pytest.raises(Refused) as refused:
            submit(w, partition, **changes)
        assert [reason.code for reason in refused.value.reasons] == [code]
        assert not Job.objects.exists()

    def test_says_the_longest_limit_a_small_voucher_can_carry(self, w, partition):
        """8 cards at 9 yuan: 120 fen a minute, half of it the voucher's; 50 yuan carry 83 minutes."""
        voucher = make.voucher(w, items={"compute": make.Money.from_yuan("100")})
        with pytest.raises(Refused) as refused:
            submit(w, partition, voucher=voucher, minutes=90)

        (reason,) = refused.value.reasons
        assert (reason.code, reason.params["minutes"]) == ("voucher.too_small", 83)
        assert submit(w, partition, voucher=voucher, minutes=83).charge.voucher_held_fen == 4980

    def test_repeats_nothing_for_the_same_key_and_refuses_another_body(self, w, partition):
        first = submit(w, partition, key="same-key-1")
        assert submit(w, partition, key="same-key-1").pk == first.pk
        with pytest.raises(KeyReused):
            submit(w, partition, key="same-key-1", title="另一个")
        assert Job.objects.count() == 1

    def test_keeps_the_script_from_other_organisations(self, w, partition):
        job = submit(w, partition)
        other = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER)

        with pytest.raises(NotFound):
            access.get_job(other, job.number)
        row = access.on_cluster(w.operator, partition.cluster).get()
        assert {"title", "script"} <= row.get_deferred_fields()
        with pytest.raises(Forbidden):
            access.get_job(w.keeper, job.number)


class TestDispatching:
    def test_places_held_records_and_releases(self, w, partition):
        job = submit(w, partition)

        dispatching.dispatch(job_id=job.pk, now=make.NOW)

        job.refresh_from_db()
        assert job.state == "placed"
        assert job.released_at is not None
        assert scripted.TRUTH[job.marker]["held"] is False

    def test_twice_sends_once(self, w, partition):
        job = submit(w, partition)
        dispatching.dispatch(job_id=job.pk, now=make.NOW)
        dispatching.dispatch(job_id=job.pk, now=make.NOW)
        assert scripted.TRUTH[job.marker]["count"] == 1

    def test_adopts_a_job_whose_answer_was_lost(self, w, partition):
        scripted.PLAN[:] = ["lost"]
        job = submit(w, partition)
        dispatching.dispatch(job_id=job.pk, now=make.NOW)
        job.refresh_from_db()
        assert job.state == "unknown"

        reconciling.reconcile(cluster_id=partition.cluster_id, now=LATER)
        reconciling.reconcile(cluster_id=partition.cluster_id, now=LATER)

        job.refresh_from_db()
        assert job.state == "queued"
        assert scripted.TRUTH[job.marker]["count"] == 1

    def test_sends_again_only_after_proof_of_absence(self, w, partition):
        scripted.PLAN[:] = ["dropped"]
        scripted.DOUBT["find"] = True
        job = submit(w, partition)
        dispatching.dispatch(job_id=job.pk, now=make.NOW)

        reconciling.reconcile(cluster_id=partition.cluster_id, now=LATER)
        job.refresh_from_db()
        assert (job.state, scripted.TRUTH) == ("unknown", {})

        scripted.DOUBT["find"] = False
        for minutes in (1, 2, 3):
            reconciling.reconcile(cluster_id=partition.cluster_id, now=LATER + timedelta(minutes=minutes))
        job.refresh_from_db()
        assert job.state == "placed"
        assert scripted.TRUTH[job.marker]["count"] == 1

    def test_treats_a_lost_worker_as_a_lost_answer(self, w, partition):
        job = submit(w, partition)
        Job.objects.filter(pk=job.pk).update(state="submitting", attempted_at=make.NOW)

        reconciling.reconcile(cluster_id=partition.cluster_id, now=LATER + timedelta(seconds=1))

        job.refresh_from_db()
        assert job.state == "unknown"

    def test_waits_while_the_cluster_is_away(self, w, partition):
        scripted.PLAN[:] = ["away"]
        job = submit(w, partition)
        dispatching.dispatch(job_id=job.pk, now=make.NOW)
        job.refresh_from_db()
        assert (job.state, job.reason) == ("pending", "cluster_away")
        assert Charge.objects.get(pk=job.charge_id).state == "held"

    def test_gives_the_money_back_when_the_cluster_refuses(self, w, partition):
        scripted.PLAN[:] = ["rejected"]
        voucher = make.voucher(w)
        job = submit(w, partition, voucher=voucher)
        dispatching.dispatch(job_id=job.pk, now=make.NOW)

        job.refresh_from_db()
        assert (job.state, job.reason) == ("rejected", "partition")
        assert Charge.objects.get(pk=job.charge_id).state == "released"
        assert ledger.balances(account_ids=[voucher.account_id])[voucher.account_id].held_fen == 0


class TestFollowing:
    @pytest.fixture
    def job(self, w, partition):
        job = submit(w, partition, voucher=make.voucher(w))
        dispatching.dispatch(job_id=job.pk, now=make.NOW)
        return job

    def test_charges_what_was_allocated_for_as_long_as_it_ran(self, job):
        """compute.md A1's tariff: 8 cards at 120 fen a minute, 1,800 s of a 60 minute limit."""
        services.apply(job_id=job.pk, seen=seen(job, ports.ClusterState.RUNNING, minutes=2), now=LATER)
        done = services.apply(
            job_id=job.pk,
            seen=seen(job, ports.ClusterState.SUCCEEDED, minutes=40, elapsed_s=1800, cards=8, exit_code=0),
            now=LATER,
        )

        charge = Charge.objects.get(pk=done.charge_id)
        assert (done.state, charge.actual_fen, charge.voucher_captured_fen) == ("succeeded", 3600, 1800)
        assert UsageRecord.objects.get(job=job).duration_s == 1800
        assert ledger.unaccounted_fen() == 0

    def test_never_charges_more_than_was_held(self, job):
        done = services.apply(
            job_id=job.pk,
            seen=seen(job, ports.ClusterState.TIMED_OUT, minutes=70, elapsed_s=3676, cards=8),
            now=LATER,
        )
        charge = Charge.objects.get(pk=done.charge_id)
        assert (charge.actual_fen, charge.waived_fen) == (7200, 152)

    def test_does_not_bill_the_clusters_own_failures(self, job):
        end = seen(job, ports.ClusterState.LAUNCH_FAILED, minutes=5, elapsed_s=100)
        done = services.apply(job_id=job.pk, seen=end, now=LATER)
        assert Charge.objects.get(pk=done.charge_id).state == "released"

    def test_ignores_older_news_and_unknown_codes(self, job):
        services.apply(job_id=job.pk, seen=seen(job, ports.ClusterState.RUNNING, minutes=9), now=LATER)
        services.apply(job_id=job.pk, seen=seen(job, ports.ClusterState.QUEUED, minutes=3), now=LATER)
        services.apply(job_id=job.pk, seen=seen(job, ports.ClusterState.UNKNOWN, minutes=12), now=LATER)
        job.refresh_from_db()
        assert job.state == "running"

    def test_settles_once(self, job):
        end = seen(job, ports.ClusterState.SUCCEEDED, minutes=40, elapsed_s=60, cards=8)
        services.apply(job_id=job.pk, seen=end, now=LATER)
        services.apply(job_id=job.pk, seen=end, now=LATER)
        assert UsageRecord.objects.filter(job=job).count() == 1

    def test_releases_the_money_of_a_job_the_cluster_lost(self, job):
        done = services.apply(
            job_id=job.pk, seen=seen(job, ports.ClusterState.UNKNOWN, minutes=5, gone=True), now=LATER
        )
        assert (done.state, Charge.objects.get(pk=done.charge_id).state) == ("lost", "released")


class TestCancelling:
    def test_takes_back_a_job_that_was_not_sent(self, w, partition):
        job = submit(w, partition)
        asked: list[int] = []
        services.cancel(actor=w.researcher, job=job, now=make.NOW, ask_cluster=asked.append)
        job.refresh_from_db()
        assert (job.state, asked) == ("cancelled", [])
        assert Charge.objects.get(pk=job.charge_id).state == "released"

    def test_asks_the_cluster_and_believes_only_what_it_reports(self, w, partition, django_capture_on_commit_callbacks):
        job = submit(w, partition)
        dispatching.dispatch(job_id=job.pk, now=make.NOW)
        asked: list[int] = []
        with django_capture_on_commit_callbacks(execute=True):
            services.cancel(actor=w.researcher, job=job, now=make.NOW, ask_cluster=asked.append)
        assert asked == [job.pk]
        dispatching.ask_cancel(job_id=job.pk)
        assert scripted.TRUTH[job.marker]["cancelled"]
        job.refresh_from_db()
        assert job.state in {"placed", "queued"}

    def test_of_a_finished_job_is_refused(self, w, partition):
        job = submit(w, partition)
        services.cancel(actor=w.researcher, job=job, now=make.NOW, ask_cluster=lambda _: None)
        with pytest.raises(InvalidTransition):
            services.cancel(actor=w.researcher, job=job, now=make.NOW, ask_cluster=lambda _: None)
