"""Limits inside the cluster: what binds a job that never saw the portal."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime

from portal.kernel.money import Money
from scheduler.limits import services
from scheduler.limits.models import LimitDrift
from scheduler.limits.rules import LimitMode
from tests import make
from tests.adapters.conftest import slurm_config
from tests.jobs.scenarios import scenario
from tests.slurm.cluster import Info
from vouchers.charges import services as charges

SWEEP_S = 20
"""How often the portal looks at each cluster by itself (``CELERY_BEAT_SCHEDULE``): the longest a change waits for it."""
MINUTES = 100


def sbatch(info: Info, account: str, *argv: str) -> str:
    """Submit past the portal, as the enterprise's own user; return the job's id. Raises CalledProcessError."""
    words = ("sbatch", "--parsable", f"--uid={info.users[0]}", f"--account={account}", "--partition=gpu")
    return info.command(*words, "--chdir=/tmp", "--output=/dev/null", *argv).strip()


def about(info: Info, job: str) -> tuple[str, str]:
    """Return a job's state and why it waits."""
    state, _space, reason = info.command("squeue", "-h", "-t", "all", "-j", job, "-o", "%T %r").strip().partition(" ")
    return state, reason


def until(test: Callable[[], bool], *, seconds: float, what: str) -> float:
    """Wait; return how long it took."""
    began = time.monotonic()
    while not test():
        assert time.monotonic() - began < seconds, what
        time.sleep(0.3)
    return time.monotonic() - began


def denied(info: Info, account: str) -> bool:
    try:
        job = sbatch(info, account, "--gpus=1", "--time=1", "--wrap=true")
    except subprocess.CalledProcessError:
        return True
    info.command("scancel", job)
    return False


def run_minutes(info: Info, account: str) -> str:
    words = ("sacctmgr", "-nP", "list", "assoc", f"account={account}", "user=", "format=grptresrunmins,grpsubmit")
    return info.command(*words).strip()


@scenario("A11")
def a_balance_binds_who_goes_past_the_portal(w: make.World, real_slurm: Info) -> str:
    """Left 100 card-minutes: sbatch of 8 cards × 30 min waits, 1 × 60 min runs; at exhaustion denied, a changed limit repaired, both ≤ 60 s."""
    info, now = real_slurm, datetime.now(UTC)
    # 100,000 yuan that pay half, at 2,000 yuan a card-minute, are 100 minutes.
    partition = make.partition(
        w, adapter="slurm", config=slurm_config(info), name="gpu", card_type="h20", rate=str(200_000 * 60 // MINUTES)
    )
    cluster, voucher = partition.cluster, make.voucher(w)
    services.set_policy(actor=w.operator, cluster=cluster, mode=LimitMode.COVERED, now=now)
    name = f"e-a11-{int(time.time())}"
    enrolled = {"organisation": w.enterprise, "name": name, "posix_user": info.users[0]}
    services.enrol(actor=w.operator, cluster=cluster, **enrolled, now=now)

    def sweep() -> float:
        began = time.monotonic()
        assert services.sync(cluster_id=cluster.pk, now=datetime.now(UTC))
        return time.monotonic() - began

    sweep()
    assert run_minutes(info, name) == f"gres/gpu={MINUTES}|"

    large = sbatch(info, name, "--nodes=2", "--gpus-per-node=4", "--time=30", "--wrap=sleep 1")
    small = sbatch(info, name, "--gpus=1", "--time=60", "--wrap=sleep 1")
    until(lambda: about(info, small)[0] == "COMPLETED", seconds=60, what=f"{small} to run: {about(info, small)}")
    waits = ("PENDING", "AssocGrpGRESRunMinutes")
    until(lambda: about(info, large) == waits, seconds=30, what=f"{large} to wait: {about(info, large)}")
    info.command("scancel", large)

    bill = charges.Bill("job:A11", "compute", w.enterprise.pk, w.lab.pk, Money.from_yuan("200000"), {})
    held = charges.hold(bill=bill, vouchers=[voucher], actor=w.researcher, now=now)
    exhausted_s = SWEEP_S + sweep() + until(lambda: denied(info, name), seconds=30, what="submissions to be denied")
    assert run_minutes(info, name) == "gres/gpu=0|0"

    change = ("set", "GrpTRESRunMins=gres/gpu=99999", "GrpSubmitJobs=-1")
    info.command("sacctmgr", "-iQ", "modify", "account", name, *change)
    assert not denied(info, name), "whoever changes the limit by hand opens the account"
    repaired_s = SWEEP_S + sweep() + until(lambda: denied(info, name), seconds=30, what="the limit to be repaired")
    assert run_minutes(info, name) == "gres/gpu=0|0"
    assert set(LimitDrift.objects.values_list("what", flat=True)) == {"running_card_minutes", "submitted"}
    assert not LimitDrift.objects.filter(repaired_at__isnull=True).exists()

    charges.release(charge_id=held.pk, reason="withdrawn", actor=w.researcher, now=now)
    sweep()
    assert not denied(info, name), "with money there again, jobs come in again"
    assert max(exhausted_s, repaired_s) <= 60
    return f"denied {exhausted_s:.1f} s after exhaustion, repaired {repaired_s:.1f} s after the change, {SWEEP_S} s of each the sweep"
