"""Writes of the API about large facilities, by slice, for the matrix of roles in `tests/everything.py`."""

from tests.beam import Site
from tests.beam_writes import drafting, facilities, market, panels, proposals, visits
from tests.calling import Write

SLICES = (facilities, proposals, panels, drafting, visits, market)
BEAM_ROLES = ("office", "planner", "scientist", "safety", "director", "leader", "grader")
BEAM_WRITES: tuple[Write, ...] = tuple(write for part in SLICES for write in part.WRITES)


def beam_things(site: Site) -> dict[str, str]:
    found: dict[str, str] = {"facilitie": site.facility.code}
    for part in SLICES:
        found |= part.things(site)
    return found
