"""What is written is kept or refused aloud: tables, rows of beam time, calls of one name, a partner's use."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from portal.kernel.period import Period
from scheduler.facilities.courses import ProposalKind
from scheduler.facilities.models import Partner, PartnerPart
from scheduler.proposals import calls, drafting, partners
from scheduler.proposals.models import BeamProposal, ProposalCall
from tests import beam, make
from tests.calling import Caller
from tests.scheduler.proposals.test_importing import sent, table

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def s():
    return beam.site()


class TestTable:
    def owing(self, s, rule: str) -> str:
        """Have the leader owe the report of a visit that ended last year."""
        s.facility.report_rule = rule
        s.facility.save()
        visit = beam.visit(s, state="done", period=beam.during(-100))
        visit.report_due = make.NOW - timedelta(days=1)
        visit.save()
        return visit.number

    def test_a_line_of_a_leader_who_owes_a_report_is_refused_where_the_facility_blocks(self, s):
        self.owing(s, "block")
        (row,) = sent(Caller(s.office), s, table(s, 1)).body["rows"]
        assert [reason["code"] for reason in row["reasons"]] == ["proposal.report_owed"]

    def test_the_panel_is_told_what_the_leader_owes_where_it_only_tells(self, s):
        number = self.owing(s, "tell")
        (row,) = sent(Caller(s.office), s, table(s, 1)).body["rows"]
        assert BeamProposal.objects.get(number=row["number"]).owed == [number]

    @pytest.mark.parametrize("shifts", ["1000", "32768", "99999999999", "0"])
    def test_a_number_of_shifts_beyond_all_bounds_is_that_lines_fault_alone(self, s, shifts):
        answer = sent(Caller(s.office), s, table(s, 3, line1={"班次数": shifts}), "/preview")
        assert (answer.status, answer.body["good"], answer.body["bad"]) == (200, 2, 1)
        [bad] = [row for row in answer.body["rows"] if row["reasons"]]
        assert {reason["field"] for reason in bad["reasons"]} == {"shifts"}


def test_two_rows_for_one_beamline_and_cycle_are_refused_and_neither_is_lost(s):
    draft = beam.proposal(s, state="draft", shifts=3)
    rows = [
        drafting.RequestWanted("BL02", s.cycle.code, 6, "甲"),
        drafting.RequestWanted("BL02", s.cycle.code, 9, "乙"),
    ]
    with pytest.raises(drafting.Twice) as refused:
        content = drafting.Content(requests=rows)
        drafting.save(actor=s.leader, proposal=draft, content=content, version=draft.version, now=make.NOW)
    assert (refused.value.field, refused.value.params) == ("requests.1.beamline", {"line": "BL02"})
    assert list(draft.requests.values_list("shifts", flat=True)) == [3]


class TestPartnersUse:
    def asked(self, s, partner, part, state, shifts=9):
        return beam.proposal(
            s, state=state, kind="partner", call=None, shifts=shifts, partner=partner, partner_part=part
        )

    @pytest.mark.parametrize("gone", ["not_feasible", "returned", "refused"])
    def test_what_was_found_not_feasible_returned_or_refused_leaves_the_use_to_the_next(self, s, gone):
        firm, valid = s.leader.organisation_id, (date(2026, 1, 1), date(2028, 1, 1))
        partner = Partner.objects.create(beamline=s.lines[0], organisation_id=firm, num=1, den=3, valid=valid)
        partner.refresh_from_db()
        part = PartnerPart.objects.create(partner=partner, code="own", name="自用", num=18, den=100)
        before = self.asked(s, partner, part, "admitted")
        nine = self.asked(s, partner, part, "draft")
        asked, today = list(nine.requests.all()), make.NOW.date()
        assert [one.code for one in partners.wrong(nine, asked, today=today)] == ["facility.partner_part"]
        BeamProposal.objects.filter(pk=before.pk).update(state=gone)
        assert partners.wrong(nine, asked, today=today) == []


class TestCalls:
    def wanted(self, days: int, **more) -> calls.CallWanted:
        period = Period(make.NOW, make.NOW + timedelta(days=days))
        return calls.CallWanted("第二轮", period, [ProposalKind.STANDARD], **more)

    def announce(self, s, wanted) -> ProposalCall:
        return calls.announce(actor=s.office, facility=s.facility, cycle=s.cycle, wanted=wanted, now=make.NOW)

    def test_another_call_of_a_name_that_is_taken_is_refused_and_the_same_again_is_the_same(self, s):
        made = self.announce(s, self.wanted(10))
        assert self.announce(s, self.wanted(10)) == made
        with pytest.raises(calls.NameTaken) as refused:
            self.announce(s, self.wanted(12))
        assert (refused.value.field, refused.value.params) == ("name", {"number": made.number})
        assert made.during.upper == make.NOW + timedelta(days=10)

    def test_of_two_who_change_a_call_at_once_the_second_is_told_and_overwrites_nothing(self, s):
        made = self.announce(s, self.wanted(10))
        read = calls.stamp(made)
        change = {"actor": s.office, "call": made, "now": make.NOW}
        calls.change(wanted=self.wanted(11), seen=read, **change)
        with pytest.raises(calls.ChangedSince):
            calls.change(wanted=self.wanted(12), seen=read, **change)
        made.refresh_from_db()
        assert made.during.upper == make.NOW + timedelta(days=11)
        calls.change(wanted=self.wanted(12), seen=calls.stamp(made), **change)

    def test_over_the_api_a_call_is_changed_from_the_stamp_that_was_read(self, s):
        office = Caller(s.office)
        path = f"/calls/{s.call.number}"
        read = office.get(path).body
        names = ("name", "opens_at", "closes_at", "kinds", "most_shifts", "stamp")
        said = {name: read[name] for name in names}
        assert office.put(path, {**said, "notice": "甲"}).body["notice"] == "甲"
        assert office.put(path, {**said, "notice": "乙"}).code == "call.changed_since"
