"""The catalogue, one instrument, its booking form and its feed, as browsers and calendar programs see them."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.organisations import rules as roles
from scheduler.availability import services as availability
from scheduler.availability.models import Claim
from scheduler.bookings import services as bookings
from scheduler.bookings.models import Booking
from scheduler.resources import rules as resource_rules
from scheduler.resources import services as resources
from tests import make, standing

TOMORROW = date(2026, 11, 26)


pytestmark = pytest.mark.usefixtures("clock")


def client_of(someone):
    client = Client()
    client.force_login(make.user_of(someone))
    return client


def build():
    """A world with one published instrument; `w.sem` is it."""
    w = make.world()
    w.sem = make.instrument(w)
    return w


_standing, _own, scene = standing.fixtures(build, "scene")


def rival_of(w):
    other = make.organisation(roles.Kind.ENTERPRISE, name="宁波海曙精密仪器有限公司", sme=True)
    return make.actor(other, roles.Role.RESEARCHER, name="何对手")


def taken_by_rival(w, *, period=None, title="对手的秘密课题"):
    return bookings.request_booking(
        actor=rival_of(w),
        wanted=bookings.Wanted(resource=w.sem, period=period or make.slot(), title=title),
        now=make.NOW,
        key=make.key(),
    )


def book_url(resource, **query):
    return reverse("instrument_book", args=[resource.number], query=query or None)


def asked(client, resource, **changes):
    """Fill in the form as it stands for these values, and return what pressing the button posts."""
    values = {
        "title": "电池极片截面观察",
        "day": "2026-11-26",
        "start": "09:00",
        "end": "11:00",
        "ends_on": "0",
        "voucher": "",
    }
    values.update(changes)
    shown = client.post(book_url(resource), {**values, "act": "quote"})
    offer = shown.context["offer"]
    return {**values, "act": "book", "seen": offer.seen, "idempotency_key": make.key()}


# ---- catalogue and week grid


def test_strangers_see_the_catalogue_and_the_week_without_names(scene, client):
    taken_by_rival(scene)
    page = client.get(reverse("instruments"), {"view": "week"})
    text = page.content.decode()
    assert page.status_code == 200
    assert "场发射扫描电子显微镜" in text
    assert "¥480/小时" in text
    assert "待确认 09:00–11:00" in text
    assert "宁波海曙" not in text
    assert "秘密" not in text


def test_a_firm_sees_its_own_bookings_as_its_own_and_others_without_names(scene):
    taken_by_rival(scene, period=make.slot(start="13:00", end="15:00"))
    make.booking(scene, scene.sem)
    text = client_of(scene.researcher).get(reverse("instruments"), {"view": "week"}).content.decode()
    assert "本单位 09:00–11:00；待确认 13:00–15:00" in text
    assert "宁波海曙" not in text


def test_a_lab_sees_whose_booking_is_on_its_own_instrument(scene):
    taken_by_rival(scene, period=make.slot(start="09:00", end="17:00"))
    text = client_of(scene.keeper).get(reverse("instrument", args=[scene.sem.number])).content.decode()
    assert "宁波海曙精密仪器有限公司" in text
    assert "对手的秘密课题" in text
    assert reverse("instrument_book", args=[scene.sem.number]) not in text


def test_the_week_shows_maintenance_without_its_reason_and_leaves_out_what_cannot_be_booked(scene, client):
    availability.block_for_maintenance(
        actor=scene.keeper,
        resource=scene.sem,
        period=make.slot(start="08:00", end="12:30"),
        note="灯丝更换",
        now=make.NOW,
    )
    text = client.get(reverse("instruments"), {"view": "week"}).content.decode()
    assert "周四 26日：可预约 12:30–22:00；维护 08:00–12:30" in text
    assert "周二 24日：无可预约时段" in text
    assert "灯丝更换" not in text


def test_buffers_notice_and_shortest_use_shorten_what_is_free(w, client):
    make.instrument(w, setup_s=1800, cleanup_s=1800, lead_s=3 * 3600, min_duration_s=4 * 3600)
    text = client.get(reverse("instruments"), {"view": "week"}).content.decode()
    assert "周三 25日：可预约 13:00–21:30" in text
    assert "周四 26日：可预约 08:30–21:30" in text


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"q": "核磁"}, ["核磁共振波谱仪"]),
        ({"q": "su8600 宁波"}, ["核磁共振波谱仪"]),
        ({"city": "宁波"}, ["核磁共振波谱仪"]),
        ({"category": "physical"}, ["核磁共振波谱仪"]),
        ({"q": "没有这样的仪器"}, []),
        ({"q": "nmr"}, ["核磁共振波谱仪"]),
        ({"q": "hecigongzhen"}, ["核磁共振波谱仪"]),
        (
            {"category": "x", "day": "9999-99-99", "length": "x", "page": "x"},
            ["场发射扫描电子显微镜", "核磁共振波谱仪"],
        ),
    ],
)
def test_filters_narrow_and_nonsense_narrows_nothing(scene, client, query, names):
    make.instrument(scene, name="核磁共振波谱仪", name_en="NMR", city="宁波", category="physical")
    week = client.get(reverse("instruments"), {**query, "view": "week"})
    listed = client.get(reverse("instruments"), {**query, "view": "list"})
    assert (week.status_code, listed.status_code) == (200, 200)
    assert [row.name for row in week.context["grid"].rows] == names if names else "grid" not in week.context
    assert [line.offer.resource.name for line in listed.context.get("lines", [])] == names


def test_drafts_and_suspended_instruments_are_not_in_the_catalogue(scene, client):
    resources.create_instrument(actor=scene.keeper, values=make.instrument_values(name="草稿仪器"), now=make.NOW)
    resources.change_state(
        actor=scene.keeper, resource=scene.sem, action=resource_rules.PublishAction.SUSPEND, now=make.NOW
    )
    page = client_of(scene.keeper).get(reverse("instruments"))
    assert page.context["total"] == 0
    assert "还没有已发布的仪器。" in page.content.decode()


def test_the_catalogue_goes_twenty_to_a_page_and_as_a_file(scene, client):
    for number in range(21):
        make.instrument(scene, name=f"=仪器 {number:02d}")
    assert len(client.get(reverse("instruments"), {"view": "week"}).context["grid"].rows) == 20
    assert len(client.get(reverse("instruments"), {"view": "week", "page": 2}).context["grid"].rows) == 2
    assert len(client.get(reverse("instruments"), {"page": 99}).context["lines"]) == 2
    answer = client.get(reverse("instruments"), {"format": "csv"})
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == 23
    assert rows[2][1].startswith("'=仪器")


@pytest.mark.parametrize("count", [3, 20])
def test_the_week_grid_asks_a_constant_number_of_questions(scene, django_assert_num_queries, count):
    for number in range(count - 1):
        resource = make.instrument(scene, name=f"仪器 {number:02d}")
        make.booking(scene, resource)
    client = client_of(scene.researcher)
    # Session, user, memberships; whether a hold has ended, the search, the page; open time, claims; prices, own bookings.
    with django_assert_num_queries(10):
        client.get(reverse("instruments"), {"view": "week"})
    with django_assert_num_queries(6):
        Client().get(reverse("instruments"), {"view": "week"})


@pytest.mark.parametrize(
    ("view", "told"), [("day", "2026年11月25日（周三）"), ("week", "2026年11月23日–29日"), ("month", "2026年11月")]
)
def test_day_week_and_month_show_the_same_hits(scene, client, django_assert_num_queries, view, told):
    make.instrument(scene, name="核磁共振波谱仪")
    with django_assert_num_queries(6):
        page = client.get(reverse("instruments"), {"view": view, "q": "核磁"})
    text = page.content.decode()
    assert told in text
    assert "核磁共振波谱仪" in text
    assert "场发射" not in text
    assert 'href="?view=list&amp;q=' in text


def test_the_month_counts_free_hours_and_leads_to_the_day_and_the_form(scene, client):
    taken_by_rival(scene)
    page = client.get(reverse("instruments"), {"view": "month", "day": "2026-11-01"})
    cells = page.context["month"].rows[0].cells
    assert [cell.text for cell in cells[23:27]] == ["", "12", "12", "14"]
    assert cells[25].url == book_url(scene.sem, day="2026-11-26")
    assert "view=day&amp;day=2026-11-26" in page.content.decode()


def test_the_price_of_a_span_is_one_line_while_it_is_chosen(scene):
    make.voucher(scene)
    client = client_of(scene.researcher)
    url = reverse("instrument_price", args=[scene.sem.number])
    answer = client.get(url, {"day": "2026-11-26", "start": "09:00", "end": "11:00"})
    assert answer["Content-Type"].startswith("text/plain")
    assert answer.content.decode() == "09:00–11:00 · ¥960.00 · 券抵扣 ¥480.00，自付 ¥480.00"
    taken_by_rival(scene)
    answer = client.get(url, {"day": "2026-11-26", "start": "09:00", "end": "11:00"})
    assert answer.content.decode().endswith("所选时段（含准备和清理时间）已被占用。")
    assert client_of(scene.keeper).get(url).status_code == 403


@pytest.mark.parametrize("count", [3, 20])
def test_the_list_asks_a_constant_number_of_questions_with_prices_and_voucher_shares(
    scene, django_assert_num_queries, count
):
    for number in range(count - 1):
        make.instrument(scene, name=f"仪器 {number:02d}")
    make.voucher(scene)
    client = client_of(scene.researcher)
    # Session, user, memberships; whether a hold has ended, the search, the page, their pictures; vouchers, their balances.
    with django_assert_num_queries(9):
        page = client.get(reverse("instruments"), {"length": "2"})
    assert len(page.context["lines"]) == count
    with django_assert_num_queries(4):
        Client().get(reverse("instruments"), {"length": "2"})


def test_a_row_says_when_what_it_costs_and_what_the_best_voucher_pays(scene):
    voucher = make.voucher(scene)
    page = client_of(scene.researcher).get(reverse("instruments"), {"length": "2.5"})
    (line,) = page.context["lines"]
    assert (line.offer.price, line.offer.paid.amount, line.offer.own) == (Money(120000), Money(60000), Money(60000))
    query = parse_qs(urlsplit(line.url).query)
    assert query == {"day": ["2026-11-25"], "start": ["10:00"], "end": ["12:30"], "voucher": [voucher.number]}
    text = page.content.decode()
    assert "自付 ¥600.00" in text
    assert "2 小时 30 分" in text
    form = client_of(scene.researcher).get(line.url).context["form"]
    assert form["voucher"].value() == voucher.number


def test_by_voucher_lists_what_one_can_pay_and_says_where_none_can(scene, client):
    asked = {"voucher": "on", "view": "list"}
    firm = client_of(scene.researcher)
    none = firm.get(reverse("instruments"), asked)
    assert "没有可用于仪器使用的券" in none.content.decode()
    assert none.context["total"] > 0
    voucher = make.voucher(scene)
    page = firm.get(reverse("instruments"), asked)
    assert page.context["wanted"].until == voucher.grace_until
    assert "只列出券可以支付的时段" in page.content.decode()
    assert all(line.offer.paid for line in page.context["lines"])
    assert "voucher" not in client.get(reverse("instruments"), asked).context["form"].fields


def test_strangers_see_no_shares_and_labs_cannot_book_what_is_theirs(scene, client):
    make.voucher(scene)
    page = client.get(reverse("instruments"), {"length": "2"})
    assert page.context["lines"][0].offer.paid is None
    assert page.context["lines"][0].url
    assert "券抵扣" not in page.content.decode()
    assert client_of(scene.keeper).get(reverse("instruments")).context["lines"][0].url == ""


def test_words_alone_list_what_has_no_free_time_and_say_so(scene, client):
    full = make.instrument(scene, name="占满的仪器", opens=(480, 540), horizon_s=86400)
    taken = bookings.Wanted(resource=full, period=make.slot(start="08:00", end="09:00"), title="占满")
    bookings.request_booking(actor=rival_of(scene), wanted=taken, now=make.NOW, key=make.key())
    page = client.get(reverse("instruments"), {"q": "仪器"})
    assert [line.offer.period for line in page.context["lines"]] == [None]
    assert "暂无空闲" in page.content.decode()
    assert client.get(reverse("instruments"), {"q": "仪器", "length": "1"}).context["total"] == 0


def test_facets_count_what_each_choice_would_show_and_keep_the_rest(scene, client):
    make.instrument(scene, name="一号", city="宁波", category="physical")
    make.instrument(scene, name="二号", city="宁波")
    page = client.get(reverse("instruments"), {"city": "宁波", "length": "2", "page": "1"})
    facets = {facet.name: {value.text: value for value in facet.values} for facet in page.context["facets"]}
    assert {name: {text: value.count for text, value in values.items()} for name, values in facets.items()} == {
        "城市": {"宁波": 2, "杭州": 1},
        "类别": {"分析仪器": 1, "物理性能测试仪器": 1},
    }
    both = client.get(reverse("instruments") + facets["城市"]["杭州"].query)
    assert both.context["total"] == 3
    none = client.get(reverse("instruments") + facets["城市"]["宁波"].query)
    assert (none.context["total"], none.context["form"].value("length")) == (3, 2)
    one = client.get(reverse("instruments") + facets["类别"]["分析仪器"].query)
    assert one.context["total"] == facets["类别"]["分析仪器"].count


def test_an_empty_result_says_what_to_drop_and_what_that_brings(scene, client):
    make.instrument(scene, name="一号", city="宁波", rate="300")
    page = client.get(reverse("instruments"), {"city": "温州", "max": "500", "length": "2", "operator": "on"})
    assert page.context["helps"] == []
    assert "放宽任何一项条件都还找不到" in page.content.decode()
    page = client.get(reverse("instruments"), {"city": "温州", "max": "500", "length": "2"})
    assert [(item.text, item.count) for item in page.context["helps"]] == [("不限城市", 2)]
    assert client.get(reverse("instruments") + page.context["helps"][0].query).context["total"] == 2
    page = client.get(reverse("instruments"), {"length": "9", "max": "1"})
    assert page.context["helps"] == []
    page = client.get(reverse("instruments"), {"length": "9"})
    assert [(item.text, item.count) for item in page.context["helps"]] == [("时长减半", 2)]
    assert "length=4.5" in page.context["helps"][0].query


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ({"when": "this"}, "2026-11-25"),
        ({"when": "next"}, "2026-11-30"),
        ({"since": "2026-12-03"}, "2026-12-03"),
        ({"since": "2026-12-03", "until": "2026-12-03"}, "2026-12-03"),
        ({"since": "2020-01-01"}, "2026-11-25"),
    ],
)
def test_a_window_is_days_of_the_platform(scene, client, query, first):
    page = client.get(reverse("instruments"), {**query, "length": "1"})
    assert page.context["lines"][0].offer.period.start.astimezone(make.BEIJING).date().isoformat() == first


def test_a_window_that_ends_first_is_said_at_its_field(scene, client):
    page = client.get(reverse("instruments"), {"since": "2026-12-03", "until": "2026-12-01"})
    assert page.status_code == 200
    assert "结束时间必须晚于开始时间" in page.content.decode()
    assert page.context["total"] == 1


@pytest.mark.parametrize("count", [1, 12])
def test_an_instruments_page_asks_a_constant_number_of_questions(scene, django_assert_num_queries, count):
    for day in range(count):
        make.booking(scene, scene.sem, period=make.slot(days=day + 1))
    client = client_of(scene.researcher)
    with django_assert_num_queries(14):
        client.get(reverse("instrument", args=[scene.sem.number]))


# ---- one instrument


def test_an_instruments_page_says_price_hours_and_next_free_time(scene, client):
    page = client.get(reverse("instrument", args=[scene.sem.number]))
    text = page.content.decode()
    assert "每天 08:00–22:00" in text
    assert "¥480.00" in text
    first = page.context["next_free"][0]
    assert first["period"] == Period(make.NOW, make.local(date(2026, 11, 25), "22:00"))
    assert parse_qs(urlsplit(first["url"]).query) == {"day": ["2026-11-25"], "start": ["10:00"], "end": ["11:00"]}


def test_a_draft_does_not_exist_for_others(scene, client):
    draft = resources.create_instrument(actor=scene.keeper, values=make.instrument_values(), now=make.NOW)
    assert client.get(reverse("instrument", args=[draft.number])).status_code == 404
    assert client_of(scene.researcher).get(reverse("instrument", args=[draft.number])).status_code == 404
    assert client_of(scene.keeper).get(reverse("instrument", args=[draft.number])).status_code == 200


# ---- the booking form


def test_booking_asks_strangers_to_sign_in_and_brings_them_back(scene, client):
    url = book_url(scene.sem, day="2026-11-26", start="09:00")
    answer = client.get(url)
    assert answer.status_code == 302
    assert parse_qs(urlsplit(answer["Location"]).query)["next"] == [url]
    in_dialog = client.get(url, headers={"HX-Request": "true", "HX-Target": "dialog"})
    assert (in_dialog.status_code, in_dialog["HX-Redirect"]) == (204, answer["Location"])


def test_who_is_signed_out_meanwhile_finds_what_was_typed(scene, client):
    form = {**asked(client_of(scene.researcher), scene.sem, start="14:00", end="16:00"), "title": "断面观察"}
    sent_to = parse_qs(urlsplit(client.post(book_url(scene.sem), form)["Location"]).query)["next"][0]
    assert form["idempotency_key"] not in sent_to
    shown = client_of(scene.researcher).get(sent_to).context["form"]
    assert [shown[name].value() for name in ("title", "start", "end")] == ["断面观察", "14:00", "16:00"]


@pytest.mark.parametrize("who", ["keeper", "lab_owner", "reviewer", "finance", "auditor"])
def test_only_those_who_book_get_the_form(scene, who):
    client = client_of(getattr(scene, who))
    assert client.get(book_url(scene.sem)).status_code == 403
    assert client.post(book_url(scene.sem), {"title": "x"}).status_code == 403
    assert not Booking.objects.exists()


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ({"day": "2026-11-26", "start": "14:30", "end": "16:30"}, ("2026-11-26", "14:30", "16:30")),
        ({"day": "2026-11-26", "start": "14:30", "end": "15:00"}, ("2026-11-26", "14:30", "15:30")),
        ({"day": "2026-11-26", "start": "14:10", "end": "16:05"}, ("2026-11-26", "14:30", "16:30")),
        ({"day": "2026-11-26"}, ("2026-11-26", "08:00", "09:00")),
        ({}, ("2026-11-25", "10:00", "11:00")),
        ({"day": "nonsense", "start": "99:99", "end": "x"}, ("2026-11-25", "10:00", "11:00")),
    ],
)
def test_the_form_starts_with_what_the_address_asks_fitted_to_the_instrument(scene, query, values):
    form = client_of(scene.researcher).get(book_url(scene.sem, **query)).context["form"]
    assert tuple(str(form[name].value()) for name in ("day", "start", "end")) == values


def test_the_form_offers_the_grid_of_the_opening_hours_and_names_the_zone(scene):
    page = client_of(scene.researcher).get(book_url(scene.sem))
    choices = [value for value, _text in page.context["form"].fields["start"].widget.choices]
    assert (choices[0], choices[-1], len(choices)) == ("08:00", "21:30", 28)
    ends = [value for value, _text in page.context["form"].fields["end"].widget.choices]
    assert (ends[0], ends[-1]) == ("08:30", "22:00")
    assert "以上均为北京时间" in page.content.decode()


def test_the_price_is_split_and_shown_before_anything_is_held(scene):
    voucher = make.voucher(scene)
    page = client_of(scene.researcher).get(book_url(scene.sem, day="2026-11-26", start="09:00", end="12:00"))
    offer = page.context["offer"]
    assert page.context["form"]["voucher"].value() == voucher.number
    assert (offer.price.amount, offer.split.voucher, offer.split.own) == (Money(144000), Money(72000), Money(72000))
    text = page.content.decode()
    assert "抵扣 50%，可用 ¥100,000.00" in text.replace("&#xFF0C;", "，")
    assert "¥1,440.00" in text
    assert text.count("¥720.00") >= 2
    assert not Booking.objects.exists()


def test_the_first_voucher_that_can_pay_is_proposed_and_none_when_none_can(scene):
    make.voucher(scene, items={"instrument_use": Money.from_yuan("1000")})
    client = client_of(scene.researcher)
    assert (
        client.get(book_url(scene.sem, day="2026-11-26", start="09:00", end="11:00")).context["form"]["voucher"].value()
    )
    too_dear = client.get(book_url(scene.sem, day="2026-11-26", start="09:00", end="17:00"))
    assert too_dear.context["form"]["voucher"].value() == ""
    assert too_dear.context["offer"].split.own == Money(384000)


def test_a_request_holds_time_and_money_and_goes_to_its_page(scene):
    voucher = make.voucher(scene)
    client = client_of(scene.researcher)
    answer = client.post(book_url(scene.sem), asked(client, scene.sem, voucher=voucher.number))
    made = Booking.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, reverse("booking", args=[made.number]))
    assert Period(made.starts_at, made.ends_at) == make.slot()
    assert (made.charge.voucher_held_fen, made.charge.own_held_fen) == (48000, 48000)
    page = client.get(answer["Location"])
    assert f"已提交预约 {made.number}，等待实验室确认。" in page.content.decode()


def test_in_a_dialog_success_leaves_the_page(scene):
    client = client_of(scene.researcher)
    form = asked(client, scene.sem)
    answer = client.post(book_url(scene.sem), form, headers={"HX-Request": "true", "HX-Target": "dialog"})
    assert (answer.status_code, answer["HX-Redirect"]) == (204, reverse("booking", args=[Booking.objects.get().number]))


def test_a_double_click_books_once(scene):
    client = client_of(scene.researcher)
    form = asked(client, scene.sem)
    first, second = client.post(book_url(scene.sem), form), client.post(book_url(scene.sem), form)
    assert first["Location"] == second["Location"]
    assert Booking.objects.count() == 1


def test_an_old_form_with_other_values_is_not_a_second_booking_until_asked_again(scene):
    client = client_of(scene.researcher)
    form = asked(client, scene.sem)
    client.post(book_url(scene.sem), form)
    later = {**asked(client, scene.sem, start="14:00", end="16:00"), "idempotency_key": form["idempotency_key"]}
    answer = client.post(book_url(scene.sem), later)
    number = Booking.objects.get().number
    assert answer.status_code == 409
    assert f"这张表单已提交过，预约号为 {number}。" in answer.content.decode()
    assert answer.context["form"]["start"].value() == "14:00"
    again = client.post(book_url(scene.sem), {**later, "idempotency_key": answer.context["key"]})
    assert again.status_code == 302
    assert Booking.objects.count() == 2


def test_a_price_that_was_not_shown_is_shown_first(scene):
    client = client_of(scene.researcher)
    form = {**asked(client, scene.sem), "end": "13:00"}
    answer = client.post(book_url(scene.sem), form)
    assert answer.status_code == 409
    assert "时间或付款方式有变，价格已更新。" in answer.content.decode()
    assert answer.context["offer"].price.amount == Money(192000)
    assert not Booking.objects.exists()
    assert client.post(book_url(scene.sem), {**form, "seen": answer.context["offer"].seen}).status_code == 302


def test_what_cannot_be_booked_is_said_though_the_price_changed_too(scene):
    client = client_of(scene.researcher)
    answer = client.post(book_url(scene.sem), {**asked(client, scene.sem), "day": "2026-11-20"})
    text = answer.content.decode()
    assert answer.status_code == 409
    assert "申请未被接受，原因如下。" in text
    assert "再次提交即可预约" not in text
    assert answer.context["form"].errors["start"]
    assert not Booking.objects.exists()


@pytest.mark.parametrize("key", [None, "", "short", "含有汉字的键值"])
def test_a_form_without_a_proper_key_is_refused(scene, key):
    client = client_of(scene.researcher)
    form = asked(client, scene.sem)
    form.pop("idempotency_key")
    answer = client.post(book_url(scene.sem), form if key is None else {**form, "idempotency_key": key})
    assert answer.status_code == 422
    assert not Booking.objects.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"day": "2026-11-24"}, "开始时间已经过去。"),
        ({"start": "06:00", "end": "09:00"}, "有一部分不在开放时间内：2026-11-26 06:00–08:00（北京时间）。"),
        ({"start": "08:00", "end": "20:00"}, "时长超限：每次最多 8 小时，您选择了 12 小时。"),
        ({"start": "09:00", "end": "09:30"}, "时长不足：每次至少 1 小时，您选择了 0.5 小时。"),
        ({"start": "09:10", "end": "11:10"}, "起止时间须为 30 分钟的整数倍。"),
        ({"day": "2027-11-26"}, "该资源最多提前 60 天预约。"),
    ],
)
def test_a_refusal_says_why_keeps_the_input_and_offers_free_time(scene, changes, said):
    client = client_of(scene.researcher)
    answer = client.post(book_url(scene.sem), asked(client, scene.sem, **changes))
    text = answer.content.decode()
    assert answer.status_code == 409
    assert escape(said) in text
    assert "电池极片截面观察" in text
    assert answer.context["offer"].alternatives
    assert not Booking.objects.exists()
    assert not Claim.objects.exists()


def test_all_reasons_come_at_once(scene):
    voucher = make.voucher(scene, items={"instrument_use": Money.from_yuan("1000")})
    client = client_of(scene.researcher)
    form = asked(client, scene.sem, start="06:10", end="20:10", voucher=voucher.number)
    answer = client.post(book_url(scene.sem), form)
    codes = {reason["code"] for reason in answer.context["error"].reasons}
    assert codes == {"booking.too_long", "booking.grid", "availability.closed", "voucher.too_small"}
    assert answer.context["form"].errors.keys() == {"start", "end", "voucher"}


def test_a_taken_slot_is_refused_with_links_that_fill_in_the_form(scene):
    taken_by_rival(scene)
    client = client_of(scene.researcher)
    answer = client.post(book_url(scene.sem), asked(client, scene.sem))
    assert answer.status_code == 409
    assert "所选时段（含准备和清理时间）已被占用。" in answer.content.decode()
    link = answer.context["offer"].alternatives[0]
    assert link["period"] == make.slot(start="11:00", end="13:00")
    form = client.get(link["url"]).context["form"]
    assert (form["start"].value(), form["end"].value(), form["voucher"].value()) == ("11:00", "13:00", "")


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"title": "   "}, "title", "请填写用途（120 字以内），仅贵单位和实验室可见。"),
        ({"title": "长" * 121}, "title", "请填写用途（120 字以内），仅贵单位和实验室可见。"),
        ({"day": "26.11.2026"}, "day", "请填写有效的日期。"),
        ({"day": "9999-12-31"}, "day", "日期超出范围，请检查年份。"),
        ({"start": "25:00"}, "start", "请填写形如 14:30 的时间。"),
        ({"end": "24:30"}, "end", "请填写形如 14:30 的时间。"),
        ({"ends_on": "400"}, "ends_on", None),
    ],
)
def test_malformed_input_is_said_at_its_field(scene, changes, field, said):
    client = client_of(scene.researcher)
    answer = client.post(book_url(scene.sem), asked(client, scene.sem, **changes))
    assert answer.status_code == 422
    errors = answer.context["form"].errors
    assert list(errors) == [field]
    assert said is None or errors[field] == [said]
    assert not Booking.objects.exists()


def test_an_end_before_the_start_is_said_at_the_end(scene):
    client = client_of(scene.researcher)
    answer = client.post(book_url(scene.sem), asked(client, scene.sem, start="11:00", end="09:00"))
    assert answer.status_code == 422
    assert answer.context["form"].errors == {"end": ["结束时间必须晚于开始时间。"]}


def test_a_local_time_the_clock_jumps_over_is_refused_at_its_field(w):
    berlin = make.instrument(w, zone="Europe/Berlin", opens=(0, 1440), horizon_s=400 * 86400)
    client = client_of(w.researcher)
    form = {**asked(client, berlin, day="2027-03-28", start="02:30", end="04:00"), "seen": "x"}
    answer = client.post(book_url(berlin), form)
    assert answer.status_code == 422
    assert answer.context["form"].errors == {
        "start": [
            "2027-03-28 当地（Europe/Berlin）没有 02:30 这一时刻：时钟从 02:00 直接拨到 03:00。请改选 03:00 或更晚的时间。"
        ]
    }
    assert not Booking.objects.exists()


def test_a_day_with_a_jump_counts_the_hours_that_pass(w):
    berlin = make.instrument(w, zone="Europe/Berlin", opens=(0, 1440), horizon_s=400 * 86400)
    client = client_of(w.researcher)
    assert (
        client.post(book_url(berlin), asked(client, berlin, day="2027-03-28", start="01:00", end="04:00")).status_code
        == 302
    )
    made = Booking.objects.get()
    assert made.ends_at - made.starts_at == timedelta(hours=2)
    assert made.charge.price_fen == 96000


def test_a_booking_may_end_the_next_day(w):
    chamber = make.instrument(w, opens=(0, 1440), max_duration_s=72 * 3600)
    client = client_of(w.researcher)
    page = client.get(book_url(chamber))
    assert [text for _value, text in page.context["form"].fields["ends_on"].widget.choices] == [
        "当天", "次日", "2 天后", "3 天后",
    ]  # fmt: skip
    answer = client.post(book_url(chamber), asked(client, chamber, start="20:00", end="24:00", ends_on="1"))
    made = Booking.objects.get()
    assert answer.status_code == 302
    assert made.ends_at == make.local(date(2026, 11, 28), "00:00")


def test_a_foreign_voucher_does_not_exist(scene):
    voucher = make.voucher(scene)
    client = client_of(rival_of(scene))
    form = {**asked(client, scene.sem), "voucher": voucher.number}
    answer = client.post(book_url(scene.sem), form)
    assert answer.status_code == 404
    assert answer.context["form"].errors == {"voucher": ["没有找到您要的内容，或您无权查看。"]}
    assert not Booking.objects.exists()


def test_a_suspended_instrument_takes_no_request(scene):
    client = client_of(scene.researcher)
    form = asked(client, scene.sem)
    resources.change_state(
        actor=scene.keeper, resource=scene.sem, action=resource_rules.PublishAction.SUSPEND, now=make.NOW
    )
    assert client.post(book_url(scene.sem), form).status_code == 404
    assert not Booking.objects.exists()


def test_the_quote_follows_the_form_and_never_needs_the_purpose(scene):
    client = client_of(scene.researcher)
    url = reverse("instrument_quote", args=[scene.sem.number])
    fine = client.get(url, {"day": "2026-11-26", "start": "09:00", "end": "11:00", "ends_on": 0, "voucher": ""})
    assert "¥960.00" in fine.content.decode()
    assert "目前不能这样预约" not in fine.content.decode()
    bad = client.get(url, {"day": "2026-11-26", "start": "06:00", "end": "20:00", "ends_on": 0, "voucher": ""})
    assert "时长超限" in bad.content.decode()
    assert "附近的空闲时段" in bad.content.decode()
    assert client.get(url, {"day": "x"}).status_code == 200
    assert client.get(url, {}).status_code == 200


@pytest.mark.parametrize("count", [1, 6])
def test_the_form_asks_a_constant_number_of_questions_whatever_the_wallet(scene, django_assert_num_queries, count):
    version = make.programme(scene, per_contract_count=1, caps=[])
    for number in range(count):
        make.voucher(scene, version, number=f"HT-{number}")
    client = client_of(scene.researcher)
    with django_assert_num_queries(19):
        client.get(book_url(scene.sem, day="2026-11-26", start="09:00", end="11:00"))
