"""The scenarios of vouchers: programmes, applications, the ledger (see `tests.scenarios`)."""

from tests.scenarios import Scenarios

scenarios = Scenarios(__name__, __path__)
scenario = scenarios.scenario
