"""The scenarios of large facilities: worked cases E1 to E9, schedules, shares, bad input (see `tests.scenarios`)."""

from tests.scenarios import Scenarios

scenarios = Scenarios(__name__, __path__)
scenario = scenarios.scenario
