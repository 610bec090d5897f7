"""Run every scenario as a test. `make prove SUBJECT=vouchers` runs this file and prints a line for each."""

import inspect
import time

import pytest

from tests.vouchers import scenarios
from vouchers.ledger import verification


def runs(*, commits: bool):
    return [pytest.param(one, id=one.id) for one in scenarios.every() if one.commits is commits]


def prove(one, request, record_property):
    started = time.perf_counter()
    said = one.run(**{name: request.getfixturevalue(name) for name in inspect.signature(one.run).parameters})
    assert verification.verify() == []
    record_property("scenario", f"{one.id:<6} {one.title}{f' — {said}' if said else ''}")
    record_property("seconds", time.perf_counter() - started)


@pytest.mark.django_db
@pytest.mark.parametrize("one", runs(commits=False))
def test_scenario(one, request, record_property):
    prove(one, request, record_property)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("one", runs(commits=True))
def test_scenario_with_rivals(one, request, record_property):
    prove(one, request, record_property)
