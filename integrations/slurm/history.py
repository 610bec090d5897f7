"""What ran, as accounting knows it: whoever submitted it, every run of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from integrations.slurm.link import NO_ANSWER, Link
from integrations.slurm.runs import run_of
from portal.kernel.errors import Unavailable
from scheduler.jobs.ports import UsageRow

__all__ = ["usage"]

WINDOW_S: Final = 86_400
"""A question covers a day at most: an accounting row is 3 kB, and slurmrestd keeps the memory of its longest answer."""


def usage(link: Link, *, accounts: Sequence[str], since: datetime, until: datetime) -> list[UsageRow]:
    """Return the runs of `accounts` in [since, until). Raises Unavailable for anything but clean answers.

    There are always parameters, because without any 22.05 leaves earlier runs of requeued jobs out; times are epoch
    seconds, because dates are read in the cluster's zone.
    """
    start, end = int(since.timestamp()), int(until.timestamp())
    found: dict[tuple[str, int | None, datetime], UsageRow] = {}
    if not accounts or start >= end:
        return []
    try:
        for begin in range(start, end, WINDOW_S):
            stop = min(begin + WINDOW_S, end)
            params = {"account": ",".join(accounts), "start_time": f"uts{begin}", "end_time": f"uts{stop}"}
            for job in link.accounted(params):
                if not job.has_run or job.account not in accounts:
                    continue
                if job.started_at >= end or (job.ended_at and job.ended_at < start):
                    continue
                run = run_of(job, until=end, confirmed=True)
                found[run.job_id, run.task, run.submitted_at] = UsageRow(
                    job.name, job.account, job.user, job.partition, run, job.time_limit_s
                )
    except NO_ANSWER as error:
        raise Unavailable(detail=str(error)) from error
    return sorted(found.values(), key=lambda row: (row.run.submitted_at, row.run.job_id, row.run.task or 0))
