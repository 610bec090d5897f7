"""A large facility and what happens there, for tests: its people, two beamlines, a run cycle of sixty days, a call."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from portal.kernel.actors import Actor
from portal.kernel.period import Period
from portal.organisations import rules as roles
from portal.organisations.models import Organisation
from scheduler.availability import claiming, opening
from scheduler.availability.models import Claim, OpeningHours
from scheduler.beamtime.models import BeamAllocation, BeamTraining, BeamVisit, VisitParticipant
from scheduler.facilities.courses import COURSES
from scheduler.facilities.grid import ShiftGrid
from scheduler.facilities.models import (
    Beamline,
    Device,
    DeviceFit,
    Facility,
    FacilityCourse,
    MachinePeriod,
    PoolShare,
    RunCycle,
)
from scheduler.panels.models import Panel, Panelist
from scheduler.proposals.models import BeamProposal, BeamRequest, BeamSample, ProposalCall, TeamMember
from scheduler.resources.models import Instrument, Resource, Skill
from tests import make

_serial = itertools.count(1)
CYCLE = Period(datetime(2027, 1, 3, 16, tzinfo=UTC), datetime(2027, 3, 4, 16, tzinfo=UTC))
"""Sixty days from 4 January 2027, midnight in Beijing: 180 shifts of eight hours."""
REPAIRS = Period(datetime(2027, 2, 1, 16, tzinfo=UTC), datetime(2027, 2, 3, 16, tzinfo=UTC))
"""Two days of maintenance in the middle of it: 174 shifts are left."""


@dataclass
class Site:
    """A facility with everybody who works there, an enterprise's leader of a team, and three reviewers from elsewhere."""

    owner: Organisation
    facility: Facility
    lines: list[Beamline]
    cycle: RunCycle
    call: ProposalCall
    office: Actor
    planner: Actor
    scientist: Actor
    safety: Actor
    director: Actor
    leader: Actor
    graders: list[Actor]
    panel: Panel


def line(owner: Organisation, facility: Facility, code: str, **more: Any) -> Beamline:
    """Return a published beamline whose time can be claimed."""
    resource = Resource.objects.create(
        kind=Resource.Kind.BEAMLINE.value,
        number=f"BL-{next(_serial):05d}",
        owner=owner,
        name=f"{code} 线站",
        name_en=f"Beamline {code}",
        city="杭州",
        state=Resource.State.PUBLISHED.value,
        granularity_s=facility.length_min * 60,
        min_duration_s=facility.length_min * 60,
        max_duration_s=30 * 86400,
        horizon_s=400 * 86400,
    )
    Instrument.objects.create(resource=resource, category=Instrument.Category.PHYSICAL.value)
    return Beamline.objects.create(resource=resource, facility=facility, code=code, **more)


def facility(owner: Organisation, **changes: Any) -> Facility:
    """Return a published facility with shifts of eight hours given in threes, grades 0 to 5.5 and every kind of proposal."""
    values: dict[str, Any] = {
        "code": f"zj{next(_serial)}",
        "name": "之江光源",
        "name_en": "Zhijiang Light Source",
        "city": "杭州",
        "is_published": True,
        "shift_names": ["夜班", "早班", "中班"],
        "multiple": 3,
        "ageing_c": 20,
        "ageing_cycles": 2,
    }
    made = Facility.objects.create(owner=owner, **{**values, **changes})
    for kind, course in COURSES.items():
        said = {name: getattr(course, name) for name in course.__slots__ if name != "pool"}
        FacilityCourse.objects.create(facility=made, kind=kind.value, pool=course.pool.value, **said)
    for pool, num in (("open", 70), ("industry", 20), ("urgent", 5), ("director", 5)):
        PoolShare.objects.create(facility=made, pool=pool, num=num, den=100)
    return made


def cycle(of: Facility, code: str = "2027-I", during: Period = CYCLE, repairs: Period | None = REPAIRS) -> RunCycle:
    made = RunCycle.objects.create(facility=of, code=code, during=(during.start, during.end))
    made.refresh_from_db(fields=["during"])
    spans = [(during.start, repairs.start), (repairs.end, during.end)] if repairs else [(during.start, during.end)]
    for span in spans:
        MachinePeriod.objects.create(cycle=made, mode="user", during=span)
    if repairs:
        MachinePeriod.objects.create(cycle=made, mode="maintenance", during=(repairs.start, repairs.end))
    return RunCycle.objects.select_related("facility").get(pk=made.pk)


def grid(of: Facility) -> ShiftGrid:
    return ShiftGrid(of.zone, of.first_min, of.length_min, tuple(of.shift_names), of.multiple)


def _call(of: Facility, run: RunCycle) -> ProposalCall:
    made = ProposalCall.objects.create(
        facility=of,
        cycle=run,
        number=f"CALL-{next(_serial):04d}",
        name="2027 年第一轮征集",
        name_en="Call 2027-I",
        during=(make.NOW - timedelta(days=10), make.NOW + timedelta(days=10)),
        kinds=["standard", "long_term", "block"],
        most_shifts=30,
        is_published=True,
        created_at=make.NOW,
    )
    made.refresh_from_db()
    return made


def call(s: Site, *, cycle: RunCycle) -> ProposalCall:
    """Return a further call, for a later cycle."""
    return _call(s.facility, cycle)


def site(**changes: Any) -> Site:
    """Build the facility and its people; nothing is proposed yet."""
    k, r = roles.Kind, roles.Role
    owner = make.organisation(k.PROVIDER, name=f"之江光源研究院{next(_serial)}")
    built = facility(owner, **changes)
    run = cycle(built)
    call = _call(built, run)
    panel = Panel.objects.create(facility=built, call=call, name="材料评审组", created_at=make.NOW)
    graders = [make.actor(make.organisation(k.PROVIDER), r.RESEARCHER, name=f"评审{n}") for n in range(3)]
    for at, one in enumerate(graders):
        Panelist.objects.create(panel=panel, user=make.user_of(one), is_chair=at == 0)
    return Site(
        owner=owner,
        facility=built,
        lines=[line(owner, built, "BL01"), line(owner, built, "BL02")],
        cycle=run,
        call=call,
        office=make.actor(owner, r.USER_OFFICER, name="办公室"),
        planner=make.actor(owner, r.BEAM_PLANNER, name="排班员"),
        scientist=make.actor(owner, r.BEAMLINE_SCIENTIST, name="线站科学家"),
        safety=make.actor(owner, r.SAFETY_OFFICER, name="安全员"),
        director=make.actor(owner, r.FACILITY_DIRECTOR, name="主任"),
        leader=make.actor(make.organisation(k.ENTERPRISE), r.RESEARCHER, name="课题负责人"),
        graders=graders,
        panel=panel,
    )


def proposal(s: Site, *, state: str = "feasible", shifts: int = 6, at: int = 0, **changes: Any) -> BeamProposal:
    """Return a proposal that has come as far as `state`, with one request for the beamline number `at`."""
    number = next(_serial)
    leader: Actor = changes.pop("leader", s.leader)
    asked = {name: changes.pop(name) for name in ("good", "bad", "setup", "waited", "grade_c") if name in changes}
    is_sent = state not in {"draft", "withdrawn"}
    values: dict[str, Any] = {
        "number": f"P-{number:05d}",
        "key": f"key-{number}",
        "facility": s.facility,
        "call": s.call,
        "kind": "standard",
        "state": state,
        "organisation_id": leader.organisation_id,
        "title": f"课题 {number}",
        "summary": "正极材料在充放电中的结构变化。",
        "sent_at": make.NOW if is_sent else None,
        "sent_order": number if is_sent else None,
        "created_by_id": leader.user_id,
        "created_at": make.NOW,
    }
    made = BeamProposal.objects.create(**{**values, **changes})
    TeamMember.objects.create(
        proposal=made,
        name="课题负责人",
        email=f"leader{number}@example.invalid",
        user_id=leader.user_id,
        organisation_id=leader.organisation_id,
        is_leader=True,
        state="joined",
        invited_at=make.NOW,
        answered_at=make.NOW,
    )
    BeamSample.objects.create(proposal=made, name="电池", amount="3 片", afterwards="带回")
    BeamRequest.objects.create(
        proposal=made,
        cycle=s.cycle,
        beamline=s.lines[at],
        shifts=shifts,
        state="allocated" if state == "accepted" else "open",
        created_at=make.NOW,
        **asked,
    )
    return made


def request(of: BeamProposal) -> BeamRequest:
    return of.requests.get()


FIRST = datetime(2027, 1, 11, 16, tzinfo=UTC)
"""Midnight in Beijing, a week into the cycle."""


def during(day: int = 0, shifts: int = 3) -> Period:
    """Return shifts of eight hours from midnight in Beijing, `day` days after 12 January 2027."""
    begins = FIRST + timedelta(days=day)
    return Period(begins, begins + timedelta(hours=8 * shifts))


def visit(
    s: Site, *, state: str = "scheduled", shifts: int = 3, at: int = 0, day: int = 0, pool: str = "open", **more: Any
) -> BeamVisit:
    """Return a visit of an accepted proposal with its claim; from ``ready`` on forms, training and the leader are there.

    Ended ones had all their beam. `of` is the proposal, `period` when it is, everything else fields of the proposal.
    """
    period: Period = more.pop("period", None) or during(day, shifts)
    of: BeamProposal = more.pop("of", None) or proposal(s, state="accepted", shifts=shifts, at=at, **more)
    asked = of.requests.first()
    assert asked is not None
    given, _made = BeamAllocation.objects.get_or_create(
        request=asked, made_up_for=None, ended_at=None, defaults={"pool": pool, "shifts": shifts, "given_at": make.NOW}
    )
    minutes = int(period.duration.total_seconds() // 60)
    over = state in {"done", "closed"}
    made = BeamVisit.objects.create(
        number=f"V-{next(_serial):05d}",
        allocation=given,
        beamline=s.lines[at],
        during=(period.start, period.end),
        shifts=shifts,
        state=state,
        offered_at=make.NOW,
        answer_by=make.NOW + timedelta(days=10),
        ended_at=period.end if over else None,
        had_min=minutes if over else None,
        lost_min=0 if over else None,
        own_lost_min=0 if over else None,
        report_due=period.end + timedelta(weeks=12) if over else None,
    )
    if state in {"offered", "scheduled", "ready", "running"}:
        ask = claiming.Ask(s.lines[at].resource, period, period)
        held = Claim.State.IN_USE if state == "running" else Claim.State.CONFIRMED
        claiming.occupy([ask], state=held, visit_id=made.pk)
    if state in {"ready", "running", "done", "closed"}:
        prepare(s, made)
    made.refresh_from_db()
    return made


def prepare(s: Site, of: BeamVisit) -> None:
    """Have everything there for a visit: both forms in good time, its leader confirmed and trained."""
    user_id = of.allocation.request.proposal.team.get(is_leader=True).user_id
    BeamVisit.objects.filter(pk=of.pk).update(
        sample_approved_at=make.NOW,
        sample_approved_by=s.scientist.user_id,
        safety_approved_at=make.NOW,
        safety_approved_by=s.safety.user_id,
    )
    VisitParticipant.objects.get_or_create(visit=of, user_id=user_id, defaults={"confirmed_at": make.NOW})
    trained = {"until": CYCLE.end.date() + timedelta(days=60), "at": make.NOW}
    BeamTraining.objects.get_or_create(facility=s.facility, user_id=user_id, defaults=trained)


def granted(s: Site, *, shifts: int = 6, at: int = 0, pool: str = "open", **changes: Any) -> BeamAllocation:
    """Return the shifts an accepted proposal was given on the beamline number `at`."""
    accepted = proposal(s, state="accepted", shifts=shifts, at=at, **changes)
    return BeamAllocation.objects.create(
        request=request(accepted), pool=pool, shifts=shifts, given_by_id=s.director.user_id, given_at=make.NOW
    )


def on_reserve(s: Site, *, place: int, shifts: int = 6, at: int = 0, **changes: Any) -> BeamRequest:
    """Return a request on the reserve list of a beamline."""
    waiting = request(proposal(s, state="graded", shifts=shifts, at=at, **changes))
    waiting.state, waiting.place = "reserve", place
    waiting.save()
    return waiting


def device(s: Site, code: str, *lines: Beamline) -> Device:
    """Return a device that fits these beamlines."""
    resource = Resource.objects.create(
        kind=Resource.Kind.DEVICE.value,
        number=f"DV-{next(_serial):05d}",
        owner=s.owner,
        name=f"{code} 装置",
        city="杭州",
        state=Resource.State.PUBLISHED.value,
    )
    made = Device.objects.create(resource=resource, facility=s.facility, code=code)
    for one in lines:
        DeviceFit.objects.create(device=made, beamline=one)
    return made


def runner(s: Site, name: str, *lines: Beamline, opens: tuple[int, int] = (0, 1440)) -> Resource:
    """Return somebody who can run these beamlines every day between minutes after midnight, from 2027 on."""
    person = Resource.objects.create(
        kind=Resource.Kind.OPERATOR.value,
        number=f"OP-{next(_serial):05d}",
        owner=s.owner,
        name=name,
        city="杭州",
        state=Resource.State.PUBLISHED.value,
    )
    OpeningHours.objects.create(
        resource=person, weekdays=list(range(1, 8)), opens_min=opens[0], closes_min=opens[1], audience="own"
    )
    opening.rebuild([person], now=make.NOW)
    for one in lines:
        Skill.objects.create(operator=person, instrument_id=one.pk, valid=(date(2026, 1, 1), None))
    return person
