"""Metering and money of runs: two runs of one job, and use without the portal."""

from __future__ import annotations

from scheduler.jobs import holds, settling
from scheduler.jobs.models import JobLine
from scheduler.metering import auditing, sweeping
from scheduler.metering.models import UnmanagedRun
from scheduler.usage.models import UsageRecord
from tests import make
from tests.jobs.scenarios import scenario
from tests.scheduler.jobs import scripted
from tests.scheduler.jobs.test_runs import S, run, see
from tests.scheduler.metering.making import at, placed, row


def _partition(w, settings):
    settings.CLUSTER_ADAPTERS = {"scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}
    scripted.reset()
    return make.partition(w, adapter="scripted", rate="9")


@scenario("A5")
def two_runs_of_one_job(w, settings) -> str:
    """A node fails after 1,800 s and the job runs again for 3,600 s: 0 + 7,200 fen; put back by its user: 3,600 + 7,200."""
    partition = _partition(w, settings)
    failed = placed(w, partition, voucher=make.voucher(w))
    runs = [run(S.INTERRUPTED, 1800, raw="NODE_FAIL"), run(S.SUCCEEDED, 3600, minute=40)]
    scripted.USAGE += [row(w, one, name=failed.marker) for one in runs]
    see(failed, S.QUEUED, runs[0], minute=31)
    done = see(failed, S.SUCCEEDED, *runs, minute=101)
    assert settling.settled_fen(done) == 7200
    assert [(line.run.no, line.amount_fen) for line in JobLine.objects.filter(run__job=failed)] == [(2, 7200)]

    again = placed(w, partition)
    runs = [run(S.INTERRUPTED, 1800, raw="REQUEUED"), run(S.SUCCEEDED, 3600, minute=40)]
    scripted.USAGE += [row(w, one, name=again.marker) for one in runs]
    see(again, S.QUEUED, runs[0], minute=31)
    assert [charge.price_fen for charge in holds.charges_of(again)] == [14400, 3600]
    done = see(again, S.SUCCEEDED, *runs, minute=101)
    assert settling.settled_fen(done) == 3600 + 7200
    assert UsageRecord.objects.filter(job=again).count() == 2
    assert auditing.audit(since=make.NOW, until=at(200), now=at(200)).is_clean
    return "0 + 7,200 fen; 3,600 + 7,200 fen after a fresh hold of 3,600; three books agree"


@scenario("A11m")
def use_without_the_portal(w, settings) -> str:
    """One card for 60 minutes by the scheduler's own command: metered by the next sweep, priced, attributed, owed."""
    partition = _partition(w, settings)
    placed(w, partition)
    scripted.USAGE.append(row(w, run(S.SUCCEEDED, 3600, cards=1)))
    sweeping.sweep(cluster_id=partition.cluster_id, now=at(61))
    found = UnmanagedRun.objects.get()
    assert (found.amount_fen, found.organisation_id) == (900, w.researcher.acting_for)
    assert (found.priced_at - found.ended_at).total_seconds() <= 120
    return "priced 60 s after its end: 900 fen owed"
