"""What is looked at before an instrument is admitted."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.errors import Reason
from portal.kernel.money import Money
from scheduler.catalogue import checklist, duties
from scheduler.catalogue.checklist import Found
from scheduler.resources import reviewing

THRESHOLD = duties.Threshold(Money.from_yuan("500000"), "国发〔2014〕70号")
FINE = checklist.Facts("ZC-1", Money.from_yuan("4500000"), THRESHOLD, "吴机长", "0571-88880000")


def found(facts):
    return [finding.found for finding in checklist.checklist(facts)]


def codes(facts):
    return [reason.code for reason in checklist.blocking(checklist.checklist(facts))]


def test_all_in_order_blocks_nothing():
    assert set(found(FINE)) == {Found.OK}
    assert codes(FINE) == []


@given(st.integers(1, 10**11))
def test_the_threshold_itself_must_be_listed(fen):
    line = checklist.checklist(replace(FINE, value=Money(fen)))[0]
    must = fen >= THRESHOLD.value.fen
    assert line.reason.code == ("instrument.must_list" if must else "instrument.may_list")
    assert line.found is Found.OK


def test_everything_missing_is_named_at_once():
    lacks = [Reason("a", "a", field="hours"), Reason("b", "b", field="rate"), Reason("c", "c", field="running_state")]
    bare = checklist.Facts("", Money(0), THRESHOLD, " ", "", lacks=lacks)
    assert codes(bare) == ["instrument.no_value", "instrument.no_asset_number", "b", "instrument.no_contact", "a", "c"]


def test_another_registration_is_for_the_officer_to_judge():
    line = checklist.checklist(replace(FINE, twins=["R2611-000009"]))[1]
    assert (line.found, line.reason.params["twins"]) == (Found.LOOK, "R2611-000009")
    assert codes(replace(FINE, twins=["R2611-000009"])) == []


def test_whose_instruments_are_reviewed_is_data():
    assert [
        reviewing.needs_review({"type": kind}) for kind in ("institute", "state_owned_enterprise", "university")
    ] == [
        True,
        True,
        False,
    ]
    assert not reviewing.needs_review({})
    rule = reviewing.read({"fact": "holder", "types": ["university"]})
    assert rule.covers({"holder": "university"})
    assert not rule.covers({"type": "university"})
