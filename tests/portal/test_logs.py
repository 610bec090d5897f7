"""What the log must never hold: secrets that are part of an address, and what people search for."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
import structlog
from django.conf import settings
from django.urls import reverse

from tests import make


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Write to memory what the process would write to its log, by the portal's own formatter."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    given = settings.LOGGING["formatters"]["line"]
    handler.setFormatter(given["()"](**{name: value for name, value in given.items() if name != "()"}))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_subscribers_address_is_logged_without_its_secret(w, client, log):
    _token, secret = make.feed(w.keeper, make.instrument(w))
    assert client.get(reverse("feed", args=[secret, "events"])).status_code == 200
    assert client.get(reverse("feed", args=["W" * 32, "freebusy"])).status_code == 404

    written = log.getvalue()
    assert secret not in written
    assert "W" * 32 not in written
    assert "GET /feeds/***/events.ics" in written
    assert "Not Found: /feeds/***/freebusy.ics" in written


def test_a_link_that_sets_a_password_is_logged_without_its_key(db, client, log):
    client.get("/en/accounts/password/reset/key/1-abcdef0123456789/")
    assert "abcdef0123456789" not in log.getvalue()
    assert "/accounts/password/reset/key/***/" in log.getvalue()


def test_what_people_search_for_is_not_logged(w, client, log):
    client.force_login(make.user_of(w.owner))
    client.get("/jobs/", {"q": "未公开配方"})
    client.get("/jobs/", {"q": "secret-alloy"})

    written = log.getvalue()
    assert "GET /jobs/" in written
    assert "secret-alloy" not in written
    assert "%E6%9C%AA" not in written


def test_keys_of_gateways_are_masked_wherever_they_stand(log):
    key, secret = "sk_live_" + "k" * 24, "whsec_" + "s" * 24
    structlog.get_logger("x").warning("asked", url=f"https://api?key={key}", note=f"Bearer {key}")
    logging.getLogger("x").warning("signed with %s, pi_1_secret_%s", secret, "c" * 24)

    written = log.getvalue()
    for hidden in ("kkkk", "ssss", "cccc"):
        assert hidden not in written
    assert "sk_live_***" in written
    assert "whsec_***" in written


def test_stripes_library_tells_the_log_nothing_of_what_it_sends(log):
    logging.getLogger("stripe").info("message='Post details' post_data='description=secret-alloy'")
    assert "secret-alloy" not in log.getvalue()
