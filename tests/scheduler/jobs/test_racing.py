"""Workers that do the same thing at the same time, on a database that really commits."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import connections

from portal.kernel.errors import PortalError
from scheduler.jobs import access, dispatching, resolving, services
from scheduler.jobs.models import Job
from tests import make
from tests.scheduler.jobs import scripted
from tests.scheduler.jobs.test_resolving import partition, scripted_cluster, submit  # noqa: F401  fixtures
from vouchers.charges.models import Charge
from vouchers.ledger import queries as ledger

pytestmark = pytest.mark.django_db(transaction=True)


def together(*acts) -> list[Exception]:
    """Run `acts` at once, each on a connection of its own; return what they raised."""
    gate, raised = threading.Barrier(len(acts)), []

    def run(act) -> None:
        try:
            gate.wait(10)
            act()
        except PortalError as error:
            raised.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


@pytest.mark.parametrize("round_", range(3))
def test_two_dispatchers_send_once(w, partition, round_):  # noqa: F811
    job = submit(w, partition)
    scripted.HOOKS["submit"] = lambda: time.sleep(0.05)

    def send():
        dispatching.dispatch(job_id=job.pk, now=make.NOW)

    assert together(*[send] * 4) == []
    job.refresh_from_db()
    assert (job.state, job.attempts, scripted.CALLS.count("submit")) == ("placed", 1, 1)


@pytest.mark.parametrize("round_", range(3))
def test_dispatcher_against_canceller(w, partition, round_):  # noqa: F811
    """Either it never left, or the cluster was told to stop it: never does it run on, and money is held or released once."""
    job = submit(w, partition)
    scripted.HOOKS["submit"] = lambda: time.sleep(0.02 * round_)

    def send():
        dispatching.dispatch(job_id=job.pk, now=make.NOW)

    def cancel():
        services.cancel(
            actor=w.researcher, job=job, now=make.NOW, ask_cluster=lambda pk: dispatching.ask_cancel(job_id=pk)
        )

    assert all(isinstance(error, services.JobOver) for error in together(send, cancel, cancel))
    job.refresh_from_db()
    charge = Charge.objects.get(pk=job.charge_id)
    if job.state == "cancelled":
        assert (charge.state, job.marker in scripted.TRUTH) == ("released", False)
    else:
        assert job.cancel_asked_at is not None
        dispatching.ask_cancel(job_id=job.pk)
        assert scripted.TRUTH[job.marker]["cancelled"]
        assert charge.state == "held"
    assert ledger.unaccounted_fen() == 0


@pytest.mark.parametrize("arrived", [True, False])
def test_resolver_against_resolver(w, partition, arrived):  # noqa: F811
    job = submit(w, partition)
    scripted.PLAN[:] = ["lost" if arrived else "dropped"]
    dispatching.dispatch(job_id=job.pk, now=make.NOW)
    scripted.HOOKS["find"] = lambda: time.sleep(0.02)
    cluster = access.connect(partition.cluster)
    for seconds in (30, 70):
        now = make.NOW + timedelta(seconds=seconds)
        assert together(*[lambda now=now: resolving.resolve(job_id=job.pk, cluster=cluster, now=now)] * 4) == []
    job.refresh_from_db()
    assert job.state == ("placed" if arrived else "pending")
    assert Job.objects.count() == 1
    assert scripted.CALLS.count("submit") == 1
