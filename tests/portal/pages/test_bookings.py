"""Bookings as the firm that made them sees them, and as the lab decides, measures and settles them."""

from __future__ import annotations

import csv
import io
from datetime import UTC, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from icalendar import Calendar

from portal.organisations import rules as roles
from scheduler.availability.models import Claim
from scheduler.bookings import services as bookings
from scheduler.bookings.models import Booking, Session
from tests import make
from vouchers.charges.models import Charge


class Clock:
    """The time it is; tests move it on."""

    now = make.NOW


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """It is Wednesday 25 November 2026, 10:00 in Beijing, until a test moves the clock."""
    clock = Clock()
    monkeypatch.setattr("django.utils.timezone.now", lambda: clock.now)
    return clock


def client_of(someone):
    client = Client()
    client.force_login(make.user_of(someone))
    return client


@pytest.fixture(scope="module")
def built(stage):
    """A world with an instrument, a voucher that pays half, and a request for tomorrow 09:00-11:00 Beijing time."""

    @stage
    def build():
        w = make.world()
        w.sem = make.instrument(w)
        w.voucher = make.voucher(w)
        w.made = make.booking(w, w.sem, pay_with=w.voucher)
        return w

    return build


@pytest.fixture
def scene(built, db):
    return built()


def url(name, made):
    return reverse(name, args=[made.number])


def state_of(made):
    return Booking.objects.get(pk=made.pk).state


def confirmed(w):
    bookings.confirm(actor=w.keeper, booking=w.made, now=make.NOW)


def in_use(w, clock):
    confirmed(w)
    clock.now = w.made.starts_at
    bookings.start_session(actor=w.keeper, booking=w.made, started_at=clock.now, now=clock.now)


def local_form(moment, **more):
    local = moment.astimezone(make.BEIJING)
    return {"day": f"{local:%Y-%m-%d}", "clock": f"{local:%H:%M}", **more}


def outsider(kind, role):
    return make.actor(make.organisation(kind), role)


# ---- the firm's list


def test_the_list_shows_own_bookings_only(scene):
    other = outsider(roles.Kind.ENTERPRISE, roles.Role.RESEARCHER)
    assert scene.made.number in client_of(scene.owner).get(reverse("bookings")).content.decode()
    assert scene.made.number not in client_of(other).get(reverse("bookings")).content.decode()
    assert client_of(scene.keeper).get(reverse("bookings")).status_code == 403
    assert Client().get(reverse("bookings")).status_code == 302


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"state": "requested"}, 1),
        ({"state": "confirmed"}, 0),
        ({"state": "nonsense", "sort": "drop table", "page": "x"}, 1),
        ({"q": "扫描 极片"}, 1),
        ({"q": "核磁"}, 0),
    ],
)
def test_the_list_narrows(scene, query, count):
    page = client_of(scene.researcher).get(reverse("bookings"), query)
    assert page.status_code == 200
    assert page.context["listing"].total == count


def test_the_list_sorts_and_pages(scene):
    for day in range(2, 28):
        make.booking(scene, scene.sem, period=make.slot(days=day))
    client = client_of(scene.researcher)
    starts = [line["booking"].starts_at for line in client.get(reverse("bookings")).context["lines"]]
    assert (len(starts), starts) == (25, sorted(starts, reverse=True))
    second = client.get(reverse("bookings"), {"sort": "start", "page": 2}).context["lines"]
    assert [line["booking"].starts_at for line in second] == sorted(line["booking"].starts_at for line in second)
    assert len(second) == 2


def test_the_list_leaves_as_a_file_no_spreadsheet_runs(scene):
    bookings.request_booking(
        actor=scene.researcher,
        wanted=bookings.Wanted(resource=scene.sem, period=make.slot(days=2), title='=HYPERLINK("http://x")'),
        now=make.NOW,
        key=make.key(),
    )
    answer = client_of(scene.researcher).get(reverse("bookings"), {"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0]["用途"] == '\'=HYPERLINK("http://x")'
    assert (rows[1]["开始"], rows[1]["时区"], rows[1]["状态"]) == ("2026-11-26 09:00", "北京时间", "待确认")
    assert (rows[1]["冻结（元）"], rows[1]["其中券（元）"], rows[1]["实际（元）"]) == ("960.00", "480.00", "")


@pytest.mark.parametrize("count", [1, 20])
def test_lists_ask_a_constant_number_of_questions(scene, django_assert_num_queries, count):
    for day in range(2, count + 1):
        make.booking(scene, scene.sem, period=make.slot(days=day), pay_with=scene.voucher)
    firm, lab = client_of(scene.researcher), client_of(scene.keeper)
    with django_assert_num_queries(10):
        firm.get(reverse("bookings"))
    with django_assert_num_queries(10):
        lab.get(reverse("booking_queue"))


# ---- one booking


def test_a_booking_shows_its_money_and_its_story(scene, clock):
    in_use(scene, clock)
    clock.now = scene.made.ends_at
    bookings.finish_session(
        actor=scene.keeper, booking=scene.made, ended_at=scene.made.starts_at + timedelta(minutes=90), now=clock.now
    )
    page = client_of(scene.owner).get(url("booking", scene.made))
    assert [(row["voucher"], row["own"], row["total"]) for row in page.context["split"]] == [
        (48000, 48000, 96000),
        (36000, 36000, 72000),
        (12000, 12000, 24000),
    ]
    told = [event.what for event in page.context["trail"]]
    assert told == [
        "冻结费用", "提交预约", "确认预约", "开始使用", "按实际用量结算", "结束使用",
    ]  # fmt: skip
    text = page.content.decode()
    assert "查看自付部分的付款" in text
    assert all(code not in text for code in ("in_use", "captured", "booking.", "instrument_use"))


def test_a_booking_is_seen_by_its_firm_and_its_lab_and_nobody_else(scene):
    assert client_of(scene.researcher).get(url("booking", scene.made)).status_code == 200
    lab = client_of(scene.keeper).get(url("booking", scene.made))
    assert "杭州星河智能科技有限公司" in lab.content.decode()
    assert "电池极片截面观察" in lab.content.decode()
    assert scene.voucher.number not in lab.content.decode()
    for kind, role in (
        (roles.Kind.ENTERPRISE, roles.Role.RESEARCHER),
        (roles.Kind.PROVIDER, roles.Role.LAB_MANAGER),
    ):
        assert client_of(outsider(kind, role)).get(url("booking", scene.made)).status_code == 404
    assert client_of(scene.reviewer).get(url("booking", scene.made)).status_code == 403
    assert Client().get(url("booking", scene.made)).status_code == 302


@pytest.mark.parametrize("count", [0, 12])
def test_a_booking_asks_a_constant_number_of_questions(scene, django_assert_num_queries, count):
    for day in range(2, count + 2):
        make.booking(scene, scene.sem, period=make.slot(days=day))
    client = client_of(scene.researcher)
    with django_assert_num_queries(10):
        client.get(url("booking", scene.made))


def test_cancelling_says_what_follows_and_frees_time_and_money(scene):
    client = client_of(scene.researcher)
    asked = client.get(url("booking_cancel", scene.made))
    assert "冻结的 ¥960.00 全部退回" in asked.content.decode()
    assert state_of(scene.made) == "requested"
    answer = client.post(url("booking_cancel", scene.made))
    assert answer["Location"] == url("booking", scene.made)
    assert state_of(scene.made) == "cancelled"
    assert Charge.objects.get(pk=scene.made.charge_id).state == "released"
    assert Claim.objects.get(booking=scene.made).state == "released"


def test_a_second_cancel_says_how_it_stands(scene):
    client = client_of(scene.researcher)
    client.post(url("booking_cancel", scene.made))
    again = client.post(url("booking_cancel", scene.made))
    assert again.status_code == 409
    assert "该记录现在是“已取消”" in again.content.decode()


def test_others_cannot_cancel(scene):
    assert client_of(scene.keeper).post(url("booking_cancel", scene.made)).status_code == 403
    other = outsider(roles.Kind.ENTERPRISE, roles.Role.RESEARCHER)
    assert client_of(other).post(url("booking_cancel", scene.made)).status_code == 404
    assert state_of(scene.made) == "requested"


def test_the_calendar_file_is_for_the_firm_and_keeps_its_identity(scene):
    client = client_of(scene.researcher)
    answer = client.get(url("booking_ics", scene.made))
    assert answer["Content-Type"] == "text/calendar; charset=utf-8"
    assert answer["Content-Disposition"] == f'attachment; filename="{scene.made.number}.ics"'
    (event,) = Calendar.from_ical(answer.content).walk("VEVENT")
    assert str(event["UID"]) == str(scene.made.uid)
    assert event["DTSTART"].dt == scene.made.starts_at.astimezone(UTC)
    assert (event["STATUS"], int(event["SEQUENCE"])) == ("TENTATIVE", 0)
    assert "电池极片截面观察" in event["SUMMARY"]
    client.post(url("booking_cancel", scene.made))
    (event,) = Calendar.from_ical(client.get(url("booking_ics", scene.made)).content).walk("VEVENT")
    assert (event["STATUS"], int(event["SEQUENCE"])) == ("CANCELLED", 1)
    assert client_of(scene.keeper).get(url("booking_ics", scene.made)).status_code == 403


# ---- the lab's desk


def test_the_desk_sorts_bookings_by_what_is_to_be_done(scene, clock):
    client = client_of(scene.keeper)
    later = make.booking(scene, scene.sem, period=make.slot(days=3))

    def numbers(tab):
        page = client.get(reverse("booking_queue"), {"tab": tab})
        assert page.status_code == 200
        return [line.booking.number for line in page.context["lines"]]

    assert numbers("confirm") == [scene.made.number, later.number]
    confirmed(scene)
    assert (numbers("confirm"), numbers("today"), numbers("measure")) == ([later.number], [], [])
    clock.now = scene.made.starts_at
    assert numbers("today") == [scene.made.number]
    bookings.start_session(actor=scene.keeper, booking=scene.made, started_at=clock.now, now=clock.now)
    assert (numbers("in_use"), numbers("measure")) == ([scene.made.number], [])
    clock.now = scene.made.ends_at
    assert numbers("measure") == [scene.made.number]
    assert numbers("all") == [later.number, scene.made.number]
    counts = {tab["key"]: tab["count"] for tab in client.get(reverse("booking_queue")).context["tabs"]}
    assert counts == {"confirm": 1, "today": 1, "in_use": 1, "measure": 1, "all": None}


def test_the_desk_shows_what_would_be_captured_and_never_more_than_is_held(scene, clock):
    in_use(scene, clock)
    client = client_of(scene.keeper)
    clock.now = scene.made.starts_at + timedelta(minutes=90)
    (line,) = client.get(reverse("booking_queue"), {"tab": "in_use"}).context["lines"]
    assert (line.held.fen, line.expected.fen) == (96000, 72000)
    clock.now = scene.made.starts_at + timedelta(hours=5)
    (line,) = client.get(reverse("booking_queue"), {"tab": "in_use"}).context["lines"]
    assert line.expected.fen == 96000


@pytest.mark.parametrize("name", ["booking_confirm", "booking_decline", "session_start", "session_finish"])
@pytest.mark.parametrize("who", ["researcher", "owner", "lab_owner", "operator", "finance"])
def test_only_the_lab_decides_and_records(scene, name, who):
    answer = client_of(getattr(scene, who)).post(url(name, scene.made), {"note": "x"})
    assert answer.status_code == 403
    assert state_of(scene.made) == "requested"


@pytest.mark.parametrize("name", ["booking_confirm", "booking_decline", "session_start", "session_finish"])
def test_another_labs_booking_does_not_exist(scene, name):
    other = outsider(roles.Kind.PROVIDER, roles.Role.LAB_MANAGER)
    assert client_of(other).post(url(name, scene.made), {"note": "x"}).status_code == 404
    assert state_of(scene.made) == "requested"


def test_confirming_is_one_press_and_a_get_changes_nothing(scene):
    client = client_of(scene.keeper)
    client.get(url("booking_confirm", scene.made))
    assert state_of(scene.made) == "requested"
    answer = client.post(url("booking_confirm", scene.made), {"next": "queue"})
    assert answer["Location"] == reverse("booking_queue")
    assert state_of(scene.made) == "confirmed"
    again = client.post(url("booking_confirm", scene.made))
    assert (again.status_code, state_of(scene.made)) == (302, "confirmed")


def test_confirming_what_was_cancelled_says_so(scene):
    client = client_of(scene.keeper)
    client.post(url("booking_decline", scene.made), {"note": "检修"})
    late = client.post(url("booking_confirm", scene.made))
    assert (late.status_code, state_of(scene.made)) == (409, "declined")
    assert "该记录现在是“已婉拒”" in late.content.decode()


def test_declining_needs_a_reason_that_the_firm_reads(scene):
    client = client_of(scene.keeper)
    empty = client.post(url("booking_decline", scene.made), {"note": "  "})
    assert (empty.status_code, empty.context["form"].errors) == (422, {"note": ["请写明原因，预约单位会看到。"]})
    assert state_of(scene.made) == "requested"
    client.post(url("booking_decline", scene.made), {"note": "灯丝到寿，请改约下周二"})
    assert state_of(scene.made) == "declined"
    assert "灯丝到寿，请改约下周二" in client_of(scene.researcher).get(url("booking", scene.made)).content.decode()


def test_a_session_starts_by_default_at_the_booked_time_or_now_if_that_is_ahead(scene, clock):
    confirmed(scene)
    client = client_of(scene.keeper)
    clock.now = scene.made.starts_at - timedelta(minutes=17)
    form = client.get(url("session_start", scene.made)).context["form"]
    assert (str(form["day"].value()), form["clock"].value()) == ("2026-11-26", "08:43")
    clock.now = scene.made.starts_at + timedelta(minutes=20)
    form = client.get(url("session_start", scene.made)).context["form"]
    assert form["clock"].value() == "09:00"
    client.post(url("session_start", scene.made), {"day": "2026-11-26", "clock": "09:05"})
    assert Session.objects.get().started_at == make.local(make.slot().start.date(), "09:05")
    assert state_of(scene.made) == "in_use"


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"day": "2026-11-26", "clock": "23:00"}, 409, "登记的时间在将来。请填写已经发生的时间。"),
        (
            {"day": "2026-11-26", "clock": "06:30"},
            409,
            "登记的开始时间与预约时段相差太远：最早可在预约开始前 2 小时，最迟在预约结束前。",
        ),
        ({"day": "2026-11-26", "clock": "9点"}, 422, "请填写形如 14:30 的时间。"),
        ({"day": "", "clock": "09:00"}, 422, "这个字段是必填项。"),
    ],
)
def test_a_wrong_start_is_said_and_changes_nothing(scene, clock, form, status, said):
    confirmed(scene)
    clock.now = scene.made.starts_at + timedelta(minutes=20)
    answer = client_of(scene.keeper).post(url("session_start", scene.made), form)
    assert answer.status_code == status
    assert said in answer.content.decode()
    assert answer.context["form"]["clock"].value() == form["clock"]
    assert state_of(scene.made) == "confirmed"


def test_what_finishing_now_would_cost_is_what_the_minute_in_the_form_costs(scene, clock):
    """The form says minutes: the seconds since then are in neither the price shown nor the one captured."""
    in_use(scene, clock)
    client = client_of(scene.keeper)
    clock.now = scene.made.starts_at + timedelta(minutes=33, seconds=20)
    shown = client.get(url("session_finish", scene.made))
    (line,) = client.get(reverse("booking_queue"), {"tab": "in_use"}).context["lines"]
    assert line.expected == shown.context["expected"], "the desk and the form it leads to name one price"
    client.post(url("session_finish", scene.made), local_form(scene.made.starts_at + timedelta(minutes=33)))
    assert Charge.objects.get(pk=scene.made.charge_id).actual_fen == shown.context["expected"].fen


def test_finishing_captures_the_actual_price_and_gives_the_rest_back(scene, clock):
    in_use(scene, clock)
    client = client_of(scene.keeper)
    clock.now = scene.made.ends_at + timedelta(minutes=40)
    shown = client.get(url("session_finish", scene.made))
    assert shown.context["form"]["clock"].value() == "11:00"
    assert shown.context["expected"].fen == 96000
    looked = client.post(
        url("session_finish", scene.made), local_form(scene.made.starts_at + timedelta(minutes=90), act="show")
    )
    assert looked.context["expected"].fen == 72000
    assert state_of(scene.made) == "in_use"
    answer = client.post(url("session_finish", scene.made), local_form(scene.made.starts_at + timedelta(minutes=90)))
    assert answer["Location"] == url("booking", scene.made)
    charge = Charge.objects.get(pk=scene.made.charge_id)
    assert (charge.state, charge.actual_fen, charge.voucher_captured_fen) == ("captured", 72000, 36000)


def test_a_session_that_ends_before_it_began_is_refused_at_the_field(scene, clock):
    in_use(scene, clock)
    clock.now = scene.made.ends_at
    answer = client_of(scene.keeper).post(
        url("session_finish", scene.made), local_form(scene.made.starts_at - timedelta(minutes=5))
    )
    assert answer.status_code == 422
    assert answer.context["form"].errors == {"clock": ["结束时间必须晚于开始时间。"]}
    assert state_of(scene.made) == "in_use"


def test_finishing_what_has_not_begun_is_refused(scene, clock):
    confirmed(scene)
    clock.now = scene.made.ends_at
    answer = client_of(scene.keeper).post(url("session_finish", scene.made), local_form(scene.made.ends_at))
    assert answer.status_code == 409
    assert "这次预约还没有开始使用，无法结束。请先登记开始时间。" in answer.content.decode()
    assert state_of(scene.made) == "confirmed"


def test_the_desk_leaves_as_a_file(scene):
    answer = client_of(scene.keeper).get(reverse("booking_queue"), {"format": "csv", "tab": "confirm"})
    (row,) = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert (row["预约单位"], row["冻结（元）"]) == ("杭州星河智能科技有限公司", "960.00")


# ---- a hold


def test_a_hold_says_until_when_and_becomes_a_booking_by_one_press(w, clock):
    held = make.held(w, make.instrument(w))
    client = client_of(w.researcher)
    page = client.get(url("booking", held)).content.decode()
    assert "保留至 10:10" in page
    assert url("booking_place", held) in page
    assert url("booking_place", held) not in client_of(w.keeper).get(url("booking", held)).content.decode()
    assert client.post(url("booking_place", held)).status_code == 302
    assert state_of(held) == "requested"
    assert client_of(w.keeper).post(url("booking_place", held)).status_code == 403
