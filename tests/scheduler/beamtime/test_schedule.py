"""Schedules on real PostgreSQL: gathered, drafted, arranged by two at once, adopted, answered, moved up and moved."""

from __future__ import annotations

import random
import threading
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, connections
from django.test.utils import CaptureQueriesContext

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, InvalidTransition, NotFound, Refused
from portal.kernel.period import Period
from scheduler.availability.models import Claim, Closure
from scheduler.beamtime import (
    adopting,
    answering,
    arranging,
    drafting,
    drafts,
    faulting,
    gathering,
    moving,
    planning,
    planning_access,
    solving,
)
from scheduler.beamtime.models import BeamVisit, DraftPlace, ScheduleDraft
from scheduler.facilities.models import MachinePeriod
from scheduler.messages.models import Message
from scheduler.messages.wording import worded
from tests import beam, make

NOW = make.NOW


def shift(at: int) -> datetime:
    """Return when shift number `at` of the cycle starts."""
    return beam.CYCLE.start + timedelta(hours=8 * at)


def ordered(s, *, seconds=2, key="draft-key-1"):
    return drafts.order(actor=s.planner, cycle=s.cycle, seconds=seconds, wake=print, key=key, now=NOW)


def drafted(s, **more) -> ScheduleDraft:
    draft = ordered(s, **more)
    solving.solve(draft_id=draft.pk, now=NOW)
    draft.refresh_from_db()
    return draft


def put(s, draft, allocation, at, *, seen=None, line="BL01", make_way=False, actor=None):
    if seen is None:
        seen = DraftPlace.objects.get(draft=draft, allocation=allocation).version
    return arranging.put(
        actor=actor or s.planner,
        draft=draft,
        allocation_id=allocation.pk,
        spot=arranging.Spot(line, shift(at)),
        seen=seen,
        make_way=make_way,
        now=NOW,
    )


def codes(error) -> set[str]:
    return {reason.code for reason in error.value.reasons}


def adopted(s, draft=None) -> list[BeamVisit]:
    draft = draft or drafted(s)
    return adopting.adopt(actor=s.planner, draft=draft, version=draft.version, now=NOW)


def news(of):
    """Return what somebody who works at the facility was told of its beam time."""
    return list(Message.objects.filter(user_id=of.user_id, kind="beam_news").order_by("pk"))


@pytest.fixture
def s(db):
    return beam.site()


class TestGathering:
    def test_leaves_what_the_machine_and_the_beamline_do_not_give(self, s):
        beam.granted(s)
        Closure.objects.create(resource=s.lines[1].resource, during=(shift(0), shift(3)), reason="换镜")
        found = gathering.gather(s.cycle, now=NOW)
        one, two = found.problem.lines
        assert len(found.cycle.shifts) == 180
        assert len(one.open) == 174, "two days of maintenance in the middle"
        assert len(two.open) == 171
        assert 0 in one.open
        assert 0 not in two.open

    def test_takes_whatever_occupies_a_line_a_device_or_a_person_for_busy(self, s):
        cryo = beam.device(s, "CRYO", s.lines[0])
        s.lines[0].needs_operator = True
        s.lines[0].save()
        person = beam.runner(s, "李工", s.lines[0])
        beam.request(beam.granted(s).request.proposal).devices.add(cryo)
        for resource, at in ((s.lines[0].resource, 9), (cryo.resource, 30), (person, 60)):
            span = (shift(at), shift(at + 1))
            Claim.objects.create(resource=resource, during=span, blocked=span, state="outage")
        found = gathering.gather(s.cycle, now=NOW)
        line = found.problem.lines[0]
        [(who, there)] = line.people
        assert 9 not in line.open
        assert found.problem.busy == {f"R{cryo.pk}": frozenset({30})}
        assert who == f"R{person.pk}"
        assert len(there) == 179
        assert 60 not in there

    def test_reads_dates_by_local_day_and_worth_by_grade_with_ageing(self, s):
        row = beam.granted(s, shifts=3, good=["2027-01-05"], bad=["2027-01-04"], grade_c=275, waited=5)
        asked = gathering.gather(s.cycle, now=NOW).request(f"A{row.pk}")
        assert asked.bad == {0, 1, 2}
        assert asked.good == {3, 4, 5}
        assert asked.value == 3 * (100 + 100 * (275 + 2 * 20) // 550)
        assert asked.bonus == 30

    def test_asks_as_many_queries_for_forty_as_for_one(self, s):
        beam.granted(s)
        with CaptureQueriesContext(connection) as one:
            gathering.gather(s.cycle, now=NOW)
        for _ in range(39):
            beam.granted(s, shifts=3)
        with CaptureQueriesContext(connection) as forty:
            gathering.gather(s.cycle, now=NOW)
        assert len(one) == len(forty) <= 14


class TestDrafting:
    def test_places_all_there_is_room_for_and_keeps_the_proof(self, s):
        rows = [beam.granted(s, shifts=6, at=at % 2, grade_c=300) for at in range(6)]
        draft = drafted(s)
        assert draft.state == "drafted"
        assert draft.value == draft.bound > 0
        assert set(draft.lines) == {"BL01", "BL02"}
        assert {one["state"] for one in draft.lines.values()} == {"done"}
        assert set(draft.places.values_list("allocation_id", flat=True)) == {row.pk for row in rows}

    def test_says_what_has_no_place_and_why(self, s):
        every = [f"2027-{m:02d}-{d:02d}" for m in (1, 2, 3) for d in range(1, 32)]
        never = beam.granted(s, bad=every)
        draft = drafted(s)
        assert draft.lines["BL01"]["unplaced"] == [[f"A{never.pk}", "nowhere"]]

    def test_is_ordered_once_by_its_key_and_one_at_a_time(self, s):
        beam.granted(s)
        draft = ordered(s)
        assert ordered(s).pk == draft.pk
        with pytest.raises(drafts.DraftOpen):
            ordered(s, key="draft-key-2")
        solving.solve(draft_id=draft.pk, now=NOW)
        draft.refresh_from_db()
        drafts.resolve(actor=s.planner, draft=draft, version=draft.version, seconds=3, wake=print, now=NOW)
        assert ordered(s).pk == draft.pk, "the same order again, though it is computed anew for longer"
        draft.refresh_from_db()
        drafts.discard(actor=s.planner, draft=draft, now=NOW)
        assert ordered(s, key="draft-key-2").pk != draft.pk

    def test_refuses_where_there_is_nothing_to_place_or_the_cycle_is_closed(self, s):
        with pytest.raises(Refused) as error:
            ordered(s)
        assert codes(error) == {"beamtime.nothing"}
        beam.granted(s)
        s.cycle.closed_at = NOW
        s.cycle.save()
        with pytest.raises(drafts.CycleClosed):
            ordered(s)
        with pytest.raises(drafts.BadSeconds):
            ordered(s, seconds=0)

    def test_only_this_facilitys_planner_orders(self, s):
        beam.granted(s)
        other = beam.site()
        for who in (s.office, s.scientist, s.director, s.leader, other.planner):
            with pytest.raises(Forbidden):
                drafts.order(actor=who, cycle=s.cycle, seconds=2, wake=print, key="draft-key-9", now=NOW)
        with pytest.raises(NotFound):
            planning_access.get_cycle(other.planner, s.facility.code, s.cycle.code)

    def test_one_person_is_never_on_two_lines_at_once(self, s):
        for line in s.lines:
            line.needs_operator = True
            line.save()
        person = beam.runner(s, "李工", *s.lines)
        for at in (0, 1):
            beam.granted(s, shifts=60, at=at)
        draft = drafted(s)
        assert list(draft.places.values_list("operator_id", flat=True)) == [person.pk, person.pk]
        one, two = (row.during for row in draft.places.all())
        assert one.upper <= two.lower or two.upper <= one.lower

    def test_a_visit_that_stands_on_an_emptier_line_keeps_its_person_and_its_device(self, s):
        """The fuller line is solved first; what is fixed on the other one is not free for it."""
        for line in s.lines:
            line.needs_operator = True
            line.save()
        beam.runner(s, "李工", *s.lines)
        oven = beam.device(s, "OVEN", *s.lines)
        later = beam.granted(s, shifts=6, at=1)
        later.request.devices.add(oven)
        [stands] = adopted(s)
        for _each in range(2):
            beam.granted(s, shifts=60).request.devices.add(oven)
        draft = drafted(s, key="draft-key-2")
        assert draft.state == "drafted", draft.failure
        places = list(draft.places.all())
        assert places
        assert not any(
            place.during.lower < stands.during.upper and stands.during.lower < place.during.upper for place in places
        )
        adopted(s, draft)

    def test_a_visit_whose_person_is_gone_stands_and_keeps_nothing_else_from_being_planned(self, s):
        for line in s.lines:
            line.needs_operator = True
            line.save()
        gone = beam.runner(s, "李工", *s.lines)
        beam.granted(s, shifts=6)
        [stands] = adopted(s)
        gone.skills.all().delete()
        beam.runner(s, "周工", *s.lines)
        beam.granted(s, shifts=6)
        draft = drafted(s, key="draft-key-2")
        assert (draft.state, draft.places.count()) == ("drafted", 1)
        blocks = {block.number: block for row in planning.board(s.cycle, now=NOW).rows for block in row.blocks}
        assert [reason.code for reason in blocks[f"V{stands.pk}"].faults] == ["beamtime.nobody"]

    def test_the_gap_counts_what_was_given_since(self, s):
        """A draft proved best for what there was is not best once more was given."""
        beam.granted(s, shifts=3)
        draft = drafted(s)
        assert planning.board(s.cycle, now=NOW).bound == draft.value == draft.bound
        new = [beam.granted(s, shifts=18, pool="urgent") for _each in range(3)]
        worth = sum(one.value for one in gathering.gather(s.cycle, now=NOW).problem.requests)
        assert planning.board(s.cycle, now=NOW).bound == worth > draft.value
        put(s, draft, new[0], 60, seen=0)
        draft.refresh_from_db()
        assert draft.value < draft.bound == worth

    def test_two_who_can_stand_in_for_each_other_change_places(self, s):
        """Only 李工 can run the second line; a draft that gives her to the first all the same is not stuck."""
        for line in s.lines:
            line.needs_operator = True
            line.save()
        only, other = beam.runner(s, "李工", *s.lines), beam.runner(s, "周工", s.lines[0])
        one, two = beam.granted(s, shifts=3), beam.granted(s, shifts=3, at=1)
        draft = drafted(s)
        put(s, draft, one, 30)
        DraftPlace.objects.filter(allocation=one).update(operator=only)
        draft.refresh_from_db()
        put(s, draft, two, 30, line="BL02")
        assert dict(draft.places.values_list("allocation_id", "operator_id")) == {one.pk: other.pk, two.pk: only.pk}
        draft.refresh_from_db()
        assert {visit.operator_id for visit in adopted(s, draft)} == {only.pk, other.pk}

    def test_a_lost_hint_and_a_dead_worker_are_found_by_the_clock(self, s):
        beam.granted(s)
        draft = ordered(s)
        assert solving.left(now=NOW) == []
        assert solving.left(now=NOW + timedelta(minutes=2)) == [draft.pk]
        ScheduleDraft.objects.filter(pk=draft.pk).update(state="solving", started_at=NOW)
        assert solving.left(now=NOW + timedelta(minutes=2)) == []
        assert solving.left(now=NOW + timedelta(minutes=5)) == [draft.pk]
        solving.solve(draft_id=draft.pk, now=NOW + timedelta(minutes=5))
        draft.refresh_from_db()
        assert draft.state == "drafted"

    def test_what_is_given_up_while_it_is_computed_stays_given_up(self, s):
        beam.granted(s)
        draft = ordered(s)
        drafts.discard(actor=s.planner, draft=draft, now=NOW)
        solving.solve(draft_id=draft.pk, now=NOW)
        draft.refresh_from_db()
        assert draft.state == "discarded"
        assert not draft.places.exists()


class TestArranging:
    @pytest.fixture
    def rows(self, s):
        return [beam.granted(s, shifts=6) for _ in range(3)]

    @pytest.fixture
    def draft(self, s, rows):
        found = drafted(s)
        assert found.places.count() == 3
        return found

    def test_what_is_put_is_fixed_and_stays_when_the_rest_is_placed_anew(self, s, rows, draft):
        put(s, draft, rows[0], 120)
        draft.refresh_from_db()
        drafts.resolve(actor=s.planner, draft=draft, version=draft.version, seconds=2, wake=print, now=NOW)
        solving.solve(draft_id=draft.pk, now=NOW)
        kept = DraftPlace.objects.get(draft=draft, allocation=rows[0])
        assert kept.during.lower == shift(120)
        assert kept.is_fixed
        assert DraftPlace.objects.filter(draft=draft).count() == 3

    def test_says_everything_a_spot_would_break_and_changes_nothing(self, s, rows, draft):
        first = DraftPlace.objects.get(draft=draft, allocation=rows[1])
        before = list(draft.places.values("allocation_id", "during", "version"))
        at = round((first.during.lower - beam.CYCLE.start) / timedelta(hours=8))
        with pytest.raises(faulting.NotAsDrafted) as error:
            put(s, draft, rows[0], at + 1)
        assert "beamtime.overlap" in codes(error)
        spot = arranging.Spot("BL01", shift(at + 1))
        looked = arranging.look(draft=draft, allocation_id=rows[0].pk, spot=spot, now=NOW)
        assert {one.code for one in looked} == codes(error)
        with pytest.raises(faulting.NotAsDrafted) as error:
            put(s, draft, rows[0], 86)
        assert codes(error) == {"beamtime.closed"}, "outside user beam"
        with pytest.raises(faulting.NotAsDrafted) as error:
            put(s, draft, rows[0], 100, line="BL02")
        assert codes(error) == {"beamtime.line"}
        for bad in (shift(3) + timedelta(minutes=1), shift(178), shift(-1)):
            with pytest.raises(arranging.NoShiftThere):
                arranging.put(
                    actor=s.planner,
                    draft=draft,
                    allocation_id=rows[0].pk,
                    spot=arranging.Spot("BL01", bad),
                    seen=before[0]["version"],
                    make_way=False,
                    now=NOW,
                )
        assert list(draft.places.values("allocation_id", "during", "version")) == before

    def test_others_make_way_only_where_they_are_not_fixed(self, s, rows, draft):
        put(s, draft, rows[0], 120)
        with pytest.raises(faulting.NotAsDrafted):
            put(s, draft, rows[1], 121, make_way=True)
        place = DraftPlace.objects.get(draft=draft, allocation=rows[0])
        arranging.fix(
            actor=s.planner, draft=draft, allocation_id=rows[0].pk, seen=place.version, is_fixed=False, now=NOW
        )
        put(s, draft, rows[1], 121, make_way=True)
        assert not DraftPlace.objects.filter(draft=draft, allocation=rows[0]).exists()

    def test_the_second_planner_is_told_who_moved_it_and_where(self, s, rows, draft):
        seen = DraftPlace.objects.get(draft=draft, allocation=rows[0]).version
        put(s, draft, rows[0], 120, seen=seen)
        with pytest.raises(arranging.MovedMeanwhile) as error:
            put(s, draft, rows[0], 150, seen=seen)
        assert error.value.params == {"who": "排班员", "where": "BL01 2027-02-13 00:00"}
        now = DraftPlace.objects.get(draft=draft, allocation=rows[0])
        arranging.take_out(actor=s.planner, draft=draft, allocation_id=rows[0].pk, seen=now.version, now=NOW)
        with pytest.raises(arranging.MovedMeanwhile) as error:
            put(s, draft, rows[0], 150, seen=now.version)
        assert "排班员" in error.value.params["who"]

    def test_a_shutdown_moved_over_places_is_named_and_nothing_is_adopted(self, s, rows, draft):
        put(s, draft, rows[0], 120)
        MachinePeriod.objects.filter(cycle=s.cycle, during__contains=shift(120)).delete()
        draft.refresh_from_db()
        for act in (
            lambda: drafts.resolve(actor=s.planner, draft=draft, version=draft.version, seconds=2, wake=print, now=NOW),
            lambda: adopting.adopt(actor=s.planner, draft=draft, version=draft.version, now=NOW),
        ):
            with pytest.raises(faulting.NotAsDrafted) as error:
                act()
            assert ("beamtime.closed", f"A{rows[0].pk}") in {(one.code, one.field) for one in error.value.reasons}
        assert not BeamVisit.objects.exists()
        draft.refresh_from_db()
        assert draft.state == "drafted"

    def test_the_table_refuses_two_places_of_a_line_at_once(self, s, rows, draft):
        one, two = draft.places.all()[:2]
        two.during = one.during
        with pytest.raises(IntegrityError, match="draft_place_no_overlap"):
            two.save()


class TestAdopting:
    def test_offers_all_with_their_claims(self, s):
        cryo = beam.device(s, "CRYO", s.lines[0])
        s.lines[0].needs_operator = True
        s.lines[0].save()
        person = beam.runner(s, "李工", s.lines[0])
        row = beam.granted(s)
        row.request.devices.add(cryo)
        [visit] = adopted(s)
        assert visit.state == "offered"
        assert visit.answer_by == NOW + timedelta(days=10)
        held = Claim.objects.filter(visit=visit)
        assert set(held.values_list("resource_id", "state")) == {
            (pk, "held") for pk in (s.lines[0].pk, cryo.pk, person.pk)
        }
        assert all(one.during == visit.during for one in held)
        assert list(visit.devices.all()) == [cryo]
        draft = ScheduleDraft.objects.get()
        assert draft.state == "adopted"
        assert not gathering.to_place(s.cycle).exists()
        with pytest.raises(adopting.Adopted) as error:
            adopting.adopt(actor=s.planner, draft=draft, version=draft.version, now=NOW)
        assert error.value.params["who"] == "排班员"

    def test_is_all_or_nothing_and_names_every_clash(self, s):
        rows = [beam.granted(s, shifts=6) for _ in range(3)]
        draft = drafted(s)
        for place in draft.places.exclude(allocation=rows[2]):
            span = (place.during.lower, place.during.lower + timedelta(hours=1))
            Claim.objects.create(resource=s.lines[0].resource, during=span, blocked=span, state="outage")
        with pytest.raises(faulting.NotAsDrafted) as error:
            adopted(s, draft)
        assert {one.field for one in error.value.reasons} == {f"A{row.pk}" for row in rows[:2]}
        assert not BeamVisit.objects.exists()
        assert not Claim.objects.filter(visit__isnull=False).exists()

    def test_offers_that_lapsed_make_way_without_a_worker(self, s):
        beam.granted(s, shifts=60)
        beam.granted(s, shifts=60)
        first = adopted(s)
        late = first[0].answer_by
        for _ in range(2):
            beam.granted(s, shifts=60)
        draft = ordered(s, key="draft-key-2")
        solving.solve(draft_id=draft.pk, now=late)
        draft.refresh_from_db()
        assert draft.places.count() == 2
        made = adopting.adopt(actor=s.planner, draft=draft, version=draft.version, now=late)
        assert len(made) == 2
        assert set(BeamVisit.objects.filter(pk__in=[one.pk for one in first]).values_list("state", flat=True)) == {
            "declined"
        }

    def test_what_stands_is_planned_around_by_the_next_draft(self, s):
        beam.granted(s, shifts=60)
        [first] = adopted(s)
        beam.granted(s, shifts=60)
        [second] = adopted(s, drafted(s, key="draft-key-2"))
        assert not Period(first.during.lower, first.during.upper).overlaps(
            Period(second.during.lower, second.during.upper)
        )

    @pytest.mark.parametrize("seed", range(4))
    def test_random_cycles_never_overlap_and_keep_what_is_fixed(self, s, seed):
        chance = random.Random(seed)
        cryo = beam.device(s, "CRYO", *s.lines)
        for line in s.lines:
            line.needs_operator, line.changeover_shifts = True, chance.choice([0, 1])
            line.save()
        for name in ("李工", "王工"):
            beam.runner(s, name, *s.lines)
        rows = []
        for at in range(14):
            day = chance.randrange(1, 29)
            row = beam.granted(
                s,
                shifts=chance.choice([3, 6, 9]),
                at=at % 2,
                grade_c=chance.randrange(0, 551),
                setup=chance.choice(["a", "b"]),
                bad=[f"2027-01-{day:02d}"],
                good=[f"2027-02-{day:02d}"],
            )
            if chance.random() < 0.4:
                row.request.devices.add(cryo)
            rows.append(row)
        draft = drafted(s, seconds=1)
        kept = list(draft.places.order_by("pk")[:4])
        for place in kept:
            arranging.fix(
                actor=s.planner,
                draft=draft,
                allocation_id=place.allocation_id,
                seen=place.version,
                is_fixed=True,
                now=NOW,
            )
        draft.refresh_from_db()
        drafts.resolve(actor=s.planner, draft=draft, version=draft.version, seconds=1, wake=print, now=NOW)
        solving.solve(draft_id=draft.pk, now=NOW)
        draft.refresh_from_db()
        for place in kept:
            now = DraftPlace.objects.get(pk=place.pk)
            assert (now.during, now.beamline_id) == (place.during, place.beamline_id)
        visits = adopted(s, draft)
        assert len(visits) == draft.places.count() >= 10
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM claim a JOIN claim b ON a.id < b.id AND a.resource_id = b.resource_id"
                " AND a.blocked && b.blocked WHERE a.visit_id IS NOT NULL"
            )
            assert cursor.fetchone() == (0,)
        found = gathering.gather(s.cycle, now=NOW)
        assert len(found.standing) == len(visits)
        assert drafting.faults(found.problem, found.standing) == []


class TestAnswering:
    def test_the_team_accepts_and_only_the_team(self, s):
        beam.granted(s)
        [visit] = adopted(s)
        other = beam.site()
        with pytest.raises(NotFound):
            planning_access.get_offer(other.leader, visit.number)
        for who in (other.leader, s.planner):
            with pytest.raises(Forbidden):
                answering.accept(actor=who, visit=visit, now=NOW)
        mine = planning_access.get_offer(s.leader, visit.number)
        answering.accept(actor=s.leader, visit=mine, now=NOW)
        again = answering.accept(actor=s.leader, visit=mine, now=NOW)
        assert again.state == "scheduled"
        assert set(Claim.objects.filter(visit=visit).values_list("state", flat=True)) == {"confirmed"}
        assert Record.objects.filter(action="visit.accepted").count() == 1

    def test_declined_time_goes_to_the_first_of_the_reserve_list_it_fits(self, s):
        row = beam.granted(s, shifts=9)
        [visit] = adopted(s)
        long = beam.on_reserve(s, place=1, shifts=12)
        away = beam.on_reserve(s, place=2, shifts=3, bad=[f"2027-01-{day:02d}" for day in range(1, 32)])
        first, second = beam.on_reserve(s, place=3, shifts=6), beam.on_reserve(s, place=4, shifts=3)
        answering.decline(actor=s.leader, visit=visit, note="样品未到", now=NOW)
        row.refresh_from_db()
        row.request.refresh_from_db()
        assert row.ended_at == NOW
        assert row.request.state == "reserve"
        made = BeamVisit.objects.filter(state="offered")
        assert [one.allocation.request for one in made.order_by("during")] == [first, second]
        for one in (long, away, first, second):
            one.refresh_from_db()
        assert [one.state for one in (long, away, first, second)] == ["reserve", "reserve", "allocated", "allocated"]
        assert first.proposal.state == "accepted"
        assert Claim.objects.filter(visit=visit, state="released").count() == 1

    def test_the_planner_reads_who_declined_why_and_who_moved_up(self, s):
        row = beam.granted(s, title="绝密配方")
        [visit] = adopted(s)
        waits = beam.on_reserve(s, place=1, shifts=6, title="另一配方")
        answering.decline(actor=s.leader, visit=visit, note="样品未到", now=NOW)
        made = BeamVisit.objects.get(state="offered")
        said = news(s.planner)
        assert [one.about for one in said] == [visit.number]
        lines = worded(said[0]).reasons
        assert row.request.proposal.number in lines[0]
        assert "理由：样品未到" in lines[0]
        assert waits.proposal.number in lines[1]
        assert made.number in lines[1]
        assert "配方" not in f"{worded(said[0])}"
        assert worded(said[0]).path == f"/visits/{visit.number}/"
        assert not news(s.office), "the office is told of what nobody answered"
        assert not news(s.leader)

    def test_the_office_too_reads_that_an_offer_lapsed_and_the_shifts_stand_empty(self, s):
        beam.granted(s)
        [visit] = adopted(s)
        assert answering.lapse_due(now=visit.answer_by) == 1
        assert answering.lapse_due(now=visit.answer_by) == 0
        for who in (s.planner, s.office):
            [said] = news(who)
            assert "没有答复，已失效" in worded(said).reasons[0]
            assert "候补名单上没有可排入的申请" in worded(said).reasons[1]

    def test_a_confidential_teams_words_are_in_no_message(self, s):
        beam.granted(s, is_confidential=True)
        [visit] = adopted(s)
        answering.decline(actor=s.leader, visit=visit, note="新催化剂没有做成", now=NOW)
        [said] = news(s.planner)
        assert "催化剂" not in f"{said.params}{said.reasons}"
        assert "谢绝了机时" in worded(said).reasons[0]

    def test_an_offer_nobody_answered_lapses_for_whoever_looks_first(self, s):
        beam.granted(s)
        [visit] = adopted(s)
        beam.on_reserve(s, place=1, shifts=6)
        late = visit.answer_by
        found = gathering.gather(s.cycle, now=late)
        assert found.standing == (), "it holds nothing, even before anybody wrote it down"
        with pytest.raises(answering.OfferLapsed):
            answering.accept(actor=s.leader, visit=visit, now=late)
        visit.refresh_from_db()
        assert visit.state == "declined"
        assert visit.answered_by_id is None
        assert BeamVisit.objects.filter(state="offered").count() == 1
        with pytest.raises(answering.OfferLapsed):
            answering.accept(actor=s.leader, visit=visit, now=late)

    def test_the_team_is_told_by_number_and_time_and_never_by_title(self, s):
        row = beam.granted(s, title="绝密配方")
        [visit] = adopted(s)
        visit = moving.move(
            actor=s.planner, visit=visit, starts_at=shift(120), seen=visit.version, reason="检修", now=NOW
        )
        answering.lapse_due(now=visit.answer_by)
        told = Message.objects.filter(about=row.request.proposal.number, user_id=s.leader.user_id).order_by("pk")
        assert [one.reasons[0]["code"] for one in told] == ["visit.offered", "visit.moved", "visit.lapsed"]
        assert told[1].reasons[0]["params"]["from"] == "2027-02-13 00:00"
        assert all("绝密" not in str(one.reasons) + str(one.params) for one in told)

    def test_the_sweep_ends_what_is_due_once(self, s):
        beam.granted(s)
        [visit] = adopted(s)
        assert answering.lapse_due(now=visit.answer_by - timedelta(seconds=1)) == 0
        assert answering.lapse_due(now=visit.answer_by) == 1
        assert answering.lapse_due(now=visit.answer_by) == 0

    def test_a_moved_visit_is_offered_again(self, s):
        for _ in range(2):
            beam.granted(s)
        one, two = adopted(s)
        answering.accept(actor=s.leader, visit=one, now=NOW)
        one.refresh_from_db()
        with pytest.raises(faulting.NotAsDrafted) as error:
            moving.move(
                actor=s.planner, visit=one, starts_at=two.during.lower, seen=one.version, reason="检修", now=NOW
            )
        assert codes(error) == {"beamtime.overlap"}
        with pytest.raises(moving.MoveReason):
            moving.move(actor=s.planner, visit=one, starts_at=shift(120), seen=one.version, reason=" ", now=NOW)
        moved = moving.move(actor=s.planner, visit=one, starts_at=shift(120), seen=one.version, reason="检修", now=NOW)
        assert (moved.state, moved.during.lower) == ("offered", shift(120))
        with pytest.raises(drafts.ChangedMeanwhile):
            moving.move(actor=s.planner, visit=one, starts_at=shift(130), seen=one.version, reason="检修", now=NOW)
        held = Claim.objects.get(visit=one, state="held")
        assert held.during.lower == shift(120)
        answering.accept(actor=s.leader, visit=moved, now=NOW)

    def test_what_runs_cannot_be_declined(self, s):
        beam.granted(s)
        [visit] = adopted(s)
        BeamVisit.objects.filter(pk=visit.pk).update(state="running")
        with pytest.raises(InvalidTransition):
            answering.decline(actor=s.leader, visit=visit, now=NOW)


def at_once(*acts):
    """Run acts at the same moment in threads of their own; return what came of each, by name."""
    gate, found = threading.Barrier(len(acts)), []

    def run(act):
        gate.wait()
        try:
            act()
            found.append("done")
        except (Refused, arranging.MovedMeanwhile, drafts.ChangedMeanwhile, adopting.Adopted) as error:
            found.append(error.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    [one.start() for one in threads]
    [one.join() for one in threads]
    return sorted(found)


@pytest.mark.django_db(transaction=True)
def test_of_two_planners_dragging_the_same_one_is_told_of_the_other():
    s = beam.site()
    row = beam.granted(s)
    draft = drafted(s)
    seen = DraftPlace.objects.get(draft=draft).version
    found = at_once(
        lambda: put(s, draft, row, 120, seen=seen),
        lambda: put(s, draft, row, 150, seen=seen),
    )
    assert found == ["beamtime.moved_meanwhile", "done"]
    assert DraftPlace.objects.get(draft=draft).during.lower in {shift(120), shift(150)}


@pytest.mark.django_db(transaction=True)
def test_of_two_planners_dropping_on_the_same_shift_one_is_told_what_is_there():
    s = beam.site()
    rows = [beam.granted(s), beam.granted(s)]
    draft = drafted(s)
    assert at_once(*(lambda row=row: put(s, draft, row, 120) for row in rows)) == ["beamtime.faults", "done"]


@pytest.mark.django_db(transaction=True)
def test_of_two_who_adopt_at_once_one_does():
    s = beam.site()
    for _ in range(3):
        beam.granted(s)
    draft = drafted(s)
    assert at_once(*[lambda: adopted(s, draft)] * 2) == ["beamtime.adopted", "done"]
    assert BeamVisit.objects.count() == Claim.objects.filter(state="held").count() == 3
