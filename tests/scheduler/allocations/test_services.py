"""Grants of computing: who may give them, what they refuse, what is used of them, and two jobs at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, PortalError, Refused
from portal.kernel.period import Period
from portal.organisations.models import Organisation
from scheduler.allocations import access, queries, rules, services
from scheduler.allocations.models import Allocation
from scheduler.jobs import dispatching, guards, options, ports
from scheduler.jobs import services as jobs
from scheduler.jobs.models import Job
from tests import make
from tests.scheduler.jobs import scripted
from tests.scheduler.jobs.test_services import seen, submit, wanted

QUARTER = Period(make.NOW - timedelta(days=10), make.NOW + timedelta(days=80))


@pytest.fixture(autouse=True)
def scripted_cluster(settings):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    scripted.reset()


@pytest.fixture
def partition(w):
    return make.partition(w, adapter="scripted", rate="9")


def firm(w) -> Organisation:
    return Organisation.objects.get(pk=w.researcher.organisation_id)


def grant(w, *, by=None, hours=None, cards=None, period=QUARTER, key=None, **more) -> Allocation:
    return services.grant(
        actor=by or w.officer,
        wanted=services.Wanted(
            name="四季度算力",
            organisation=firm(w),
            amounts=rules.Amounts(None if hours is None else hours * 3600, cards),
            period=period,
            **more,
        ),
        now=make.NOW,
        key=key or make.key(),
    )


def standing(row) -> rules.Standing:
    return queries.standings([row])[row.pk]


def codes(raised) -> list[str]:
    return [reason.code for reason in raised.value.reasons]


def test_a_job_that_would_exceed_a_grant_is_refused_with_every_reason_and_holds_nothing(w, partition):
    row = grant(w, hours=10, cards=8)
    submit(w, partition, cards=8, minutes=60)

    with pytest.raises(Refused) as raised:
        submit(w, partition, cards=8, minutes=60)

    assert codes(raised) == ["allocation.card_hours", "allocation.cards"]
    found = standing(row)
    assert (found.used_s, found.held_s, found.left_s) == (0, 8 * 3600, 2 * 3600)
    assert (found.running, found.waiting, found.cards_left) == (0, 8, 0)
    assert Job.objects.count() == 1


def test_what_ran_counts_when_the_job_has_ended_and_the_rest_is_free_again(w, partition):
    row = grant(w, hours=10)
    job = submit(w, partition, cards=8, minutes=60)
    dispatching.dispatch(job_id=job.pk, now=make.NOW)
    jobs.apply(job_id=job.pk, seen=seen(job, ports.ClusterState.RUNNING, minutes=1), now=make.NOW)
    assert standing(row).running == 8

    jobs.apply(job_id=job.pk, seen=seen(job, ports.ClusterState.SUCCEEDED, minutes=31, elapsed_s=1800), now=make.NOW)

    found = standing(row)
    assert (found.used_s, found.held_s, found.running) == (8 * 1800, 0, 0)
    assert submit(w, partition, cards=6, minutes=60).cards == 6


def test_a_grant_binds_only_its_programme_partition_and_period(w, partition):
    other = make.partition(w, adapter="scripted", rate="9")
    voucher = make.voucher(w)
    grant(w, hours=0, partition=other)
    grant(w, hours=0, programme_code=voucher.programme_code)
    grant(w, hours=0, period=Period(QUARTER.end, QUARTER.end + timedelta(days=1)))

    assert submit(w, partition, cards=1).pk
    with pytest.raises(Refused) as raised:
        submit(w, other, cards=1)
    assert codes(raised) == ["allocation.card_hours"]
    with pytest.raises(Refused) as raised:
        submit(w, partition, cards=1, voucher=voucher)
    assert codes(raised) == ["allocation.card_hours"]


def test_a_job_paid_by_a_programme_counts_against_its_grant(w, partition):
    voucher = make.voucher(w)
    row = grant(w, hours=10, programme_code=voucher.programme_code)
    submit(w, partition, cards=2, minutes=60, voucher=voucher)
    submit(w, partition, cards=4, minutes=60)
    assert standing(row).held_s == 2 * 3600


def test_two_grants_of_the_same_scope_never_overlap(w, partition):
    first = grant(w, hours=1)
    with pytest.raises(rules.AllocationOverlap):
        grant(w, hours=2)
    grant(w, hours=2, partition=partition)
    grant(w, hours=2, period=Period(QUARTER.end, QUARTER.end + timedelta(days=30)))
    services.end(actor=w.officer, allocation=first, now=make.NOW)
    services.end(actor=w.officer, allocation=first, now=make.NOW)
    again = grant(w, hours=2)
    with pytest.raises(rules.AllocationOverlap):
        services.change(
            actor=w.officer,
            allocation=again,
            amounts=rules.Amounts(3600, None),
            until=QUARTER.end + timedelta(days=1),
            now=make.NOW,
        )
    assert Record.objects.filter(action="allocation.ended").count() == 1


def test_granting_twice_under_one_key_grants_once(w):
    key = make.key()
    assert grant(w, hours=5, key=key) == grant(w, hours=5, key=key)
    assert Record.objects.filter(action="allocation.granted").count() == 1


def test_a_change_is_recorded_and_jobs_accepted_before_stay(w, partition):
    row = grant(w, hours=100)
    submit(w, partition, cards=8, minutes=60)
    changed = services.change(
        actor=w.officer, allocation=row, amounts=rules.Amounts(3600, 2), until=QUARTER.end, now=make.NOW
    )
    found = standing(changed)
    assert (found.left_s, found.cards_left, found.held_s) == (0, 0, 8 * 3600)
    record = Record.objects.get(action="allocation.changed")
    assert record.data["after"][:2] == [3600, 2]
    assert w.researcher.organisation_id in record.organisation_ids


def test_who_may_grant_what(w, partition):
    with pytest.raises(Forbidden):
        grant(w, by=w.researcher, hours=1)
    with pytest.raises(services.PartitionNeeded):
        grant(w, by=w.operator, hours=1)
    mine = grant(w, by=w.operator, hours=1, partition=partition)
    with pytest.raises(Forbidden):
        services.end(actor=w.officer, allocation=mine, now=make.NOW)
    assert list(access.visible_to(w.researcher)) == [mine]
    assert list(access.visible_to(make.applicant())) == []
    assert list(access.visible_to(w.officer)) == []


def test_many_grants_are_read_in_two_queries(w, partition, django_assert_num_queries):
    rows = [grant(w, hours=1), grant(w, hours=1, partition=partition)]
    for _again in range(3):
        submit(w, partition, cards=1, minutes=5)
    with django_assert_num_queries(2):
        assert {each.held_s for each in queries.standings(rows).values()} == {900}


@pytest.mark.django_db(transaction=True)
def test_two_jobs_at_once_never_exceed_a_grant_together(w, partition):
    row = grant(w, hours=10)
    gate = threading.Barrier(8)

    def one(_number: int) -> str:
        try:
            gate.wait()
            submit(w, partition, cards=3, minutes=60)
        except PortalError as error:
            return error.code
        finally:
            connection.close()
        return "ok"

    with ThreadPoolExecutor(8) as pool:
        results = sorted(pool.map(one, range(8)))

    assert results == ["ok"] * 3 + ["refused"] * 5
    assert standing(row).held_s == 9 * 3600


def test_a_quote_says_so_before_anything_is_sent(w, partition):
    grant(w, hours=1)
    asked = guards.Asked(organisation_id=firm(w).pk, partition=partition, cards=2, time_limit_s=3600)
    assert [reason.code for reason in guards.refusals(asked, now=make.NOW)] == ["allocation.card_hours"]


class TestArrays:
    @pytest.fixture
    def partition(self, w):
        found = make.partition(w, adapter="scripted", rate="9")
        found.cluster.capabilities |= {"features": ["arrays"]}
        found.cluster.save(update_fields=["capabilities"])
        return found

    def array(self, w, partition, text, *, cards=2, minutes=60):
        asked = replace(wanted(partition, cards=cards, minutes=minutes), options=options.Options(array=text))
        return jobs.submit(
            actor=w.researcher, wanted=asked, now=make.NOW, key=make.key(), dispatch=lambda _job_id: None
        )

    def test_only_the_tasks_that_run_at_once_count_against_the_cards(self, w, partition):
        row = grant(w, cards=6)
        with pytest.raises(Refused) as raised:
            self.array(w, partition, "0-9%4")
        assert codes(raised) == ["allocation.cards"]
        job = self.array(w, partition, "0-9%3")
        assert (standing(row).waiting, standing(row).cards_left) == (6, 0)
        assert job.charge.price_fen == 10 * 2 * 900 * (60 + job.guard_s // 60) // 60

    def test_all_its_tasks_count_against_the_card_hours(self, w, partition):
        row = grant(w, hours=19, cards=2)
        with pytest.raises(Refused) as raised:
            self.array(w, partition, "0-9%1")
        assert codes(raised) == ["allocation.card_hours"]
        self.array(w, partition, "0-8%1")
        assert (standing(row).held_s, standing(row).left_s) == (18 * 3600, 3600)

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        wishes=st.lists(
            st.tuples(st.integers(1, 12), st.integers(1, 14), st.integers(1, 4), st.integers(1, 120)), max_size=6
        )
    )
    def test_no_order_of_arrays_exceeds_a_grant_or_the_money_held(self, w, partition, wishes):
        """What was accepted never exceeds the grant, and every hold pays every task to its last second."""
        with transaction.atomic():
            row = grant(w, hours=30, cards=10)
            taken_s = taken = 0
            for count, most, cards, minutes in wishes:
                together = min(count, most)
                need_s, need = count * cards * minutes * 60, together * cards
                fits = taken_s + need_s <= 30 * 3600 and taken + need <= 10
                try:
                    job = self.array(w, partition, f"0-{count - 1}%{most}", cards=cards, minutes=minutes)
                except Refused:
                    assert not fits
                    continue
                assert fits
                taken_s, taken = taken_s + need_s, taken + need
                worst = Fraction(900 * cards * count * (job.time_limit_s + job.guard_s), 3600)
                assert worst <= job.charge.price_fen < worst + 1
            found = standing(row)
            assert (found.held_s, found.waiting) == (taken_s, taken)
            transaction.set_rollback(True)
