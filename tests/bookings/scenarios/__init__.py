"""The scenarios of bookings: races, places, changeover, search (see `tests.scenarios`)."""

from tests.scenarios import Scenarios

scenarios = Scenarios(__name__, __path__)
scenario = scenarios.scenario
