"""Disputes: who may do what and when, what is held back meanwhile, and what is given back in the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.errors import Forbidden, InvalidTransition, NotFound
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.kernel.workdays import Workdays
from portal.organisations import rules as roles
from scheduler.bookings import metering, settling
from scheduler.bookings.clocks import SessionClock, Use
from scheduler.disputes import access, rules, services
from scheduler.disputes.models import Dispute
from tests import make
from vouchers.charges import refunding
from vouchers.charges.models import Charge, Refund
from vouchers.settlements import queries as settlements

MIN = 60
DAY = timedelta(days=1)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2026, 11, 1), timezones=st.just(UTC)), st.integers(1, 60))
def test_a_deadline_is_a_midnight_after_the_day_it_is_counted_from(since, days):
    until = rules.deadline(Workdays(official={}, known_years=frozenset()), since, days=days)
    local = until.astimezone(make.BEIJING)
    assert (local.hour, local.minute) == (0, 0)
    assert until > since + timedelta(days=days - 1)


@pytest.fixture
def scene(w):
    """Two hours of 26 November charged at 480 yuan an hour, half by a voucher, and a second manager of the lab."""
    w.sem = make.instrument(w)
    w.made = make.measured(w, make.booking(w, w.sem, pay_with=make.voucher(w)))
    w.made.refresh_from_db()
    w.now = w.made.ends_at
    w.second = make.actor(w.lab, roles.Role.OWNER)
    return w


def opened(w, minutes=90, now=None):
    return services.open_dispute(
        actor=w.researcher, booking=w.made, claimed_s=minutes * MIN, reason="提前半小时结束", now=now or w.now
    )


def answered(w, minutes=90):
    return services.answer(
        actor=w.keeper,
        dispute=opened(w),
        counted_s=None if minutes is None else minutes * MIN,
        note="记录有误",
        now=w.now,
    )


def decided(w, row, minutes, by=None, now=None):
    counted = None if minutes is None else minutes * MIN
    return services.decide(actor=by or w.second, dispute=row, counted_s=counted, note="核对了日志", now=now or w.now)


def test_a_reading_after_the_charge_does_not_keep_it_from_being_disputed(w):
    w.sem = make.instrument(w)
    terms = settling.Agreed(SessionClock.METERED)
    metering.set_charge_terms(actor=w.keeper, resource=w.sem, terms=terms, now=make.NOW)
    w.made = make.measured(w, make.booking(w, w.sem))
    w.now = w.made.ends_at + timedelta(minutes=1)
    whole = Period(w.made.starts_at, w.made.ends_at)
    for used_s in (7200, 0):
        use = Use(whole, used_s)
        metering.record_reading(actor=w.keeper, booking=w.made, clock=SessionClock.METERED, use=use, now=w.now)
    assert charge(w).actual_fen == 96000
    assert opened(w).charged_s == 7200


def charge(w):
    return Charge.objects.get(pk=w.made.charge_id)


def due(w):
    return sum(row.amount_fen for row in settlements.due_to(w.lab.pk, now=w.now))


def test_what_is_disputed_is_held_back_and_what_was_too_much_goes_back(scene):
    before = due(scene)
    row = opened(scene)
    assert (row.state, row.charged_s, row.due_at) == ("open", 7200, make.local(datetime(2026, 12, 4), "00:00"))
    assert before > 0
    assert due(scene) == 0
    row = services.answer(actor=scene.keeper, dispute=row, counted_s=100 * MIN, note="记录有误", now=scene.now)
    row = decided(scene, row, 90)
    assert (row.state, row.corrected_fen, row.by_department) == ("settled", 24000, False)
    assert (charge(scene).refunded_fen, charge(scene).voucher_refunded_fen) == (24000, 12000)
    assert charge(scene).withheld_at is None
    assert due(scene) == before - 12000
    assert Refund.objects.get().reason == "核对了日志"


def test_nobody_decides_on_an_own_answer_and_nobody_else_decides_at_all(scene):
    row = answered(scene)
    with pytest.raises(rules.SamePerson):
        decided(scene, row, None, by=scene.keeper)
    other = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER)
    for someone in (other, scene.researcher, scene.reviewer):
        with pytest.raises(Forbidden):
            decided(scene, row, None, by=someone)
    with pytest.raises(Forbidden):
        services.answer(actor=other, dispute=row, counted_s=None, note="x", now=scene.now)
    assert decided(scene, row, None).state == "upheld"


def test_a_charge_upheld_by_the_lab_waits_for_the_organisation_and_is_then_paid_out(scene):
    row = decided(scene, answered(scene, None), None)
    assert row.due_at == make.local(datetime(2026, 12, 4), "00:00")
    assert services.settle_due(now=row.due_at - timedelta(seconds=1)) == 0
    assert services.settle_due(now=row.due_at) == 1
    assert services.settle_due(now=row.due_at) == 0
    row.refresh_from_db()
    assert (row.state, row.corrected_fen, charge(scene).refunded_fen) == ("settled", 0, 0)
    assert charge(scene).withheld_at is None


def test_the_department_has_the_last_word(scene):
    row = decided(scene, answered(scene, None), None)
    with pytest.raises(rules.TooLate):
        services.appeal(actor=scene.researcher, dispute=row, note="有视频", now=row.due_at)
    row = services.appeal(actor=scene.researcher, dispute=row, note="有视频", now=scene.now)
    with pytest.raises(rules.NotAnswered):
        decided(scene, row, None)
    foreign = make.actor(make.organisation(roles.Kind.DEPARTMENT), roles.Role.APPROVER)
    with pytest.raises(NotFound):
        decided(scene, row, None, by=foreign)
    row = decided(scene, row, 60, by=scene.approver)
    assert (row.state, row.by_department, row.corrected_fen) == ("settled", True, 48000)


def test_the_department_may_act_alone_where_the_lab_is_silent(scene):
    row = opened(scene)
    with pytest.raises(rules.NotYet):
        decided(scene, row, None, by=scene.approver)
    assert decided(scene, row, None, by=scene.approver, now=row.due_at).state == "settled"
    assert charge(scene).refunded_fen == 0


def test_in_time_once_and_for_less_than_was_charged(scene):
    last = services.until(booking=scene.made)
    assert last == make.local(datetime(2026, 12, 4), "00:00")
    with pytest.raises(rules.TooLate):
        opened(scene, now=last)
    for minutes in (120, -1):
        with pytest.raises(rules.BadTime):
            opened(scene, minutes=minutes)
    assert charge(scene).withheld_at is None
    with pytest.raises(Forbidden):
        services.open_dispute(actor=scene.keeper, booking=scene.made, claimed_s=0, reason="x", now=scene.now)
    row = opened(scene, now=last - timedelta(seconds=1))
    with pytest.raises(rules.AlreadyDisputed):
        opened(scene)
    services.withdraw(actor=scene.researcher, dispute=row, now=scene.now)
    assert charge(scene).withheld_at is None
    with pytest.raises(InvalidTransition):
        services.withdraw(actor=scene.researcher, dispute=row, now=scene.now)
    with pytest.raises(rules.AlreadyDisputed):
        opened(scene)


def test_what_was_not_charged_cannot_be_disputed(w):
    w.made, w.now = make.booking(w, make.instrument(w)), make.NOW
    with pytest.raises(rules.NothingToDispute):
        opened(w)


def test_what_was_given_back_before_is_not_given_back_twice(scene):
    refunding.refund(
        actor=scene.keeper,
        charge=charge(scene),
        amount=Money.from_yuan("100"),
        reason="样品台故障",
        now=scene.now,
        key=make.key(),
    )
    row = decided(scene, answered(scene), 90)
    assert (row.corrected_fen, charge(scene).refunded_fen) == (14000, 24000)


def test_each_sees_its_own(scene):
    row = opened(scene)
    for someone in (scene.researcher, scene.keeper, scene.second, scene.approver, scene.reviewer):
        assert list(access.visible_to(someone)) == [row]
    for kind, role in (
        (roles.Kind.PROVIDER, roles.Role.LAB_MANAGER),
        (roles.Kind.ENTERPRISE, roles.Role.OWNER),
        (roles.Kind.DEPARTMENT, roles.Role.APPROVER),
    ):
        with pytest.raises(NotFound):
            access.get_dispute(make.actor(make.organisation(kind), role), row.number)
    assert Dispute.objects.count() == 1
