"""Bad input at a facility: a clear answer each time, and nothing lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from django.db import connections

from portal.kernel.errors import PortalError
from portal.kernel.period import Period, subtract
from portal.organisations.models import Organisation
from scheduler.beamtime import arranging, replanning
from scheduler.beamtime.models import DraftPlace, ScheduleDraft
from scheduler.facilities import cycles, queries
from scheduler.facilities.plan import MachineMode, ModePeriod
from scheduler.panels import grading
from scheduler.proposals import files, services
from scheduler.proposals.models import TeamMember
from scheduler.proposals.rules import Late
from tests import beam, make
from tests.facilities.scenarios import scenario
from tests.facilities.scenarios.planning import drafted
from tests.facilities.scenarios.worked import begun, filled, reasons, seat, sent
from vouchers.evidence.services import Upload

NOW = make.NOW


@scenario("B1")
def late_by_a_second() -> str:
    """Sent in the last second of a call it is in time, at its very end it is late; the draft stays as it was."""
    site = beam.site()
    one, two = filled(site, begun(site)), filled(site, begun(site))
    end = site.call.during.upper
    in_time = end - timedelta(seconds=1)
    assert services.submit(actor=site.leader, proposal=one, past=[], now=in_time, key=make.key()).state == "submitted"
    try:
        services.submit(actor=site.leader, proposal=two, past=[], now=end, key=make.key())
    except Late as late:
        said = str(late)
    two.refresh_from_db()
    assert (two.state, two.requests.count(), two.samples.count()) == ("draft", 1, 1)
    return said


@scenario("B2")
def no_pdf_at_all() -> str:
    """A text called .pdf, one cut in half, an empty file: refused at upload, each with what to do."""
    site = beam.site()
    site.call.forms.create(code="method", name="实验方法", kind="pdf", pages=2, size=300_000)
    draft = begun(site)
    for content in (b"hello", b"%PDF-1.7\n1 0 obj", b"%PDF-1.4\n%%EOF\n" + bytes(300)):
        file = Upload("method.pdf", content)
        refused = reasons(
            lambda file=file: files.upload(actor=site.leader, proposal=draft, code="method", file=file, now=NOW)
        )
        assert refused == ["proposal.file_kind"]
    assert draft.answers.count() == 0
    return "three files refused, nothing kept"


@scenario("B3")
def a_reviewer_of_the_same_institute() -> str:
    """A reviewer of a team member's institute cannot be asked, and cannot grade once somebody of hers joins the team."""
    site = beam.site()
    ours = beam.proposal(site)
    row = grading.assign(actor=site.office, panel=site.panel, proposal=ours, panelist=seat(site, 0), now=NOW)
    colleague = make.user()
    TeamMember.objects.create(
        proposal=ours,
        name="同事",
        email="colleague@example.invalid",
        user=colleague,
        organisation_id=site.graders[0].organisation_id,
        state="joined",
        invited_at=NOW,
        answered_at=NOW,
    )
    theirs = beam.proposal(site, leader=site.graders[1])
    asked = reasons(
        lambda: grading.assign(actor=site.office, panel=site.panel, proposal=theirs, panelist=seat(site, 1), now=NOW)
    )
    given = grading.GradeGiven(Decimal("4.0"), to_team="好")
    graded = reasons(lambda: grading.grade(actor=site.graders[0], grading=row, given=given, now=NOW))
    row.refresh_from_db()
    assert row.grade_c is None
    return f"asked: {', '.join(asked)}; grading: {', '.join(graded)}"


@scenario("B4")
def a_shutdown_over_scheduled_shifts() -> str:
    """A shutdown moved over a visit names it and changes nothing; once it is accepted, the visit is cancelled and listed."""
    site = beam.site()
    visit = beam.visit(site, state="scheduled")
    off = Period(visit.during.lower, visit.during.upper)
    rest = [ModePeriod(part, one.mode) for one in queries.plan_of(site.cycle) for part in subtract([one.period], [off])]
    plan = (*rest, ModePeriod(off, MachineMode.SHUTDOWN))
    before = queries.plan_of(site.cycle)

    def change(*accepts: str) -> None:
        wanted = cycles.PlanChange(plan, site.cycle.version, frozenset(accepts))
        replanning.change_plan(actor=site.planner, cycle=site.cycle, change=wanted, reason="更换磁铁", now=NOW)

    assert reasons(change) == ["facility.broken"]
    visit.refresh_from_db()
    assert (queries.plan_of(site.cycle), visit.state) == (before, "scheduled")
    change(visit.number)
    visit.refresh_from_db()
    assert (visit.state, visit.compensation.is_cancelled) == ("cancelled", True)
    assert not visit.claims.filter(state__in=["held", "confirmed"]).exists()
    return "named, unchanged; then cancelled, listed for compensation, its shifts free"


@scenario("B5")
def a_suspended_enterprise() -> str:
    """An enterprise that is suspended sends nothing and keeps its draft; once it is not, the draft goes."""
    site = beam.site()
    draft = filled(site, begun(site))
    firm = Organisation.objects.filter(pk=site.leader.organisation_id)
    firm.update(facts={"suspended": True})
    assert reasons(lambda: sent(site, draft)) == ["proposal.barred"]
    firm.update(facts={})
    assert sent(site, draft).state == "submitted"
    return "refused with its draft kept, then sent"


@scenario("B6", commits=True)
def two_planners_drag_one_shift() -> str:
    """Two planners drop two visits on the same shift at once: one has it, the other is told what is there."""
    site = beam.site()
    rows = [beam.granted(site, shifts=3, grade_c=300) for _ in range(2)]
    draft = drafted(site, seconds=1)
    seen = {row.pk: DraftPlace.objects.get(draft=draft, allocation=row).version for row in rows}
    spot = arranging.Spot("BL01", beam.CYCLE.start + timedelta(days=20))
    came = race(
        [
            lambda row=row: arranging.put(
                actor=site.planner,
                draft=draft,
                allocation_id=row.pk,
                spot=spot,
                seen=seen[row.pk],
                make_way=False,
                now=NOW,
            )
            for row in rows
        ]
    )
    assert sorted(one is None for one in came) == [False, True]
    [told] = [one for one in came if one is not None]
    there = DraftPlace.objects.filter(draft=draft, during__startswith=spot.starts_at)
    assert there.count() == 1
    assert ScheduleDraft.objects.get(pk=draft.pk).state == "drafted"
    return f"one placed; the other: {told.code}"


def race(acts: list[Callable[[], object]]) -> list[PortalError | None]:
    """Run acts in threads of their own, at once; return what each was refused with."""
    came: list[PortalError | None] = [None] * len(acts)
    line = threading.Barrier(len(acts))

    def run(at: int) -> None:
        try:
            line.wait(10)
            acts[at]()
        except PortalError as refused:
            came[at] = refused
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[at]) for at in range(len(acts))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return came
