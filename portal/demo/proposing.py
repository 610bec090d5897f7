"""Calls, proposals and their review at the demo light source, each by whose step it is and at the time it would have had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Final

from portal.demo.facilities import ZONE
from portal.demo.people import People
from portal.kernel.actors import Actor
from portal.kernel.period import Period
from portal.organisations.models import User
from scheduler.facilities.courses import ProposalKind
from scheduler.facilities.models import Facility, RunCycle
from scheduler.panels import assessing, grading, seating
from scheduler.panels.models import Panel, Panelist
from scheduler.panels.rules import AssessmentKind
from scheduler.proposals import calls, drafting, files, services
from scheduler.proposals.models import BeamProposal, ProposalCall
from scheduler.proposals.rules import FormKind, Hazard
from vouchers.evidence.services import Upload

__all__ = ["House", "Work", "admit", "announce", "begin", "clear", "find", "judge", "seat", "send"]

DAY: Final = timedelta(days=1)
TEXT: Final = calls.FormWanted(
    "case", "科学论证", FormKind.TEXT, name_en="Scientific case", letters=2000
)  # earlier calls asked for text only
PAPER: Final = calls.FormWanted("case", "科学论证", FormKind.PDF, name_en="Scientific case", pages=2)
ARGUED: Final = (
    "实验室电镜与衍射只能看到结构的平均变化；本装置的亮度与时间分辨可以在真实工况下跟踪它，三年内有两篇论文。"
)


@dataclass
class House:
    """The facility with its people; `now` is the present, `cycle` runs, `later` comes."""

    people: People
    facility: Facility
    cycle: RunCycle
    later: RunCycle
    now: datetime
    serial: int = field(default=0)

    def who(self, name: str) -> Actor:
        return self.people.actors[name]

    def ago(self, days: float) -> datetime:
        return self.now - timedelta(days=days)

    def midnight(self, days: int) -> datetime:
        """Return local midnight so many days from today."""
        today = self.now.astimezone(ZONE).date()
        return datetime.combine(today + timedelta(days=days), time(), ZONE)


@dataclass(frozen=True, slots=True)
class Work:
    """What somebody asks beam time for. `shifts` on the beamline `line`; `urgency` and `use` only of kinds that have them."""

    who: str
    line: str
    shifts: int
    title: str
    summary: str
    sample: str
    kind: ProposalKind = ProposalKind.STANDARD
    hazards: tuple[Hazard, ...] = ()
    devices: tuple[str, ...] = ()
    urgency: str | None = None
    use: str = ""


def announce(house: House, cycle: RunCycle, during: Period, names: tuple[str, str], *, paper: bool) -> ProposalCall:
    """Announce and publish a call for a cycle, the day before it opens."""
    wanted = calls.CallWanted(
        name=names[0],
        name_en=names[1],
        notice="请说明科学问题、样品与所需班次；班次按 3 的倍数申请。",
        during=during,
        kinds=[ProposalKind.STANDARD, ProposalKind.LONG_TERM, ProposalKind.BLOCK],
        most_shifts=30,
        forms=[PAPER if paper else TEXT],
    )
    office, at = house.who("bangong"), during.start - DAY
    call = calls.announce(actor=office, facility=house.facility, cycle=cycle, wanted=wanted, now=at)
    return calls.publish(actor=office, call=call, now=at)


def seat(house: House, call: ProposalCall, names: tuple[str, str], people: tuple[str, ...], at: datetime) -> Panel:
    """Set up a panel; the first of the people chairs it."""
    office = house.who("bangong")
    panel = seating.open_panel(actor=office, call=call, wanted=seating.PanelWanted(*names), now=at)
    for place, person in enumerate(people):
        name = str(User.objects.get(username=person))
        seating.seat(actor=office, panel=panel, person=person, name=name, is_chair=place == 0, now=at)
    return panel


def begin(house: House, work: Work, *, cycle: RunCycle, call: ProposalCall | None, at: datetime) -> BeamProposal:
    """Begin a draft and write into it everything but files."""
    house.serial += 1
    made = drafting.begin(
        actor=house.who(work.who),
        wanted=drafting.Begun(house.facility, work.kind, work.title, call, work.use),
        now=at,
        key=f"demo-beam-{house.serial:04d}",
    )
    texts = call is not None and call.forms.filter(code=TEXT.code, kind=FormKind.TEXT.value).exists()
    handling = "通风橱内操作，佩戴手套与护目镜。" if work.hazards else ""
    content = drafting.Content(
        summary=work.summary,
        urgency=work.urgency,
        texts={TEXT.code: ARGUED} if texts else {},
        samples=[
            drafting.SampleWanted(work.sample, "3 件", "实验后带回", hazards=work.hazards, handling=handling),
        ],
        requests=[drafting.RequestWanted(work.line, cycle.code, work.shifts, devices=work.devices)],
    )
    return drafting.save(actor=house.who(work.who), proposal=made, content=content, version=made.version, now=at)


def send(house: House, work: Work, *, cycle: RunCycle, call: ProposalCall | None, at: datetime) -> BeamProposal:
    """Begin a proposal and send it an hour later."""
    made = begin(house, work, cycle=cycle, call=call, at=at)
    actor, then = house.who(work.who), at + timedelta(hours=1)
    if call is not None and call.forms.filter(code=PAPER.code, kind=FormKind.PDF.value).exists():
        files.upload(actor=actor, proposal=made, code=PAPER.code, file=paper("科学论证.pdf"), now=at)
    return services.submit(actor=actor, proposal=made, past=(), now=then, key=f"demo-sent-{house.serial:04d}")


def paper(name: str) -> Upload:
    """Return a PDF of one page."""
    text = b"BT /F1 16 Tf 72 760 Td (Scientific case. Demonstration data.) Tj ET"
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(text), text),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    content, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = (len(parts) + 1, table, len(parts) + 1, len(content))
    return Upload(
        name,
        content + b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % end,
    )


def admit(house: House, proposal: BeamProposal, at: datetime) -> None:
    services.admit(actor=house.who("bangong"), proposal=proposal, now=at)


def find(house: House, proposal: BeamProposal, at: datetime, *, why_not: str = "") -> None:
    """File the beamline scientist's finding: it can be done or, with a reason, it cannot."""
    finding = assessing.Finding(AssessmentKind.TECHNICAL, not why_not, to_team=why_not)
    assessing.assess(actor=house.who("xianzhan"), proposal=proposal, finding=finding, now=at)


def clear(house: House, proposal: BeamProposal, at: datetime, level: str = "green") -> None:
    """File the safety officer's finding that it may be done."""
    finding = assessing.Finding(AssessmentKind.SAFETY, True, safety_class=level)
    assessing.assess(actor=house.who("anquan"), proposal=proposal, finding=finding, now=at)


def judge(house: House, panel: Panel, proposal: BeamProposal, grades: Mapping[str, str], at: datetime) -> None:
    """Ask these reviewers and let them answer two days later: a grade, ``-`` steps back, an empty one has not answered."""
    for name, said in grades.items():
        seat_of = Panelist.objects.get(panel=panel, user__username=name)
        asked = grading.assign(actor=house.who("bangong"), panel=panel, panelist=seat_of, proposal=proposal, now=at)
        then = at + 2 * DAY
        if said == "-":
            grading.recuse(actor=house.who(name), grading=asked, note="去年与课题负责人共用样品，宜回避。", now=then)
        elif said:
            given = grading.GradeGiven(Decimal(said), "按本轮标准评分。", _comment(Decimal(said)))
            grading.grade(actor=house.who(name), grading=asked, given=given, now=then)


def _comment(grade: Decimal) -> str:
    if grade >= 4:
        return "问题清楚，方案可行，样品已有前期表征。"
    return (
        "目标有意义，但对照实验与误差分析不够具体。" if grade >= 3 else "没有说明为何必须使用同步辐射，样品量也不足。"
    )
