"""The running portal: it answers, repairs what is killed, and leaves nothing behind.

It runs on the servers of the wheels; the portal of ``tests/journeys`` runs on those of the machine.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.launch.launching import ROOT, START_S, Launch, belonging_to, environment, eventually, state_directory

pytestmark = pytest.mark.servers
WHEELS = ("--engines", "wheels")


@pytest.fixture(scope="module")
def portal() -> Iterator[Launch]:
    with state_directory() as state:
        launch = Launch(state, *WHEELS, GONGXIANG_STRIPE_SANDBOX="1")
        try:
            yield launch.ready()
        finally:
            launch.end()
            assert belonging_to(state) == {}


def test_it_answers_and_says_where(portal):
    assert portal.get("/healthz") == (200, '{"status": "alive"}')
    assert portal.get("/readyz") == (200, '{"status": "ready"}')
    assert portal.get("/")[0] == 200
    assert portal.published()["address"] in portal.said


def test_commands_beside_it_know_where_it_answers(portal):
    given = ["-m", "portal.launch", "exec", "--state", str(portal.state), "--", "printenv", "GONGXIANG_URL"]
    found = ["manage.py", "shell", "--no-imports", "-c", "import os; print(os.environ['GONGXIANG_URL'])"]
    for words in (given, found):
        beside = environment(GONGXIANG_STATE_DIR=str(portal.state))
        said = subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=beside, capture_output=True, text=True, check=True
        )
        assert said.stdout.strip() == portal.published()["address"].rstrip("/")


def test_the_sandbox_for_payments_is_there_and_said_everywhere(portal):
    address = portal.published()["payments"]
    assert address in portal.said
    assert "沙箱" in portal.said
    command = [sys.executable, "-m", "portal.launch", "status", "--state", str(portal.state)]
    assert eventually(lambda: "正常" in subprocess.run(command, capture_output=True, text=True, check=True).stdout, 20)
    settings = dict(line.split("=", 1) for line in (portal.state / "environment").read_text().splitlines())
    assert settings["GONGXIANG_STRIPE_API_BASE"] == address
    assert settings["GONGXIANG_STRIPE_KEY"].startswith("sk_test_")
    arguments = " ".join(belonging_to(portal.state).values())
    assert settings["GONGXIANG_STRIPE_KEY"] not in arguments
    assert settings["GONGXIANG_STRIPE_WEBHOOK_SECRET"] not in arguments
    assert (portal.state / "payments").stat().st_mode & 0o777 == 0o700


def test_it_starts_on_the_servers_of_the_wheels(portal):
    assert "PostgreSQL 18" in portal.said
    assert "Valkey 9" in portal.said


def test_what_it_keeps_is_private(portal):
    engines = portal.state / "engines"
    data = next(engines.glob("postgres-*"))
    assert engines.stat().st_mode & 0o777 == 0o700
    assert data.stat().st_mode & 0o777 == 0o700
    assert data.stat().st_uid != 0
    assert (portal.state / "secret-key").stat().st_mode & 0o777 == 0o600
    assert (portal.state / "environment").stat().st_mode & 0o777 == 0o600
    assert (portal.state / "log").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "words",
    [
        ("portal.launch.serve",),
        ("celery", "worker"),
        ("celery", "beat"),
        ("integrations.local.runner",),
        ("integrations.local.payserver",),
        ("redis.sock",),
        ("postgres", "-D"),
    ],
    ids=["web", "worker", "beat", "runner", "payments", "redis", "postgres"],
)
def test_a_killed_child_is_noticed_said_and_replaced(portal, words):
    killed = portal.pid(*words)
    before = portal.said
    os.kill(killed, signal.SIGKILL)
    assert eventually(lambda: "signal 9" in portal.said[len(before) :], 30), portal.said
    assert eventually(lambda: portal.pid(*words) not in {0, killed}, 40), portal.said
    assert eventually(lambda: portal.get("/readyz")[0] == 200, 60), portal.get("/readyz")
    assert eventually(lambda: portal.get("/")[0] == 200, 10), portal.get("/")
    assert killed not in belonging_to(portal.state)


def test_a_second_launcher_on_the_same_directory_says_so_and_ends(portal):
    second = Launch(portal.state)
    assert second.process.wait(10) == 1
    assert f"{portal.process.pid}" in second.said
    assert "STATE=" in second.said
    assert portal.get("/healthz")[0] == 200


def test_a_taken_port_is_one_line_that_names_the_option():
    with state_directory() as state, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        launch = Launch(state, "--port", str(taken.getsockname()[1]))
        assert launch.process.wait(10) == 1
        assert len(launch.said.splitlines()) == 1
        assert "PORT=" in launch.said
        assert belonging_to(state) == {}


def test_killing_the_launcher_ends_everything_and_the_next_start_works(portal):
    celery = re.compile(r"celery.* worker")
    assert eventually(
        lambda: len([1 for line in belonging_to(portal.state).values() if celery.search(line)]) == 3, START_S
    )
    portal.end(signal.SIGKILL)
    assert eventually(lambda: belonging_to(portal.state) == {}, 30), belonging_to(portal.state)
    second = Launch(portal.state, *WHEELS)
    try:
        assert second.ready().get("/readyz")[0] == 200
        print(f"second start: {second.said}")
        assert "建立" not in second.said
    finally:
        assert second.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert belonging_to(portal.state) == {}


@pytest.mark.parametrize("seconds", [0.1, 0.4, 0.9, 1.8, 3.5])
def test_an_interrupt_during_the_start_leaves_nothing(seconds):
    with state_directory() as state:
        launch = Launch(state)
        time.sleep(seconds)
        assert launch.end(signal.SIGINT) in {0, 1, 128 + signal.SIGINT, -signal.SIGINT}
        assert belonging_to(state) == {}
