"""The scenarios this product is judged by: each is one function with a title, run by the suite and by `make prove`.

A scenario takes fixtures by name, like a test (``w`` is the world of `tests.make`), asserts every number it is about, and
may return one line of figures, which `make prove` prints behind its title. Every scenario ends with a clean ledger:
the runner verifies that.

    @scenario("L7", commits=True)
    def two_leads_at_once():
        \"\"\"Two national leads submit at once; the pool of 4 million pays one whole and the other in part.\"\"\"
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["FULL", "Scenario", "every", "is_full", "scenario"]

FULL = "GONGXIANG_PROVE_FULL"

Run = Callable[..., str | None]
_found: dict[str, Scenario] = {}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. `commits`: it needs rows that other connections see, so no transaction wraps it."""

    id: str
    title: str
    run: Run
    commits: bool


def scenario(id_: str, *, commits: bool = False) -> Callable[[Run], Run]:
    """Register a function as scenario `id_`; its docstring's first line is the title."""

    def register(function: Run) -> Run:
        title = (function.__doc__ or "").strip().splitlines()
        assert title, f"scenario {id_} has no title"
        assert id_ not in _found, f"scenario {id_} exists"
        _found[id_] = Scenario(id_, title[0], function, commits)
        return function

    return register


def is_full() -> bool:
    """Say whether scenarios run at their full size: with `make prove`, not in the everyday suite."""
    return os.environ.get(FULL) == "1"


def every() -> list[Scenario]:
    """Return every scenario of this folder, in order of id: letters, then numbers."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")

    def order(one: Scenario) -> tuple[str, int, str]:
        letters = one.id.rstrip("0123456789")
        return letters, int(one.id.removeprefix(letters) or 0), one.id

    return sorted(_found.values(), key=order)
