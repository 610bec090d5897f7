"""Limits as a booking meets them: over one instrument or several, under rivals, in moves, and on the pages."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from portal.kernel.errors import Forbidden, Refused
from scheduler.bookings import holding, moving, services
from scheduler.bookings.bundles import Wanted
from scheduler.bookings.models import Booking
from scheduler.quotas import services as quotas
from scheduler.quotas.models import QuotaRule
from scheduler.quotas.rules import Effect, Limit, Measure, Peak, Per
from tests import make
from tests.calling import Caller, zoned
from tests.scheduler.bookings.test_holding import automatic
from tests.scheduler.bookings.test_services import codes, race


def ask(w, resource, period, *, actor=None) -> Booking:
    wanted = Wanted(resource, period, "截面观察")
    return services.request_booking(actor=actor or w.researcher, wanted=wanted, now=make.NOW, key=make.key())


def limit(w, *instruments, measure=Measure.HOURS, amount=4 * 3600, **more) -> QuotaRule:
    said = Limit("每周限额", measure, amount, **more)
    return quotas.add_rule(actor=w.keeper, limit=said, instruments=instruments, now=make.NOW)


@pytest.mark.django_db
class TestLimits:
    """NOW is Wednesday 25 November 2026; slots of two hours."""

    def test_refuse_with_the_date_they_free_and_times_that_fit(self, w):
        sem = make.instrument(w)
        limit(w, sem)
        ask(w, sem, make.slot(1))
        ask(w, sem, make.slot(2))
        with pytest.raises(Refused) as refused:
            ask(w, sem, make.slot(3))
        assert codes(refused) == ["quota.hours"]
        assert refused.value.reasons[0].params["frees"] == "2026-11-30 00:00"
        free = refused.value.data["alternatives"]
        assert len(free) == 3
        assert all(make.slot(5, "00:00").start <= period.start for period in free)
        assert ask(w, sem, free[0])
        assert ask(w, sem, make.slot(3), actor=make.applicant())

    def test_cover_several_instruments_together_and_no_other(self, w):
        sem, tem, other = make.instrument(w), make.instrument(w), make.instrument(w)
        limit(w, sem, tem)
        ask(w, sem, make.slot(1))
        ask(w, tem, make.slot(2))
        ask(w, other, make.slot(3))
        with pytest.raises(Refused):
            ask(w, tem, make.slot(3))

    def test_tell_all_reasons_at_once(self, w):
        sem = make.instrument(w)
        limit(w, amount=3600)
        limit(w, measure=Measure.BOOKINGS, amount=1)
        make.booking(w, make.instrument(make.world()), period=make.slot(1))
        with pytest.raises(Refused) as refused:
            ask(w, sem, make.slot(1))
        assert codes(refused) == ["quota.hours"]
        QuotaRule.objects.filter(measure="hours").update(amount=2 * 3600)
        ask(w, sem, make.slot(1))
        with pytest.raises(Refused) as refused:
            ask(w, sem, make.slot(1))
        assert set(codes(refused)) == {"booking.taken", "quota.hours", "quota.bookings"}

    def test_count_people_by_themselves_where_set_so(self, w):
        sem = make.instrument(w)
        limit(w, amount=2 * 3600, per=Per.PERSON)
        ask(w, sem, make.slot(1))
        assert ask(w, sem, make.slot(2), actor=w.owner)
        with pytest.raises(Refused):
            ask(w, sem, make.slot(3))

    def test_forget_what_was_given_back(self, w):
        sem = make.instrument(w)
        limit(w, amount=2 * 3600)
        services.cancel(actor=w.researcher, booking=ask(w, sem, make.slot(1)), now=make.NOW)
        held = make.held(w, sem, period=make.slot(2))
        with pytest.raises(Refused):
            ask(w, sem, make.slot(3))
        late = make.NOW + timedelta(minutes=10)
        wanted = Wanted(sem, make.slot(3), "截面观察")
        assert services.request_booking(actor=w.researcher, wanted=wanted, now=late, key=make.key())
        assert held.pk

    def test_let_a_booking_move_within_its_own_hours(self, w):
        sem = make.instrument(w)
        limit(w, amount=2 * 3600)
        made = ask(w, sem, make.slot(1))
        assert moving.move(actor=w.researcher, booking=made, period=make.slot(2), now=make.NOW)

    def test_leave_it_to_the_lab_where_set_so(self, w):
        sem = automatic(make.instrument(w))
        peak = Peak(frozenset(range(1, 8)), 9 * 60, 11 * 60)
        limit(w, sem, measure=Measure.PEAK_SHARE, amount=20, peak=peak, effect=Effect.APPROVAL)
        assert ask(w, sem, make.slot(1)).state == "confirmed"
        assert ask(w, sem, make.slot(2)).state == "requested"
        assert ask(w, sem, make.slot(2, "12:00", "14:00")).state == "confirmed"
        held = make.held(w, sem, period=make.slot(3))
        assert holding.confirm_hold(actor=w.researcher, booking=held, now=make.NOW).state == "requested"

    def test_are_the_labs_own(self, w):
        sem, stranger = (
            make.instrument(w),
            make.actor(make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.LAB_MANAGER),
        )
        with pytest.raises(Forbidden):
            quotas.add_rule(actor=stranger, limit=Limit("x", Measure.HOURS, 3600), instruments=[sem], now=make.NOW)
        rule = limit(w, sem, amount=3600)
        with pytest.raises(Forbidden):
            quotas.end_rule(actor=stranger, rule=rule, now=make.NOW)
        quotas.end_rule(actor=w.keeper, rule=rule, now=make.NOW)
        assert ask(w, sem, make.slot(1))


@pytest.mark.django_db(transaction=True)
def test_rivals_on_two_instruments_never_get_more_than_the_limit():
    """Eight threads of one enterprise, two instruments, no time in common: the limit alone decides."""
    w = make.world()
    pair = [make.instrument(w), make.instrument(w)]
    limit(w, *pair)
    results = race(8, lambda n: ask(w, pair[n % 2], make.slot(1 + n // 2)))
    made = [one for one in results if isinstance(one, Booking)]
    assert all(isinstance(one, Booking | Refused) for one in results), results
    assert sum(
        (one.ends_at - one.starts_at for one in made if one.starts_at < make.slot(5, "00:00").start), timedelta()
    ) == timedelta(hours=4)


@pytest.mark.django_db
class TestTelling:
    def test_the_quote_says_what_is_used(self, w, clock):
        sem = make.instrument(w)
        lab = Caller(w.keeper)
        body = {"name": "每周限额", "measure": "hours", "amount": 10, "instruments": [sem.number]}
        made = lab.post("/quotas", body)
        assert (made.status, made.body["amount"]) == (201, 10)
        ask(w, sem, make.slot(1))
        period = make.slot(2)
        said = {"instrument": sem.number, "starts_at": zoned(period.start), "ends_at": zoned(period.end)}
        [line] = Caller(w.researcher).post("/bookings/quote", said).body["limits"]
        assert (line["used"], line["asked"], line["allowed"], line["fits"]) == (7200, 7200, 36000, True)
        assert [row["id"] for row in lab.get("/quotas").body["items"]] == [made.body["id"]]
        assert lab.delete(f"/quotas/{made.body['id']}").status == 204

    def test_the_form_shows_it_and_the_lab_sets_and_ends_it(self, w, client, clock):
        sem = make.instrument(w)
        client.force_login(make.user_of(w.keeper))
        url = reverse("instrument_quotas", args=[sem.number])
        said = {"name": "每周限额", "measure": "hours", "amount": "10", "span": "week", "per": "organisation"}
        assert client.post(url, said).status_code == 422
        assert client.post(url, {**said, "effect": "refuse", "scope": "this"}).status_code == 302
        assert "每周限额" in client.get(url).content.decode()
        ask(w, sem, make.slot(1))
        client.force_login(make.user_of(w.researcher))
        form = client.get(
            reverse("instrument_book", args=[sem.number]), {"day": "2026-11-27", "start": "09:00", "end": "11:00"}
        )
        assert "贵单位已约 2 / 10 小时" in form.content.decode()
        assert client.get(url).status_code == 403
        client.force_login(make.user_of(w.keeper))
        [rule] = QuotaRule.objects.all()
        assert client.post(url, {"act": "end", "id": rule.pk}).status_code == 302
        rule.refresh_from_db()
        assert rule.ended_at is not None
