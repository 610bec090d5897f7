"""The scenarios this product is judged by: each is one function with a title, run by the suite and by `make prove`.

A scenario takes fixtures by name, like a test (``w`` is the world of `tests.make`), asserts every number it is about, and
may return one line of figures, which `make prove` prints behind its title. Every scenario ends with a clean ledger:
`prove` verifies that. A subject's folder registers its own:

    scenarios = Scenarios(__name__, __path__)

    @scenarios.scenario("L7", commits=True)
    def two_leads_at_once():
        \"\"\"Two national leads submit at once; the pool of 4 million pays one whole and the other in part.\"\"\"
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from vouchers.ledger import verification

__all__ = ["FULL", "Scenario", "Scenarios", "is_full", "prove"]

FULL = "GONGXIANG_PROVE_FULL"

Run = Callable[..., str | None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. `commits`: it needs rows that other connections see, so no transaction wraps it."""

    id: str
    title: str
    run: Run
    commits: bool


class Scenarios:
    """The scenarios of one folder."""

    def __init__(self, name: str, path: Iterable[str]) -> None:
        self.name, self.path = name, path
        self.found: dict[str, Scenario] = {}

    def scenario(self, id_: str, *, commits: bool = False) -> Callable[[Run], Run]:
        """Register a function as scenario `id_`; its docstring's first line is the title.

        `commits`: it needs rows that others see; thousands of postings belong there, too (``commits=is_full()``): within one
        transaction each meets every earlier version of the balances and the work grows with the square.
        """

        def register(function: Run) -> Run:
            title = (function.__doc__ or "").strip().splitlines()
            assert title, f"scenario {id_} has no title"
            assert id_ not in self.found, f"scenario {id_} exists"
            self.found[id_] = Scenario(id_, title[0], function, commits)
            return function

        return register

    def every(self) -> list[Scenario]:
        """Return every scenario of the folder, in order of id: letters, then numbers."""
        for module in pkgutil.iter_modules(self.path):
            importlib.import_module(f"{self.name}.{module.name}")

        def order(one: Scenario) -> tuple[str, int, str]:
            letters = one.id.rstrip("0123456789")
            return letters, int(one.id.removeprefix(letters) or 0), one.id

        return sorted(self.found.values(), key=order)

    def runs(self, *, commits: bool) -> list[Any]:
        """Return the scenarios that need rivals, or those that do not, as parameters of a test."""
        return [pytest.param(one, id=one.id) for one in self.every() if one.commits is commits]


def is_full() -> bool:
    """Say whether scenarios run at their full size: with `make prove`, not in the everyday suite."""
    return os.environ.get(FULL) == "1"


def prove(one: Scenario, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    """Run one scenario as a test, and keep its figures and time for `tests.proving`."""
    started = time.perf_counter()
    said = one.run(**{name: request.getfixturevalue(name) for name in inspect.signature(one.run).parameters})
    assert verification.verify() == []
    record_property("scenario", f"{one.id:<6} {one.title}{f' — {said}' if said else ''}")
    record_property("seconds", time.perf_counter() - started)
