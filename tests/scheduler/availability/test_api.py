"""Opening hours, free time, calendars and maintenance over HTTP."""

from __future__ import annotations

import pytest

from scheduler.availability.models import Claim
from tests import make
from tests.calling import Caller, zoned

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def day(at: int, **clock: str) -> dict[str, str]:
    period = make.slot(days=at, **clock)
    return {"starts_at": zoned(period.start), "ends_at": zoned(period.end)}


class TestHours:
    def test_are_read_as_they_were_set(self, w):
        resource = make.instrument(w)
        rows = [
            {
                "weekdays": [1, 2, 3],
                "opens": "09:00",
                "closes": "17:30",
                "valid_from": None,
                "valid_until": None,
                "audience": "everybody",
                "is_automatic": False,
            },
            {
                "weekdays": [6],
                "opens": "22:00",
                "closes": "06:00",
                "valid_from": "2026-12-01",
                "valid_until": "2026-12-31",
                "audience": "own",
                "is_automatic": True,
            },
        ]
        answer = Caller(w.keeper).put(f"/instruments/{resource.number}/hours", {"hours": rows})
        assert (answer.status, answer.body) == (
            200,
            {"zone": "Asia/Shanghai", "follows_holidays": False, "hours": rows},
        )
        assert Caller(w.owner).get(f"/instruments/{resource.number}/hours").body["hours"] == rows

    @pytest.mark.parametrize(
        "row",
        [
            {"weekdays": []},
            {"weekdays": [0]},
            {"weekdays": [8]},
            {"weekdays": ["1"]},
            {"opens": "24:00"},
            {"opens": "9:00"},
            {"closes": "17:60"},
            {"closes": "17:00\n"},
            {"opens": 540},
            {"valid_from": "0001-01-01"},
            {"valid_from": "2027-01-01", "valid_until": "2026-01-01"},
        ],
    )
    def test_that_cannot_be_are_refused(self, w, row):
        resource = make.instrument(w)
        good = {"weekdays": [1], "opens": "09:00", "closes": "17:00"}
        answer = Caller(w.keeper).put(f"/instruments/{resource.number}/hours", {"hours": [{**good, **row}]})
        assert answer.status == 422, answer
        assert resource.opening_hours.get().opens_min == 480


class TestFree:
    def test_is_open_time_less_what_is_taken_and_its_buffers(self, w):
        resource = make.instrument(w, setup_s=1800, cleanup_s=1800)
        make.booking(w, resource, period=make.slot(start="10:00", end="12:00"))
        window = make.slot(start="00:00", end="23:59")
        answer = Caller(w.owner).get(
            f"/instruments/{resource.number}/free", starts_at=zoned(window.start), ends_at=zoned(window.end)
        )
        assert answer.status == 200
        assert [(row["starts_at"][11:16], row["ends_at"][11:16]) for row in answer.body["free"]] == [
            ("00:30", "01:00"),
            ("05:00", "13:30"),
        ], "08:30-09:00 and 13:00-21:30 in Beijing"

    def test_reaches_62_days_and_no_further(self, w):
        resource, caller = make.instrument(w), Caller(w.owner)
        path, start = f"/instruments/{resource.number}/free", "2026-11-26T00:00:00+08:00"
        assert caller.get(path, starts_at=start, ends_at="2027-01-27T00:00:00+08:00").status == 200
        long = caller.get(path, starts_at=start, ends_at="2027-01-27T00:00:01+08:00")
        assert (long.status, long.code, list(long.body["fields"])) == (422, "window.too_long", ["ends_at"])

    @pytest.mark.parametrize(
        "window",
        [
            {},
            {"starts_at": "2026-11-26T00:00:00+08:00"},
            {"starts_at": "tomorrow", "ends_at": "2026-11-26T00:00:00+08:00"},
            {"starts_at": "2026-11-26T00:00:00", "ends_at": "2026-11-27T00:00:00+08:00"},
            {"starts_at": "2026-11-27T00:00:00+08:00", "ends_at": "2026-11-26T00:00:00+08:00"},
            {"starts_at": "0001-01-01T00:00:00+14:00", "ends_at": "0001-01-02T00:00:00+14:00"},
            {"starts_at": "9999-12-30T00:00:00-12:00", "ends_at": "9999-12-31T23:59:59-12:00"},
        ],
    )
    def test_needs_a_window_that_can_be(self, w, window):
        assert Caller(w.owner).get(f"/instruments/{make.instrument(w).number}/free", **window).status == 422


class TestMaintenance:
    def test_blocks_time_until_it_is_lifted(self, w):
        resource, lab = make.instrument(w), Caller(w.keeper)
        path = f"/instruments/{resource.number}/maintenance"
        made = lab.post(path, {**day(1), "note": "更换灯丝"})
        assert (made.status, made.body[0]["note"]) == (201, "更换灯丝")
        quote = Caller(w.researcher).post("/bookings/quote", {**day(1), "instrument": resource.number})
        assert [reason["code"] for reason in quote.body["reasons"]] == ["booking.taken"]
        for _ in range(2):
            assert lab.delete(f"{path}/{made.body[0]['id']}").status == 204
        quote = Caller(w.researcher).post("/bookings/quote", {**day(1), "instrument": resource.number})
        assert quote.body["bookable"]

    def test_never_displaces_a_booking(self, w):
        resource = make.instrument(w)
        make.booking(w, resource)
        answer = Caller(w.keeper).post(f"/instruments/{resource.number}/maintenance", day(1))
        assert (answer.status, answer.code) == (409, "outage.bookings")

    def test_blocks_chosen_units_or_so_many_places(self, w):
        bench = make.instrument(w, kind="bench", capacity=3)
        path = f"/instruments/{bench.number}/maintenance"
        made = Caller(w.keeper).post(path, {**day(1), "units": [2, 3]})
        assert [row["unit"] for row in made.body] == [2, 3]
        hall = make.instrument(w, kind="bench", capacity=5, counting="fungible")
        path = f"/instruments/{hall.number}/maintenance"
        made = Caller(w.keeper).post(path, {**day(1), "places": 4})
        assert [(row["unit"], row["places"]) for row in made.body] == [(None, 4)]
        assert Caller(w.keeper).post(path, {**day(1), "units": [1]}).code == "outage.units"
        assert Caller(w.keeper).post(path, {**day(1), "places": 6}).code == "outage.places"

    def test_lifts_nothing_of_another_lab(self, w):
        resource = make.instrument(w)
        made = Caller(w.keeper).post(f"/instruments/{resource.number}/maintenance", day(1)).body[0]
        lab = make.organisation(make.roles.Kind.PROVIDER)
        other = Caller(make.actor(lab, make.roles.Role.LAB_MANAGER))
        assert other.delete(f"/instruments/{resource.number}/maintenance/{made['id']}").status == 403
        assert Claim.objects.get(pk=made["id"]).state == "outage"
