from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integrations.local.cluster import LocalCluster
from integrations.slurm.cluster import SlurmCluster
from scheduler.jobs.ports import Ref, Spec
from tests.adapters.bench import OVER_LIMIT, Bench, LocalRunner, kill_keeper, local_runner, requeue
from tests.adapters.faults import Proxy
from tests.slurm import cluster as real


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what needs Slurm first and what needs its longest minute last, so that the minute passes under other tests."""

    def place(item: pytest.Item) -> int:
        if item.get_closest_marker("slurm") is None:
            return 1
        return 2 if item.path.stem == "test_wall_limit" else 0

    items.sort(key=place)


@pytest.fixture(scope="session")
def shared_runner() -> Iterator[LocalRunner]:
    with local_runner("--partition", "main", "--card-type", "pretended") as runner:
        yield runner


def bench_of(runner: LocalRunner) -> Bench:
    base = Spec(
        script="",
        partition="main",
        cpus=1,
        memory_mb=200,
        cards=0,
        card_type="",
        time_limit_s=60,
        account="e-optics",
        user="optics",
    )
    return Bench(
        kind="local",
        cluster=LocalCluster({"dir": str(runner.folder)}),
        base=base,
        cards_partition="main",
        cards_most=4,
        card_type="pretended",
        limit_s=1,
        overrun_s=4,
        patience_s=15,
        interrupt=kill_keeper(runner.folder),
    )


@pytest.fixture
def local(shared_runner: LocalRunner) -> Iterator[Bench]:
    bench = bench_of(shared_runner)
    yield bench
    for ref in bench.refs:
        bench.cluster.cancel(ref, user=bench.user)


@pytest.fixture(scope="session")
def real_slurm(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[real.Info]:
    """The one cluster of this test run, whichever worker asks first."""
    if lacking := real.missing():
        pytest.skip(lacking)
    base = tmp_path_factory.getbasetemp()
    info = real.join(base if worker_id == "master" else base.parent)
    yield info
    real.leave(info)


def slurm_config(info: real.Info) -> dict[str, str]:
    return {
        "url": info.url,
        "reader": info.reader,
        "operator": info.operator,
        "job_root": str(info.job_root),
        "jwks_private_key_file": str(info.private_key),
        "key_id": real.KEY_ID,
    }


def slurm_bench(info: real.Info, config: dict[str, str]) -> Bench:
    base = Spec(
        script="",
        partition="cpu",
        cpus=1,
        memory_mb=200,
        cards=0,
        card_type="",
        time_limit_s=60,
        account=info.accounts[0],
        user=info.users[0],
    )
    return Bench(
        kind="slurm",
        cluster=SlurmCluster(config),
        base=base,
        cards_partition="gpu",
        cards_most=4,
        card_type="h20",
        limit_s=60,
        overrun_s=120,
        patience_s=40,
        interrupt=requeue(info.command),
    )


@pytest.fixture(scope="session")
def over_limit(real_slurm: real.Info) -> Ref:
    """A job that overruns its minute while other tests run; the first to ask starts it, for all workers."""
    note = Path(real_slurm.dir) / "over_limit.json"
    with real.locked(note.with_suffix(".lock")):
        if not note.exists():
            bench = slurm_bench(real_slurm, slurm_config(real_slurm))
            ref = bench.run(OVER_LIMIT, partition="gpu")
            note.write_text(json.dumps([ref.job_id, ref.submitted_at.timestamp(), ref.marker, dict(ref.data)]))
            bench.cluster.close()
        job_id, at, marker, data = json.loads(note.read_text())
    return Ref(job_id, datetime.fromtimestamp(at, UTC), marker, data)


@pytest.fixture
def slurm(real_slurm: real.Info, over_limit: Ref) -> Iterator[Bench]:
    """A bench on the shared cluster, which stays whole for as long as the test runs."""
    with real.locked(Path(real_slurm.dir) / "whole.lock", shared=True):
        bench = slurm_bench(real_slurm, slurm_config(real_slurm))
        bench.over_limit = over_limit
        yield bench
        for ref in bench.refs:
            bench.cluster.cancel(ref, user=bench.user)
        bench.cluster.close()


@pytest.fixture(params=["local", pytest.param("slurm", marks=pytest.mark.slurm)])
def bench(request: pytest.FixtureRequest) -> Bench:
    one: Bench = request.getfixturevalue(request.param)
    return one


@pytest.fixture
def slurm_badly_wired(slurm: Bench, real_slurm: real.Info) -> Iterator[Bench]:
    """The same cluster behind a wire that loses every fourth answer about jobs."""
    with Proxy(real_slurm.url, bad_every=4) as proxy:
        bench = slurm_bench(real_slurm, {**slurm_config(real_slurm), "url": proxy.url})
        bench.over_limit = slurm.over_limit
        yield bench
        proxy.bad_every = 0
        for ref in bench.refs:
            bench.cluster.cancel(ref, user=bench.user)
        bench.cluster.close()


@pytest.fixture(
    params=["local", *(pytest.param(name, marks=pytest.mark.slurm) for name in ("slurm", "slurm_badly_wired"))]
)
def whole(request: pytest.FixtureRequest) -> Bench:
    """Every cluster, the real Slurm also through a bad wire, for what the port asks beyond placing one job."""
    one: Bench = request.getfixturevalue(request.param)
    return one


@pytest.fixture
def proxy(real_slurm: real.Info) -> Iterator[Proxy]:
    with Proxy(real_slurm.url) as one:
        yield one


@pytest.fixture
def faulty(slurm: Bench, real_slurm: real.Info, proxy: Proxy) -> Iterator[Bench]:
    """The same cluster seen through the proxy."""
    bench = slurm_bench(real_slurm, {**slurm_config(real_slurm), "url": proxy.url})
    yield bench
    proxy.faults.clear()
    for ref in bench.refs:
        bench.cluster.cancel(ref, user=bench.user)
    bench.cluster.close()


@pytest.fixture
def alone(real_slurm: real.Info, over_limit: Ref) -> Iterator[Bench]:
    """The shared cluster for one test alone, which may take parts of it down."""
    with real.locked(Path(real_slurm.dir) / "whole.lock"):
        bench = slurm_bench(real_slurm, slurm_config(real_slurm))
        yield bench
        for ref in bench.refs:
            bench.cluster.cancel(ref, user=bench.user)
        bench.cluster.close()
