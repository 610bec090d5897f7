"""One task of an array is cancelled: by page and API, before and after it was sent; the others go on, money follows the runs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.jobs import arraytasks, dispatching, options, ports, reconciling, rules, services
from scheduler.jobs.models import Job, JobTaskCancel
from tests import make
from tests.calling import Caller
from tests.scheduler.jobs import scripted
from vouchers.charges.models import Charge

LATER = make.NOW + timedelta(minutes=1)
ABLE = {"features": ["arrays", "tasks"], "max_array_size": 1001, "guard_s": 0}

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture(autouse=True)
def scripted_cluster(settings):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    scripted.reset()


@pytest.fixture
def job(w):
    """Ten tasks of two cards for an hour at 9 yuan: 180 yuan are held."""
    partition = make.partition(w, adapter="scripted", rate="9")
    partition.cluster.capabilities = ABLE
    partition.cluster.save()
    return services.submit(
        actor=w.researcher,
        wanted=services.Wanted(
            partition=partition,
            title="扫参",
            ask=rules.Ask(cards=2, cpus=2, memory_mb=1000, time_limit_s=3600, script="#!/bin/sh\n"),
            options=options.Options(array="0-9%4"),
        ),
        now=make.NOW,
        key=make.key(),
        dispatch=lambda _: None,
    )


def cancel(w, job, task, *, asked=None):
    return arraytasks.cancel_task(
        actor=w.researcher, job=job, task=task, now=make.NOW, ask_cluster=asked or (lambda _: None)
    )


def sent(job) -> Job:
    dispatching.dispatch(job_id=job.pk, now=make.NOW)
    job.refresh_from_db()
    assert job.state == "placed"
    return job


def run(job, task, *, seconds=600, state=ports.ClusterState.SUCCEEDED, confirmed=True) -> ports.Run:
    at = scripted.ref(job.marker).submitted_at
    over = state in ports.FINAL
    return ports.Run(
        job_id=scripted.ref(job.marker).job_id,
        task=task,
        submitted_at=at,
        state=state,
        raw_state=state.value,
        started_at=at,
        ended_at=at + timedelta(seconds=seconds) if over else None,
        elapsed_s=seconds,
        cpus=2,
        cards=2,
        confirmed=confirmed and over,
    )


def see(job, state, runs, *, at=LATER, confirmed=False):
    seen = ports.Observation(
        scripted.ref(job.marker),
        state,
        state.value,
        at,
        started_at=runs[0].started_at if runs else None,
        elapsed_s=sum(one.elapsed_s for one in runs),
        runs=runs,
        confirmed=confirmed,
    )
    services.apply(job_id=job.pk, seen=seen, now=at)
    job.refresh_from_db()


def test_a_job_not_yet_sent_is_sent_without_it(w, job):
    cancel(w, job, 7)
    sent(job)
    assert scripted.TRUTH[job.marker]["spec"].array == "0-6,8-9%4"
    assert job.array == "0-9%4"


def test_the_cluster_is_asked_for_that_task_only_and_once(w, job):
    sent(job)
    asked = []
    with_commit = cancel(w, job, 7, asked=asked.append)
    assert cancel(w, job, 7).pk == with_commit.pk
    reconciling.cancel_and_look(job_id=job.pk, now=LATER)
    reconciling.reconcile(cluster_id=job.partition.cluster_id, now=LATER)
    assert scripted.TRUTH[job.marker]["tasks_cancelled"] == [7]
    assert "cancelled" not in scripted.TRUTH[job.marker]
    assert JobTaskCancel.objects.get().taken_at == LATER


def test_a_task_the_cluster_cannot_stop_yet_is_asked_for_again(w, job):
    sent(job)
    cancel(w, job, 7)
    scripted.DOUBT["waits"] = True
    reconciling.reconcile(cluster_id=job.partition.cluster_id, now=LATER)
    assert JobTaskCancel.objects.get().taken_at is None
    scripted.DOUBT["waits"] = False
    reconciling.reconcile(cluster_id=job.partition.cluster_id, now=LATER)
    assert scripted.TRUTH[job.marker]["tasks_cancelled"] == [7]


def test_money_follows_the_runs(w, job):
    """Nine tasks ran ten minutes, the cancelled one for one: 9 x 3.00 + 0.30 of the 180 yuan held."""
    sent(job)
    cancel(w, job, 7)
    runs = [run(job, task) for task in range(10) if task != 7]
    runs.append(run(job, 7, seconds=60, state=ports.ClusterState.CANCELLED))
    see(job, ports.ClusterState.CANCELLED, runs, confirmed=True)
    charge = Charge.objects.get(pk=job.charge_id)
    assert (charge.price_fen, charge.actual_fen) == (18_000, 2_730)


def test_what_cannot_be_cancelled_is_said_at_the_number(w, job):
    with pytest.raises(arraytasks.NoSuchTask) as caught:
        cancel(w, job, 10)
    assert (caught.value.field, caught.value.params) == ("task", {"task": 10, "array": "0-9%4"})
    sent(job)
    see(job, ports.ClusterState.RUNNING, [run(job, 0), run(job, 1, state=ports.ClusterState.RUNNING)])
    with pytest.raises(arraytasks.TaskOver):
        cancel(w, job, 0)
    assert not JobTaskCancel.objects.exists()


def test_a_cluster_that_cannot_stop_one_is_not_asked_and_it_is_said(w, job):
    cluster = job.partition.cluster
    cluster.capabilities = {**ABLE, "features": ["arrays"]}
    cluster.save()
    sent(job)
    with pytest.raises(arraytasks.NotOneByOne):
        cancel(w, job, 7)
    client = Client()
    client.force_login(make.user_of(w.researcher))
    assert "取消这个任务" not in client.get(reverse("job", args=[job.number])).text


def test_of_the_last_one_left_the_job_is_cancelled(w, job):
    for task in range(9):
        cancel(w, job, task)
    cancel(w, job, 9)
    job.refresh_from_db()
    assert (job.state, Charge.objects.get(pk=job.charge_id).state) == ("cancelled", "released")


def test_by_api(w, job):
    caller = Caller(w.researcher)
    answer = caller.post(f"/jobs/{job.number}/tasks/7/cancel")
    assert answer.status == 200, answer
    assert (answer.status, answer.body["state"], answer.body["tasks_cancelled"]) == (200, "pending", [7])
    assert caller.post(f"/jobs/{job.number}/tasks/7/cancel").body["tasks_cancelled"] == [7]
    wrong = caller.post(f"/jobs/{job.number}/tasks/10/cancel")
    assert (wrong.status, wrong.code, list(wrong.body["fields"])) == (409, "job.task", ["task"])
    stranger = Caller(make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER))
    assert stranger.post(f"/jobs/{job.number}/tasks/7/cancel").status == 404


def test_by_page(w, job):
    client = Client()
    client.force_login(make.user_of(w.researcher))
    shown = client.get(reverse("job", args=[job.number]))
    assert "本作业的任务编号：0-9%4。" in shown.text
    where = reverse("job_task_cancel", args=[job.number])
    assert client.post(where, {"task": "7"}).status_code == 302
    page = client.get(reverse("job", args=[job.number]))
    assert "已请求取消任务 7，其余任务照常运行。" in page.text
    assert "请求取消一个任务" in page.text
    for typed, words in (("10", "作业没有编号为 10 的任务。请填写 0-9%4 中的一个编号。"), ("七", "输入整数。")):
        wrong = client.post(where, {"task": typed})
        assert wrong.status_code in {409, 422}
        assert words in wrong.text
        assert f'value="{typed}"' in wrong.text
    assert client.get(where).status_code == 405
