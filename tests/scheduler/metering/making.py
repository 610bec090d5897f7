"""What tests of metering share: a job that ran, and rows of accounting."""

from __future__ import annotations

from datetime import timedelta

from scheduler.jobs import dispatching, ports
from scheduler.jobs.models import Job
from tests import make
from tests.scheduler.jobs import scripted
from tests.scheduler.jobs.test_runs import S, run, see
from tests.scheduler.jobs.test_services import submit


def at(minute: int):
    return make.NOW + timedelta(minutes=minute)


def placed(w, partition, **changes) -> Job:
    made = submit(w, partition, **{"minutes": 120, **changes})
    dispatching.dispatch(job_id=made.pk, now=make.NOW)
    made.refresh_from_db()
    return made


def row(w, one: ports.Run, *, name: str = "train.sh", **more) -> ports.UsageRow:
    """A row of accounting on the enterprise's account."""
    fields = {"account": f"e-{w.researcher.acting_for}", "user": "zhang", "partition": "gpu", **more}
    return ports.UsageRow(name=name, run=one, **fields)


def ran(w, partition, *, elapsed_s: int = 1800, **more) -> Job:
    """A job that ran and is settled, known to accounting."""
    made = placed(w, partition)
    one = run(S.SUCCEEDED, elapsed_s, **more)
    scripted.USAGE.append(row(w, one, name=made.marker))
    return see(made, S.SUCCEEDED, one, minute=elapsed_s // 60 + 1)
