"""Writes of the API about a large facility, with who may do them: proposals."""

from __future__ import annotations

from tests.beam import Site
from tests.calling import Write

WRITES: tuple[Write, ...] = ()


def things(site: Site) -> dict[str, str]:
    """Return one of everything these writes name, by placeholder."""
    return {}
