"""Writes of the API about a large facility, with who may do them: facilities."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.availability.models import Closure
from scheduler.beamtime import replanning
from scheduler.facilities import beamlines, cycles, services
from scheduler.facilities.models import Partner
from scheduler.resources.facility_things import ThingValues
from tests import make
from tests.beam import CYCLE, Site
from tests.calling import Write
from tests.make import NOW

YEARS = Period(CYCLE.end + timedelta(days=700), CYCLE.end + timedelta(days=760))
OVER = Period(NOW - timedelta(days=400), NOW - timedelta(days=340))
SAID = {"name": "之江光源", "city": "杭州", "shift_names": ["夜班", "早班", "中班"], "multiple": 3}
LATER = {"starts_at": "2028-01-01T00:00:00+08:00", "ends_at": "2028-02-01T00:00:00+08:00"}
PLAN = {
    "version": 1,
    "plan": [
        {"mode": "user", "during": {"starts_at": YEARS.start.isoformat(), "ends_at": YEARS.end.isoformat()}},
    ],
}
F = "/facilities/{facilitie}"
WRITES: tuple[Write, ...] = (
    Write("POST /facilities", "office", {**SAID, "code": "zj-new"}),
    Write(f"PUT {F}", "office", SAID),
    Write(f"POST {F}/show", "office", {"shown": True}),
    Write(f"PUT {F}/courses", "office", {"courses": [{"kind": "standard", "pool": "open"}]}),
    Write(f"PUT {F}/shares", "office director", {"shares": {"open": 7000, "industry": 3000}}),
    Write(f"POST {F}/beamlines", "office", {"code": "BL09", "name": "衍射线站"}),
    Write(f"PUT {F}/beamlines/1", "office", {"name": "衍射线站", "changeover_shifts": 1}),
    Write(f"PUT {F}/beamlines/1/price", "office", {"hourly": {"yuan": "1250"}}),
    Write(f"POST {F}/beamlines/1/show", "office", {"shown": True}),
    Write(
        f"POST {F}/beamlines/1/partners",
        "office director",
        {"organisation": "{firm_code}", "share": 3500, "since": "2027-01-01", "until": "2031-12-31"},
    ),
    Write(f"POST {F}/devices", "office", {"code": "CRYO", "name": "低温恒温器"}),
    Write(
        f"PUT {F}/beamlines/1/partners/1",
        "office director",
        {"share": 3000, "since": "2027-01-01", "uses": []},
    ),
    Write(f"PUT {F}/devices/1", "office", {"name": "低温恒温器", "beamlines": ["BL01"], "clashes": []}),
    Write(f"PUT {F}/devices/1/fits", "office", {"beamlines": ["BL01"]}),
    Write(f"POST {F}/cycles", "office planner", {"code": "2028-I", "during": LATER}),
    Write(f"PUT {F}/cycles/1/plan", "planner", PLAN),
    Write(f"POST {F}/cycles/1/plan/foresee", "planner", PLAN),
    Write(f"POST {F}/beamlines/1/closures", "planner", {"during": LATER, "reason": "更换单色器"}),
    Write(f"POST {F}/beamlines/1/closures/foresee", "planner", {"during": LATER, "reason": "更换单色器"}),
    Write(f"DELETE {F}/beamlines/1/closures/2", "planner"),
    Write(f"POST {F}/cycles/0/close", "office director", {}),
)


def things(site: Site) -> dict[str, str]:
    """Return one of everything these writes name, by placeholder."""
    who, at = site.office, site.facility
    said = ThingValues("磁场", "Magnet", "杭州")
    beamlines.enter_device(actor=who, facility=at, code="1", said=said, now=NOW)
    made = beamlines.enter_beamline(actor=who, facility=at, code="1", said=said, terms=beamlines.LineTerms(), now=NOW)
    beamlines.price_beamline(actor=who, beamline=made, hourly=Money.from_yuan("1000"), now=NOW)
    cycles.create_cycle(actor=who, facility=at, code="1", during=YEARS, now=NOW)
    cycles.create_cycle(actor=who, facility=at, code="0", during=OVER, now=NOW)
    closed = replanning.close_line(actor=site.planner, beamline=made, period=YEARS, reason="更换单色器", now=NOW)
    partner = services.set_partner(
        actor=who,
        beamline=made,
        organisation=make.organisation(make.roles.Kind.PROVIDER),
        terms=services.PartnerTerms(Fraction(1, 10), CYCLE.start.date()),
        now=NOW,
    )
    # The writes name them by number; the first closure is an instrument's.
    Closure.objects.filter(pk=closed.pk).update(id=2)
    Partner.objects.filter(pk=partner.pk).update(id=1)
    return {}
