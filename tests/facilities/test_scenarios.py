"""Run every scenario as a test. `make prove SUBJECT=facilities` runs this file and prints a line for each."""

import pytest

from tests.facilities.scenarios import scenarios
from tests.scenarios import prove


@pytest.mark.django_db
@pytest.mark.parametrize("one", scenarios.runs(commits=False))
def test_scenario_alone(one, request, record_property):
    prove(one, request, record_property)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("one", scenarios.runs(commits=True))
def test_scenario(one, request, record_property):
    prove(one, request, record_property)
