"""What teams are told of their visits, once each."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.beamtime import answering, compensating, ending, moving, reporting, telling
from scheduler.messages.models import Message
from tests import beam, make

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def told():
    return [one["code"] for row in Message.objects.order_by("pk") for one in row.reasons]


def test_a_report_is_reminded_of_before_it_is_due_when_it_is_and_four_weeks_later_once_each():
    s = beam.site()
    visit = beam.visit(s, state="done")
    due = visit.report_due
    assert telling.remind_due(now=due - 15 * DAY) == 0
    for moment in (due - 14 * DAY, due - 13 * DAY, due, due + DAY, due + 28 * DAY, due + 40 * DAY):
        telling.remind_due(now=moment)
    assert told() == ["visit.report_due", "visit.report_overdue", "visit.report_overdue"]
    assert set(Message.objects.values_list("user_id", flat=True)) == {s.leader.user_id}
    assert visit.allocation.request.proposal.title not in str(list(Message.objects.values()))


def test_nobody_is_reminded_of_a_report_that_was_handed_in():
    s = beam.site()
    visit = beam.visit(s, state="done")
    given = reporting.ReportGiven("观察到相变。")
    reporting.hand_in(actor=s.leader, visit=visit, given=given, now=visit.report_due - 20 * DAY)
    assert telling.remind_due(now=visit.report_due) == 0


def test_forms_and_everything_missing_are_reminded_of_before_a_visit_that_lacks_them():
    s = beam.site()
    visit = beam.visit(s)
    beam.visit(s, state="ready", at=1)
    telling.remind_due(now=visit.during.lower - 21 * DAY)
    assert told() == ["visit.forms_due"]
    telling.remind_due(now=visit.during.lower - 3 * DAY)
    assert told()[1:] == ["visit.missing", "visit.sample", "visit.safety", "visit.participants"]


def test_a_visit_that_was_moved_is_reminded_of_for_its_new_day_too():
    s = beam.site()
    visit = beam.visit(s)
    by = visit.during.lower - 14 * DAY
    telling.remind_due(now=by - 7 * DAY)
    day = visit.during.lower + 30 * DAY
    moved = moving.move(
        actor=s.planner, visit=visit, starts_at=day, seen=visit.version, reason="检修", now=by - 6 * DAY
    )
    answering.accept(actor=s.leader, visit=moved, now=by - 6 * DAY)
    before = len(told())
    for moment in (day - 21 * DAY, day - 21 * DAY + DAY, day - 3 * DAY):
        telling.remind_due(now=moment)
    assert told()[before:] == ["visit.forms_due", "visit.missing", "visit.sample", "visit.safety", "visit.participants"]


def test_a_team_hears_of_the_end_a_cancellation_and_what_was_decided():
    s = beam.site()
    visit, gone = beam.visit(s, state="running"), beam.visit(s, state="ready", day=3)
    ending.finish(actor=s.scientist, visit=visit, now=visit.during.upper)
    ending.cancel(actor=s.planner, visit=gone, reason="水冷故障", now=make.NOW)
    compensating.grant(actor=s.director, visit=gone, shifts=3, note="优先补", now=make.NOW)
    assert told() == ["visit.counted", "visit.cancelled", "visit.compensation"]
