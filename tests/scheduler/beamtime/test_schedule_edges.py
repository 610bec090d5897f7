"""Schedules at their edges: what was cancelled, ended or lapsed meanwhile, hints that were lost, answers that come late."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from portal.kernel.period import Period
from scheduler.beamtime import (
    adopting,
    answering,
    arranging,
    drafts,
    ending,
    faulting,
    gathering,
    moving,
    solving,
    tasks,
)
from scheduler.beamtime.models import BeamVisit, DraftPlace, ScheduleDraft
from scheduler.facilities.models import RunCycle
from tests import beam, make

NOW = make.NOW


def shift(at: int) -> datetime:
    """Return when shift number `at` of the cycle starts."""
    return beam.CYCLE.start + timedelta(hours=8 * at)


def drafted(s, *, key: str = "draft-key-1", cycle: RunCycle | None = None) -> ScheduleDraft:
    draft = drafts.order(actor=s.planner, cycle=cycle or s.cycle, seconds=2, wake=print, key=key, now=NOW)
    solving.solve(draft_id=draft.pk, now=NOW)
    draft.refresh_from_db()
    return draft


def adopted(s, draft: ScheduleDraft | None = None) -> list[BeamVisit]:
    draft = draft or drafted(s)
    return adopting.adopt(actor=s.planner, draft=draft, version=draft.version, now=NOW)


@pytest.fixture
def s(db):
    return beam.site()


def test_the_beat_ends_visits_nobody_ended(s):
    yesterday = timezone.now().replace(microsecond=0) - timedelta(days=3)
    span = Period(yesterday, yesterday + timedelta(hours=24))
    visit = beam.visit(s, state="running", period=span)
    absent = beam.visit(s, state="ready", at=1, period=span)
    tasks.keep_visits()
    visit.refresh_from_db()
    absent.refresh_from_db()
    assert (visit.state, visit.ended_at, absent.state) == ("done", span.end, "missed")
    assert visit.report_due is not None


def test_what_was_only_offered_and_cancelled_is_placed_again(s):
    row = beam.granted(s)
    [offer] = adopted(s)
    ending.cancel(actor=s.planner, visit=offer, reason="换装", now=NOW)
    assert [one.pk for one in gathering.to_place(s.cycle)] == [row.pk]
    [again] = adopted(s, drafted(s, key="draft-key-2"))
    assert (again.state, again.allocation_id) == ("offered", row.pk)


def test_a_draft_ordered_anew_whose_hint_was_lost_is_found_by_the_clock(s):
    beam.granted(s)
    draft = drafted(s)
    later = NOW + timedelta(hours=1)
    drafts.resolve(actor=s.planner, draft=draft, version=draft.version, seconds=2, wake=print, now=later)
    assert solving.left(now=later + timedelta(seconds=30)) == [], "its worker was told just now"
    assert solving.left(now=later + timedelta(minutes=1)) == [draft.pk]


def put(s, draft, row, at):
    seen = DraftPlace.objects.get(draft=draft, allocation=row).version
    spot = arranging.Spot("BL01", shift(at))
    assert arranging.look(draft=draft, allocation_id=row.pk, spot=spot, now=NOW) == []
    return arranging.put(
        actor=s.planner, draft=draft, allocation_id=row.pk, spot=spot, seen=seen, make_way=False, now=NOW
    )


def test_others_are_arranged_beside_what_is_not_to_be_placed_any_more_and_over_it(s):
    gone, row = beam.granted(s), beam.granted(s)
    draft = drafted(s)
    was = DraftPlace.objects.get(draft=draft, allocation=gone)
    gone.ended_at = NOW
    gone.save()
    at = round((was.during.lower - beam.CYCLE.start) / timedelta(hours=8))
    assert put(s, draft, row, at).during == was.during
    assert [one.allocation_id for one in draft.places.all()] == [row.pk]
    draft.refresh_from_db()
    [offer] = adopted(s, draft)
    assert offer.during == was.during


def test_a_visit_moves_over_an_offer_that_is_due_before_any_sweep(s):
    for _ in range(2):
        beam.granted(s)
    one, two = adopted(s)
    answering.accept(actor=s.leader, visit=one, now=NOW)
    one.refresh_from_db()
    late = two.answer_by
    moved = moving.move(
        actor=s.planner, visit=one, starts_at=two.during.lower, seen=one.version, reason="检修", now=late
    )
    two.refresh_from_db()
    assert (moved.during, two.state) == (two.during, "declined")


def test_who_moved_up_into_a_due_offers_time_is_named_to_the_planner(s):
    for _ in range(2):
        beam.granted(s)
    one, two = adopted(s)
    answering.accept(actor=s.leader, visit=one, now=NOW)
    one.refresh_from_db()
    beam.on_reserve(s, place=1)
    with pytest.raises(faulting.NotAsDrafted) as error:
        moving.move(
            actor=s.planner, visit=one, starts_at=two.during.lower, seen=one.version, reason="检修", now=two.answer_by
        )
    new = BeamVisit.objects.get(state="offered")
    assert [(reason.code, reason.params["other"]) for reason in error.value.reasons] == [
        ("beamtime.overlap", new.number)
    ]


def test_beam_that_has_begun_cannot_be_declined_a_no_show_stays_one(s):
    visit = beam.visit(s, state="scheduled")
    for at in (visit.during.lower, visit.during.upper + timedelta(hours=1)):
        with pytest.raises(answering.BeamBegun):
            answering.decline(actor=s.leader, visit=visit, now=at)
    ending.end_due(now=visit.during.upper + timedelta(days=1))
    visit.refresh_from_db()
    assert visit.state == "missed"
    other = beam.visit(s, state="scheduled", day=3)
    just = other.during.lower - timedelta(seconds=1)
    assert answering.decline(actor=s.leader, visit=other, now=just).state == "declined"
