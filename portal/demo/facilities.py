"""A light source with its people, three beamlines, a cycle that runs and one to come."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

from portal.demo.people import People
from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.beamtime import replanning
from scheduler.facilities import beamlines, cycles, services
from scheduler.facilities.courses import COURSES
from scheduler.facilities.models import Beamline, Facility
from scheduler.facilities.plan import MachineMode, ModePeriod
from scheduler.facilities.shares import Pool
from scheduler.facilities.values import FacilityValues
from scheduler.resources.facility_things import ThingValues

__all__ = ["CODE", "OPENED", "ZONE", "open_facility"]

CODE: Final = "zls"
ZONE: Final = ZoneInfo("Asia/Shanghai")
OPENED: Final = timedelta(days=58)
"""How long before now its staff set it up."""
SAID: Final = FacilityValues(
    name="之江同步辐射光源（演示）",
    name_en="Zhijiang Light Source (demo)",
    city="杭州",
    summary="第三代同步辐射装置，储存环能量 3.0 GeV。开放课题免费，企业可按班次付费使用。",
    summary_en="A third-generation synchrotron, 3.0 GeV. Peer-reviewed time is free; enterprises pay by the shift.",
    shift_names=("夜班", "早班", "中班"),
    multiple=3,
    ageing_c=20,
    ageing_cycles=2,
)
SHARES: Final = {
    Pool.OPEN: Fraction(60, 100),
    Pool.PARTNER: Fraction(10, 100),
    Pool.INDUSTRY: Fraction(20, 100),
    Pool.URGENT: Fraction(5, 100),
    Pool.DIRECTOR: Fraction(5, 100),
}
LINES: Final = (
    ("BL01", "硬X射线吸收谱线站", "Hard X-ray absorption", "XAFS、原位电化学", "测量元素价态与近邻结构。", 1250, 1),
    ("BL02", "粉末衍射线站", "Powder diffraction", "高分辨粉末衍射、变温", "晶体结构与相变。", 1000, 1),
    ("BL03", "X射线成像线站", "X-ray imaging", "显微CT、相衬成像", "无损三维成像，微米分辨率。", 1500, 0),
)
DEVICES: Final = (("CRYO", "低温恒温器", "Cryostat"), ("CELL", "原位电化学池", "Electrochemical cell"))


def open_facility(people: People, *, now: datetime) -> Facility:
    """Set it all up as its own staff would. A few dozen rows."""
    office, planner = people.actors["bangong"], people.actors["paiban"]
    early = now - OPENED
    facility = services.create_facility(actor=office, code=CODE, said=SAID, now=early)
    services.set_courses(actor=office, facility=facility, courses=COURSES, now=early)
    services.set_shares(actor=people.actors["zhuren"], facility=facility, said=SHARES, now=early)
    lines = [_line(people, facility, row, early) for row in LINES]
    for code, name, name_en in DEVICES:
        said = ThingValues(name, name_en, facility.city)
        device = beamlines.enter_device(actor=office, facility=facility, code=code, said=said, now=early)
        fits = lines[:2] if code == "CRYO" else lines[:1]
        beamlines.fit_device(actor=office, device=device, fits=fits, clashes=[], now=early)
    partner = services.PartnerTerms(
        Fraction(1, 10),
        early.astimezone(ZONE).date(),
        parts=(("grant", "国家课题", "Grant-linked", Fraction(6, 10)), ("own", "自有课题", "Own", Fraction(1))),
    )
    services.set_partner(
        actor=office, beamline=lines[0], organisation=people.organisations["donghai"], terms=partner, now=early
    )
    services.show(actor=office, facility=facility, shown=True, now=early)
    midnight = datetime.combine(now.astimezone(ZONE).date(), time(), ZONE)
    for name, first in (("1", -10), ("2", 60)):
        span = Period(midnight + timedelta(days=first), midnight + timedelta(days=first + 60))
        code = f"{midnight:%Y}-{name}"
        cycle = cycles.create_cycle(actor=planner, facility=facility, code=code, during=span, now=early)
        change = cycles.PlanChange(_plan(span), cycle.version)
        replanning.change_plan(actor=planner, cycle=cycle, change=change, reason="", now=early)
    return facility


def _line(people: People, facility: Facility, row: tuple[str, str, str, str, str, int, int], now: datetime) -> Beamline:
    office = people.actors["bangong"]
    code, name, name_en, techniques, functions, yuan, changeover = row
    line = beamlines.enter_beamline(
        actor=office,
        facility=facility,
        code=code,
        said=ThingValues(
            name,
            name_en,
            facility.city,
            f"{techniques}。{functions}",
            name_en,
            contact="用户办公室",
            phone="0571-0000 0000",
        ),
        terms=beamlines.LineTerms(techniques, changeover, needs_operator=False),
        now=now,
    )
    beamlines.price_beamline(actor=office, beamline=line, hourly=Money.from_yuan(str(yuan)), now=now)
    beamlines.publish(actor=office, beamline=line, shown=True, now=now)
    return line


def _plan(span: Period) -> tuple[ModePeriod, ...]:
    """Return a plan of sixty days: two days of start-up, a day of maintenance every ten, two days of studies, then stop."""
    found, day = [], timedelta(days=1)
    found.append(ModePeriod(Period(span.start, span.start + 2 * day), MachineMode.WARM_UP))
    at = span.start + 2 * day
    while at + 10 * day <= span.end - 4 * day:
        found.append(ModePeriod(Period(at, at + 9 * day), MachineMode.USER))
        found.append(ModePeriod(Period(at + 9 * day, at + 10 * day), MachineMode.MAINTENANCE))
        at += 10 * day
    last = span.end - 4 * day
    found.append(ModePeriod(Period(at, last), MachineMode.USER))
    found.append(ModePeriod(Period(last, last + 2 * day), MachineMode.STUDY))
    found.append(ModePeriod(Period(last + 2 * day, span.end), MachineMode.SHUTDOWN))
    return tuple(found)
