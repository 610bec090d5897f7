"""Run every scenario as a test. `make prove SUBJECT=vouchers` runs this file and prints a line for each."""

import pytest

from tests.scenarios import prove
from tests.vouchers.scenarios import scenarios


@pytest.mark.django_db
@pytest.mark.parametrize("one", scenarios.runs(commits=False))
def test_scenario(one, request, record_property):
    prove(one, request, record_property)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("one", scenarios.runs(commits=True))
def test_scenario_with_rivals(one, request, record_property):
    prove(one, request, record_property)
