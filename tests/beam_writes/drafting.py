"""Writes of the API about a large facility, with who may do them: schedules and offers."""

from __future__ import annotations

from scheduler.beamtime import adopting, drafts, solving
from scheduler.beamtime.models import BeamVisit, ScheduleDraft
from tests import beam, make
from tests.beam import Site
from tests.calling import Write

SPOT = {"beamline": "BL01", "starts_at": "2027-02-20T00:00:00+08:00", "version": 1}

WRITES: tuple[Write, ...] = (
    Write("POST /beam-schedules/{beam-schedule}/drafts", "planner", {"seconds": 1}),
    Write("POST /beam-schedules/{beam-schedule}/unplaced/{unplaced}/give-back", "planner office", {"reason": "排不下"}),
    Write("POST /beam-drafts/{beam-draft}/places/{place}", "planner", SPOT),
    Write("POST /beam-drafts/{beam-draft}/places/{place}/fix", "planner", {"version": 2, "is_fixed": True}),
    Write("POST /beam-drafts/{beam-draft}/places/{place}/remove", "planner", {"version": 2}),
    Write("POST /beam-drafts/{beam-draft}/resolve", "planner", {"version": 2, "seconds": 1}),
    Write("POST /beam-drafts/{beam-draft}/adopt", "planner", {"version": 2}),
    Write("POST /beam-drafts/{beam-draft}/discard", "planner"),
    Write(
        "POST /beam-offers/{beam-offer}/move",
        "planner",
        {"starts_at": "2027-02-22T00:00:00+08:00", "version": 1, "reason": "检修"},
    ),
    Write("POST /beam-offers/{beam-offer}/accept", "leader", {}),
    Write("POST /beam-offers/{beam-offer}/decline", "leader", {"note": "样品未到"}),
)


def draft(site: Site, *, key: str, seconds: int = 1) -> ScheduleDraft:
    """Return a computed draft of the site's cycle."""
    made = drafts.order(
        actor=site.planner, cycle=site.cycle, seconds=seconds, wake=lambda _draft_id: None, key=key, now=make.NOW
    )
    solving.solve(draft_id=made.pk, now=make.NOW)
    made.refresh_from_db()
    return made


def offered(site: Site, *, key: str = "draft-of-visits") -> list[BeamVisit]:
    """Return the visits of everything that can be placed, offered to their teams."""
    made = draft(site, key=key)
    return adopting.adopt(actor=site.planner, draft=made, version=made.version, now=make.NOW)


def things(site: Site) -> dict[str, str]:
    """Return one of everything these writes name, by placeholder."""
    beam.granted(site)
    visit = offered(site)[0]
    waiting = beam.granted(site)
    return {
        "beam-schedule": f"{site.facility.code}.{site.cycle.code}",
        "beam-offer": visit.number,
        "beam-draft": str(draft(site, key="draft-of-things").pk),
        "place": str(waiting.pk),
        "unplaced": str(beam.granted(site, at=1).pk),
    }
