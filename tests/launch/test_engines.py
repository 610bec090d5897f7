"""Which servers are taken, and where they may live."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from portal.launch.console import LaunchError
from portal.launch.engines import Server, choose, forget_stale_pid
from tests.launch.launching import ROOT, environment

DEBIAN = Server("PostgreSQL", "15.18", Path("/usr/lib/postgresql/15/bin/postgres"))
WHEEL = Server("PostgreSQL", "18.6", Path("/venv/postgres"), Path("/venv"))


def test_installed_servers_come_before_wheels():
    assert choose("auto", ([DEBIAN], [WHEEL])) is DEBIAN
    assert choose("auto", ([], [WHEEL])) is WHEEL
    assert choose("wheels", ([DEBIAN], [WHEEL])) is WHEEL


def test_where_nothing_is_installed_the_wheels_are_wanted():
    assert choose("auto", ([], [])) is None
    assert choose("wheels", ([DEBIAN], [])) is None


def test_existing_data_decides():
    assert choose("auto", ([DEBIAN], [WHEEL]), data_major=18) is WHEEL
    with pytest.raises(LaunchError, match="demo-reset"):
        choose("auto", ([DEBIAN], [WHEEL]), data_major=16)


def test_debian_alone_without_servers_is_an_error_that_says_what_to_do():
    with pytest.raises(LaunchError, match="ENGINES=wheels"):
        choose("debian", ([], [WHEEL]))


@pytest.mark.parametrize(("pid", "stays"), [(os.getpid(), False), (2**22 - 1, True)], ids=["another process", "nobody"])
def test_a_stale_pid_is_forgotten_only_where_postgres_would_stumble(tmp_path, pid, stays):
    (tmp_path / "postmaster.pid").write_text(f"{pid}\n{tmp_path}\n")
    forget_stale_pid(tmp_path)
    assert (tmp_path / "postmaster.pid").exists() is stays


def test_the_pid_of_a_server_in_this_directory_stays(tmp_path):
    with subprocess.Popen(["/bin/sleep", "30"], cwd=tmp_path) as server:
        (tmp_path / "postmaster.pid").write_text(f"{server.pid}\n")
        forget_stale_pid(tmp_path)
        server.kill()
    assert (tmp_path / "postmaster.pid").exists()


@pytest.mark.servers
def test_a_directory_too_deep_and_out_of_reach_is_stepped_around_without_opening_it(tmp_path):
    deep = tmp_path / ("深" * 30)
    deep.mkdir(mode=0o700)
    modes = [path.stat().st_mode for path in (deep, *deep.parents)]
    code = (
        "import os, psycopg, redis;"
        "print(psycopg.connect(os.environ['DATABASE_URL']).execute('SELECT current_user').fetchone()[0],"
        " redis.Redis.from_url(os.environ['REDIS_URL']).ping())"
    )
    done = subprocess.run(
        [sys.executable, "-m", "portal.launch", "engines", "--exec", sys.executable, "-c", code],
        check=False,
        env=environment(TMPDIR=str(deep)),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "gongxiang True"
    assert [path.stat().st_mode for path in (deep, *deep.parents)] == modes
    assert list(deep.iterdir()) == []
