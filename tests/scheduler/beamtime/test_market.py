"""Shifts nobody has are found, priced, held and booked by enterprises like an instrument, and are taken back by visits."""

from datetime import timedelta

import pytest

from portal.kernel.errors import Refused
from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.availability import claiming, deviations, impacts, releasing
from scheduler.availability import queries as availability
from scheduler.availability.models import Claim, SpecialOpening
from scheduler.availability.rules import ClaimRole
from scheduler.beamtime import market, replanning
from scheduler.beamtime.models import Compensation
from scheduler.bookings import holding
from scheduler.bookings import queries as bookings
from scheduler.bookings import services as booking_services
from scheduler.bookings.queries import Wanted
from scheduler.displacements import services as displacements
from scheduler.facilities import beamlines, cycles
from scheduler.facilities.models import Beamline, Facility, RunCycle
from scheduler.facilities.plan import MachineMode, ModePeriod
from scheduler.resources.facility_things import ThingValues
from scheduler.resources.models import Resource
from scheduler.search import offers as shown
from scheduler.search import queries as search
from scheduler.search.rules import Requirement
from tests import beam, make
from vouchers.ledger import auditing
from vouchers.settlements import services as settlements
from vouchers.settlements.models import SettlementLine

pytestmark = pytest.mark.django_db

HOURS = timedelta(hours=8)
NOW = beam.CYCLE.start + timedelta(days=2, hours=1)
"""An hour into a night shift two days after the cycle began: user beam, no shutdown for weeks."""
NEXT = beam.CYCLE.start + timedelta(days=2) + HOURS
"""When the next shift begins."""


def line(site: beam.Site, code: str = "BL11") -> Beamline:
    """Return a beamline of the office's own making: priced at 1,250 yuan an hour and in the catalogue."""
    said = ThingValues("硬X射线吸收谱线站", "XAFS", "杭州")
    made = beamlines.enter_beamline(
        actor=site.office, facility=site.facility, code=code, said=said, terms=beamlines.LineTerms(), now=make.NOW
    )
    beamlines.price_beamline(actor=site.office, beamline=made, hourly=Money.from_yuan("1250"), now=make.NOW)
    beamlines.publish(actor=site.office, beamline=made, shown=True, now=make.NOW)
    return Beamline.objects.select_related("resource__instrument", "facility__owner").get(pk=made.pk)


def follow(site: beam.Site, one: Beamline, now=NOW) -> int:
    return market.follow(site.facility, [one], now=now)


def opened(one: Beamline) -> list[Period]:
    rows = SpecialOpening.objects.filter(resource=one.resource, is_released=True).order_by("during")
    return [availability.period_of(row.during) for row in rows]


def occupied(site: beam.Site, one: Beamline, span: Period) -> None:
    site.lines[0] = one
    beam.visit(site, period=span, shifts=round(span.duration / HOURS))


def wanted(one: Beamline, shifts: int, start=NEXT, **more) -> Wanted:
    return Wanted(resource=one.resource, period=Period(start, start + shifts * HOURS), title="电池材料", **more)


class TestRelease:
    def test_fourteen_days_of_whole_shifts_are_opened_and_a_second_look_changes_nothing(self):
        site = beam.site()
        one = line(site)
        assert follow(site, one) == 42
        spans = opened(one)
        assert (spans[0].start, spans[-1].start) == (NEXT, NEXT + 41 * HOURS)
        assert {span.duration for span in spans} == {HOURS}
        assert follow(site, one) == 0

    def test_a_shift_of_a_visit_is_never_opened_and_is_taken_back_when_one_is_given_later(self):
        site = beam.site()
        one = line(site)
        first, later = Period(NEXT + 3 * HOURS, NEXT + 6 * HOURS), Period(NEXT + 9 * HOURS, NEXT + 12 * HOURS)
        occupied(site, one, first)
        assert follow(site, one) == 39
        assert not any(span.overlaps(first) for span in opened(one))
        occupied(site, one, later)
        assert follow(site, one) == 3
        assert not any(span.overlaps(later) for span in opened(one))

    def test_a_shutdown_and_an_unpublished_beamline_offer_nothing(self):
        site = beam.site()
        one = line(site)
        inside = Period(beam.REPAIRS.start, beam.REPAIRS.end)
        follow(site, one, now=beam.REPAIRS.start - timedelta(days=3))
        assert opened(one)
        assert not any(span.overlaps(inside) for span in opened(one))
        assert market.follow(
            site.facility, [Beamline.objects.select_related("resource").get(pk=site.lines[0].pk)], now=NOW
        )
        beamlines.publish(actor=site.office, beamline=one, shown=False, now=NOW)
        two = line(site, "BL12")
        beamlines.publish(actor=site.office, beamline=two, shown=False, now=NOW)
        two.resource.refresh_from_db()
        assert market.follow(site.facility, [two], now=NOW) == 0

    def test_shifts_of_a_facility_that_begins_its_day_at_one_are_on_its_own_grid(self):
        site = beam.site(first_min=60)
        one = line(site)
        follow(site, one)
        begins = opened(one)[0].start
        quote = bookings.quote(wanted(one, 3, start=begins), organisation_id=site.leader.organisation_id, now=NOW)
        assert list(quote.reasons) == []
        off = bookings.quote(
            wanted(one, 3, start=begins + timedelta(hours=1)), organisation_id=site.leader.organisation_id, now=NOW
        )
        assert "booking.grid" in {reason.code for reason in off.reasons}

    def test_what_has_begun_stays_written_as_it_was(self):
        site = beam.site()
        one = line(site)
        follow(site, one)
        follow(site, one, now=NEXT + timedelta(hours=1))
        assert opened(one)[0].start == NEXT
        assert releasing.release(one.resource, [], now=NEXT + timedelta(hours=1))[1][0].start == NEXT + HOURS


class TestKeptBack:
    """What a visit needs besides its own shifts, and shifts in which nobody could run the line, are not sold."""

    def visits(self, site: beam.Site, one: Beamline, *spans: tuple[int, str]) -> None:
        """Have visits of three shifts stand from these shifts on, each with its set-up."""
        Beamline.objects.filter(pk=one.pk).update(changeover_shifts=1)
        site.lines[0] = one
        for at, setup in spans:
            beam.visit(site, period=Period(NEXT + at * HOURS, NEXT + (at + 3) * HOURS), setup=setup)

    def unsold(self, one: Beamline) -> list[int]:
        """Return which of the first twelve shifts are not open."""
        starts = {span.start for span in opened(one)}
        return [at for at in range(12) if NEXT + at * HOURS not in starts]

    def test_the_shift_kept_for_changing_the_set_up_between_two_visits_is_not_sold(self):
        site = beam.site()
        one = line(site)
        self.visits(site, one, (0, "高温"), (4, "低温"))
        follow(site, one)
        assert self.unsold(one) == [0, 1, 2, 3, 4, 5, 6]

    def test_of_a_wide_gap_the_middle_is_sold_and_where_the_set_up_stays_all_of_it(self):
        site = beam.site()
        one = line(site)
        self.visits(site, one, (0, "高温"), (6, "低温"))
        follow(site, one)
        assert self.unsold(one) == [0, 1, 2, 3, 5, 6, 7, 8]
        other = beam.site()
        two = line(other)
        self.visits(other, two, (0, "高温"), (4, "高温"))
        follow(other, two)
        assert self.unsold(two) == [0, 1, 2, 4, 5, 6]

    def test_a_beamline_that_needs_somebody_sells_only_shifts_in_which_somebody_is_free(self):
        site = beam.site()
        one = line(site)
        Beamline.objects.filter(pk=one.pk).update(needs_operator=True)
        assert follow(site, one) == 0
        person = beam.runner(site, "值班", one)
        assert follow(site, one) == 42
        span = Period(NEXT, NEXT + 3 * HOURS)
        elsewhere = beam.visit(site, at=1, period=span)
        elsewhere.operator = person
        elsewhere.save()
        ask = claiming.Ask(person, span, span, role=ClaimRole.OPERATOR)
        claiming.occupy([ask], state=Claim.State.CONFIRMED, visit_id=elsewhere.pk)
        assert follow(site, one) == 3
        assert not any(each.overlaps(span) for each in opened(one))


class TestBooking:
    def test_it_is_found_by_its_kind_with_its_price_and_next_shift(self):
        site = beam.site()
        one = line(site)
        follow(site, one)
        asked = Requirement(duration_s=None, since=NOW, until=NOW + timedelta(days=20), kinds=("beamline",))
        [hit] = [hit for hit in search.find(asked, now=NOW).hits if hit.resource_id == one.pk]
        assert (hit.period.start, hit.period.duration, hit.hourly_fen) == (NEXT, 3 * HOURS, 125_000)

    def test_an_enterprise_books_nine_shifts_confirmed_at_once_at_the_price_of_the_hours(self):
        site = beam.site()
        one = line(site)
        follow(site, one)
        made = booking_services.request_booking(actor=site.leader, wanted=wanted(one, 9), now=NOW, key=make.key())
        assert (made.state, made.charge.price_fen) == ("confirmed", 72 * 125_000)
        follow(site, one)
        assert Period(NEXT, NEXT + HOURS) in opened(one)
        assert len(opened(one)) == 42

    def test_a_hold_keeps_the_shifts_and_becomes_a_contract_by_click(self):
        site = beam.site()
        one = line(site)
        follow(site, one)
        held = booking_services.hold(actor=site.leader, wanted=wanted(one, 3), now=NOW, key=make.key())
        done = holding.confirm_hold(actor=site.leader, booking=held, now=NOW + timedelta(minutes=5))
        assert done.state == "confirmed"

    def test_seven_shifts_in_threes_are_six_or_nine(self):
        site = beam.site()
        one = line(site)
        follow(site, one)
        with pytest.raises(Refused) as refused:
            booking_services.request_booking(actor=site.leader, wanted=wanted(one, 7), now=NOW, key=make.key())
        [reason] = [reason for reason in refused.value.reasons if reason.code == "booking.step"]
        assert reason.params == {"step": "24", "asked": "56", "near": ["48", "72"]}

    def test_a_shift_a_visit_has_cannot_be_booked_even_before_the_market_follows(self):
        site = beam.site()
        one = line(site)
        follow(site, one)
        occupied(site, one, Period(NEXT, NEXT + 3 * HOURS))
        with pytest.raises((Refused, claiming.Taken)):
            booking_services.request_booking(actor=site.leader, wanted=wanted(one, 3), now=NOW, key=make.key())


class TestVoucherShare:
    def test_a_voucher_pays_its_half_of_a_released_shift_from_search_to_settlement(self, w):
        site = beam.site()
        one = line(site)
        follow(site, one)
        voucher = make.voucher(w)
        asked = Requirement(duration_s=None, since=NOW, until=NOW + timedelta(days=20), kinds=("beamline",))
        hits = [hit for hit in search.find(asked, now=NOW).hits if hit.resource_id == one.pk]
        [found] = shown.offers(hits, actor=w.researcher, now=NOW)
        price = Money.from_yuan("30000")
        assert (found.price, found.paid.number, found.paid.amount, found.own) == (
            price,
            voucher.number,
            Money.from_yuan("15000"),
            Money.from_yuan("15000"),
        )
        ask = wanted(one, 3, vouchers=[voucher])
        split = bookings.quote(ask, organisation_id=w.enterprise.pk, now=NOW).split
        assert (split.voucher, split.own) == (Money.from_yuan("15000"), Money.from_yuan("15000"))
        held = booking_services.hold(actor=w.researcher, wanted=ask, now=NOW, key=make.key())
        booked = holding.confirm_hold(actor=w.researcher, booking=held, now=NOW + timedelta(minutes=5))
        charge = booked.charge
        assert (booked.state, charge.voucher_held_fen, charge.own_held_fen) == ("confirmed", 1_500_000, 1_500_000)
        follow(site, one)
        assert Period(NEXT, NEXT + HOURS) in opened(one)

        keeper, ends = make.actor(site.owner, make.roles.Role.LAB_MANAGER), NEXT + 2 * HOURS
        booking_services.start_session(actor=keeper, booking=booked, started_at=NEXT, now=NEXT)
        done = booking_services.finish_session(actor=keeper, booking=booked, ended_at=ends, now=ends)
        charge.refresh_from_db()
        assert done.state == "completed"
        assert (charge.state, charge.actual_fen) == ("captured", 2_000_000)
        assert (charge.voucher_captured_fen, charge.own_captured_fen) == (1_000_000, 1_000_000)
        settlements.draft(actor=w.finance, payee=site.owner, now=ends)
        assert SettlementLine.objects.get(charge=charge, voucher=voucher).amount_fen == 1_000_000
        audit = auditing.audit(now=ends)
        assert (audit.violations, audit.unaccounted) == ((), 0)


def plan_with_shutdown(span: Period) -> tuple[ModePeriod, ...]:
    return (
        ModePeriod(Period(beam.CYCLE.start, span.start), MachineMode.USER),
        ModePeriod(span, MachineMode.SHUTDOWN),
        ModePeriod(Period(span.end, beam.CYCLE.end), MachineMode.USER),
    )


class TestReplanning:
    def test_a_shutdown_over_visits_and_bookings_names_both_and_deals_with_what_is_named(self):
        site = beam.site()
        one = line(site)
        follow(site, one)
        booked = booking_services.request_booking(actor=site.leader, wanted=wanted(one, 3), now=NOW, key=make.key())
        gone = Period(NEXT, NEXT + 6 * HOURS)
        site.lines[0] = one
        visit = beam.visit(site, period=Period(NEXT + 3 * HOURS, NEXT + 6 * HOURS))
        change = cycles.PlanChange(plan_with_shutdown(gone), site.cycle.version)
        with pytest.raises(cycles.PlanBreaks) as refused:
            replanning.change_plan(actor=site.planner, cycle=site.cycle, change=change, reason="真空", now=NOW)
        named = {row["number"] for row in refused.value.data["broken"]}
        assert named == {booked.number, visit.number}
        visit.refresh_from_db()
        assert visit.state == "scheduled"
        agreed = cycles.PlanChange(change.spans, change.version, frozenset(named))
        replanning.change_plan(actor=site.planner, cycle=site.cycle, change=agreed, reason="真空", now=NOW)
        visit.refresh_from_db()
        booked.refresh_from_db()
        assert (visit.state, visit.cancel_reason, booked.state) == ("cancelled", "真空", "cancelled")
        assert Compensation.objects.get(visit=visit).is_cancelled
        booked.charge.refresh_from_db()
        assert booked.charge.state == "released"
        assert not Claim.objects.filter(visit=visit, state="confirmed").exists()
        assert not any(span.overlaps(gone) for span in opened(one))
        assert RunCycle.objects.get(pk=site.cycle.pk).version == site.cycle.version + 1

    def test_a_beamline_closed_by_itself_closes_its_market_and_names_its_visits(self):
        site = beam.site()
        one = line(site)
        follow(site, one)
        site.lines[0] = one
        visit = beam.visit(site, period=Period(NEXT, NEXT + 3 * HOURS))
        span = Period(NEXT, NEXT + 6 * HOURS)
        with pytest.raises(cycles.PlanBreaks):
            replanning.close_line(actor=site.planner, beamline=one, period=span, reason="换单色器", now=NOW)
        replanning.close_line(
            actor=site.planner, beamline=one, period=span, reason="换单色器", accepts=[visit.number], now=NOW
        )
        assert not any(each.overlaps(span) for each in opened(one))
        visit.refresh_from_db()
        assert visit.state == "cancelled"

    def test_a_booking_on_a_beamline_closed_by_itself_is_named_and_called_off_free_of_charge(self):
        site = beam.site()
        one = line(site)
        follow(site, one)
        booked = booking_services.request_booking(actor=site.leader, wanted=wanted(one, 3), now=NOW, key=make.key())
        span = Period(NEXT, NEXT + 6 * HOURS)
        with pytest.raises(cycles.PlanBreaks) as refused:
            replanning.close_line(actor=site.planner, beamline=one, period=span, reason="换单色器", now=NOW)
        assert [row["number"] for row in refused.value.data["broken"]] == [booked.number]
        made = replanning.close_line(
            actor=site.planner, beamline=one, period=span, reason="换单色器", accepts=[booked.number], now=NOW
        )
        booked.refresh_from_db()
        booked.charge.refresh_from_db()
        assert (booked.state, booked.charge.state) == ("cancelled", "released")
        replanning.reopen_line(actor=site.planner, beamline=one, closure_id=made.pk, now=NOW)
        assert span.start in {each.start for each in opened(one)}


class TestOutage:
    def test_an_outage_or_closure_over_a_visit_is_refused_with_its_number_and_the_visit_stays(self):
        site = beam.site()
        keeper = make.actor(site.owner, make.roles.Role.LAB_MANAGER)
        one = line(site)
        site.lines[0] = one
        span = Period(NEXT, NEXT + 3 * HOURS)
        visit = beam.visit(site, period=span)
        declared = displacements.Declared(span, "停电")
        with pytest.raises(impacts.VisitsThere) as refused:
            displacements.declare(actor=keeper, resource=one.resource, declared=declared, now=NOW, key=make.key())
        assert refused.value.params["visits"] == [visit.number]
        with pytest.raises(impacts.VisitsThere):
            deviations.close(actor=keeper, resource=one.resource, period=span, reason="检修", now=NOW)
        assert Claim.objects.filter(visit=visit, state="confirmed").exists()


class TestEdges:
    def test_a_shift_opened_by_hand_stays_and_the_rest_is_opened_around_it(self):
        site = beam.site()
        one = line(site)
        SpecialOpening.objects.create(
            resource=one.resource,
            during=(NEXT + timedelta(hours=2), NEXT + timedelta(hours=4)),
            audience="everybody",
        )
        assert follow(site, one) == 41
        assert min(opened(one)).start == NEXT + HOURS
        assert follow(site, one) == 0

    def test_a_facility_that_is_hidden_or_a_line_out_of_the_catalogue_sells_nothing_more(self):
        site, other = beam.site(), beam.site()
        hidden, suspended = line(site), line(other)
        market.release_due(now=NOW)
        assert len(opened(hidden)) == len(opened(suspended)) == 42
        Facility.objects.filter(pk=site.facility.pk).update(is_published=False)
        Resource.objects.filter(pk=suspended.pk).update(state="suspended")
        market.release_due(now=NOW)
        assert opened(hidden) == opened(suspended) == []
