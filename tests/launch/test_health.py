"""What the probes answer, and that they name what is missing."""

import pytest
from django.core.cache import caches
from django.db import connection

from portal import health


def test_healthz_touches_nothing(client):
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db
def test_ready(client):
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


@pytest.mark.django_db
def test_without_redis(client, settings, tmp_path):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": f"unix://{tmp_path}/nobody.sock"}}
    caches.close_all()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable", "missing": ["redis"]})


@pytest.mark.django_db
def test_without_postgresql(client, monkeypatch, tmp_path):
    monkeypatch.setitem(connection.settings_dict, "HOST", str(tmp_path))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable", "missing": ["postgresql"]})


@pytest.mark.django_db
def test_before_a_migration(client, monkeypatch):
    shipped = health.shipped_migrations() | {("portal", "9999_tomorrow")}
    monkeypatch.setattr(health, "shipped_migrations", lambda: shipped)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["missing"] == ["migrations"]
    assert answer.json()["unapplied"] == ["portal.9999_tomorrow"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_probe_only_reads(client, path):
    assert client.post(path).status_code == 405
