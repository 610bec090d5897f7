"""The Slurm adapter: every state it may be told, and every version it may be told it in."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

from integrations.slurm import states
from scheduler.jobs.ports import FINAL, ClusterState, NotSent
from tests.adapters.dialects import Daemon
from tests.adapters.story import SPEC, cluster_of, story
from tests.adapters.test_slurm_codec import BASES, ENDED, ENDINGS, FLAGS
from tests.jobs.scenarios import scenario


def expected(base: str, flag: str) -> ClusterState:
    """Return the state by the table: a flag that is set speaks for the job; how it ended only beside an end."""
    if flag in FLAGS:
        return ClusterState(FLAGS[flag])
    return ClusterState(ENDINGS[flag]) if base in ENDED else ClusterState.UNKNOWN


@scenario("A4")
def every_state() -> str:
    """Every base state with every flag, as a word and as a list, and words nobody knows: the table exactly, no error."""
    flags, tried = [*FLAGS, *ENDINGS], 0
    assert (len(BASES), len(flags)) == (12, 17)
    for base, flag in product(BASES, flags):
        for words in permutations([base, flag]):
            assert states.state(list(words)) is expected(base, flag), words
            tried += 1
    for base, state in BASES.items():
        assert states.state(base) is states.state([base]) is ClusterState(state)
        tried += 2
    for flag in flags:
        for raw in (flag, [flag]):
            assert states.state(raw) not in FINAL, flag
            tried += 1
    for raw in ("FUTURE_STATE", ["RUNNING", "FUTURE_STATE"], None, [], [None], "", 7, {}, ["RUNNING", "FAILED"]):
        assert states.state(raw) is ClusterState.UNKNOWN, raw
        tried += 1
    return f"{tried} readings"


@scenario("A9")
def every_version(tmp_path: Path) -> str:
    """One story in v0.0.38 and in the shapes of 0.0.40, 0.0.41 and 0.0.43 to 45 is the same; 0.0.99 gets no job call."""
    told = {}
    for offered in ((36, 37, 38), (40,), (41,), (43,), (44,), (45,)):
        with Daemon(offered) as daemon:
            cluster = cluster_of(daemon, tmp_path)
            told[offered[-1]] = story(daemon, cluster)
            cluster.close()
    assert all(one == told[38] for one in told.values())
    with Daemon((99,)) as daemon:
        cluster = cluster_of(daemon, tmp_path)
        answer = cluster.submit(SPEC, marker="zjnoversion", first=True)
        assert isinstance(answer, NotSent)
        health = cluster.health()
        assert not health.ok
        assert health.detail.startswith("unsupported version: offered v0.0.99; known v0.0.38, v0.0.40")
        assert daemon.count("GET", "/openapi/v3") == len(daemon.asked)
        cluster.close()
    return f"{len(told[38])} answers in each of {len(told)} versions"
