"""Bookings over HTTP, alone and in a crowd."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connections

from portal.kernel.period import Period
from scheduler.bookings.models import Booking
from tests import make
from tests.calling import Answer, Caller, queries_of, zoned
from vouchers.charges.models import Charge
from vouchers.ledger import queries as ledger

pytestmark = pytest.mark.usefixtures("clock")


def asked(resource, period: Period | None = None, **more: object) -> dict[str, object]:
    period = period or make.slot()
    return {
        "instrument": resource.number,
        "starts_at": zoned(period.start),
        "ends_at": zoned(period.end),
        "title": "电池极片截面观察",
        **more,
    }


def quoted(resource, period: Period | None = None, **more: object) -> dict[str, object]:
    return {name: value for name, value in asked(resource, period, **more).items() if name != "title"}


@pytest.mark.django_db
class TestHolding:
    def test_keeps_the_time_and_makes_a_booking_of_it_once(self, w):
        api, sem = Caller(w.researcher), make.instrument(w)
        held = api.post("/bookings/hold", asked(sem), key=make.key()).body
        assert (held["state"], held["hold_until"]) == ("held", "2026-11-25T02:10:00Z")
        placed = [api.post(f"/bookings/{held['number']}/place", {}).body for _press in range(2)]
        assert [(one["number"], one["state"]) for one in placed] == [(held["number"], "requested")] * 2


@pytest.mark.django_db
class TestBundles:
    def test_book_whoever_of_the_qualified_is_free(self, w):
        sem = make.instrument(w, cleanup_s=1800)
        person = make.operator(w, sem)
        body = asked(sem, operator="any", configuration="SE2")
        made = Caller(w.researcher).post("/bookings", body, key=make.key()).body
        assert made["operator"] == {"number": person.number, "name": person.name}
        assert (made["places"], made["configuration"]) == (1, "SE2")

    def test_are_what_the_lab_says_they_are(self, w):
        lab, sem = Caller(w.keeper), make.instrument(w)
        assert lab.put(f"/instruments/{sem.number}/terms", {"self_use": "qualified"}).body["self_use"] == "qualified"
        firm = {"organisation": w.enterprise.credit_code, "since": "2026-11-25", "until": "2026-11-30"}
        refused = Caller(w.researcher).post("/bookings", asked(sem), key=make.key())
        assert [reason["code"] for reason in refused.body["reasons"]] == ["booking.not_qualified"]
        [row] = lab.post(f"/instruments/{sem.number}/qualifications", firm).body["qualifications"]
        assert (row["until"], row["suspended"]) == ("2026-11-30", None)
        paper = {"certificate": "JZ-1", "since": "2026-11-25", "until": "2026-11-30"}
        assert lab.post(f"/instruments/{sem.number}/certificates", paper).status == 200
        assert Caller(w.researcher).post("/bookings", asked(sem), key=make.key()).status == 201


@pytest.mark.django_db
class TestQuoting:
    def test_splits_the_price_and_holds_nothing(self, w):
        voucher, resource = make.voucher(w), make.instrument(w, cleanup_s=1800)
        period = make.slot(start="09:00", end="11:00")
        body = Caller(w.researcher).post("/bookings/quote", quoted(resource, period, voucher=voucher.number)).body
        assert (body["bookable"], body["price"], body["unit"]) == (True, {"fen": 96000, "yuan": "960.00"}, "hour")
        assert (body["voucher_share"]["fen"], body["own_share"]["fen"]) == (48000, 48000)
        assert body["blocked"]["ends_at"] == "2026-11-26T03:30:00Z"
        assert (body["reasons"], body["alternatives"]) == ([], [])
        assert not Charge.objects.exists()

    def test_names_every_reason_and_offers_what_is_free(self, w):
        resource = make.instrument(w)
        make.booking(w, resource)
        body = (
            Caller(w.researcher).post("/bookings/quote", quoted(resource, make.slot(start="07:10", end="10:10"))).body
        )
        assert not body["bookable"]
        assert [reason["code"] for reason in body["reasons"]] == [
            "booking.grid",
            "availability.closed",
            "booking.taken",
        ]
        assert all(reason["text"] and reason["remedy"] for reason in body["reasons"])
        assert len(body["alternatives"]) == 3

    def test_survives_a_century(self, w):
        body = quoted(make.instrument(w), starts_at="2000-01-01T00:00:00+14:00", ends_at="2099-12-31T23:59:59-12:00")
        answer = Caller(w.researcher).post("/bookings/quote", body)
        assert answer.status == 200
        assert {"booking.past", "booking.horizon", "booking.too_long"} <= {
            row["code"] for row in answer.body["reasons"]
        }

    def test_knows_no_foreign_voucher(self, w):
        voucher, resource = make.voucher(w), make.instrument(w)
        rival = Caller(make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER))
        answer = rival.post("/bookings/quote", quoted(resource, voucher=voucher.number))
        assert (answer.status, list(answer.body["fields"])) == (404, ["voucher"])

    def test_says_when_there_is_no_price(self, w):
        lab = Caller(w.keeper)
        number = lab.post("/instruments", {"name": "新仪器", "category": "other", "city": "杭州"}).body["number"]
        body = {**quoted(make.instrument(w)), "instrument": number}
        assert Caller(w.researcher).post("/bookings/quote", body).status == 404
        both = make.actor(w.lab, make.roles.Role.LAB_MANAGER)
        assert Caller(both).post("/bookings/quote", body).status == 403


@pytest.mark.django_db
class TestRequesting:
    def test_holds_time_and_price(self, w):
        voucher, resource = make.voucher(w), make.instrument(w)
        answer = Caller(w.researcher).post("/bookings", asked(resource, voucher=voucher.number), key="booking-1")
        assert answer.status == 201, answer
        body = answer.body
        assert (body["state"], body["state_label"], body["starts_at"]) == (
            "requested",
            "待确认",
            "2026-11-26T01:00:00Z",
        )
        assert body["instrument"] == {
            "number": resource.number,
            "name": resource.name,
            "name_en": resource.name_en,
            "zone": "Asia/Shanghai",
            "owner": w.lab.name,
        }
        charge = body["charge"]
        assert (charge["voucher"], charge["voucher_held"]["fen"], charge["own_held"]["fen"], charge["actual"]) == (
            voucher.number,
            48000,
            48000,
            None,
        )

    def test_needs_a_key(self, w):
        answer = Caller(w.researcher).post("/bookings", asked(make.instrument(w)))
        assert (answer.status, list(answer.body["fields"])) == (422, ["Idempotency-Key"])
        assert not Booking.objects.exists()

    def test_happens_once_per_key(self, w):
        caller, body = Caller(w.researcher), asked(make.instrument(w))
        first = caller.post("/bookings", body, key="booking-1")
        again = caller.post("/bookings", body, key="booking-1")
        assert (again.status, again.body) == (201, first.body)
        assert Booking.objects.count() == 1

    def test_refuses_another_body_with_the_same_key(self, w):
        caller, resource = Caller(w.researcher), make.instrument(w)
        caller.post("/bookings", asked(resource), key="booking-1")
        answer = caller.post("/bookings", asked(resource, make.slot(days=2)), key="booking-1")
        assert (answer.status, answer.code) == (409, "idempotency.mismatch")
        assert Booking.objects.count() == 1

    @pytest.mark.parametrize(
        ("period", "code"),
        [
            (Period(make.NOW - make.timedelta(hours=1), make.NOW + make.timedelta(hours=1)), "booking.past"),
            (make.slot(days=70), "booking.horizon"),
            (make.slot(start="09:00", end="09:30"), "booking.too_short"),
            (make.slot(start="08:00", end="17:00"), "booking.too_long"),
            (make.slot(start="09:10", end="11:10"), "booking.grid"),
            (make.slot(start="21:00", end="23:00"), "availability.closed"),
        ],
    )
    def test_is_refused_with_free_alternatives(self, w, period, code):
        resource, caller = make.instrument(w), Caller(w.researcher)
        answer = caller.post("/bookings", asked(resource, period), key="booking-1")
        assert (answer.status, answer.code) == (409, "refused")
        assert code in answer.reasons
        for at, free in enumerate(answer.body["data"]["alternatives"]):
            assert caller.post("/bookings", {**asked(resource), **free}, key=f"alternative-{at}").status in {201, 409}
        assert Booking.objects.exists()

    def test_names_the_clock_change_that_swallows_an_hour(self, w):
        """01:30-03:30 in New York on 14 March 2027 is one hour: the clock jumps from 02:00 to 03:00."""
        resource = make.instrument(
            w, zone="America/New_York", opens=(0, 1440), min_duration_s=7200, horizon_s=200 * 86400
        )
        body = {**asked(resource), "starts_at": "2027-03-14T01:30:00-05:00", "ends_at": "2027-03-14T03:30:00-04:00"}
        answer = Caller(w.researcher).post("/bookings", body, key="booking-1")
        assert (answer.status, answer.reasons) == (409, ["booking.too_short"])

    def test_says_what_a_small_voucher_lacks(self, w):
        voucher = make.voucher(w, items={"instrument_use": make.Money.from_yuan("1000")})
        body = asked(make.instrument(w), make.slot(start="09:00", end="13:00"), voucher=voucher.number)
        answer = Caller(w.researcher).post("/bookings", body, key="booking-1")
        assert (answer.status, answer.reasons) == (409, ["voucher.too_small"])
        assert "¥500.00" in answer.body["fields"]["voucher"]
        assert "¥960.00" in answer.body["fields"]["voucher"]


@pytest.mark.django_db
class TestServing:
    def test_measures_the_use_and_captures_what_it_cost(self, w):
        voucher, lab = make.voucher(w), Caller(w.keeper)
        booked = make.booking(w, make.instrument(w), period=make.slot(start="09:00", end="13:00"), pay_with=voucher)
        # The clock stands still for callers; a session must lie in the past, so this one was booked two days ago.
        Booking.objects.filter(pk=booked.pk).update(
            starts_at=booked.starts_at - make.timedelta(days=2), ends_at=booked.ends_at - make.timedelta(days=2)
        )
        path = f"/bookings/{booked.number}"
        assert lab.post(f"{path}/confirm").body["state"] == "confirmed"
        early = lab.post(f"{path}/session/start", {"started_at": "2026-11-23T00:00:00+08:00"})
        assert (early.status, early.code) == (409, "session.out_of_reach")
        future = lab.post(f"{path}/session/start", {"started_at": "2026-11-26T09:00:00+08:00"})
        assert (future.status, future.code) == (409, "session.in_future")
        started = lab.post(f"{path}/session/start", {"started_at": "2026-11-24T09:00:00+08:00"})
        assert (started.status, started.body["state"]) == (200, "in_use")
        backwards = lab.post(f"{path}/session/finish", {"ended_at": "2026-11-24T08:00:00+08:00"})
        assert (backwards.status, backwards.code) == (422, "invalid.period")
        done = lab.post(f"{path}/session/finish", {"ended_at": "2026-11-24T11:37:00+08:00"})
        assert (done.status, done.body["state"]) == (200, "completed")
        assert done.body["charge"]["actual"]["fen"] == 125600
        assert done.body["charge"]["voucher_captured"]["fen"] == 62800
        assert done.body["charge"]["voucher"] is None, "the lab learns no number of its customer's vouchers"
        assert done.body["session"] == {"started_at": "2026-11-24T01:00:00Z", "ended_at": "2026-11-24T03:37:00Z"}
        assert Caller(w.owner).get(f"/vouchers/{voucher.number}").body["held"]["fen"] == 0
        assert ledger.unaccounted_fen() == 0

    def test_declines_with_a_reason_and_frees_time_and_money(self, w):
        resource, lab = make.instrument(w), Caller(w.keeper)
        path = f"/bookings/{make.booking(w, resource).number}"
        assert lab.post(f"{path}/decline", {"note": ""}).code == "booking.note"
        declined = lab.post(f"{path}/decline", {"note": "样品不适用"})
        assert (declined.body["state"], declined.body["note"]) == ("declined", "样品不适用")
        assert declined.body["charge"]["state"] == "released"
        assert lab.post(f"{path}/confirm").code == "conflict.transition"
        assert Caller(w.researcher).post("/bookings", asked(resource), key="booking-2").status == 201

    def test_cancels_as_the_enterprise_only(self, w):
        path = f"/bookings/{make.booking(w, make.instrument(w)).number}"
        assert Caller(w.keeper).post(f"{path}/cancel").status == 403
        assert Caller(w.researcher).post(f"{path}/cancel").body["state"] == "cancelled"
        assert Caller(w.researcher).post(f"{path}/cancel").code == "conflict.transition"

    def test_is_nobody_elses(self, w):
        path = f"/bookings/{make.booking(w, make.instrument(w)).number}"
        k, r = make.roles.Kind, make.roles.Role
        rival = Caller(make.actor(make.organisation(k.ENTERPRISE), r.RESEARCHER))
        other_lab = Caller(make.actor(make.organisation(k.PROVIDER), r.LAB_MANAGER))
        for stranger in (rival, other_lab, Caller(w.auditor), Caller(w.operator)):
            assert stranger.get(path).status == 404
            assert stranger.post(f"{path}/confirm").status == 404
            assert stranger.get("/bookings").body["items"] == []
        assert Caller(w.researcher).post(f"{path}/confirm").status == 403


@pytest.mark.django_db
class TestListing:
    def test_filters_by_state_and_instrument(self, w):
        resource, caller = make.instrument(w), Caller(w.keeper)
        made = make.booking(w, resource)
        assert [row["number"] for row in caller.get("/bookings", state="requested").body["items"]] == [made.number]
        assert caller.get("/bookings", state="confirmed").body["items"] == []
        assert len(caller.get("/bookings", instrument=resource.number).body["items"]) == 1
        assert caller.get("/bookings", instrument="R0").body["items"] == []

    def test_takes_as_many_queries_for_one_as_for_many(self, w):
        voucher, resource, caller = make.voucher(w), make.instrument(w), Caller(w.researcher)
        make.measured(w, make.booking(w, resource, pay_with=voucher))
        one = queries_of(lambda: caller.get("/bookings"))
        for day in (2, 3, 4):
            make.measured(w, make.booking(w, resource, period=make.slot(days=day), pay_with=voucher))
            make.booking(w, resource, period=make.slot(days=day + 3))
        assert queries_of(lambda: caller.get("/bookings")) == one


def race(contenders: int, act: Callable[[int], Answer]) -> list[Answer]:
    """Let every contender act at the same moment, each in a thread with a connection of its own."""
    ready = Barrier(contenders)

    def one(number: int) -> Answer:
        try:
            ready.wait(timeout=30)
            return act(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(contenders) as pool:
        return list(pool.map(one, range(contenders)))


@pytest.mark.django_db(transaction=True)
class TestRacing:
    def test_of_32_rivals_exactly_one_gets_the_slot_and_the_others_get_alternatives(self):
        w = make.world()
        resource = make.instrument(w)
        callers = [
            Caller(make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER))
            for _ in range(32)
        ]

        answers = race(32, lambda at: callers[at].post("/bookings", asked(resource), key=f"race-key-{at}"))

        assert sorted(answer.status for answer in answers) == [201] + [409] * 31
        lost = [answer for answer in answers if answer.status == 409]
        assert all(answer.reasons == ["booking.taken"] for answer in lost)
        assert all(len(answer.body["data"]["alternatives"]) == 3 for answer in lost)
        for at, free in enumerate(lost[0].body["data"]["alternatives"]):
            quote = callers[0].post("/bookings/quote", {**quoted(resource), **free})
            assert quote.body["bookable"], (at, quote)
        assert Booking.objects.count() == 1
        assert ledger.unaccounted_fen() == 0

    def test_of_32_repetitions_of_one_call_all_get_the_one_booking(self):
        w = make.world()
        resource, caller = make.instrument(w), Caller(w.researcher)

        answers = race(32, lambda _at: caller.post("/bookings", asked(resource), key="the-one-key"))

        assert {answer.status for answer in answers} == {201}
        assert len({answer.body["number"] for answer in answers}) == 1
        assert Booking.objects.count() == 1

    def test_of_16_spenders_exactly_as_many_are_served_as_the_voucher_holds(self):
        """500 yuan of value, 96 a booking: five are paid for, a sixth would overdraw the voucher."""
        w = make.world()
        voucher = make.voucher(w, items={"instrument_use": make.Money.from_yuan("1000")})
        resources = [make.instrument(w, rate="96") for _ in range(16)]
        caller = Caller(w.researcher)

        answers = race(
            16, lambda at: caller.post("/bookings", asked(resources[at], voucher=voucher.number), key=f"race-key-{at}")
        )

        served = [answer for answer in answers if answer.status == 201]
        assert len(served) == 5
        refused = [answer for answer in answers if answer.status != 201]
        assert {answer.status for answer in refused} == {409}
        assert {code for answer in refused for code in answer.reasons} <= {"voucher.too_small", "ledger.insufficient"}
        balance = ledger.balances(account_ids=[voucher.account_id])[voucher.account_id]
        assert (balance.held_fen, balance.available_fen) == (5 * 9600, 2000)
        assert ledger.unaccounted_fen() == 0
        assert ledger.verify() == []
