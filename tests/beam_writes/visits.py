"""Writes of the API about a large facility, with who may do them: visits."""

from __future__ import annotations

from datetime import timedelta

from portal.kernel.period import Period
from scheduler.beamtime.models import BeamLoss, Compensation
from tests import beam, make
from tests.beam import Site
from tests.calling import Write

WHY = {"reason": "真空故障"}
WRITES: tuple[Write, ...] = (
    Write("POST /visits/{visit}/participants", "leader", {"participants": []}),
    Write("POST /visits/{visit}/approve", "safety", {"form": "safety"}),
    Write("POST /visits/{visit}/accept-late", "scientist", WHY),
    Write("POST /visits/{visit}/training", "scientist safety", {"email": "{member-mail}", "until": "2027-06-01"}),
    Write("POST /visits/{visit}/ready", "scientist"),
    Write("POST /visits/{visit}/not-ready", "scientist", WHY),
    Write("POST /visits/{visit}/check-in", "scientist"),
    Write("POST /visits/{visit}/start", "scientist"),
    Write("POST /visits/{visit}/finish", "scientist", {}),
    Write("POST /visits/{visit}/cancel", "scientist planner", WHY),
    Write("POST /visits/{visit}/miss", "scientist"),
    Write("POST /visits/{visit}/compensation/ask", "leader", {"note": "还差一个温度点"}),
    Write("POST /visits/{visit}/compensation", "director", {"shifts": 1, "note": "机器故障"}),
    Write(
        "POST /facilities/{facilitie}/losses",
        "scientist",
        {
            "beamline": "BL01",
            "starts_at": "2026-11-24T08:00:00+08:00",
            "ends_at": "2026-11-24T10:00:00+08:00",
            "cause": "machine",
        },
    ),
    Write("POST /facilities/{facilitie}/losses/1/void", "scientist"),
)


def things(site: Site) -> dict[str, str]:
    """Return one of everything these writes name, by placeholder. A cycle that runs now has a loss of its own."""
    running = Period(make.NOW - timedelta(days=20), make.NOW + timedelta(days=20))
    beam.cycle(site.facility, "2026-IV", running, None)
    visit = beam.visit(site)
    Compensation.objects.create(visit=visit, is_cancelled=False, lost_min=360, listed_at=make.NOW)
    span = (make.NOW - timedelta(days=3), make.NOW - timedelta(days=2))
    BeamLoss.objects.create(pk=1, beamline=site.lines[0], during=span, cause="machine", at=make.NOW)
    mail = visit.allocation.request.proposal.team.get().email
    return {"visit": visit.number, "member-mail": mail}
