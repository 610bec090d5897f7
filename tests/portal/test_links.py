"""Links in what leaves the portal begin with its public address, whoever asked for the mail under whatever Host."""

from __future__ import annotations

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from portal import checks, links
from portal.launch.run import portal_environment
from portal.launch.state import State
from tests import make


def test_a_password_reset_leads_to_the_public_address_whatever_host_was_named(w, settings):
    settings.PUBLIC_URL = "https://portal.example"
    settings.ALLOWED_HOSTS = ["*"]
    person = make.user_of(w.researcher)
    person.email = "zhou@firm.example"
    person.save()
    asked = Client(HTTP_HOST="evil.example").post(reverse("account_reset_password"), {"email": person.email})
    assert asked.status_code == 302
    [sent] = mail.outbox
    assert "https://portal.example/accounts/password/reset/key/" in sent.body
    assert "evil.example/accounts" not in sent.body


def test_without_an_address_mails_have_no_links(settings):
    settings.PUBLIC_URL = ""
    assert links.line("waitlist") == []
    settings.PUBLIC_URL = "https://portal.example"
    assert links.line("waitlist") == ["查看和办理：https://portal.example/bookings/waitlist/"]


@pytest.mark.parametrize(
    ("url", "faults"),
    [
        ("", 0),
        ("https://portal.example", 0),
        ("http://127.0.0.1:8000", 0),
        ("http://[::1]:8000", 0),
        ("portal.example", 1),
        ("https://portal.example/sub", 1),
        ("https://a@portal.example", 1),
        ("https://portal.example:port", 1),
        ("ftp://portal.example", 1),
        ("https://[portal", 1),
    ],
)
def test_an_address_that_is_none_is_refused_at_the_start(settings, url, faults):
    settings.PUBLIC_URL = url
    assert len(checks.public_address()) == faults


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("127.0.0.1", 8000, "http://127.0.0.1:8000"),
        ("::1", 8001, "http://[::1]:8001"),
        ("0.0.0.0", 8000, "http://lab-server:8000"),
        ("localhost", 0, None),
    ],
)
def test_make_run_knows_its_own_address(tmp_path, monkeypatch, host, port, url):
    monkeypatch.setattr("socket.gethostname", lambda: "lab-server")
    monkeypatch.delenv("GONGXIANG_PUBLIC_URL", raising=False)
    state = State(tmp_path / "state")
    state.create()
    assert portal_environment(state, {}, demo=False, host=host, port=port).get("GONGXIANG_PUBLIC_URL") == url
    monkeypatch.setenv("GONGXIANG_PUBLIC_URL", "https://portal.example")
    made = portal_environment(state, {}, demo=False, host=host, port=port)
    assert made["GONGXIANG_PUBLIC_URL"] == "https://portal.example"
