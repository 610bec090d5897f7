"""Say values in words: money, time, states, shares, sizes, form fields. A builtin: templates need not load it.

One format per thing in each language. Chinese: ``2026年11月25日（周三）14:30–16:30``; English:
``Wed 25 Nov 2026, 14:30–16:30``. Money is ``¥1,234.50`` in both (Django's own Chinese grouping is by four digits).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from fractions import Fraction
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import template
from django.forms import BoundField
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext, ngettext

from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.pages.labels import label_of
from portal.pages.rail_words import dispute_words, rail_name
from vouchers.charges import prices
from vouchers.programmes.names import CITIES

register = template.Library()

WEEKDAYS = {"zh": "一二三四五六日", "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
BEIJING = "Asia/Shanghai"
HAN = r"\u3000-\u303f\u3400-\u9fff\uff00-\uffef"
CHINESE = re.compile(rf"[{HAN}](?:[\d\s{HAN}]*[{HAN}])?")
"""A run of Chinese words and marks, with the figures inside it."""


def is_english() -> bool:
    """Say whether the reader's language is English; every other language of the portal is Chinese."""
    return (get_language() or "").startswith("en")


# ---- money and numbers


def _fen(value: Money | int) -> int:
    return value.fen if isinstance(value, Money) else int(value)


@register.filter
def money(value: Money | int | None) -> SafeString | str:
    """Show fen (or Money) as ``¥1,234.50`` in tabular figures; None as a dash."""
    return "—" if value is None else format_html('<span class="num">{}</span>', Money(_fen(value)))


@register.filter
def money_text(value: Money | int | None) -> str:
    """Show fen (or Money) as plain text, for attributes and titles."""
    return "—" if value is None else str(Money(_fen(value)))


@register.filter
def price(rate: Any) -> str:
    """Show a line of a price list: ``¥480.00 / 小时``, or ``原值的 2% / 天``."""
    if rate.share_ppm:
        return gettext("原值的 %(share)s / 天") % {"share": percent(Fraction(rate.share_ppm, 1_000_000))}
    return f"{Money(rate.amount_fen)} / {label(rate.unit, 'unit')}"


@register.filter
def quantity(value: Fraction | int | str | None) -> str:
    """Show a quantity with grouped thousands and the decimals it has, at most six: ``Fraction(5, 2)`` → ``2.5``."""
    if value is None:
        return "—"
    whole, dot, rest = prices.text(Fraction(value)).partition(".")
    return f"{int(whole):,}{dot}{rest[:6]}"


@register.filter
def percent(value: Fraction | float | str | None) -> str:
    """Show a share as per cent, at most one decimal: ``Fraction(1, 3)`` → ``33.3%``. Text like ``3/10`` is read."""
    if value is None:
        return "—"
    tenths = round(Fraction(value) * 1000)
    whole, rest = divmod(tenths, 10)
    return f"{whole}.{rest}%" if rest else f"{whole}%"


@register.filter
def hundredths(value: int | None) -> str:
    """Show a grade kept in hundredths: ``435`` → ``4.35``."""
    return "—" if value is None else f"{value / 100:.2f}"


def _seconds(value: timedelta | float | Fraction) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


@register.filter
def hours(value: timedelta | float | Fraction | None) -> str:
    """Show seconds (or a timedelta) as a number of hours, at most two decimals: 5400 → ``1.5``."""
    return "—" if value is None else f"{_seconds(value) / 3600:,.2f}".rstrip("0").rstrip(".")


@register.filter
def duration(value: timedelta | float | None) -> str:
    """Show seconds (or a timedelta) in words, its two largest units: ``2 小时 30 分``, ``1 天 4 小时``, ``45 秒``."""
    if value is None:
        return "—"
    left = max(0, round(_seconds(value)))
    parts: list[str] = []
    for size in (86400, 3600, 60, 1):
        number, left = divmod(left, size)
        if number and (size > 1 or not parts):
            parts.append(_amount_of_time(number, size))
    return " ".join(parts[:2]) or _amount_of_time(0, 1)


def _amount_of_time(number: int, size: int) -> str:
    match size:
        case 86400:
            text = ngettext("%d 天", "%d 天", number)
        case 3600:
            text = gettext("%d 小时")
        case 60:
            text = gettext("%d 分")
        case _:
            text = gettext("%d 秒")
    return text % number


@register.filter
def filesize(value: int | None) -> str:
    """Show bytes in the decimal units storage is sold in: ``1.5 MB``."""
    if value is None:
        return "—"
    size, units = float(value), ("B", "kB", "MB", "GB", "TB")
    step = 0
    while size >= 999.5 and step < len(units) - 1:
        size, step = size / 1000, step + 1
    return f"{size:.0f} {units[step]}" if step == 0 or size >= 99.95 else f"{size:.1f} {units[step]}"


# ---- time


def zone_of(name: str | tzinfo | None) -> tzinfo:
    """Return the zone meant: a name, a zone, or None for the one the page runs in."""
    if isinstance(name, str):
        return ZoneInfo(name) if name else timezone.get_current_timezone()
    return name or timezone.get_current_timezone()


@register.filter
def zone_label(name: str | tzinfo | None) -> str:
    """Name a zone in words: 北京时间 / Beijing time; others by their IANA name, which is what calendars use."""
    key = getattr(zone_of(name), "key", str(name))
    return gettext("北京时间") if key == BEIJING else key.replace("_", " ")


def day_text(day: date, *, weekday: bool = True) -> str:
    """Return a date in words, with its weekday."""
    if is_english():
        text = f"{day.day} {MONTHS[day.month - 1]} {day.year}"
        return f"{WEEKDAYS['en'][day.weekday()]} {text}" if weekday else text
    text = f"{day.year}年{day.month}月{day.day}日"
    return f"{text}（周{WEEKDAYS['zh'][day.weekday()]}）" if weekday else text


@register.filter
def weekday(number: int) -> str:
    """Show a weekday given by its ISO number, Monday 1."""
    return WEEKDAYS["en"][number - 1] if is_english() else f"周{WEEKDAYS['zh'][number - 1]}"


@register.filter
def day(value: date | datetime | None, zone: str | None = None) -> str:
    """Show a date; of a datetime, the date in `zone`."""
    if value is None:
        return "—"
    return day_text(value.astimezone(zone_of(zone)).date() if isinstance(value, datetime) else value)


@register.filter
def clock(value: datetime | None, zone: str | None = None) -> str:
    """Show the wall time ``14:30`` in `zone`."""
    return "—" if value is None else f"{value.astimezone(zone_of(zone)):%H:%M}"


def _stamp(value: datetime, zone: tzinfo) -> str:
    local = value.astimezone(zone)
    return f"{day_text(local.date())}{', ' if is_english() else ''}{local:%H:%M}"


@register.filter
def moment(value: datetime | None, zone: str | None = None) -> SafeString | str:
    """Show a moment in `zone` as ``<time>``; where the zone is not Beijing's, it is named."""
    if value is None:
        return "—"
    where = zone_of(zone)
    return format_html('<time datetime="{}">{}</time>', value.isoformat(), _stamp(value, where) + _foreign(where))


@register.filter
def when(value: datetime | None, zone: str | None = None) -> SafeString | str:
    """Show a moment briefly, for tables and trails: ``2026-11-25 14:30``."""
    if value is None:
        return "—"
    where = zone_of(zone)
    text = f"{value.astimezone(where):%Y-%m-%d %H:%M}" + _foreign(where)
    return format_html('<time class="num" datetime="{}">{}</time>', value.isoformat(), text)


@register.filter
def until(value: datetime | None, zone: str | None = None) -> SafeString | str:
    """Show an exclusive end as `when` does, midnight as 24:00 of the day that ends: ``2026-11-25 24:00``."""
    if value is None:
        return "—"
    where = zone_of(zone)
    local = value.astimezone(where)
    if local.time() != time.min:
        return when(value, zone)
    text = f"{local.date() - timedelta(days=1):%Y-%m-%d} 24:00" + _foreign(where)
    return format_html('<time class="num" datetime="{}">{}</time>', value.isoformat(), text)


def _foreign(zone: tzinfo) -> str:
    """Return the zone in brackets unless it is Beijing's, which the portal's pages state once."""
    if getattr(zone, "key", "") == BEIJING:
        return ""
    return f" ({zone_label(zone)})" if is_english() else f"（{zone_label(zone)}）"


def period_text(value: Period, zone: tzinfo) -> str:
    """Return a period in words; an end at midnight is 24:00 of the last day."""
    start, end = value.start.astimezone(zone), value.end.astimezone(zone)
    midnight = end.hour == end.minute == end.second == 0
    last = (end - timedelta(microseconds=1)).date() if midnight else end.date()
    until = "24:00" if midnight else f"{end:%H:%M}"
    if last == start.date():
        return f"{_stamp(value.start, zone)}–{until}"
    comma = ", " if is_english() else ""
    return f"{_stamp(value.start, zone)} – {day_text(last)}{comma}{until}"


BREAKS: Final = re.compile(r"(?<=）)|(?<=, )|(?<= – )")
"""Where a period may be broken in two lines: between a date and its hours, never within the hours."""
WBR: Final = mark_safe("<wbr>")


@register.filter
def period(value: Period | None, zone: str | None = None) -> SafeString | str:
    """Show a period (anything with aware `start` and `end`) in `zone`; one day is named once."""
    if value is None:
        return "—"
    where = zone_of(zone)
    parts = [part for part in BREAKS.split(period_text(value, where)) if part] + [_foreign(where)]
    return format_html(
        '<span class="num-text">{}</span>', format_html_join(WBR, "{}", ((part,) for part in parts if part))
    )


# ---- words


@register.filter
def label(code: str, kind: str) -> str:
    """Say a code in words: ``{{ booking.state|label:"booking" }}``."""
    return label_of(kind, code)[1]


@register.filter
def rail(code: str) -> str:
    """Say what a way to pay is called: ``{{ attempt.rail|rail }}``."""
    return rail_name(code)


@register.filter
def dispute_state(state: str) -> str:
    """Say a gateway's state of a dispute: ``{{ dispute.state|dispute_state }}``."""
    return dispute_words(state)


@register.inclusion_tag("parts/badge.html")
def badge(kind: str, code: str) -> dict[str, str]:
    """Show a state as text + shape + colour: ``{% badge "booking" booking.state %}``."""
    tone, text = label_of(kind, code)
    return {"tone": tone, "label": text}


@register.filter
def bilingual(thing: Any, attribute: str = "name") -> str:
    """Return ``thing.name_en`` for an English reader where it is filled in, else ``thing.name``. Mappings too."""

    def read(key: str) -> str:
        found = thing.get(key) if isinstance(thing, Mapping) else getattr(thing, key, "")
        return str(found or "")

    return (is_english() and read(f"{attribute}_en")) or read(attribute)


NOUNS: Final[Mapping[str, Callable[[int], str]]] = {
    "项资源": lambda number: ngettext("项资源", "项资源", number),
    "项服务": lambda number: ngettext("项服务", "项服务", number),
    "笔订单": lambda number: ngettext("笔订单", "笔订单", number),
    "行明细": lambda number: ngettext("行明细", "行明细", number),
    "张券": lambda number: ngettext("张券", "张券", number),
    "卡": lambda number: ngettext("卡", "卡", number),
    "核": lambda number: ngettext("核", "核", number),
}
"""What templates count: written out, so that the catalogue has the plural of each."""


@register.filter
def entered(text: str) -> SafeString | str:
    """Show text people entered. On an English page its Chinese is marked as such: to be read aloud and drawn right."""
    if not (text and is_english()):
        return text
    return mark_safe(CHINESE.sub(r'<span lang="zh-Hans">\g<0></span>', escape(text)))  # noqa: S308 - escaped before


@register.filter
def count(value: int | Sequence[Any], noun: str) -> str:
    """Count with a noun of `NOUNS`: ``{{ 3|count:"项资源" }}`` → ``3 项资源``, in English with its plural."""
    number = value if isinstance(value, int) else len(value)
    return f"{number:,} {NOUNS[noun](number)}"


@register.filter
def city(name: str) -> str:
    """Name a city in the reader's language; one without a known English name stays as it is."""
    known = CITIES.get(name.removesuffix("市"))
    return known.en if known and is_english() else name


# ---- forms, lists, charts


@register.inclusion_tag("parts/field.html")
def field(
    bound: BoundField, unit: str = "", text: str = "", *, quiet: bool = False, across: bool = False
) -> dict[str, Any]:
    """Show a form field: label, hint, errors, control, tied together for assistive technology.

    `unit` stands after the control; `text` replaces the field's own label; `quiet` leaves out “optional” (filter bars, where everything is).
    `across` puts short choices beside each other.
    """
    return {"bound": bound, "unit": unit, "text": text or bound.label, "quiet": quiet, "across": across}


@register.inclusion_tag("parts/sort.html", takes_context=True)
def sort(context: template.Context, key: str, text: str, css: str = "") -> dict[str, Any]:
    """Show a sortable column head. The URL says ``?sort=key`` or ``?sort=-key``; a new order starts on page one."""
    request: HttpRequest = context["request"]
    query = request.GET.copy()
    now = query.get("sort", "")
    query["sort"] = f"-{key}" if now == key else key
    query.pop("page", None)
    order = {key: "ascending", f"-{key}": "descending"}.get(now, "")
    return {"label": text, "href": f"?{query.urlencode()}", "sorted": order, "css": css}


@register.inclusion_tag("parts/budget.html")
def budget(used: int = 0, held: int = 0, free: int = 0, gone: int = 0) -> dict[str, Any]:
    """Show how an amount in fen divides: used, held, free and expired, as a stacked bar and its key.

    The bar's label is the whole sentence; parts of nothing are left out, a visible part is never thinner than 0.4 %.
    """
    parts = [
        ("used", gettext("已用"), int(used)),
        ("held", gettext("已冻结"), int(held)),
        ("free", gettext("可用"), int(free)),
        ("gone", gettext("已过期"), int(gone)),
    ]
    shown = [part for part in parts if part[2] > 0]
    total = sum(fen for _code, _text, fen in shown)
    widths = [max(4, round(1000 * fen / total)) for _code, _text, fen in shown]
    if widths:
        widths[widths.index(max(widths))] += 1000 - sum(widths)
    bars, x = [], 0
    for (code, text, fen), width in zip(shown, widths, strict=True):
        bars.append({"code": code, "label": text, "fen": fen, "x": x, "width": width})
        x += width
    sentence = gettext("，").join(f"{text} {Money(fen)}" for _code, text, fen in shown)
    return {"bars": bars, "sentence": sentence or str(Money(0))}
