"""A placed job the cluster will not start as paid for is taken back, and its money with it."""

from __future__ import annotations

import pytest

from portal.kernel.errors import Rejected
from scheduler.jobs import dispatching, rules, services
from tests import make
from tests.scheduler.jobs import scripted
from vouchers.charges.models import Charge


@pytest.fixture(autouse=True)
def scripted_cluster(settings, monkeypatch):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    scripted.reset()

    def refuse(self, ref, *, user):
        raise Rejected(reason="granted 1 card instead of 8")

    monkeypatch.setattr(scripted.ScriptedCluster, "release", refuse)


def test_a_job_granted_something_else_is_cancelled_and_paid_back(w):
    partition = make.partition(w, adapter="scripted")
    job = services.submit(
        actor=w.researcher,
        wanted=services.Wanted(
            partition=partition,
            title="训练",
            ask=rules.Ask(cards=8, cpus=8, memory_mb=1000, time_limit_s=3600, script="#!/bin/sh\n"),
        ),
        now=make.NOW,
        key=make.key(),
        dispatch=lambda _job_id: None,
    )

    dispatching.dispatch(job_id=job.pk, now=make.NOW)

    job.refresh_from_db()
    assert (job.state, job.reason) == ("rejected", "resources")
    assert scripted.TRUTH[job.marker]["cancelled"]
    assert Charge.objects.get(pk=job.charge_id).state == "released"
