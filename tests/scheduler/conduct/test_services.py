"""Violations counted by what happens to bookings, what they bar, and appeals."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.kernel.errors import Forbidden, InvalidTransition, NotFound, Refused
from portal.organisations import rules as roles
from scheduler.benches import services as benches
from scheduler.bookings import lapsing, terms
from scheduler.bookings import services as bookings
from scheduler.bookings.models import Booking
from scheduler.conduct import access, queries, rules, services
from scheduler.conduct.models import Violation
from tests import make

MIN = timedelta(minutes=1)
K = rules.ViolationKind


@pytest.fixture
def scene(w):
    """A lab with the usual rule, and a confirmed booking of tomorrow 09:00-11:00."""
    w.sem = make.instrument(w)
    services.set_rule(actor=w.keeper, thresholds=rules.Thresholds(), now=make.NOW)
    w.made = confirmed(w)
    return w


def confirmed(w, *, days=1, now=make.NOW, **more):
    made = make.booking(w, w.sem, period=make.slot(days=days, **more), now=now)
    return bookings.confirm(actor=w.keeper, booking=made, now=now)


def kinds():
    return list(Violation.objects.order_by("pk").values_list("kind", flat=True))


def start(w, minutes):
    at = w.made.starts_at + minutes * MIN
    return bookings.start_session(actor=w.keeper, booking=w.made, started_at=at, now=at)


def test_who_does_not_come_within_the_grace_loses_the_slot_and_is_counted_once(scene):
    void = scene.made.starts_at + 60 * MIN
    assert lapsing.lapse_overdue(now=void - timedelta(seconds=1)) == 0
    assert lapsing.lapse_overdue(now=void) == 1
    scene.made.refresh_from_db()
    assert (scene.made.state, kinds(), scene.made.charge.state) == ("no_show", ["no_show"], "released")
    assert lapsing.lapse_overdue(now=void + timedelta(days=30)) == 0
    assert kinds() == ["no_show"]


def test_checking_in_at_59_minutes_is_fine_and_at_60_too_late(scene):
    code = benches.renew(actor=scene.keeper, resource=scene.sem, now=make.NOW)
    with pytest.raises(rules.Void):
        benches.check_in(actor=scene.researcher, code=code, now=scene.made.starts_at + 60 * MIN)
    with pytest.raises(rules.Void):
        start(scene, 61)
    benches.check_in(actor=scene.researcher, code=code, now=scene.made.starts_at + 59 * MIN)
    assert kinds() == []


def test_a_lab_without_a_rule_counts_nothing_and_waits_a_week_as_before(w):
    w.sem = make.instrument(w)
    w.made = confirmed(w)
    assert lapsing.lapse_overdue(now=w.made.starts_at + 90 * MIN) == 0
    start(w, 90)
    assert Violation.objects.count() == 0


def test_bookings_from_before_the_rule_are_not_judged_by_it(w):
    w.sem = make.instrument(w)
    w.made = confirmed(w)
    services.set_rule(actor=w.keeper, thresholds=rules.Thresholds(), now=w.made.starts_at + MIN)
    assert lapsing.lapse_overdue(now=w.made.starts_at + 90 * MIN) == 0


def test_booking_far_more_than_is_used_counts(scene):
    start(scene, 0)
    bookings.finish_session(
        actor=scene.keeper, booking=scene.made, ended_at=scene.made.starts_at + 60 * MIN, now=scene.made.ends_at
    )
    assert kinds() == ["overbooked"]


def test_a_late_cancellation_counts_and_one_in_time_does_not(w):
    w.sem = make.instrument(w)
    services.set_rule(actor=w.keeper, thresholds=rules.Thresholds(), now=make.NOW)
    late = terms.Terms(free_cancel_s=86400, late_percent=50)
    terms.set_terms(actor=w.keeper, resource=w.sem, terms=late, now=make.NOW)
    first, second = confirmed(w, days=2), confirmed(w, days=3)
    bookings.cancel(actor=w.researcher, booking=first, now=first.starts_at - timedelta(hours=25))
    assert kinds() == []
    bookings.cancel(actor=w.researcher, booking=second, now=second.starts_at - timedelta(hours=23))
    assert kinds() == ["late_cancel"]


def barred(w, at):
    found = queries.standing_on(resource=w.sem, organisation_id=w.enterprise.pk, at=at)
    return bool(queries.refusals(found, zone=w.sem.zone))


def missed(w, number):
    for day in range(2, number + 2):
        made = confirmed(w, days=day)
        bookings.miss(actor=w.keeper, booking=made, now=made.starts_at + 5 * MIN)
    return made.starts_at + 6 * MIN


def test_the_fourth_suspends_with_the_reason_and_what_would_help(scene):
    now = missed(scene, 3)
    ahead = {"days": 3, "now": now}
    assert make.booking(scene, scene.sem, period=make.slot(**ahead), now=now)
    services.record_violation(actor=scene.keeper, booking=scene.made, kind=K.DAMAGE, note="样品杆弯了", now=now)
    with pytest.raises(Refused) as refused:
        make.booking(scene, scene.sem, period=make.slot(days=4, now=now), now=now)
    [reason] = refused.value.reasons
    assert (reason.code, reason.params["points"]) == ("booking.suspended", 4)
    assert "申诉" in reason.remedy
    over = now + timedelta(days=30)
    assert barred(scene, over - timedelta(seconds=1))
    assert not barred(scene, over)


def test_a_lifted_violation_counts_no_more(scene):
    now = missed(scene, 4)
    assert barred(scene, now)
    row = Violation.objects.latest("pk")
    row = services.appeal(actor=scene.researcher, violation=row, note="停电", now=now)
    with pytest.raises(InvalidTransition):
        services.appeal(actor=scene.researcher, violation=row, note="停电", now=now)
    assert barred(scene, now)
    services.decide(actor=scene.keeper, violation=row, lift=True, note="属实", now=now)
    assert not barred(scene, now)
    assert queries.standings(owner_id=scene.lab.pk, at=now)[scene.enterprise.pk].level is rules.Level.WATCHED
    [(lab, standing)] = queries.own_standings(organisation_id=scene.enterprise.pk, at=now)
    assert (lab, standing.points) == (scene.lab, 3)


def test_who_may_do_what(scene):
    other = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER)
    now = scene.made.starts_at
    for someone in (other, scene.researcher):
        with pytest.raises(Forbidden):
            services.record_violation(actor=someone, booking=scene.made, kind=K.OTHER, note="x", now=now)
    with pytest.raises(rules.NotByHand):
        services.record_violation(actor=scene.keeper, booking=scene.made, kind=K.NO_SHOW, note="x", now=now)
    with pytest.raises(rules.NoteMissing):
        services.record_violation(actor=scene.keeper, booking=scene.made, kind=K.OTHER, note=" ", now=now)
    row = services.record_violation(actor=scene.keeper, booking=scene.made, kind=K.OTHER, note="带走样品", now=now)
    with pytest.raises(NotFound):
        access.get_violation(other, row.pk)
    for act in (
        lambda: services.appeal(actor=scene.keeper, violation=row, note="x", now=now),
        lambda: services.decide(actor=scene.researcher, violation=row, lift=True, note="x", now=now),
        lambda: services.decide(actor=other, violation=row, lift=True, note="x", now=now),
        lambda: services.set_rule(actor=scene.researcher, thresholds=rules.Thresholds(), now=now),
    ):
        with pytest.raises(Forbidden):
            act()
    light = rules.Thresholds(points=dict.fromkeys(K, 0))
    services.set_rule(actor=scene.keeper, thresholds=light, now=now)
    with pytest.raises(rules.NoRule):
        services.record_violation(actor=scene.keeper, booking=scene.made, kind=K.DAMAGE, note="x", now=now)
    assert Booking.objects.filter(violations=row).exists()
