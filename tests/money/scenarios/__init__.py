"""The scenarios of money: payments, refunds, bank statements, invoices, settlement, reconciliation (see `tests.scenarios`)."""

from tests.scenarios import Scenarios

scenarios = Scenarios(__name__, __path__)
scenario = scenarios.scenario
