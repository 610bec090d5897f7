"""Deadlines, forms, what keeps a proposal from being sent: the worked cases E2, E4, E9."""

from datetime import UTC, datetime, timedelta

import pytest

from portal.kernel.period import Period
from portal.kernel.states import next_state
from scheduler.facilities.courses import COURSES, ProposalKind, ReportRule
from scheduler.proposals import rules
from scheduler.proposals.rules import (
    BeamProposalAction,
    BeamProposalState,
    FormLimit,
    PastVisit,
    Submission,
)

CALL = Period(datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 3, 1, 9, tzinfo=UTC))
TWO_PAGES = FormLimit(2, 5_000_000)
WHOLE = Submission(shifts=6, samples=1)


class TestDeadline:
    def test_the_last_second_is_in_time_and_the_next_is_late(self):
        rules.check_open(CALL, now=CALL.end - timedelta(seconds=1), closed_at="")
        with pytest.raises(rules.Late) as refused:
            rules.check_open(CALL, now=CALL.end, closed_at="2027-03-01 17:00（北京时间）")
        assert refused.value.params == {"closed_at": "2027-03-01 17:00（北京时间）"}

    def test_before_it_begins_nothing_is_taken(self):
        rules.check_open(CALL, now=CALL.start, closed_at="")
        with pytest.raises(rules.NotOpen):
            rules.check_open(CALL, now=CALL.start - timedelta(microseconds=1), closed_at="")


class TestForms:
    def test_three_pages_where_two_may_be_are_refused(self):
        """E2."""
        rules.check_file(pages=2, size=5_000_000, limit=TWO_PAGES, field="method")
        with pytest.raises(rules.BadFile) as refused:
            rules.check_file(pages=3, size=1, limit=TWO_PAGES, field="method")
        [reason] = refused.value.reasons
        assert (reason.code, reason.field, reason.params) == ("proposal.file_pages", "method", {"pages": 3, "most": 2})

    def test_all_that_is_wrong_with_a_file_is_said_at_once(self):
        with pytest.raises(rules.BadFile) as refused:
            rules.check_file(pages=None, size=5_000_001, limit=TWO_PAGES, field="method")
        assert [reason.code for reason in refused.value.reasons] == ["proposal.file_size", "proposal.file_kind"]
        with pytest.raises(rules.BadFile):
            rules.check_file(pages=0, size=10, limit=TWO_PAGES, field="method")


class TestSending:
    def test_nothing_is_missing_of_a_whole_one(self):
        assert rules.missing(WHOLE) == ([], [])

    def test_everything_that_is_missing_is_named_by_its_field(self):
        sent = Submission(
            empty=("abstract",),
            missing_forms=("method",),
            unanswered=("李研究员",),
            has_leader=False,
            shifts=30,
            most=18,
            is_barred=True,
        )
        found, _told = rules.missing(sent)
        assert [reason.field for reason in found] == [
            "abstract",
            "forms.method",
            "team",
            "leader",
            "shifts",
            "samples",
            "organisation",
        ]

    def test_a_missing_report_is_told_to_the_panel_or_blocks_as_the_facility_says(self):
        """E9."""
        now = datetime(2027, 2, 1, tzinfo=UTC)
        visits = [
            PastVisit("V1", now, reported=False),
            PastVisit("V2", now + timedelta(seconds=1), reported=False),
            PastVisit("V3", now - timedelta(days=9), reported=True),
        ]
        owed = rules.reports_owed(visits, now=now)
        assert owed == ["V1"]
        assert rules.missing(WHOLE, owed=owed, rule=ReportRule.TELL) == ([], ["V1"])
        found, told = rules.missing(WHOLE, owed=owed, rule=ReportRule.BLOCK)
        assert ([reason.code for reason in found], told) == (["proposal.report_owed"], [])


class TestKinds:
    def test_a_rapid_request_ends_with_its_cycle_and_others_do_not(self):
        """E4."""
        ends = datetime(2027, 7, 1, tzinfo=UTC)
        assert rules.lapses(ProposalKind.RAPID, cycle_ends=ends, now=ends)
        assert not rules.lapses(ProposalKind.RAPID, cycle_ends=ends, now=ends - timedelta(seconds=1))
        assert not rules.lapses(ProposalKind.STANDARD, cycle_ends=ends, now=ends)

    def test_every_kind_has_a_course_and_only_paid_ones_are_secret(self):
        assert set(COURSES) == set(ProposalKind)
        assert [kind for kind, course in COURSES.items() if course.confidential] == [ProposalKind.PROPRIETARY]
        assert all(course.paid for course in COURSES.values() if course.confidential)

    def test_an_upheld_appeal_is_graded_anew(self):
        state = BeamProposalState.REFUSED
        for action in (BeamProposalAction.APPEAL, BeamProposalAction.GRADE, BeamProposalAction.ACCEPT):
            state = next_state(rules.TRANSITIONS, state, action)
        assert state is BeamProposalState.ACCEPTED
