from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from types import SimpleNamespace

import pytest
from django import forms
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import translation

from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.pages.labels import LABELS
from portal.pages.templatetags import show

AFTERNOON = Period(datetime(2026, 11, 25, 6, 30, tzinfo=UTC), datetime(2026, 11, 25, 8, 30, tzinfo=UTC))


def render(source, **context):
    return Template(source).render(Context(context))


@pytest.mark.parametrize(
    ("fen", "text"), [(0, "¥0.00"), (123450, "¥1,234.50"), (-5, "-¥0.05"), (10**12, "¥10,000,000,000.00")]
)
@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_money_is_grouped_by_three_in_every_language(fen, text, language):
    with translation.override(language):
        assert render("{{ fen|money }}", fen=fen) == f'<span class="num">{text}</span>'
        assert show.money_text(Money(fen)) == text


def test_nothing_is_a_dash():
    for source in (
        "money",
        "money_text",
        "percent",
        "hours",
        "duration",
        "filesize",
        "day",
        "clock",
        "moment",
        "when",
        "period",
    ):
        assert render("{{ nothing|" + source + " }}", nothing=None) == "—"


@pytest.mark.parametrize(
    ("share", "text"),
    [(Fraction(3, 10), "30%"), (Fraction(1, 3), "33.3%"), (Fraction(2, 3), "66.7%"), (1, "100%"), ("1/8", "12.5%")],
)
def test_a_share_is_per_cent(share, text):
    assert show.percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 秒"),
        (45, "45 秒"),
        (90, "1 分"),
        (5400, "1 小时 30 分"),
        (100800, "1 天 4 小时"),
        (timedelta(days=2), "2 天"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds, text):
    assert show.duration(seconds) == text


def test_hours_are_decimal():
    assert (show.hours(5400), show.hours(timedelta(minutes=20)), show.hours(36_000_000)) == ("1.5", "0.33", "10,000")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_534_000, "1.5 MB"), (250_000_000, "250 MB")]
)
def test_sizes_are_decimal(size, text):
    assert show.filesize(size) == text


def test_a_period_of_one_day_names_it_once():
    assert show.period_text(AFTERNOON, show.zone_of("Asia/Shanghai")) == "2026年11月25日（周三）14:30–16:30"
    with translation.override("en"):
        assert show.period_text(AFTERNOON, show.zone_of("Asia/Shanghai")) == "Wed 25 Nov 2026, 14:30–16:30"


def test_a_period_over_days_names_both_and_midnight_is_24():
    zone = show.zone_of("Asia/Shanghai")
    until_midnight = Period(AFTERNOON.start, datetime(2026, 11, 25, 16, tzinfo=UTC))
    overnight = Period(AFTERNOON.start, datetime(2026, 11, 26, 2, tzinfo=UTC))
    assert show.period_text(until_midnight, zone).endswith("14:30–24:00")
    assert show.period_text(overnight, zone) == "2026年11月25日（周三）14:30 – 2026年11月26日（周四）10:00"


def test_a_period_breaks_between_its_date_and_its_hours_only():
    where = "{{ p|period:'Asia/Shanghai' }}"
    assert render(where, p=AFTERNOON) == '<span class="num-text">2026年11月25日（周三）<wbr>14:30–16:30</span>'
    overnight = Period(AFTERNOON.start, datetime(2026, 11, 26, 2, tzinfo=UTC))
    assert render(where, p=overnight).split("<wbr>")[1:3] == ["14:30 – ", "2026年11月26日（周四）"]
    with translation.override("en"):
        assert ", <wbr>14:30–16:30" in render(where, p=AFTERNOON)


def test_an_exclusive_end_at_midnight_is_24_of_the_day_before():
    midnight = datetime(2026, 11, 25, 16, tzinfo=UTC)
    assert ">2026-11-25 24:00<" in render("{{ at|until:'Asia/Shanghai' }}", at=midnight)
    assert ">2026-11-25 14:30<" in render("{{ at|until:'Asia/Shanghai' }}", at=AFTERNOON.start)
    assert render("{{ at|until }}", at=None) == "—"


def test_a_foreign_zone_is_named_and_beijing_is_not():
    assert "New York" in render("{{ p|period:'America/New_York' }}", p=AFTERNOON)
    assert "（" not in render("{{ at|when:'Asia/Shanghai' }}", at=AFTERNOON.start)
    assert show.zone_label("Asia/Shanghai") == "北京时间"


def test_moments_carry_their_machine_form():
    html = render("{{ at|moment:'Asia/Shanghai' }}", at=AFTERNOON.start)
    assert html == '<time datetime="2026-11-25T06:30:00+00:00">2026年11月25日（周三）14:30</time>'
    assert show.clock(AFTERNOON.start, "Asia/Shanghai") == "14:30"
    assert show.day(date(2026, 1, 1)) == "2026年1月1日（周四）"


def test_a_badge_says_text_and_shape():
    html = render('{% badge "booking" "requested" %}')
    assert 'class="badge wait"' in html
    assert "待确认" in html
    assert "<svg" in html


def test_a_code_without_words_is_an_error_not_a_raw_code():
    with pytest.raises(KeyError):
        show.label("no_such_state", "booking")


@pytest.mark.parametrize("kind", LABELS)
def test_no_label_is_empty_and_every_tone_is_known(kind):
    assert all(text and tone in {"", "ok", "go", "wait", "bad"} for tone, text in LABELS[kind].values())


def test_bilingual_falls_back_to_chinese():
    both, one = SimpleNamespace(name="西湖大学", name_en="Westlake University"), {"name": "西湖大学", "name_en": ""}
    assert show.bilingual(both) == "西湖大学"
    with translation.override("en"):
        assert (show.bilingual(both), show.bilingual(one)) == ("Westlake University", "西湖大学")


class Sample(forms.Form):
    count = forms.IntegerField(label="样品数", min_value=1, help_text="平行样算一个。")
    note = forms.CharField(label="备注", required=False)
    agree = forms.BooleanField(label="我同意")
    pay = forms.ChoiceField(label="付款方式", widget=forms.RadioSelect, choices=[("v", "券"), ("o", "自付")])


def test_a_field_ties_label_hint_error_and_control_together():
    html = render("{% field form.count unit='个' %}", form=Sample({"count": "0"}))
    assert '<label for="id_count">' in html
    assert 'id="id_count_helptext"' in html
    assert 'id="id_count_error"' in html
    assert 'aria-describedby="id_count_helptext id_count_error"' in html
    assert 'aria-invalid="true"' in html


def test_only_optional_fields_say_so():
    form = Sample()
    assert "（选填）" in render("{% field form.note %}", form=form)
    assert "（选填）" not in render("{% field form.note quiet=True %}", form=form)
    assert "（选填）" not in render("{% field form.count %}", form=form)


def test_choices_are_a_group_with_a_legend():
    html = render("{% field form.pay %}", form=Sample())
    assert "<fieldset" in html
    assert "<legend>付款方式" in html


def test_user_text_is_escaped():
    html = render("{% field form.note %}{{ name|bilingual:'x' }}", form=Sample({"note": "<script>"}), name={"x": "<b>"})
    assert "<script>" not in html
    assert "<b>" not in html


def test_the_error_summary_links_to_fields_and_carries_remedies():
    html = render('{% include "parts/errors.html" %}', form=Sample({}))
    assert 'href="#id_count"' in html
    assert "data-focus" in html
    error = {"text": "申请未被接受", "reasons": [{"text": "超过每日上限", "remedy": "请缩短 1 小时", "field": "end"}]}
    html = render('{% include "parts/errors.html" %}', error=error)
    assert 'href="#id_end"' in html
    assert "请缩短 1 小时" in html


def test_a_sorted_column_says_so_and_turns_round():
    request = RequestFactory().get("/?sort=at&page=3&q=a")
    html = render('{% sort "at" "时间" %}{% sort "fen" "金额" css="num" %}', request=request)
    assert 'aria-sort="ascending"' in html
    assert "sort=-at" in html
    assert "page=" not in html
    assert html.count("aria-sort") == 1


def test_a_budget_bar_is_whole_and_shows_even_small_parts():
    context = show.budget(used=99_999_999, held=1, free=0, gone=0)
    assert [bar["code"] for bar in context["bars"]] == ["used", "held"]
    assert sum(bar["width"] for bar in context["bars"]) == 1000
    assert context["bars"][1]["width"] == 4
    assert show.budget()["bars"] == []
