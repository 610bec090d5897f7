"""A facility is set up by its user office: shifts, shares, beamlines, devices, cycles and the machine plan."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest

from portal.kernel.errors import Forbidden, Refused
from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.availability import claiming
from scheduler.availability.models import Claim
from scheduler.beamtime import replanning, shares
from scheduler.beamtime.models import BeamAllocation, BeamVisit
from scheduler.facilities import access, beamlines, cycles, queries, services
from scheduler.facilities.grid import BadGrid
from scheduler.facilities.models import RunCycle
from scheduler.facilities.plan import BadPlan, MachineMode, ModePeriod
from scheduler.facilities.shares import BadShares, Pool
from scheduler.facilities.values import BadFacility, FacilityValues
from scheduler.resources import facility_things
from scheduler.resources.facility_things import ThingValues
from scheduler.resources.models import Resource
from tests import beam, make
from tests.calling import Caller, queries_of

pytestmark = pytest.mark.django_db

SAID = FacilityValues(name="之江光源", city="杭州", shift_names=("夜班", "早班", "中班"), multiple=3)
START = beam.CYCLE.start


def visit(site: beam.Site, *, at_shift: int, shifts: int = 3, line: int = 0, state: str = "scheduled") -> BeamVisit:
    """Return a visit that holds its beamline."""
    request = beam.request(beam.proposal(site, state="accepted", shifts=shifts, at=line))
    allocation = BeamAllocation.objects.create(request=request, pool="open", shifts=shifts, given_at=make.NOW)
    during = Period(START + at_shift * timedelta(hours=8), START + (at_shift + shifts) * timedelta(hours=8))
    made = BeamVisit.objects.create(
        number=f"V-{allocation.pk:05d}",
        allocation=allocation,
        beamline=site.lines[line],
        during=(during.start, during.end),
        shifts=shifts,
        state=state,
        offered_at=make.NOW,
        answer_by=make.NOW + timedelta(days=10),
    )
    ask = claiming.Ask(site.lines[line].resource, during, during)
    claiming.occupy([ask], state=Claim.State.CONFIRMED, visit_id=made.pk)
    return made


def test_the_office_enters_a_facility_and_nobody_else():
    site = beam.site()
    made = services.create_facility(actor=site.office, code="hz-ring", said=SAID, now=make.NOW)
    assert access.get_facility(site.planner, "hz-ring") == made
    assert made not in access.visible_to(None)
    services.show(actor=site.office, facility=made, shown=True, now=make.NOW)
    assert made in access.visible_to(None)
    with pytest.raises(Forbidden):
        services.create_facility(actor=site.planner, code="hz-two", said=SAID, now=make.NOW)
    with pytest.raises(services.CodeTaken):
        services.create_facility(actor=site.office, code="hz-ring", said=SAID, now=make.NOW)


def test_everything_wrong_with_a_facility_is_said_at_once():
    site = beam.site()
    said = replace(SAID, name=" ", zone="Mars/Base", length_min=450, lowest_c=550, highest_c=0, market_days=900)
    with pytest.raises(BadFacility) as refused:
        services.create_facility(actor=site.office, code="x", said=said, now=make.NOW)
    fields = {reason.field for reason in refused.value.reasons}
    assert fields == {"name", "zone", "length_min", "lowest", "market_days"}


def test_shifts_stay_while_somebody_was_given_time_by_them():
    site = beam.site()
    visit(site, at_shift=0)
    with pytest.raises(services.GridInUse):
        services.change_facility(
            actor=site.office,
            facility=site.facility,
            said=replace(SAID, length_min=720, shift_names=("夜", "日")),
            now=make.NOW,
        )
    services.change_facility(actor=site.office, facility=site.facility, said=replace(SAID, multiple=2), now=make.NOW)
    site.lines[0].resource.refresh_from_db()
    assert site.lines[0].resource.step_s == 16 * 3600


@pytest.mark.parametrize("state", ["allocated", "reserve", "open", "draft", "over"])
def test_shifts_stay_while_somebody_waits_for_time_counted_in_them(state):
    site, now = beam.site(), make.NOW
    if state in {"allocated", "over"}:
        beam.granted(site, shifts=6)
    elif state == "reserve":
        beam.on_reserve(site, place=1)
    else:
        beam.proposal(site, state="draft" if state == "draft" else "admitted")
    if state == "over":
        BeamAllocation.objects.update(ended_at=now)
    wanted = replace(SAID, length_min=720, shift_names=("夜", "日"))
    if state in {"draft", "over"}:
        changed = services.change_facility(actor=site.office, facility=site.facility, said=wanted, now=now)
        assert changed.length_min == 720
        return
    with pytest.raises(services.GridInUse) as refused:
        services.change_facility(actor=site.office, facility=site.facility, said=wanted, now=now)
    assert "1 项" in str(refused.value)
    site.facility.refresh_from_db()
    assert site.facility.length_min == 480


def test_new_shifts_leave_alone_what_was_written_of_a_beamline_meanwhile():
    site = beam.site()
    read_before = Resource.objects.get(pk=site.lines[0].pk)
    Resource.objects.filter(pk=site.lines[0].pk).update(state="suspended", calendar_version=7)
    facility_things.cut(read_before, replace(services.shifts_of(facility=site.facility), length_s=6 * 3600))
    after = Resource.objects.get(pk=site.lines[0].pk)
    assert (after.state, after.calendar_version, after.granularity_s) == ("suspended", 7, 6 * 3600)


def test_a_night_shift_that_begins_before_midnight_is_refused_with_the_reason():
    with pytest.raises(BadGrid):
        replace(SAID, first_min=23 * 60).grid()


def test_shares_that_are_not_the_whole_are_refused_and_the_old_ones_stand():
    site = beam.site()
    with pytest.raises(BadShares) as refused:
        services.set_shares(
            actor=site.director,
            facility=site.facility,
            said={Pool.OPEN: Fraction(7, 10), Pool.INDUSTRY: Fraction(2, 10)},
            now=make.NOW,
        )
    assert [reason.code for reason in refused.value.reasons] == ["facility.share_sum"]
    assert queries.shares_of(site.facility)[None][Pool.OPEN] == Fraction(70, 100)


def test_a_beamline_may_have_shares_of_its_own_and_follow_the_facility_again():
    site = beam.site()
    line = site.lines[0]
    mine = {Pool.OPEN: Fraction(1, 2), Pool.PARTNER: Fraction(1, 2)}
    services.set_shares(actor=site.office, facility=site.facility, beamline=line, said=mine, now=make.NOW)
    assert queries.shares_of_line(line) == mine
    services.set_shares(actor=site.office, facility=site.facility, beamline=line, said={}, now=make.NOW)
    assert queries.shares_of_line(line)[Pool.OPEN] == Fraction(7, 10)


def test_share_compliance_is_counted_to_the_shift():
    site = beam.site()
    request = beam.request(beam.proposal(site, state="accepted", shifts=9))
    BeamAllocation.objects.create(request=request, pool="open", shifts=9, given_at=make.NOW)
    first, second = shares.standing_of(site.cycle)
    assert first.shifts == second.shifts == 174
    assert sum(pool.given for pool in first.pools) == 174
    use = {pool.pool: pool for pool in first.pools}
    assert (use[Pool.OPEN].given, use[Pool.OPEN].allocated, use[Pool.OPEN].left) == (122, 9, 113)
    assert {pool.allocated for pool in second.pools} == {0}


def test_partners_of_one_day_cannot_keep_more_than_there_is():
    site = beam.site()
    one, two = make.organisation(make.roles.Kind.PROVIDER), make.organisation(make.roles.Kind.ENTERPRISE)
    today = make.NOW.date()
    terms = services.PartnerTerms(Fraction(2, 3), today, parts=(("grant", "课题", "Grants", Fraction(6, 10)),))
    services.set_partner(actor=site.office, beamline=site.lines[0], organisation=one, terms=terms, now=make.NOW)
    with pytest.raises(services.PartnerTooMuch):
        services.set_partner(actor=site.office, beamline=site.lines[0], organisation=two, terms=terms, now=make.NOW)
    with pytest.raises(services.PartnerOverlaps):
        services.set_partner(
            actor=site.office,
            beamline=site.lines[0],
            organisation=one,
            terms=replace(terms, share=Fraction(1, 10)),
            now=make.NOW,
        )


def test_a_beamline_is_shown_once_it_has_a_price_and_is_given_in_the_facilitys_shifts():
    site = beam.site(first_min=60)
    said = ThingValues("硬X射线吸收谱线站", "XAFS", "杭州")
    line = beamlines.enter_beamline(
        actor=site.office, facility=site.facility, code="BL07", said=said, terms=beamlines.LineTerms(), now=make.NOW
    )
    assert (line.resource.granularity_s, line.resource.grid_from_s, line.resource.step_s) == (28800, 3600, 86400)
    with pytest.raises(Refused) as refused:
        beamlines.publish(actor=site.office, beamline=line, shown=True, now=make.NOW)
    assert [reason.code for reason in refused.value.reasons] == ["instrument.no_rate"]
    beamlines.price_beamline(actor=site.office, beamline=line, hourly=Money.from_yuan("1250"), now=make.NOW)
    beamlines.publish(actor=site.office, beamline=line, shown=True, now=make.NOW)
    line.resource.refresh_from_db()
    assert line.resource.state == "published"


def test_devices_fit_beamlines_and_clash_with_each_other():
    site = beam.site()
    made = [
        beamlines.enter_device(
            actor=site.office, facility=site.facility, code=code, said=ThingValues(code, code, "杭州"), now=make.NOW
        )
        for code in ("CRYO", "MAG")
    ]
    beamlines.fit_device(actor=site.office, device=made[0], fits=site.lines, clashes=[made[1]], now=make.NOW)
    assert [fit.beamline.code for fit in made[0].fits.order_by("beamline__code")] == ["BL01", "BL02"]
    with pytest.raises(BadFacility):
        beamlines.fit_device(actor=site.office, device=made[0], fits=[], clashes=[made[0]], now=make.NOW)


def test_cycles_of_a_facility_do_not_overlap():
    site = beam.site()
    later = Period(beam.CYCLE.end, beam.CYCLE.end + timedelta(days=60))
    cycles.create_cycle(actor=site.planner, facility=site.facility, code="2027-II", during=later, now=make.NOW)
    with pytest.raises(cycles.CycleOverlaps):
        cycles.create_cycle(actor=site.office, facility=site.facility, code="2027-III", during=beam.CYCLE, now=make.NOW)


def moved(site: beam.Site, *, shutdown_shift: int, shifts: int = 6) -> tuple[ModePeriod, ...]:
    """Return the cycle's plan with the shutdown at another place."""
    hours = timedelta(hours=8)
    gone = Period(START + shutdown_shift * hours, START + (shutdown_shift + shifts) * hours)
    spans = [ModePeriod(gone, MachineMode.SHUTDOWN)]
    if gone.start > START:
        spans.append(ModePeriod(Period(START, gone.start), MachineMode.USER))
    spans.append(ModePeriod(Period(gone.end, beam.CYCLE.end), MachineMode.USER))
    return tuple(spans)


def test_a_shutdown_moved_over_scheduled_shifts_names_them_and_changes_nothing():
    site = beam.site()
    hit, clear = visit(site, at_shift=9), visit(site, at_shift=30, line=1)
    before = queries.plan_of(site.cycle)
    change = cycles.PlanChange(moved(site, shutdown_shift=6), version=1)
    with pytest.raises(cycles.PlanBreaks) as refused:
        replanning.change_plan(actor=site.planner, cycle=site.cycle, change=change, reason="真空事故", now=make.NOW)
    assert [one["number"] for one in refused.value.data["broken"]] == [hit.number]
    assert clear.number not in str(refused.value.data)
    site.cycle.refresh_from_db()
    assert (site.cycle.version, queries.plan_of(RunCycle.objects.get(pk=site.cycle.pk))) == (1, before)
    assert Claim.objects.filter(visit=hit, state="confirmed").exists()


def test_a_plan_that_breaks_nothing_goes_through_and_two_planners_do_not_overwrite_each_other():
    site = beam.site()
    visit(site, at_shift=30)
    change = cycles.PlanChange(moved(site, shutdown_shift=6), version=1)
    replanning.change_plan(actor=site.planner, cycle=site.cycle, change=change, reason="", now=make.NOW)
    with pytest.raises(cycles.PlanMoved) as late:
        replanning.change_plan(actor=site.planner, cycle=site.cycle, change=change, reason="", now=make.NOW)
    assert late.value.params == {"version": 2}
    shifts = queries.user_shifts(RunCycle.objects.get(pk=site.cycle.pk), site.lines)
    assert {len(found) for found in shifts.values()} == {174}


def test_every_fault_of_a_plan_is_named_by_its_row():
    site = beam.site()
    spans = (
        ModePeriod(Period(START, START + timedelta(days=2)), MachineMode.USER),
        ModePeriod(Period(START + timedelta(days=1), START + timedelta(days=3)), MachineMode.STUDY),
        ModePeriod(Period(beam.CYCLE.end, beam.CYCLE.end + timedelta(days=1)), MachineMode.SHUTDOWN),
    )
    with pytest.raises(BadPlan) as refused:
        replanning.change_plan(
            actor=site.planner, cycle=site.cycle, change=cycles.PlanChange(spans, 1), reason="", now=make.NOW
        )
    codes = [(reason.code, reason.field) for reason in refused.value.reasons]
    assert codes == [("facility.outside_cycle", "plan.2"), ("facility.plan_overlap", "plan.1")]


def test_the_api_shows_a_facility_with_as_many_queries_for_one_beamline_as_for_five():

    site = beam.site()
    caller = Caller(site.leader)
    path = f"/facilities/{site.facility.code}"
    few = queries_of(lambda: caller.get(path))
    for at in range(3, 6):
        beam.line(site.owner, site.facility, f"BL{at:02d}")
    assert queries_of(lambda: caller.get(path)) == few
    body = caller.get(path).body
    assert [line["code"] for line in body["beamlines"]] == ["BL01", "BL02", "BL03", "BL04", "BL05"]
    assert body["shares"] == {"open": 7000, "industry": 2000, "urgent": 500, "director": 500}


def test_the_api_names_what_a_plan_breaks():
    site = beam.site()
    hit = visit(site, at_shift=9)
    plan = [
        {
            "mode": one.mode.value,
            "during": {"starts_at": one.period.start.isoformat(), "ends_at": one.period.end.isoformat()},
        }
        for one in moved(site, shutdown_shift=6)
    ]
    path = f"/facilities/{site.facility.code}/cycles/2027-I/plan"
    caller = Caller(site.planner)
    seen = caller.post(f"{path}/foresee", {"version": 1, "plan": plan})
    assert [one["number"] for one in seen.body] == [hit.number]
    refused = caller.put(path, {"version": 1, "plan": plan})
    assert (refused.status, refused.code, refused.reasons) == (409, "facility.plan_breaks", ["facility.broken"])
    assert hit.number in str(refused.body["reasons"][0])
