"""Accounts on clusters: made with the first job, held to what can be paid, repaired when somebody else changed them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, Refused
from portal.kernel.period import Period
from portal.organisations.models import Organisation
from scheduler.allocations import rules as allocation_rules
from scheduler.allocations import services as allocations
from scheduler.jobs import dispatching, guards
from scheduler.jobs.capabilities import AccountLimits
from scheduler.jobs.rules import JobState
from scheduler.limits import rules, services, tasks
from scheduler.limits.models import ClusterAccount, LimitDrift, LimitPolicy
from scheduler.limits.rules import AccountState, LimitMode
from scheduler.resources.models import Cluster
from tests import make
from tests.scheduler.jobs import scripted
from tests.scheduler.jobs.test_services import submit

LATER = make.NOW + timedelta(seconds=40)


@pytest.fixture(autouse=True)
def scripted_cluster(settings):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    scripted.reset()


@pytest.fixture
def partition(w):
    made = make.partition(w, adapter="scripted", rate="9")
    made.cluster.posix_user = "gx-jobs"
    made.cluster.save()
    return made


def set_mode(w, cluster, mode: LimitMode) -> Cluster:
    services.set_policy(actor=w.operator, cluster=cluster, mode=mode, now=make.NOW)
    return Cluster.objects.select_related("limit_policy").get(pk=cluster.pk)


def enrol(w, cluster, **more) -> ClusterAccount:
    return services.enrol(actor=w.operator, cluster=cluster, organisation=w.enterprise, now=make.NOW, **more)


def sync(cluster, now=make.NOW) -> bool:
    return services.sync(cluster_id=cluster.pk, now=now)


def held(row: ClusterAccount) -> AccountLimits:
    return scripted.LIMITS[row.name]


def test_the_first_job_makes_the_account_and_runs_under_it(w, partition):
    set_mode(w, partition.cluster, LimitMode.QUOTA)
    job = submit(w, partition, cards=1)

    dispatching.dispatch(job_id=job.pk, now=make.NOW)

    row = ClusterAccount.objects.get(organisation=w.enterprise)
    assert (row.name, row.posix_user, row.state) == (f"e-{w.enterprise.pk}", "gx-jobs", "in_step")
    spec = scripted.TRUTH[job.marker]["spec"]
    assert (spec.account, spec.user) == (row.name, "gx-jobs")
    assert held(row).users == ("gx-jobs",)
    assert Record.objects.filter(action="limits.account_enrolled").count() == 1


def test_without_a_policy_or_an_account_all_stays_as_it_was(w, partition):
    job = submit(w, partition, cards=1)
    dispatching.dispatch(job_id=job.pk, now=make.NOW)
    assert scripted.TRUTH[job.marker]["spec"].account == f"e-{w.enterprise.pk}"
    assert not ClusterAccount.objects.exists()
    assert scripted.LIMITS == {}


def test_an_account_is_bounded_by_what_the_vouchers_can_still_pay(w, partition):
    make.voucher(w)  # 100,000 yuan that pays half: 200,000 yuan of cards at 9 yuan an hour
    cluster = set_mode(w, partition.cluster, LimitMode.COVERED)
    row = enrol(w, cluster)

    assert sync(cluster)
    assert held(row).running_card_minutes == 200_000 * 60 // 9
    assert held(row).submitted is None


def test_a_job_paid_by_its_own_means_finds_room_before_it_is_sent(w, partition):
    cluster = set_mode(w, partition.cluster, LimitMode.COVERED)
    row = enrol(w, cluster)
    sync(cluster)
    assert (held(row).running_card_minutes, held(row).submitted) == (0, 0), "no voucher, no unpaid minute"

    job = submit(w, partition, cards=2, minutes=30)
    dispatching.dispatch(job_id=job.pk, now=make.NOW)

    assert (held(row).running_card_minutes, held(row).submitted) == (60, 1)


def test_at_exhaustion_nothing_comes_in_and_money_opens_the_account_again(w, partition):
    cluster = set_mode(w, partition.cluster, LimitMode.COVERED)
    row = enrol(w, cluster)
    sync(cluster)
    assert held(row).submitted == 0
    make.voucher(w)
    sync(cluster, LATER)
    assert held(row).submitted is None
    assert (held(row).running_card_minutes or 0) > 0
    assert not LimitDrift.objects.exists(), "what we change ourselves is no drift"


def test_a_quota_bounds_minutes_and_cards_and_its_end_frees_them(w, partition):
    period = Period(make.NOW - timedelta(days=1), make.NOW + timedelta(days=30))
    granted = allocations.grant(
        actor=w.officer,
        wanted=allocations.Wanted(
            name="十二月", organisation=w.enterprise, amounts=allocation_rules.Amounts(10 * 3600, 4), period=period
        ),
        now=make.NOW,
        key=make.key(),
    )
    cluster = set_mode(w, partition.cluster, LimitMode.QUOTA)
    row = enrol(w, cluster)
    sync(cluster)
    assert (held(row).running_card_minutes, held(row).cards) == (600, 4)

    submit(w, partition, cards=4, minutes=60)
    sync(cluster)
    assert held(row).running_card_minutes == 360 + 240, "what a job of ours holds stays usable by it"
    with pytest.raises(Refused):
        submit(w, partition, cards=1, minutes=60)

    allocations.end(actor=w.officer, allocation=granted, now=make.NOW)
    sync(cluster)
    assert (held(row).running_card_minutes, held(row).cards) == (None, None)


def test_what_somebody_else_changed_is_recorded_told_and_repaired(w, partition):
    make.voucher(w)
    cluster = set_mode(w, partition.cluster, LimitMode.COVERED)
    row = enrol(w, cluster)
    sync(cluster)
    right = held(row)
    scripted.LIMITS[row.name] = replace(right, running_card_minutes=10**9)

    assert sync(cluster, LATER)

    assert held(row) == right
    drift = LimitDrift.objects.get()
    assert (drift.what, drift.wanted, drift.found) == ("running_card_minutes", right.running_card_minutes, 10**9)
    assert (drift.seen_at, drift.repaired_at) == (LATER, LATER)
    assert Record.objects.filter(action="limits.drift_seen").count() == 1
    assert Record.objects.filter(action="limits.drift_repaired").count() == 1


def test_an_account_somebody_removed_is_made_again(w, partition):
    cluster = set_mode(w, partition.cluster, LimitMode.QUOTA)
    row = enrol(w, cluster)
    sync(cluster)
    del scripted.LIMITS[row.name]
    sync(cluster, LATER)
    assert held(row).account == row.name
    assert LimitDrift.objects.get().what == "account"


def test_a_cluster_that_is_away_changes_nothing_and_is_tried_again(w, partition):
    make.voucher(w)
    cluster = set_mode(w, partition.cluster, LimitMode.COVERED)
    row = enrol(w, cluster)
    sync(cluster)
    row.refresh_from_db()
    before = (row.state, row.desired, row.found, row.as_of)
    scripted.DOUBT["limits"] = True

    assert not sync(cluster, LATER)

    row.refresh_from_db()
    policy = LimitPolicy.objects.get()
    assert (row.state, row.desired, row.found, row.as_of) == before
    assert (policy.synced_at, policy.tried_at) == (make.NOW, LATER)
    assert policy.error
    scripted.DOUBT["limits"] = False
    assert sync(cluster, LATER + timedelta(seconds=30))
    assert LimitPolicy.objects.get().error == ""


def test_a_job_is_sent_all_the_same_while_limits_cannot_be_read(w, partition):
    set_mode(w, partition.cluster, LimitMode.COVERED)
    scripted.DOUBT["limits"] = True
    job = submit(w, partition, cards=1)
    dispatching.dispatch(job_id=job.pk, now=make.NOW)
    job.refresh_from_db()
    assert job.state == JobState.PLACED.value, "the cluster itself decides"


def test_what_the_cluster_does_not_take_over_is_told_and_tried_again(w, partition):
    make.voucher(w)
    cluster = set_mode(w, partition.cluster, LimitMode.COVERED)
    row = enrol(w, cluster)
    scripted.DOUBT["deaf"] = True
    assert not sync(cluster)
    row.refresh_from_db()
    assert row.state == AccountState.REFUSED.value
    scripted.DOUBT["deaf"] = False
    assert sync(cluster, LATER)
    row.refresh_from_db()
    assert row.state == AccountState.IN_STEP.value


def test_turning_the_policy_off_takes_our_bounds_off_and_leaves_the_account_alone_then(w, partition):
    make.voucher(w)
    cluster = set_mode(w, partition.cluster, LimitMode.COVERED)
    row = enrol(w, cluster)
    sync(cluster)
    cluster = set_mode(w, cluster, LimitMode.OFF)
    sync(cluster, LATER)
    assert held(row) == AccountLimits(row.name, ("gx-jobs",))
    scripted.LIMITS[row.name] = AccountLimits(row.name, ("gx-jobs",), cards=3)
    sync(cluster, LATER)
    assert held(row).cards == 3


def test_enrolling_without_a_policy_keeps_what_the_account_has(w, partition):
    scripted.LIMITS["e-optics"] = AccountLimits("e-optics", (), cards=3)
    row = enrol(w, partition.cluster, name="e-optics", posix_user="optics")
    assert sync(partition.cluster)
    assert held(row) == AccountLimits("e-optics", ("optics",), cards=3)
    assert guards.identity(partition.cluster, w.enterprise.pk) == ("e-optics", "optics")


@pytest.mark.parametrize("name", ["root", "physics", "e-", "e-Ä", "e-a b", "E-1"])
def test_only_names_with_our_prefix_are_taken(w, partition, name):
    with pytest.raises(rules.BadAccount):
        enrol(w, partition.cluster, name=name)


def test_one_account_for_each_enterprise_and_one_enterprise_for_each_account(w, partition):
    enrol(w, partition.cluster, name="e-one")
    with pytest.raises(services.AccountTaken):
        enrol(w, partition.cluster, name="e-two")
    other = Organisation.objects.get(pk=make.applicant().organisation_id)
    with pytest.raises(services.AccountTaken):
        services.enrol(actor=w.operator, cluster=partition.cluster, organisation=other, name="e-one", now=make.NOW)


def test_only_the_clusters_operator_sets_its_limits(w, partition):
    for actor in (w.officer, w.researcher, w.keeper):
        with pytest.raises(Forbidden):
            services.set_policy(actor=actor, cluster=partition.cluster, mode=LimitMode.QUOTA, now=make.NOW)


def test_a_hundred_accounts_cost_as_many_queries_as_one_to_judge(w, partition, django_assert_max_num_queries):
    make.voucher(w)
    cluster = set_mode(w, partition.cluster, LimitMode.COVERED)
    enrol(w, cluster)
    for _more in range(5):
        services.enrol(
            actor=w.operator,
            cluster=cluster,
            organisation=Organisation.objects.get(pk=make.applicant().organisation_id),
            now=make.NOW,
        )
    with django_assert_max_num_queries(10):
        assert len(services.plan(cluster=cluster, now=make.NOW)) == 6


def test_the_sweep_takes_up_every_cluster_with_accounts(w, partition, monkeypatch):
    enrol(w, partition.cluster)
    make.partition(w, adapter="scripted")
    asked = []
    monkeypatch.setattr(tasks.sync, "delay", lambda *, cluster_id: asked.append(cluster_id))
    tasks.sync_all()
    assert asked == [partition.cluster_id]
