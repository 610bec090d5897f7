"""Part of the contract, in the last file: where the shortest limit is a minute, it passes while other tests run."""

from __future__ import annotations

from scheduler.jobs.ports import ClusterState
from tests.adapters.bench import OVER_LIMIT, Bench


class TestWallLimit:
    def test_a_job_over_its_limit_is_ended(self, bench: Bench) -> None:
        ref = bench.over_limit or bench.run(OVER_LIMIT, time_limit_s=bench.limit_s)
        ended = bench.wait(ref, ClusterState.TIMED_OUT, seconds=bench.limit_s + 45)
        assert ended.elapsed_s is not None and bench.limit_s <= ended.elapsed_s <= bench.limit_s + 40
        assert ended.exit_code is None
