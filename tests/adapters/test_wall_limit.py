"""Part of the contract, in the last file: where the shortest limit is a minute, it passes while other tests run."""

from __future__ import annotations

import time

import pytest

from scheduler.jobs.ports import ClusterState, Ref
from tests.adapters.bench import OVER_LIMIT, Bench


@pytest.fixture(params=["local", pytest.param("slurm", marks=pytest.mark.slurm)])
def bench(request: pytest.FixtureRequest) -> Bench:
    """As elsewhere, but asks for Slurm only when the minute is over, so that others may have it alone until then."""
    if request.param == "slurm":
        ref: Ref = request.getfixturevalue("over_limit")
        time.sleep(max(0, ref.submitted_at.timestamp() + 65 - time.time()))
    one: Bench = request.getfixturevalue(request.param)
    return one


class TestWallLimit:
    def test_a_job_over_its_limit_is_ended(self, bench: Bench) -> None:
        ref = bench.over_limit or bench.run(OVER_LIMIT, time_limit_s=bench.limit_s)
        ended = bench.wait(ref, ClusterState.TIMED_OUT, seconds=bench.limit_s + bench.overrun_s)
        assert ended.elapsed_s is not None and bench.limit_s <= ended.elapsed_s <= bench.limit_s + bench.overrun_s
        assert ended.exit_code is None
