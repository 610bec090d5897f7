"""The worker's part of dry runs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from kombu.exceptions import OperationalError

from tests import make
from tests.vouchers.dryruns.test_services import asked, generous, past
from vouchers.dryruns import tasks
from vouchers.dryruns.models import DryRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(w):
    version = make.programme(w)
    past(w, version, "HT-1")
    return asked(w, generous(version))


def test_a_task_does_the_run(run, clock):
    tasks.dry_run(run_id=run.pk, added_later=True)
    run.refresh_from_db()
    assert (run.state, run.finished_at) == ("done", make.NOW)


def test_without_a_broker_the_run_waits_for_the_sweep(run, clock, monkeypatch):
    def away(**_more):
        raise OperationalError("no broker")

    monkeypatch.setattr(tasks.dry_run, "delay", away)
    tasks.wake(run.pk)
    told = []
    monkeypatch.setattr(tasks, "wake", told.append)
    tasks.dry_runs_left()
    assert told == []
    DryRun.objects.update(requested_at=make.NOW - timedelta(minutes=3))
    tasks.dry_runs_left()
    assert told == [run.pk]
