"""When the launcher brings a sandbox for payments, where, and under which keys."""

import socket

import pytest

from portal.launch.payments import health, payments_environment, payments_process, payments_socket
from portal.launch.state import State


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch):
    for name in ("GONGXIANG_STRIPE_KEY", "GONGXIANG_STRIPE_SANDBOX"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def state(tmp_path):
    made = State(tmp_path / "state")
    made.create()
    return made


@pytest.mark.parametrize(
    ("said", "demo", "wanted"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"GONGXIANG_STRIPE_SANDBOX": "1"}, False, True),
        ({"GONGXIANG_STRIPE_SANDBOX": "0"}, True, False),
        ({"GONGXIANG_STRIPE_KEY": "sk_live_of_the_operator"}, True, False),
        ({"GONGXIANG_STRIPE_KEY": "sk_test_of_the_operator", "GONGXIANG_STRIPE_SANDBOX": "1"}, True, False),
    ],
)
def test_there_is_one_with_demonstration_data_and_never_beside_the_operators_own_key(
    monkeypatch, state, said, demo, wanted
):
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    with payments_socket(demo=demo, port=0) as listening:
        assert (listening is not None) is wanted
        assert bool(payments_environment(state, listening)) is wanted
        assert len(payments_process(state, {}, listening, "http://127.0.0.1:8000/")) == wanted


def test_it_listens_on_this_machine_alone_and_gives_way_where_its_port_is_taken(state):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with payments_socket(demo=True, port=port - 1) as listening:
            host, other = listening.getsockname()
            assert (host, other != port) == ("127.0.0.1", True)
            assert payments_environment(state, listening)["GONGXIANG_STRIPE_API_BASE"] == f"http://127.0.0.1:{other}"
    with payments_socket(demo=True, port=65_535) as listening:
        assert listening.getsockname()[1] > 0


def test_its_keys_stay_the_same_are_the_directorys_own_and_on_no_command_line(state, tmp_path):
    other = State(tmp_path / "other")
    other.create()
    with payments_socket(demo=True, port=0) as listening:
        first, again = payments_environment(state, listening), payments_environment(state, listening)
        assert first == again
        assert first["GONGXIANG_STRIPE_KEY"] != payments_environment(other, listening)["GONGXIANG_STRIPE_KEY"]
        assert first["GONGXIANG_STRIPE_KEY"].startswith("sk_test_")
        (program,) = payments_process(state, first, listening, "http://127.0.0.1:8000/")
        line = " ".join(program.command)
        assert first["GONGXIANG_STRIPE_KEY"] not in line
        assert first["GONGXIANG_STRIPE_WEBHOOK_SECRET"] not in line
        assert "http://127.0.0.1:8000/webhooks/payments/stripe" in line
        assert program.pass_fds[-1] == listening.fileno()


def test_the_address_of_the_webhooks_is_one_of_the_portals():
    from django.urls import resolve

    from portal.launch.payments import HOOK

    assert resolve(f"/{HOOK}").kwargs == {"code": "stripe"}


def test_its_health_is_asked_of_the_server_itself(payserver):
    assert health(payserver.address)
    assert not health("http://127.0.0.1:9")
