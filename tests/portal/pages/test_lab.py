"""A lab's instruments: describing, opening, pricing, publishing; its calendars, maintenance and feed."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from portal.audit.models import Record
from portal.organisations import rules as roles
from scheduler.availability import services as availability
from scheduler.availability.models import Claim, OpeningHours
from scheduler.calendars.models import CalendarImport, ExternalCalendar
from scheduler.resources import services as resources
from scheduler.resources.models import Rate, Resource
from tests import make
from tests.integrations.ics import serving as web

PAGES = (
    "instrument_edit",
    "instrument_hours",
    "instrument_exceptions",
    "instrument_rate",
    "instrument_calendar",
    "instrument_maintenance",
    "instrument_feed",
)


pytestmark = pytest.mark.usefixtures("clock")


def client_of(someone):
    client = Client()
    client.force_login(make.user_of(someone))
    return client


@pytest.fixture
def lab(w):
    """The lab manager's browser."""
    return client_of(w.keeper)


@pytest.fixture
def sem(w):
    return make.instrument(w)


@pytest.fixture
def draft(w):
    return resources.create_instrument(actor=w.keeper, values=make.instrument_values(), now=make.NOW)


def url(name, resource):
    return reverse(name, args=[resource.number])


def filled(**changes):
    form = {
        "kind": "instrument",
        "internal_no": "A-100",
        "modes": ["self", "sample"],
        "capacity": "1",
        "counting": "units",
        "source": "purchased",
        "purpose": "general",
        "running_state": "normal",
        "share_mode": "outside",
        "in_service_on": "1998-03-01",
        "specs": "光谱范围 200-1000 nm",
        "yearly_hours": "1599",
        "yearly_service_hours": "273",
        "name": "拉曼光谱仪",
        "name_en": "Raman spectrometer",
        "category": "analytical",
        "model": "inVia",
        "manufacturer": "雷尼绍",
        "value": "1,200,000.50",
        "functions": "分子结构分析。",
        "functions_en": "",
        "city": "杭州",
        "site": "3 号楼",
        "zone": "Asia/Shanghai",
        "contact": "吴机长",
        "phone": "0571-1",
        "granularity": "30",
        "shortest": "1.5",
        "longest": "8",
        "lead": "2",
        "horizon": "30",
        "setup": "15",
        "cleanup": "10",
        "idempotency_key": make.key(),
    }
    return {**form, **changes}


def calendar_file(*events, name="排班.ics"):
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//ZH", *(line for event in events for line in event)]
    return SimpleUploadedFile(name, "\r\n".join([*lines, "END:VCALENDAR", ""]).encode())


def vevent(uid, start, end, summary, *more):
    return (
        "BEGIN:VEVENT",
        f"UID:{uid}",
        "DTSTAMP:20261101T000000Z",
        f"DTSTART:{start}",
        f"DTEND:{end}",
        f"SUMMARY:{summary}",
        *more,
        "END:VEVENT",
    )


BUSY = vevent("a@x", "20261127T010000Z", "20261127T030000Z", "内部测试")
FREE = vevent("b@x", "20261127T050000Z", "20261127T060000Z", "值班提醒", "TRANSP:TRANSPARENT")


# ---- who may


@pytest.mark.parametrize("name", [*PAGES, "instrument_state"])
def test_only_the_instruments_own_manager_comes_in(w, sem, name):
    other = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER)
    before = Record.objects.count()
    for someone, status in ((w.researcher, 403), (w.lab_owner, 403), (w.reviewer, 403), (other, 403)):
        client = client_of(someone)
        assert client.get(url(name, sem)).status_code == status
        assert client.post(url(name, sem), {"action": "suspend", "rate": "1"}).status_code == status
    assert Client().get(url(name, sem)).status_code == 302
    assert Record.objects.count() == before


@pytest.mark.parametrize("name", PAGES)
def test_another_labs_draft_does_not_exist(w, draft, name):
    other = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER)
    assert client_of(other).get(url(name, draft)).status_code == 404


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens(lab, sem, name):
    page = lab.get(url(name, sem))
    assert page.status_code == 200
    assert page.content.decode().count("<h1") == 1


# ---- list and description


@pytest.mark.parametrize("count", [3, 20])
def test_the_list_asks_a_constant_number_of_questions(w, lab, django_assert_num_queries, count):
    for number in range(count):
        make.booking(w, make.instrument(w, name=f"仪器 {number}"))
    with django_assert_num_queries(6):
        page = lab.get(reverse("my_instruments"))
    assert len(page.context["lines"]) == count
    assert page.context["lines"][0]["resource"].waiting == 1


def test_the_list_narrows_and_leaves_as_a_file(w, lab, sem, draft):
    assert [line["resource"] for line in lab.get(reverse("my_instruments"), {"state": "draft"}).context["lines"]] == [
        draft
    ]
    assert not lab.get(reverse("my_instruments"), {"q": "没有"}).context["lines"]
    answer = lab.get(reverse("my_instruments"), {"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert {row["状态"] for row in rows} == {"草稿", "已发布"}


def test_an_instrument_is_entered_as_a_draft_once(w, lab):
    form = filled()
    answer = lab.post(reverse("instrument_new"), form)
    made = Resource.objects.get()
    assert answer["Location"] == url("instrument", made)
    assert (made.state, made.owner_id, made.min_duration_s, made.lead_s, made.setup_s) == (
        "draft", w.lab.pk, 5400, 7200, 900,
    )  # fmt: skip
    facts = made.instrument
    assert (facts.original_value_fen, facts.yearly_hours, str(facts.in_service_on)) == (120000050, 1599, "1998-03-01")
    assert (made.modes, made.internal_no, "200-1000" in facts.search_text) == (["self", "sample"], "A-100", True)
    assert lab.post(reverse("instrument_new"), form)["Location"] == reverse("my_instruments")
    assert Resource.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"name": " "}, "name", "这个字段是必填项。"),
        ({"category": "spaceship"}, "category", None),
        ({"zone": "Asia/Atlantis"}, "zone", "时区无效。请填写 IANA 时区名，例如 Asia/Shanghai。"),
        ({"zone": "../../etc/passwd"}, "zone", "时区无效。请填写 IANA 时区名，例如 Asia/Shanghai。"),
        ({"shortest": "9"}, "longest", "最短时长须大于零且不超过最长时长（最多 31 天）。"),
        ({"lead": "800"}, "horizon", "可预约天数须大于提前量，且不超过 400 天。"),
        ({"value": "一百万"}, "value", "金额“一百万”无效：请填写人民币元，最多两位小数。"),
        ({"horizon": "-1"}, "horizon", None),
        ({"kind": "operator"}, "kind", None),
        ({"modes": []}, "modes", None),
        ({"modes": ["self", "free"]}, "modes", None),
        ({"capacity": "0"}, "capacity", None),
        (
            {"class_code": "123"},
            "class_code",
            "分类编码应为 2、4 或 6 位数字。请按国家网络管理平台的分类表填写，不确定时可留空。",
        ),
        (
            {"in_service_on": "2026-11-26"},
            "in_service_on",
            "日期 2026-11-26 不可能：应在 1950 年之后、今天之前。请核对后填写。",
        ),
        (
            {"yearly_service_hours": "1600"},
            "yearly_service_hours",
            "对外服务机时不能超过运行机时。请核对两项年度机时。",
        ),
        ({"specs": "字" * 1501}, "specs", None),
        ({"shortest": "1e9"}, "shortest", None),
    ],
)
def test_a_wrong_value_is_said_at_its_field_and_nothing_is_entered(w, lab, changes, field, said):
    answer = lab.post(reverse("instrument_new"), filled(**changes))
    assert answer.status_code in {409, 422}
    errors = answer.context["form"].errors
    assert list(errors) == [field]
    assert said is None or errors[field] == [said]
    assert answer.context["form"]["model"].value() == "inVia"
    assert not Resource.objects.exists()


def test_a_form_without_a_key_enters_nothing(w, lab):
    assert lab.post(reverse("instrument_new"), filled(idempotency_key="")).status_code == 422
    assert not Resource.objects.exists()


def test_an_edit_starts_with_what_is_stored_and_changes_it(w, lab, sem):
    form = lab.get(url("instrument_edit", sem)).context["form"]
    stored = {name: value for name in form.fields if (value := form[name].value()) is not None}
    assert (stored["shortest"], stored["longest"], stored["value"]) == ("1", "8", "4500000.00")
    lab.post(url("instrument_edit", sem), {**stored, "name": "新名称", "idempotency_key": make.key()})
    sem.refresh_from_db()
    assert (sem.name, sem.state, sem.min_duration_s) == ("新名称", "published", 3600)


# ---- hours, price, publishing


def test_hours_are_rows_that_work_without_a_script(w, lab, draft):
    page = lab.get(url("instrument_hours", draft))
    assert page.context["count"] == 1
    row = {"rows": "1", "row0-weekdays": ["1", "5"], "row0-opens": "08:00", "row0-closes": "20:00"}
    more = lab.post(url("instrument_hours", draft), {**row, "act": "add"})
    assert (more.status_code, more.context["count"]) == (200, 2)
    assert more.context["rows"][0]["opens"].value() == "08:00"
    assert not OpeningHours.objects.exists()
    night = {"rows": "3", "row1-weekdays": ["6"], "row1-opens": "22:00", "row1-closes": "06:00", "row2-opens": ""}
    answer = lab.post(url("instrument_hours", draft), {**row, **night, "act": "save"})
    assert answer["Location"] == url("instrument", draft)
    stored = OpeningHours.objects.order_by("opens_min").values_list("weekdays", "opens_min", "closes_min")
    assert list(stored) == [([1, 5], 480, 1200), ([6], 1320, 1800)]
    text = lab.get(url("instrument", draft)).content.decode()
    assert "周一、周五 08:00–20:00" in text
    assert "周六 22:00–次日 06:00" in text


def test_stored_hours_come_back_as_they_were(w, lab, sem):
    page = lab.get(url("instrument_hours", sem))
    first = page.context["rows"][0]
    again = {
        "rows": "1",
        "row0-weekdays": first["weekdays"].value(),
        "row0-opens": first["opens"].value(),
        "row0-closes": first["closes"].value(),
    }
    lab.post(url("instrument_hours", sem), again)
    assert list(OpeningHours.objects.values_list("weekdays", "opens_min", "closes_min")) == [
        ([1, 2, 3, 4, 5, 6, 7], 480, 1320)
    ]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"row0-weekdays": [], "row0-opens": "08:00", "row0-closes": "20:00"}, "weekdays"),
        ({"row0-weekdays": ["1"], "row0-opens": "08:00", "row0-closes": ""}, "closes"),
        ({"row0-weekdays": ["1"], "row0-opens": "24:00", "row0-closes": "06:00"}, "opens"),
        ({"row0-weekdays": ["9"], "row0-opens": "08:00", "row0-closes": "20:00"}, "weekdays"),
        ({"row0-weekdays": ["1"], "row0-opens": "8am", "row0-closes": "20:00"}, "opens"),
        (
            {
                "row0-weekdays": ["1"],
                "row0-opens": "08:00",
                "row0-closes": "20:00",
                "row0-valid_from": "2027-01-02",
                "row0-valid_until": "2027-01-01",
            },
            "valid_until",
        ),
    ],
)
def test_wrong_hours_are_said_in_their_row_and_the_stored_ones_stay(w, lab, sem, row, field):
    answer = lab.post(url("instrument_hours", sem), {"rows": "1", **row})
    assert answer.status_code == 422
    assert list(answer.context["rows"][0].errors) == [field]
    assert OpeningHours.objects.get().opens_min == 480


@pytest.mark.parametrize("rows", ["", "x", "-1", "10**9", "99999999999"])
def test_a_forged_row_count_is_harmless(w, lab, sem, rows):
    assert lab.post(url("instrument_hours", sem), {"rows": rows, "act": "add"}).status_code == 200


def price(**changes):
    return {
        "mode": "self",
        "user_class": "external",
        "unit": "hour",
        "amount": "520.50",
        "share": "",
        "since": "",
        **changes,
    }


def test_a_new_price_holds_from_now_on(w, lab, sem):
    booked = make.booking(w, sem)
    answer = lab.post(url("instrument_rate", sem), price())
    assert answer["Location"] == url("instrument_rate", sem)
    assert Rate.objects.get(valid__contains=make.NOW).amount_fen == 52050
    assert booked.charge.price_fen == 96000
    page = lab.get(url("instrument_rate", sem)).content.decode()
    assert "现行" in page
    assert "¥520.50 / 小时" in page


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        *(({"amount": wrong}, "amount") for wrong in ("", "-1", "abc", "1.234", "1e30")),
        ({"unit": "card_hour"}, "unit"),
        ({"mode": "free"}, "mode"),
        ({"user_class": "friends"}, "user_class"),
        ({"since": "2026-11-24"}, "since"),
        ({"unit": "value_day", "amount": "", "share": "6"}, "share"),
        ({"unit": "value_day", "amount": "", "share": ""}, "share"),
    ],
)
def test_a_wrong_price_changes_nothing(w, lab, sem, changes, field):
    answer = lab.post(url("instrument_rate", sem), price(**changes))
    assert answer.status_code in {409, 422}
    assert list(answer.context["form"].errors) == [field]
    assert Rate.objects.count() == 1


def test_the_price_list_is_shown_to_everybody_and_taken_back_by_its_lab(w, lab, sem):
    lab.post(url("instrument_rate", sem), price(mode="sample", unit="sample", amount="60", since="2026-12-01"))
    lab.post(url("instrument_rate", sem), price(unit="value_day", amount="", share="2", user_class="academic"))
    page = Client().get(url("instrument", sem)).content.decode()
    for said in ("¥480.00 / 小时", "¥60.00 / 样品", "2026-12-01 00:00", "原值的 2% / 天", "高校和科研院所"):
        assert said in page
    announced = Rate.objects.get(unit="sample")
    lab.post(url("instrument_rate", sem), {"end": str(announced.pk)})
    assert set(Rate.objects.values_list("unit", flat=True)) == {"hour", "value_day"}
    last = lab.post(url("instrument_rate", sem), {"end": str(Rate.objects.get(unit="hour").pk)})
    assert last.status_code == 409
    assert "最后一个价格" in last.content.decode()
    assert lab.post(url("instrument_rate", sem), {"end": "9" * 30}).status_code == 404


def test_a_full_price_is_advice_and_nothing_else(w, lab, sem):
    parts = {"depreciation": "400000", "quota": "800", "consumption": "40", "service": "100", "other": "26.67"}
    page = lab.get(url("instrument_rate", sem), parts)
    assert "测算结果：每小时 ¥666.67" in page.content.decode()
    assert Rate.objects.count() == 1


def test_publishing_names_everything_that_lacks(w, lab, draft):
    answer = lab.post(url("instrument_state", draft), {"action": "publish"})
    text = answer.content.decode()
    assert answer.status_code == 409
    for said in ("还没有设置开放时间。", "请先设置每周开放时间。", "还没有公布价格。", "请先设置价格。"):
        assert said in text
    draft.refresh_from_db()
    assert draft.state == "draft"


def test_suspending_and_publishing_again(w, lab, sem):
    assert lab.get(url("instrument_state", sem)).status_code == 302
    lab.post(url("instrument_state", sem), {"action": "explode"})
    assert Resource.objects.get().state == "published"
    lab.post(url("instrument_state", sem), {"action": "suspend"})
    assert Resource.objects.get().state == "suspended"
    again = lab.post(url("instrument_state", sem), {"action": "suspend"})
    assert again.status_code == 409
    assert "该记录现在是“已暂停”" in again.content.decode()
    lab.post(url("instrument_state", sem), {"action": "publish"})
    assert Resource.objects.get().state == "published"


# ---- calendars


def looked(lab, sem, *events, name="电镜室排班"):
    return lab.post(url("instrument_calendar", sem), {"name": name, "file": calendar_file(*events)})


def test_a_file_is_looked_at_before_it_blocks_anything(w, lab, sem):
    make.booking(w, sem, period=make.slot(days=2, start="10:00", end="12:00"))
    page = looked(lab, sem, BUSY, FREE)
    report = page.context["report"]
    anew = report["anew"]
    assert (page.status_code, report["events"], anew["count"], anew["hours"]) == (200, 2, 1, 7200)
    assert report["skipped"] == [{"summary": "值班提醒", "reason": "标记为“空闲”，不占用时间"}]
    assert [row["period"] for row in report["conflicts"]] == [make.slot(days=2, start="10:00", end="12:00")]
    assert not Claim.objects.filter(state="external").exists()
    done = lab.post(url("instrument_calendar", sem), {"token": page.context["token"]})
    assert done["Location"] == f"{url('instrument_calendar', sem)}?import={CalendarImport.objects.get().pk}"
    claim = Claim.objects.get(state="external")
    assert (claim.during.lower, claim.during.upper) == (
        make.slot(days=2, start="09:00").start,
        make.slot(days=2, end="10:00").end,
    )
    shown = lab.get(done["Location"]).content.decode()
    for said in ("电镜室排班", "值班提醒", "与已有预约冲突"):
        assert said in shown


def test_a_look_is_imported_once_and_by_the_one_who_looked(w, lab, sem):
    token = looked(lab, sem, BUSY).context["token"]
    colleague = client_of(make.actor(w.lab, roles.Role.LAB_MANAGER))
    other = colleague.post(url("instrument_calendar", sem), {"token": token})
    assert other.status_code == 409
    assert lab.post(url("instrument_calendar", sem), {"token": token}).status_code == 302
    again = lab.post(url("instrument_calendar", sem), {"token": token})
    assert again.status_code == 409
    assert "检查结果已过期或已导入，请重新选择文件。" in again.content.decode()
    assert CalendarImport.objects.count() == 1


def test_the_same_name_replaces_and_a_refused_file_changes_nothing(w, lab, sem):
    lab.post(url("instrument_calendar", sem), {"token": looked(lab, sem, BUSY).context["token"]})
    later = vevent("c@x", "20261128T010000Z", "20261128T030000Z", "改期")
    lab.post(url("instrument_calendar", sem), {"token": looked(lab, sem, later).context["token"]})
    assert ExternalCalendar.objects.count() == 1
    assert Claim.objects.get(state="external").during.lower == make.slot(days=3).start
    page = lab.post(
        url("instrument_calendar", sem),
        {"name": "电镜室排班", "file": SimpleUploadedFile("x.ics", b"<!doctype html><html></html>")},
    )
    assert page.status_code == 422
    assert "这是一个网页，不是日历文件。" in page.content.decode()
    assert Claim.objects.filter(state="external").count() == 1


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "文件是空的。"),
        (b"hello", "这不是日历文件"),
        (b"BEGIN:VCALENDAR\r\n" + b"X-PAD:" + b"x" * (10 * 1024 * 1024), "文件超过 5 MB。"),
        (
            "\r\n".join(
                [
                    "BEGIN:VCALENDAR",
                    "VERSION:2.0",
                    *vevent("s@x", "20261127T010000Z", "20261127T010001Z", "每秒", "RRULE:FREQ=SECONDLY"),
                    "END:VCALENDAR",
                    "",
                ]
            ).encode(),
            "日程“每秒”的重复过于频繁或过于复杂（FREQ=SECONDLY）",
        ),
    ],
    ids=["empty", "text", "10 MB", "every second"],
)
def test_a_file_that_is_no_calendar_is_refused_in_words(w, lab, sem, raw, said):
    page = lab.post(url("instrument_calendar", sem), {"name": "x", "file": SimpleUploadedFile("x.ics", raw)})
    assert page.status_code == 422
    assert said in page.content.decode()
    assert page.context["form"]["name"].value() == "x"
    assert not ExternalCalendar.objects.exists()


def test_a_calendar_needs_a_name_and_a_file(w, lab, sem):
    page = lab.post(url("instrument_calendar", sem), {"name": " "})
    assert page.status_code == 422
    assert page.context["form"].errors == {
        "name": ["请给这份日历起个名字，再次导入同名日历会更新它。"],
        "file": ["请选择一个 .ics 文件。"],
    }


def test_another_instruments_import_is_not_shown(w, lab, sem):
    lab.post(url("instrument_calendar", sem), {"token": looked(lab, sem, BUSY).context["token"]})
    other = make.instrument(w, name="另一台")
    page = lab.get(url("instrument_calendar", other), {"import": CalendarImport.objects.get().pk})
    assert page.context["shown"] is None
    for asked in ("x", "-1", "9" * 30, ""):
        assert lab.get(url("instrument_calendar", sem), {"import": asked}).status_code == 200
    cache.clear()


def test_a_look_at_a_calendar_that_is_there_says_what_changes(w, lab, sem):
    lab.post(url("instrument_calendar", sem), {"token": looked(lab, sem, BUSY).context["token"]})
    same = looked(lab, sem, BUSY)
    assert "占用与上次相同，导入不会改变任何时间。" in same.content.decode()
    later = vevent("c@x", "20261127T020000Z", "20261127T050000Z", "改期")
    report = looked(lab, sem, later).context["report"]
    assert [report[part]["hours"] for part in ("anew", "freed", "kept")] == [7200, 3600, 3600]


def test_a_calendar_shows_what_it_blocks_and_is_removed(w, lab, sem):
    made = make.booking(w, sem, period=make.slot(days=2, start="10:00", end="12:00"))
    lab.post(url("instrument_calendar", sem), {"token": looked(lab, sem, BUSY).context["token"]})
    calendar = ExternalCalendar.objects.get()
    here = reverse("one_calendar", args=[sem.number, calendar.pk])
    assert here in lab.get(url("instrument_calendar", sem)).content.decode()
    page = lab.get(here).content.decode()
    for said in ("内部测试", made.number, "移除日历"):
        assert said in page
    assert lab.post(here, {"act": "explode"}).status_code != 302
    assert lab.post(here, {"act": "remove"}).status_code == 302
    assert not Claim.objects.filter(state="external").exists()
    assert lab.get(here).status_code == 404
    assert client_of(w.researcher).get(here).status_code == 403


# ---- subscribed calendars


@pytest.fixture
def server(settings):
    settings.CALENDAR_FETCH_LOOPBACK = True
    settings.CALENDAR_CAPPED_READER = settings.CALENDAR_READER
    with web.serving() as made:
        made.answers["/secret.ics"] = web.said(calendar_file(BUSY).read())
        yield made


def subscribed(lab, sem, server):
    here = url("instrument_calendar", sem)
    page = lab.post(here, {"calendar_name": "课题组日历", "url": server.url("/secret.ics")})
    assert page.status_code == 200
    assert lab.post(here, {"token": page.context["token"]}).status_code == 302
    calendar = ExternalCalendar.objects.get()
    return reverse("one_calendar", args=[sem.number, calendar.pk])


def test_an_address_is_looked_at_subscribed_polled_and_removed(w, lab, sem, server):
    page = lab.post(url("instrument_calendar", sem), {"calendar_name": "课题组日历", "url": server.url("/secret.ics")})
    assert page.context["report"]["anew"]["count"] == 1
    assert "订阅“课题组日历”会改变什么" in page.content.decode()
    assert not Claim.objects.filter(state="external").exists()
    here = subscribed(lab, sem, server)
    shown = lab.get(here).content.decode()
    assert "127.0.0.1" in shown
    assert "secret" not in shown
    just_now = lab.post(here, {"act": "poll"})
    assert just_now.status_code == 409
    assert "一分钟内已同步过，请稍后再试。" in just_now.content.decode()

    ExternalCalendar.objects.update(polled_at=None)
    server.answers["/secret.ics"] = web.said(calendar_file().read())
    stale = lab.post(here, {"act": "poll"}, follow=True).content.decode()
    for text in ("同步失败", "日历中不再有任何日程。", "按空日历更新", "内部测试"):
        assert text in stale
    assert "同步失败" in lab.get(url("instrument_calendar", sem)).content.decode()
    assert "日历同步失败" in lab.get(reverse("dashboard")).content.decode()

    ExternalCalendar.objects.update(polled_at=None)
    assert "已同步“课题组日历”。" in lab.post(here, {"act": "accept"}, follow=True).content.decode()
    assert not Claim.objects.filter(state="external").exists()
    assert lab.post(here, {"act": "remove"}).status_code == 302
    assert not ExternalCalendar.objects.exists()


@pytest.mark.parametrize(
    ("form", "field", "text"),
    [
        ({"calendar_name": "x", "url": "http://10.0.0.1/x.ics"}, "url", "该地址在内部网络中"),
        ({"calendar_name": "x", "url": "ftp://lab.cn/x.ics"}, "url", "地址无效"),
        ({"calendar_name": "x", "url": ""}, "url", "请填写日历地址。"),
        ({"calendar_name": "", "url": "https://lab.cn/x.ics"}, "calendar_name", "请给这份日历起个名字"),
    ],
)
def test_an_address_that_cannot_be_is_said_at_its_field(w, lab, sem, form, field, text):
    page = lab.post(url("instrument_calendar", sem), form)
    assert page.status_code == 422
    assert text in page.context["address"].errors[field][0]
    assert f'href="#id_{field}"' in page.content.decode()
    assert not page.context["form"].errors


def test_a_web_page_at_the_address_is_said_at_the_address(w, lab, sem, server):
    server.answers["/secret.ics"] = web.said(b"<html></html>")
    page = lab.post(url("instrument_calendar", sem), {"calendar_name": "x", "url": server.url("/secret.ics")})
    assert page.status_code == 422
    assert "这是一个网页" in page.context["address"].errors["url"][0]


# ---- maintenance


def block(**changes):
    return {
        "day": "2026-11-27",
        "start": "08:00",
        "end_day": "2026-11-28",
        "end": "12:00",
        "note": "更换灯丝",
        **changes,
    }


def test_maintenance_blocks_until_it_is_lifted(w, lab, sem):
    assert lab.post(url("instrument_maintenance", sem), block()).status_code == 302
    claim = Claim.objects.get()
    assert claim.during.upper - claim.during.lower == timedelta(hours=28)
    assert "更换灯丝" in lab.get(url("instrument_maintenance", sem)).content.decode()
    lab.post(url("instrument_maintenance", sem), {"lift": claim.pk})
    claim.refresh_from_db()
    assert claim.state == "released"
    assert lab.post(url("instrument_maintenance", sem), {"lift": claim.pk}).status_code == 302


def test_some_units_of_a_bench_are_blocked(w, lab):
    bench = make.instrument(w, kind="bench", capacity=3)
    sent = {"day": "2026-11-27", "start": "09:00", "end_day": "2026-11-27", "end": "11:00", "note": "保养"}
    assert lab.post(url("instrument_maintenance", bench), {**sent, "units": ["2"]}).status_code == 302
    page = lab.get(url("instrument_maintenance", bench)).content.decode()
    assert "2 号" in page
    assert [row["unit"] for row in lab.get(url("instrument_maintenance", bench)).context["blocks"]] == [2]
    assert lab.post(url("instrument_maintenance", bench), {**sent, "units": ["4"]}).status_code == 422


def test_another_labs_block_is_not_lifted(w, sem):
    [claim] = availability.block_for_maintenance(
        actor=w.keeper, resource=sem, period=make.slot(days=2), note="保养", now=make.NOW
    )
    other_lab = make.world()
    mine = make.instrument(other_lab)
    client_of(other_lab.keeper).post(url("instrument_maintenance", mine), {"lift": claim.pk})
    claim.refresh_from_db()
    assert claim.state == "outage"


@pytest.mark.parametrize(
    ("changes", "status", "field", "said"),
    [
        ({"end_day": "2026-11-26"}, 422, "end", "结束时间必须晚于开始时间。"),
        ({"note": ""}, 422, "note", "这个字段是必填项。"),
        ({"start": "midnight"}, 422, "start", "请填写形如 14:30 的时间。"),
        ({"day": "2026-11-26"}, 409, "start", "请先与预约单位协商改期或取消，或另选时间。"),
    ],
)
def test_a_wrong_block_is_said_and_nothing_is_blocked(w, lab, sem, changes, status, field, said):
    make.booking(w, sem)
    answer = lab.post(url("instrument_maintenance", sem), block(**changes))
    assert answer.status_code == status
    assert list(answer.context["form"].errors) == [field]
    assert answer.context["form"].errors[field][0].endswith(said)
    assert not Claim.objects.filter(state="outage").exists()
