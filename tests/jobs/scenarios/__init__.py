"""The scenarios of jobs: submission, quotes, runs, limits (see `tests.scenarios`)."""

from tests.scenarios import Scenarios

scenarios = Scenarios(__name__, __path__)
scenario = scenarios.scenario
