"""The portal's own services on real clusters: submit, hold, place, release, follow, meter, capture."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from scheduler.jobs import dispatching, queries, reconciling, rules, services
from scheduler.jobs.models import Job
from scheduler.usage.models import UsageRecord
from tests import make
from tests.adapters.conftest import slurm_config
from vouchers.charges.models import Charge
from vouchers.ledger import queries as ledger

SCRIPT = "#!/bin/bash\nfor n in 1 2 3; do echo 第 $n 步; sleep 1; done\n"


@pytest.fixture(params=["local", pytest.param("slurm", marks=pytest.mark.slurm)])
def placed(request, w):
    """Return a partition on a real cluster of this kind."""
    if request.param == "local":
        runner = request.getfixturevalue("shared_runner")
        return make.partition(
            w, config={"dir": str(runner.folder)}, name="main", card_type="pretended", max_cards=4, rate="9"
        )
    info = request.getfixturevalue("real_slurm")
    bench = request.getfixturevalue("slurm")
    made = make.partition(
        w,
        adapter="slurm",
        config={**slurm_config(info), "account": bench.base.account},
        name=bench.cards_partition,
        card_type=bench.card_type,
        max_cards=bench.cards_most,
        rate="9",
    )
    made.cluster.posix_user = bench.user
    made.cluster.save()
    return made


def follow(job: Job, *, until: set[str], seconds: float) -> Job:
    """Reconcile as the worker does, until the job is in one of the states."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        reconciling.reconcile(cluster_id=job.partition.cluster_id, now=datetime.now(UTC))
        job = Job.objects.select_related("partition__cluster", "charge").get(pk=job.pk)
        if job.state in until:
            return job
        time.sleep(0.3)
    raise AssertionError(f"still {job.state} ({job.reason}) after {seconds} s")


def test_a_job_runs_once_and_is_charged_for_what_it_used(w, placed):
    voucher = make.voucher(w)
    now = datetime.now(UTC)
    job = services.submit(
        actor=w.researcher,
        wanted=services.Wanted(
            partition=placed,
            title="真实集群上的三步",
            ask=rules.Ask(cards=1, cpus=1, memory_mb=200, time_limit_s=120, script=SCRIPT),
            vouchers=[voucher],
        ),
        now=now,
        key=make.key(),
        dispatch=lambda _job_id: None,
    )
    dispatching.dispatch(job_id=job.pk, now=now)

    done = follow(job, until={state.value for state in rules.FINAL}, seconds=60)

    assert (done.state, done.exit_code) == ("succeeded", 0)
    assert queries.log(done, offset=0).data.decode() == "第 1 步\n第 2 步\n第 3 步\n"
    run = UsageRecord.objects.get(job=done)
    assert (run.count, run.duration_s >= 3) == (1, True)
    charge = Charge.objects.get(pk=done.charge_id)
    assert charge.state == "captured"
    assert charge.actual_fen == (2 * 900 * run.duration_s + 3600) // 7200
    assert charge.voucher_captured_fen == charge.actual_fen // 2
    assert ledger.unaccounted_fen() == 0
