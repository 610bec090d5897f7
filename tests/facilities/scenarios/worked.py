"""The worked cases E1 to E9 of the facilities they are taken from, each through the services people use."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

from pypdf import PdfWriter

from portal.kernel.errors import Refused
from portal.kernel.period import Period
from scheduler.beamtime import compensating, ending, granting, losses, rules
from scheduler.beamtime.models import BeamAllocation
from scheduler.facilities.courses import ProposalKind
from scheduler.facilities.models import Facility, Partner, PoolShare, RunCycle
from scheduler.panels import deciding, grading, ranking
from scheduler.panels.models import Panel, Panelist, RankedRequest
from scheduler.panels.rules import BadGrade
from scheduler.proposals import continuing, drafting, files, partners, services
from scheduler.proposals.models import BeamProposal
from scheduler.proposals.rules import PastVisit
from tests import beam, make
from tests.facilities.scenarios import scenario
from vouchers.evidence.services import Upload

NOW = make.NOW


def begun(site: beam.Site, *, kind: ProposalKind = ProposalKind.STANDARD, **more: str) -> BeamProposal:
    call = site.call if kind in {ProposalKind.STANDARD, ProposalKind.LONG_TERM, ProposalKind.BLOCK} else None
    wanted = drafting.Begun(site.facility, kind, "正极材料", call, **more)
    return drafting.begin(actor=site.leader, wanted=wanted, now=NOW, key=make.key())


def filled(site: beam.Site, draft: BeamProposal, *, shifts: int = 6, reason: str = "") -> BeamProposal:
    """Say all a proposal has to: a summary, a sample, shifts on the first beamline."""
    content = drafting.Content(
        summary="充放电中的结构变化。",
        samples=[drafting.SampleWanted("电池", "3 片", "带回")],
        requests=[drafting.RequestWanted("BL01", site.cycle.code, shifts, reason)],
    )
    return drafting.save(actor=site.leader, proposal=draft, content=content, version=draft.version, now=NOW)


def sent(site: beam.Site, draft: BeamProposal, *, past: list[PastVisit] | None = None) -> BeamProposal:
    return services.submit(actor=site.leader, proposal=draft, past=past or [], now=NOW, key=make.key())


def reasons(act: Callable[[], object]) -> list[str]:
    """Do what is to be refused and return the codes of why."""
    try:
        act()
    except Refused as refused:
        return [one.code for one in refused.reasons]
    raise AssertionError("was not refused")


def pdf(pages: int) -> bytes:
    writer, out = PdfWriter(), io.BytesIO()
    for _ in range(pages):
        writer.add_blank_page(width=200, height=200)
    writer.write(out)
    return out.getvalue()


def seat(site: beam.Site, at: int) -> Panelist:
    return site.panel.panelists.get(user_id=site.graders[at].user_id)


def judged(site: beam.Site, proposal: BeamProposal, *grades: str) -> None:
    for at, grade in enumerate(grades):
        row = grading.assign(actor=site.office, panel=site.panel, proposal=proposal, panelist=seat(site, at), now=NOW)
        given = grading.GradeGiven(Decimal(grade), to_team="已评。")
        grading.grade(actor=site.graders[at], grading=row, given=given, now=NOW)


@scenario("E1")
def seven_are_six_or_nine() -> str:
    """ESRF: seven shifts where threes are given are six or nine; another number takes a reason, which is kept."""
    site = beam.site()
    draft = filled(site, begun(site), shifts=7)
    assert reasons(lambda: sent(site, draft)) == ["proposal.shifts_multiple"]
    assert sent(site, filled(site, draft, shifts=6)).state == "submitted"
    other = filled(site, begun(site), shifts=7, reason="原位循环须连续 56 小时")
    assert sent(site, other).requests.get().off_multiple_reason
    return "7 refused, 6 sent, 7 sent with its reason"


@scenario("E2")
def three_pages_where_two_are_allowed() -> str:
    """ESRF: a method form of three pages is refused at upload, and the one before it stays."""
    site = beam.site()
    site.call.forms.create(code="method", name="实验方法", kind="pdf", pages=2, size=300_000)
    draft = begun(site)
    kept = files.upload(actor=site.leader, proposal=draft, code="method", file=Upload("a.pdf", pdf(2)), now=NOW)
    long = Upload("b.pdf", pdf(3))
    refused = reasons(lambda: files.upload(actor=site.leader, proposal=draft, code="method", file=long, now=NOW))
    assert refused == ["proposal.file_pages"]
    assert draft.answers.get().sha256 == kept.sha256
    return "3 pages refused, the file of 2 pages stays"


def _next_cycle(site: beam.Site, at: int) -> RunCycle:
    start = beam.CYCLE.end + timedelta(days=70 * at)
    return beam.cycle(site.facility, f"2027-{at}", Period(start, start + timedelta(days=60)), None)


@scenario("E3")
def waiting_makes_better_for_two_cycles() -> str:
    """APS: 2.5 where the lowest is best, without time in cycles 1, 2, 3: ranked as 2.3, 2.1, 2.1; after an allocation 2.5."""
    site = beam.site(lowest_c=100, highest_c=500, step_c=50, best="low", ageing_c=20, ageing_cycles=2)
    Facility.objects.filter(pk=site.facility.pk).update(graders=1)
    proposal = beam.proposal(site, shifts=3, kind="long_term")
    judged(site, proposal, "2.5")
    seen = [_listed(site, proposal, site.cycle, gives=0)]
    for at in range(1, 5):
        cycle = _next_cycle(site, at)
        continuing.carry_over(actor=site.leader, proposal=proposal, cycle=cycle, now=NOW)
        seen.append(_listed(site, proposal, cycle, gives=3 if at == 3 else 0))
    assert seen == [250, 230, 210, 210, 250]
    return " → ".join(f"{one / 100:.1f}" for one in seen)


def _listed(site: beam.Site, proposal: BeamProposal, cycle: RunCycle, *, gives: int) -> int:
    """Have the list of a cycle drafted and decided; return the grade the request is ranked by, hundredths."""
    panel = site.panel
    if cycle.pk != site.cycle.pk:
        call = beam.call(site, cycle=cycle)
        panel = Panel.objects.create(facility=site.facility, call=call, name=cycle.code, created_at=NOW)
    listed = ranking.draft(actor=site.office, panel=panel, beamline=site.lines[0], now=NOW)
    aged = RankedRequest.objects.get(ranking=listed).aged_c
    row = ranking.Row(proposal.number, gives, on_reserve=not gives, moved_note="本轮机时另有安排", to_team="列入候补。")
    listed = ranking.arrange(actor=site.office, ranking=listed, rows=[row], version=listed.version, now=NOW)
    listed = ranking.propose(actor=site.office, ranking=listed, note="", version=listed.version, now=NOW)
    granting.decide_list(actor=site.director, ranking=listed, version=listed.version, now=NOW)
    return aged


@scenario("E4")
def a_rapid_request_lapses() -> str:
    """APS: a rapid request that got no time lapses with its cycle; a regular one is needed."""
    site = beam.site()
    rapid = beam.proposal(site, kind="rapid", call=None)
    before, after = beam.CYCLE.end - timedelta(seconds=1), beam.CYCLE.end
    assert continuing.lapse_due(now=before) == 0
    assert continuing.lapse_due(now=after) == 1
    assert rapid.requests.get().state == "lapsed"
    assert continuing.lapse_due(now=after + timedelta(days=1)) == 0
    return "open until the last second, lapsed at the end"


def _partner(site: beam.Site, num: int, den: int) -> Partner:
    valid = (date(2026, 1, 1), date(2028, 1, 1))
    firm = site.leader.organisation_id
    made = Partner.objects.create(beamline=site.lines[0], organisation_id=firm, num=num, den=den, valid=valid)
    made.refresh_from_db(fields=["valid"])
    return made


@scenario("E5")
def a_partners_parts_have_limits() -> str:
    """Diamond: 80 days of a partner; 60 % may be grant-linked, 20 % each feasibility and direct: 50 are refused, 48 sent."""
    site = beam.site()
    partner = _partner(site, 80, 174)
    for code, num in (("grant", 60), ("feasibility", 20), ("direct", 20)):
        partner.parts.create(code=code, name=code, num=num, den=100)
    assert partners.kept(partner, site.cycle) == 80
    draft = begun(site, kind=ProposalKind.PARTNER, partner_part="grant")
    many = filled(site, draft, shifts=50, reason="课题关联机时一次用完")
    assert reasons(lambda: sent(site, many)) == ["facility.partner_part"]
    assert sent(site, filled(site, many, shifts=48)).state == "submitted"
    for part, shifts in (("feasibility", 16), ("direct", 14)):
        other = begun(site, kind=ProposalKind.PARTNER, partner_part=part)
        assert sent(site, filled(site, other, shifts=shifts, reason="按协议用途")).state == "submitted"
    more = filled(site, begun(site, kind=ProposalKind.PARTNER, partner_part="grant"), shifts=3)
    assert reasons(lambda: sent(site, more)) == ["facility.partner_part"]
    return "of 80 kept 50 grant-linked are refused, 48 sent with 16 and 14 beside them, 3 more refused"


@scenario("E6")
def a_partner_keeps_its_share_and_then_queues() -> str:
    """HLS: of 4,000 h a partner with 35 % keeps 1,400 at most; at 1,400 its further requests queue behind open ones."""
    site = beam.site()
    start = beam.CYCLE.end + timedelta(days=30)
    site.cycle = beam.cycle(site.facility, "2027-Y", Period(start, start + timedelta(hours=4_000)), None)
    partner = _partner(site, 35, 100)
    PoolShare.objects.filter(facility=site.facility, pool="open").update(num=30)
    PoolShare.objects.create(facility=site.facility, pool="partner", num=40, den=100)
    most = partners.kept(partner, site.cycle)
    assert most * 8 == 1_400
    beam.granted(site, shifts=most, pool="partner", kind="partner", call=None, partner=partner)
    waiting = beam.proposal(site, shifts=3)
    further = beam.proposal(site, shifts=3, kind="partner", call=None, partner=partner)
    choice = deciding.Direct("BL01", 3, "同意")
    assert reasons(lambda: granting.decide_directly(actor=site.director, proposal=further, choice=choice, now=NOW)) == [
        "panel.partner_share"
    ]
    waiting.requests.update(state="refused")
    assert len(granting.decide_directly(actor=site.director, proposal=further, choice=choice, now=NOW)) == 1
    return "of 4,000 h 1,400 are its own, 2,600 for others; at 1,400 the next waits behind the open one"


@scenario("E7")
def grades_on_the_scale() -> str:
    """ESRF: 5.5 and 0 are grades where 0 to 5.5 is the scale, 5.6 is not; the highest is first."""
    site = beam.site()
    best, worst = beam.proposal(site, shifts=3), beam.proposal(site, shifts=3)
    row = grading.assign(actor=site.office, panel=site.panel, proposal=best, panelist=seat(site, 0), now=NOW)
    try:
        grading.grade(actor=site.graders[0], grading=row, given=grading.GradeGiven(Decimal("5.6")), now=NOW)
    except BadGrade as refused:
        said = str(refused)
    judged(site, worst, "0", "0")
    judged(site, best, "5.5", "5.5")
    listed = ranking.draft(actor=site.office, panel=site.panel, beamline=site.lines[0], now=NOW)
    order = list(RankedRequest.objects.filter(ranking=listed).values_list("request__proposal", flat=True))
    assert order == [best.pk, worst.pk]
    assert "5.5" in said
    return "5.5 before 0; 5.6 refused"


@scenario("E8")
def lost_beam_is_listed_and_not_credited() -> str:
    """Diamond: 6 h of 24 h lost to a machine fault: no credit by itself, the team is on the list, staff decide."""
    site = beam.site()
    visit = beam.visit(site, state="running", shifts=3)
    start = visit.during.lower
    lost = losses.Lost(Period(start + timedelta(hours=4), start + timedelta(hours=10)), rules.LossCause.MACHINE, "失束")
    losses.log(actor=site.scientist, line=site.lines[0], lost=lost, now=start + timedelta(hours=10))
    done = ending.finish(actor=site.scientist, visit=visit, now=start + timedelta(hours=24))
    assert (done.had_min, done.lost_min, done.own_lost_min) == (18 * 60, 6 * 60, 0)
    assert BeamAllocation.objects.filter(made_up_for=visit).count() == 0
    [listed] = compensating.ordered(facility=site.facility)
    assert (listed.visit_id, listed.lost_min) == (visit.pk, 360)
    compensating.grant(actor=site.director, visit=done, shifts=1, note="故障 6 小时", now=start + timedelta(days=2))
    assert BeamAllocation.objects.get(made_up_for=visit).shifts == 1
    return "18 h had, 6 h lost, listed; one shift only after somebody decided"


@scenario("E9")
def a_missing_report_is_told_or_blocks() -> str:
    """ESRF: the report of the last session is missing: sent, and the panel is told; or blocked, where the facility says so."""
    site = beam.site()
    owed = [PastVisit("V-1", NOW - timedelta(days=1), reported=False)]
    told = sent(site, filled(site, begun(site)), past=owed)
    assert (told.state, told.owed) == ("submitted", ["V-1"])
    Facility.objects.filter(pk=site.facility.pk).update(report_rule="block")
    site.facility.refresh_from_db()
    other = filled(site, begun(site))
    assert reasons(lambda: sent(site, other, past=owed)) == ["proposal.report_owed"]
    other.refresh_from_db()
    assert other.state == "draft"
    return "told to the panel; blocked by the other rule, the draft stays"
