"""Arrays, dependencies, requeue and environment: on their way from the API to the cluster, and every reason against them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.kernel.errors import Refused
from scheduler.jobs import dispatching, options, ports, reconciling, rules, services
from scheduler.jobs.models import Job
from tests import make
from tests.calling import Caller
from tests.scheduler.jobs import scripted
from vouchers.charges.models import Charge

ABLE = {"features": ["arrays", "dependencies", "requeue"], "max_array_size": 1001}
LATER = make.NOW + timedelta(minutes=1)


@pytest.fixture(autouse=True)
def scripted_cluster(settings):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    scripted.reset()


def able(partition, **changes):
    partition.cluster.capabilities = {**ABLE, **changes}
    partition.cluster.save()
    return partition


@pytest.fixture
def partition(w):
    return able(make.partition(w, adapter="scripted", rate="9"))


def submit(w, partition, *, key=None, **asked) -> Job:
    wanted = services.Wanted(
        partition=partition,
        title="训练",
        ask=rules.Ask(cards=2, cpus=2, memory_mb=1000, time_limit_s=3600, script="#!/bin/sh\n"),
        options=options.Options(**asked),
    )
    return services.submit(
        actor=w.researcher, wanted=wanted, now=make.NOW, key=key or make.key(), dispatch=lambda _job_id: None
    )


def refused(w, partition, **asked) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as caught:
        submit(w, partition, **asked)
    return [(reason.code.removeprefix("job."), reason.field) for reason in caught.value.reasons]


def after(job: Job, kind: str = "ok") -> list[options.WaitFor]:
    return [options.WaitFor(job.number, kind)]


def send(job: Job, state: str = "placed") -> Job:
    dispatching.dispatch(job_id=job.pk, now=make.NOW)
    job.refresh_from_db()
    assert job.state == state, (job.state, job.reason)
    return job


def end(job: Job, state: ports.ClusterState) -> None:
    seen = ports.Observation(scripted.ref(job.marker), state, state.value, LATER)
    services.apply(job_id=job.pk, seen=seen, now=LATER)


class TestArrays:
    def test_are_sent_in_one_written_form_and_held_for_all_tasks(self, w, partition):
        one, ten = submit(w, partition), submit(w, partition, array=" 3, 0-2,4-9 %2 ")
        assert (ten.array, ten.charge.price_fen) == ("0-9%2", 10 * one.charge.price_fen)
        send(ten)
        assert scripted.TRUTH[ten.marker]["spec"].array == "0-9%2"

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("-1", "array_negative"),
            ("-5--1", "array_negative"),
            ("0-3,-2", "array_negative"),
            ("0-1001", "array_huge"),
            ("99999999999999999999", "array_huge"),
            ("0-9:99999999999999", "array_huge"),
            ("5-1", "array"),
            ("1,,2", "array"),
            ("a", "array"),
            ("0-9%0", "array"),
            ("٣", "array"),
        ],
    )
    def test_refuses_by_name(self, w, partition, text, code):
        assert refused(w, partition, array=text) == [(code, "array")]
        assert not Job.objects.exists()

    def test_are_bounded_by_what_the_cluster_says(self, w, partition):
        able(partition, max_array_size=11)
        assert submit(w, partition, array="0-10").array == "0-10"
        assert refused(w, partition, array="0-11") == [("array_huge", "array")]


class TestDependencies:
    def test_reach_the_cluster_as_the_jobs_it_knows(self, w, partition):
        first = send(submit(w, partition))
        second = send(submit(w, partition, after=after(first, "any")))
        (link,) = scripted.TRUTH[second.marker]["spec"].after
        assert (link.ref.marker, link.kind) == (first.marker, "any")

    def test_wait_here_until_the_other_job_is_on_the_cluster(self, w, partition):
        first = submit(w, partition)
        second = submit(w, partition, after=after(first))
        send(second, state="pending")
        send(first)
        send(second)

    def test_need_no_saying_once_they_hold(self, w, partition):
        first = send(submit(w, partition))
        second = submit(w, partition, after=after(first))
        end(first, ports.ClusterState.SUCCEEDED)
        send(second)
        assert scripted.TRUTH[second.marker]["spec"].after == []

    def test_that_can_never_hold_end_the_waiting_job_and_release_its_money(self, w, partition):
        first = submit(w, partition)
        waiting = submit(w, partition, after=after(first))
        services.cancel(actor=w.researcher, job=first, now=make.NOW, ask_cluster=lambda _: None)
        reconciling.reconcile(cluster_id=partition.cluster_id, now=LATER)
        waiting.refresh_from_db()
        assert (waiting.state, waiting.reason) == ("cancelled", "dependency_never")
        assert Charge.objects.get(pk=waiting.charge_id).state == "released"

    def test_that_can_never_hold_are_cancelled_on_the_cluster_too(self, w, partition):
        first = send(submit(w, partition))
        waiting = send(submit(w, partition, after=after(first)))
        end(first, ports.ClusterState.FAILED)
        reconciling.reconcile(cluster_id=partition.cluster_id, now=LATER)
        reconciling.reconcile(cluster_id=partition.cluster_id, now=LATER)
        assert scripted.TRUTH[waiting.marker]["cancelled"]

    def test_name_only_own_jobs_of_the_same_cluster(self, w, partition):
        own = submit(w, partition)
        elsewhere = submit(w, able(make.partition(w, adapter="scripted", rate="9")))
        stranger = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER)
        w.stranger = stranger
        theirs = services.submit(
            actor=stranger,
            wanted=services.Wanted(
                partition=partition,
                title="别家",
                ask=rules.Ask(cards=1, cpus=1, memory_mb=100, time_limit_s=60, script="#!/bin/sh\n"),
            ),
            now=make.NOW,
            key=make.key(),
            dispatch=lambda _: None,
        )
        wrong = [
            options.WaitFor(theirs.number),
            options.WaitFor("J0000-000000"),
            options.WaitFor(elsewhere.number),
            options.WaitFor(own.number, "later"),
            options.WaitFor(own.number),
        ]
        assert [code for code, _field in refused(w, partition, after=wrong)] == [
            "after_unknown",
            "after_unknown",
            "after_elsewhere",
            "after_kind",
            "after_twice",
        ]

    def test_refuses_what_is_decided_already(self, w, partition):
        first = send(submit(w, partition))
        end(first, ports.ClusterState.FAILED)
        assert refused(w, partition, after=after(first)) == [("after_never", "after")]
        assert submit(w, partition, after=after(first, "notok")).dependencies.count() == 1


def test_requeue_and_environment_reach_the_cluster(w, partition):
    job = send(submit(w, partition, requeue=True, environment={"EPOCHS": "3"}))
    spec = scripted.TRUTH[job.marker]["spec"]
    assert (spec.requeue, spec.environment) == (True, {"EPOCHS": "3"})


def test_says_every_reason_at_once(w, partition):
    assert refused(w, partition, array="-1", after=[options.WaitFor("J1")], environment={"LD_PRELOAD": "x"}) == [
        ("array_negative", "array"),
        ("after_unknown", "after"),
        ("environment_reserved", "environment"),
    ]


def test_what_a_cluster_has_not_said_it_can_do_is_not_offered(w):
    unable = make.partition(w, adapter="scripted", rate="9")
    other = submit(w, unable)
    assert refused(w, unable, array="0-1", after=after(other), requeue=True) == [
        ("array_not_offered", "array"),
        ("after_not_offered", "after"),
        ("requeue_not_offered", "requeue"),
    ]


def test_the_same_key_with_other_options_is_another_body(w, partition):
    first = submit(w, partition, key="same-key-1", array="0-3")
    assert submit(w, partition, key="same-key-1", array="0-3").pk == first.pk
    with pytest.raises(services.idempotency.KeyReused):
        submit(w, partition, key="same-key-1", array="0-4")


@pytest.mark.usefixtures("clock")
def test_the_api_takes_and_shows_them(w, partition):
    caller = Caller(w.researcher)
    first = submit(w, partition)
    body = {
        "cluster": partition.cluster.code,
        "partition": partition.name,
        "title": "扫参",
        "cards": 2,
        "time_limit_s": 3600,
        "script": "#!/bin/sh\n",
        "array": "0-4",
        "after": [{"job": first.number, "kind": "any"}],
        "requeue": True,
        "environment": {"EPOCHS": "3"},
    }
    quoted = caller.post("/jobs/quote", {name: value for name, value in body.items() if name != "title"})
    assert (quoted.body["acceptable"], quoted.body["tasks"], quoted.body["price"]["yuan"]) == (True, 5, "93.00")
    made = caller.post("/jobs", body, key="options-key-1")
    assert made.status == 201
    assert (made.body["array"], made.body["requeue"], made.body["environment"]) == ("0-4", True, {"EPOCHS": "3"})
    assert made.body["after"] == [{"job": first.number, "kind": "any", "state": "pending"}]
    wrong = caller.post("/jobs", {**body, "array": "-1", "environment": {"PATH": "/"}}, key="options-key-2")
    assert [reason["code"] for reason in wrong.body["reasons"]] == ["job.array_negative", "job.environment_reserved"]
