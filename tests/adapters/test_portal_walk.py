"""The portal's own services on real clusters: submit, hold, place, release, follow, meter, capture."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from scheduler.jobs import access, dispatching, ports, queries, reconciling, rules, services
from scheduler.jobs.models import Job
from scheduler.metering import sweeping
from scheduler.metering.models import UnmanagedRun
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
    """Reconcile as the worker does, until the job is in one of the states, and settled where they are final."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        reconciling.reconcile(cluster_id=job.partition.cluster_id, now=datetime.now(UTC))
        job = Job.objects.select_related("partition__cluster", "charge").get(pk=job.pk)
        if job.state in until and (job.settled_at is not None or rules.JobState(job.state) not in rules.FINAL):
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


def test_a_run_without_the_portal_is_metered_within_two_minutes_of_its_end(w, placed):
    """A11: a job on the enterprise's account that no portal submitted, even under a name that looks like the portal's."""
    cluster = placed.cluster
    # Accounts are read once an organisation has had a job there.
    services.submit(
        actor=w.researcher,
        wanted=services.Wanted(
            partition=placed,
            title="经平台的作业",
            ask=rules.Ask(cards=1, cpus=1, memory_mb=200, time_limit_s=60, script=SCRIPT),
        ),
        now=datetime.now(UTC),
        key=make.key(),
        dispatch=lambda _job_id: None,
    )
    adapter = access.connect(cluster)
    spec = ports.Spec(
        script="#!/bin/bash\nsleep 2\n",
        partition=placed.name,
        cpus=1,
        memory_mb=200,
        cards=1,
        card_type=placed.card_type,
        time_limit_s=60,
        account=cluster.config.get("account", f"e-{w.researcher.acting_for}"),
        user=cluster.posix_user,
    )
    made = adapter.submit(spec, marker=services.new_marker())
    assert isinstance(made, ports.Accepted)
    adapter.release(made.ref, user=spec.user)

    deadline = time.monotonic() + 120
    found = None
    while time.monotonic() < deadline:
        sweeping.sweep(cluster_id=cluster.pk, now=datetime.now(UTC))
        found = UnmanagedRun.objects.filter(cluster=cluster, cluster_job_id=made.ref.job_id).first()
        if found is not None and found.amount_fen is not None:
            break
        time.sleep(1)

    assert found is not None
    assert (found.count, found.elapsed_s >= 2) == (1, True)
    assert found.amount_fen == (2 * 900 * found.elapsed_s + 3600) // 7200
    assert (found.priced_at - found.ended_at).total_seconds() <= 120
