"""Qualified on the day of the use, with a certificate in force then: judged at the booked time, not when asking."""

from __future__ import annotations

from datetime import date

import pytest

from portal.kernel.errors import Forbidden, Refused
from scheduler.bookings import bundles, rules, services, terms
from scheduler.qualifications import granting
from scheduler.qualifications.services import Days
from tests import make
from tests.scheduler.bookings.test_services import codes

pytestmark = pytest.mark.django_db
TODAY = date(2026, 11, 25)
THIRD = date(2026, 11, 28)
"""The third day from today: no longer in force where something ends "until" it."""


def ask(w, resource, *, days: int = 1, **more):
    wanted = bundles.Wanted(resource, make.slot(days), "截面观察", **more)
    return services.request_booking(actor=w.researcher, wanted=wanted, now=make.NOW, key=make.key())


def refusal(w, resource, **more) -> pytest.ExceptionInfo[Refused]:
    with pytest.raises(Refused) as refused:
        ask(w, resource, **more)
    return refused


def qualify(w, resource, *, until: date = THIRD, actor=None) -> None:
    days = Days(TODAY, until)
    granting.qualify(actor=actor or w.keeper, resource=resource, organisation=w.enterprise, days=days, now=make.NOW)


class TestQualifications:
    @pytest.fixture
    def sem(self, w):
        made = make.instrument(w)
        wanted = terms.Terms(rules.SelfUse.QUALIFIED)
        terms.set_terms(actor=w.keeper, resource=made, terms=wanted, now=make.NOW)
        return made

    def test_are_needed_to_run_it_oneself(self, w, sem):
        refused = refusal(w, sem)
        assert codes(refused) == ["booking.not_qualified"]
        assert "还没有" in refused.value.reasons[0].message
        make.operator(w, sem)
        assert ask(w, sem, operator=bundles.ANYBODY)

    def test_are_judged_at_the_booked_time(self, w, sem):
        qualify(w, sem)
        assert ask(w, sem, days=2)
        refused = refusal(w, sem, days=3)
        assert codes(refused) == ["booking.not_qualified"]
        assert refused.value.reasons[0].params == {"until": "2026-11-27"}

    def test_that_are_suspended_do_not_count_until_granted_anew(self, w, sem):
        qualify(w, sem)
        note = "两次未按规程关机"
        granting.suspend(actor=w.keeper, resource=sem, organisation=w.enterprise, note=note, now=make.NOW)
        assert refusal(w, sem).value.reasons[0].params == {"note": note}
        qualify(w, sem)
        assert ask(w, sem)

    def test_are_granted_by_the_lab_alone(self, w, sem):
        stranger = make.actor(make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.LAB_MANAGER)
        with pytest.raises(Forbidden):
            qualify(w, sem, actor=stranger)

    def test_cannot_be_suspended_where_there_is_none(self, w, sem):
        with pytest.raises(granting.NotQualified):
            granting.suspend(actor=w.keeper, resource=sem, organisation=w.enterprise, note="无", now=make.NOW)


class TestCertificates:
    def test_must_be_in_force_at_the_booked_time_and_so_must_what_is_offered_instead(self, w):
        sem = make.instrument(w)
        assert ask(w, sem, days=10)
        granting.enter_certificate(
            actor=w.keeper, resource=sem, certificate="JZ-2026-1", days=Days(TODAY, THIRD), now=make.NOW
        )
        assert ask(w, sem, days=2)
        refused = refusal(w, sem, days=3)
        assert codes(refused) == ["booking.calibration"]
        free = refused.value.data["alternatives"]
        assert free
        assert all(period.end <= make.local(THIRD, "00:00") for period in free)

    def test_that_follow_each_other_count_as_one(self, w):
        sem = make.instrument(w, opens=(0, 1440), max_duration_s=24 * 3600)
        for number, days in (("1", Days(TODAY, THIRD)), ("2", Days(THIRD, date(2027, 11, 28)))):
            granting.enter_certificate(actor=w.keeper, resource=sem, certificate=number, days=days, now=make.NOW)
        night = make.Period(make.local(date(2026, 11, 27), "22:00"), make.local(THIRD, "02:00"))
        assert make.booking(w, sem, period=night)

    def test_are_entered_once(self, w):
        sem = make.instrument(w)
        days = Days(TODAY, THIRD)
        granting.enter_certificate(actor=w.keeper, resource=sem, certificate="1", days=days, now=make.NOW)
        with pytest.raises(granting.CertificateKnown):
            granting.enter_certificate(actor=w.keeper, resource=sem, certificate="1", days=days, now=make.NOW)
