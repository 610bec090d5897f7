"""The search form for instruments: what an address asks for, as a requirement and as facets to narrow by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import forms
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.kernel.money import Money
from portal.pages import slots
from portal.pages.templatetags.show import city as city_name
from portal.pages.templatetags.show import label
from scheduler.resources.rules import Category, ResourceKind
from scheduler.search import rules
from scheduler.search.queries import Facets

__all__ = ["Facet", "Help", "SearchForm", "facets", "helps"]

HORIZON: Final = timedelta(days=366)
"""How far is looked where no end is asked for; each instrument's own horizon ends it sooner."""
WEEK: Final = timedelta(days=7)
MAX_VALUES: Final = 40


class SearchForm(forms.Form):
    """What may be asked for. A value that cannot be read is said at its field and asks for nothing."""

    q = forms.CharField(label=_("关键词"), max_length=80)
    length = forms.DecimalField(
        label=_("所需时长（小时）"), min_value=Decimal("0.25"), max_value=720, max_digits=5, decimal_places=2
    )
    when = forms.ChoiceField(
        label=_("时间范围"), choices=[("", _("不限")), ("this", _("本周")), ("next", _("下周"))], initial=""
    )
    since = slots.DayField(label=_("从"))
    until = slots.DayField(label=_("到"))
    max = forms.DecimalField(label=_("每小时最高（元）"), min_value=0, max_digits=9, decimal_places=2)
    order = forms.ChoiceField(
        label=_("排序"),
        choices=[(rules.Order.SOONEST.value, _("最早空闲")), (rules.Order.CHEAPEST.value, _("价格最低"))],
    )
    operator = forms.BooleanField(label=_("需要操作人员"))
    voucher = forms.BooleanField(label=_("用券支付"))

    def __init__(
        self, query: QueryDict, *, now: datetime, payable: Callable[[], datetime | None] | None = None
    ) -> None:
        """`payable` tells until when the reader's vouchers can pay; without it nobody asks for a voucher."""
        super().__init__(query, auto_id="filter_%s")
        self.now = now
        self.payable_until: datetime | None = None
        if payable is None:
            del self.fields["voucher"]
        self.query = query
        for name, more in (
            ("q", {"type": "search", "placeholder": gettext("名称、型号、功能、单位，也可用拼音")}),
            ("length", {"step": "0.5", "inputmode": "decimal"}),
            ("max", {"step": "1", "inputmode": "decimal"}),
        ):
            self.fields[name].widget.attrs.update(more)
        for field in self.fields.values():
            field.required = False
        self.full_clean()
        if payable is not None and self.value("voucher"):
            self.payable_until = payable()

    @property
    def lacks_voucher(self) -> bool:
        """Say whether a voucher is to pay, and none can: then all is shown as it would be paid oneself."""
        return bool(self.value("voucher")) and self.payable_until is None

    def value(self, name: str) -> Any:
        return self.cleaned_data.get(name)

    def chosen(self, facet: str) -> list[str]:
        """Return the values of a facet the address names, each once."""
        values = list(dict.fromkeys(value for value in self.query.getlist(facet) if value and "\0" not in value))
        known = {"category": set(map(str, Category)), "kind": set(map(str, ResourceKind))}.get(facet)
        return [value for value in values if known is None or value in known][:MAX_VALUES]

    @property
    def facet_values(self) -> list[tuple[str, str]]:
        """Return the chosen facets as name and value, for the form to keep them."""
        return [(facet, value) for facet in FACETS for value in self.chosen(facet)]

    def requirement(self) -> rules.Requirement:
        """Return what is asked for; a window that ends before it begins is said at its field and left out."""
        since, until = self._window()
        if self.payable_until is not None:
            until = min(until, self.payable_until) if until else self.payable_until
        length = self.value("length")
        bounded = until is not None or since > self.now
        words = rules.words_of(self.value("q") or "")
        highest = self.value("max")
        asked: dict[str, Any] = {
            "duration_s": int(length * 3600) if length else None,
            "words": words,
            "cities": tuple(self.chosen("city")),
            "categories": tuple(self.chosen("category")),
            "kinds": tuple(self.chosen("kind")),
            "max_hourly": Money.from_yuan(str(highest)) if highest is not None else None,
            "with_operator": bool(self.value("operator")),
            "order": rules.Order(self.value("order") or rules.Order.SOONEST.value),
        }
        try:
            return rules.Requirement(since=since, until=until or since + HORIZON, free_only=bounded, **asked)
        except rules.BadRequirement as error:
            self.add_error("until", str(gettext(error.message)))
            return rules.Requirement(since=self.now, until=self.now + HORIZON, **asked)

    def _window(self) -> tuple[datetime, datetime | None]:
        """Return from when and until when is looked: days of the platform's own zone."""
        first, last = self.value("since"), self.value("until")
        when = self.value("when")
        if not first and not last and when:
            today = timezone.localtime(self.now).date()
            monday = today - timedelta(days=today.weekday())
            first = monday if when == "this" else monday + WEEK
            last = first + WEEK - timedelta(days=1)
        since = _midnight(first) if first else self.now
        return max(since, self.now), _midnight(last + timedelta(days=1)) if last else None

    @property
    def asks(self) -> bool:
        """Say whether anything is asked for at all."""
        return any(self.value(name) for name in self.fields if name != "order") or bool(self.facet_values)


def _midnight(day: date) -> datetime:
    zone = timezone.get_current_timezone()
    assert isinstance(zone, ZoneInfo)
    return datetime.combine(day, time.min, zone)


FACETS: Final = ("city", "category", "kind")


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value to narrow by: `query` is the address with it chosen, or no longer chosen."""

    text: str
    count: int
    query: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Facet:
    name: str
    values: Sequence[FacetValue]


def facets(form: SearchForm, found: Facets) -> list[Facet]:
    """Return the facets that can tell things apart, the most frequent value first; chosen ones stay even at nought."""
    shown: list[Facet] = []
    for name, title, counts in (
        ("city", gettext("城市"), found.cities),
        ("category", gettext("类别"), found.categories),
        ("kind", gettext("种类"), found.kinds),
    ):
        chosen = form.chosen(name)
        counted = {**dict.fromkeys(chosen, 0), **counts}
        if len(counted) < 2 and not chosen:
            continue
        ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        shown.append(
            Facet(
                title,
                [
                    FacetValue(facet_text(name, value), number, _toggled(form.query, name, value), value in chosen)
                    for value, number in ordered
                ],
            )
        )
    return shown


def facet_text(facet: str, value: str) -> str:
    """Name a facet's value; one that is none stays as it is."""
    if facet == "category" and value in set(Category):
        return label(value, "category")
    if facet == "kind" and value in set(ResourceKind):
        return label(value, "resource_kind")
    return city_name(value)


def _toggled(query: QueryDict, name: str, value: str) -> str:
    """Return the address with a facet's value put in or taken out, on the first page."""
    changed = query.copy()
    values = [kept for kept in changed.getlist(name) if kept and kept != value]
    if len(values) == len([kept for kept in changed.getlist(name) if kept]):
        values.append(value)
    changed.setlist(name, values)
    changed.pop("page", None)
    return "?" + changed.urlencode()


@dataclass(frozen=True, slots=True)
class Help:
    """One demand less, and how many would then be found."""

    text: str
    count: int
    query: str


def helps(form: SearchForm, wanted: rules.Requirement, found: Mapping[rules.Dropped, int]) -> list[Help]:
    """Return which demands to drop, with the address that does so."""
    return [Help(_told(drop), number, _without(form.query, drop, wanted)) for drop, number in found.items()]


def _told(drop: rules.Dropped) -> str:
    texts = {
        rules.Dropped.WORDS: gettext("去掉关键词"),
        rules.Dropped.CITIES: gettext("不限城市"),
        rules.Dropped.CATEGORIES: gettext("不限类别"),
        rules.Dropped.KINDS: gettext("不限种类"),
        rules.Dropped.PRICE: gettext("不限价格"),
        rules.Dropped.OPERATOR: gettext("不需要操作人员"),
        rules.Dropped.WINDOW: gettext("时间放宽到 60 天内"),
        rules.Dropped.DURATION: gettext("时长减半"),
    }
    return texts[drop]


NAMES: Final = {
    rules.Dropped.WORDS: ("q",),
    rules.Dropped.CITIES: ("city",),
    rules.Dropped.CATEGORIES: ("category",),
    rules.Dropped.KINDS: ("kind",),
    rules.Dropped.PRICE: ("max",),
    rules.Dropped.OPERATOR: ("operator",),
    rules.Dropped.WINDOW: ("when", "until"),
    rules.Dropped.DURATION: ("length",),
}


def _without(query: QueryDict, drop: rules.Dropped, wanted: rules.Requirement) -> str:
    changed = query.copy()
    for name in (*NAMES[drop], "page"):
        changed.pop(name, None)
    weaker = rules.relaxed(wanted)[drop]
    if drop is rules.Dropped.DURATION and weaker.duration_s is not None:
        changed["length"] = f"{weaker.duration_s / 3600:g}"
    if drop is rules.Dropped.WINDOW:
        changed["since"] = timezone.localtime(weaker.since).date().isoformat()
        changed["until"] = timezone.localtime(weaker.until).date().isoformat()
    return "?" + changed.urlencode()
