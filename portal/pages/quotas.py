"""The limits a lab sets on the use of its instruments, and what a booking form says of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import PortalError
from portal.pages import shell, slots
from portal.pages.opening import WEEKDAYS
from portal.pages.templatetags.show import bilingual, day_text, hours, is_english, zone_of
from portal.pages.weeks import days_in_words
from scheduler.quotas import access, kept, queries, services
from scheduler.quotas.kept_rules import OwnStanding
from scheduler.quotas.models import QuotaRule
from scheduler.quotas.rules import Effect, Limit, Measure, Peak, Per, Span, Standing
from scheduler.resources import access as resources

__all__ = ["instrument_quotas", "standing_text"]


def standing_text(standing: Standing) -> str:
    """Say in one line what is used of a limit: ``每周限额：2026年11月23日至29日已约 6 / 10 小时（贵单位）``."""
    limit = standing.limit
    values = {
        "name": limit.name,
        "who": gettext("您本人") if limit.per is Per.PERSON else gettext("贵单位"),
        "used": standing.used,
        "allowed": standing.allowed,
    }
    if standing.window is None:
        return gettext("%(name)s：%(who)s现有 %(used)s / %(allowed)s 个尚未开始的预约") % values
    zone = zone_of(standing.zone)
    values |= {
        "since": day_text(standing.window.start.astimezone(zone).date()),
        "until": day_text(standing.window.end.astimezone(zone).date() - timedelta(days=1)),
        "used": hours(standing.used),
        "allowed": hours(standing.allowed),
    }
    if limit.measure is Measure.PEAK_SHARE:
        text = gettext("%(name)s：%(since)s至%(until)s，%(who)s已约高峰时段 %(used)s / %(allowed)s 小时")
    else:
        text = gettext("%(name)s：%(since)s至%(until)s，%(who)s已约 %(used)s / %(allowed)s 小时")
    return text % values


class QuotaForm(forms.Form):
    """One limit. Peak hours are asked for where a share of them is limited."""

    name = forms.CharField(label=_("名称"), max_length=40, help_text=_("预约单位会看到，例如“每周限额”。"))
    measure = forms.ChoiceField(label=_("限制什么"), choices=QuotaRule.Measure.choices)
    amount = forms.IntegerField(label=_("最多"), min_value=1, max_value=1000, help_text=_("小时、个或 %，按上一项。"))
    span = forms.ChoiceField(label=_("周期"), choices=QuotaRule.Span.choices, help_text=_("预约数不分周期。"))
    per = forms.ChoiceField(label=_("对谁"), choices=QuotaRule.Per.choices)
    effect = forms.ChoiceField(label=_("超过时"), choices=QuotaRule.Effect.choices)
    scope = forms.ChoiceField(
        label=_("适用范围"), choices=[("this", _("仅此一项")), ("all", _("本单位全部资源，合计"))]
    )
    peak_days = forms.TypedMultipleChoiceField(
        label=_("高峰日"), choices=WEEKDAYS, coerce=int, required=False, widget=forms.CheckboxSelectMultiple
    )
    peak_from = slots.ClockField(label=_("高峰开始"), required=False, widget=slots.time_input())
    peak_until = slots.ClockField(label=_("高峰结束"), required=False, widget=slots.time_input())

    def limit(self) -> Limit:
        """Return what was filled in; `Limit.check` judges it."""
        said = self.cleaned_data
        measure = Measure(said["measure"])
        share = measure is Measure.PEAK_SHARE
        kept_share = measure is Measure.KEPT_SHARE
        peak = Peak(frozenset(said["peak_days"]), said["peak_from"] or 0, said["peak_until"] or 0)
        return Limit(
            name=said["name"].strip(),
            measure=measure,
            amount=said["amount"] * 3600 if measure is Measure.HOURS else said["amount"],
            span=Span(said["span"]),
            per=Per.ORGANISATION if share or kept_share else Per(said["per"]),
            effect=Effect.REFUSE if kept_share else Effect(said["effect"]),
            peak=peak if share else Peak(),
        )


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_quotas(request: HttpRequest, number: str) -> HttpResponse:
    """List the limits over one's instrument; set one, or end one."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = resources.get_own_instrument(actor, number)
    adding = request.method == "POST" and request.POST.get("act") != "end"
    form = QuotaForm(request.POST if adding else None, initial={"peak_from": 540, "peak_until": 1080})
    error: Explained | None = None
    if adding and form.is_valid():
        chosen = [resource] if form.cleaned_data["scope"] == "this" else []
        _rule, error = shell.attempt(
            lambda: services.add_rule(actor=actor, limit=form.limit(), instruments=chosen, now=now)
        )
        if error is None:
            messages.success(request, gettext("已设定，对以后的预约生效。"))
            return redirect("instrument_quotas", number)
        error = slots.put_back(form, error)
    elif request.method == "POST" and not adding:
        _end(request, now=now)
        return redirect("instrument_quotas", number)
    rows = [_row(rule, names, zone=resource.zone, now=now) for rule, names in queries.rules_over(resource)]
    context = {"resource": resource, "name": bilingual(resource), "rows": rows, "form": form, "error": error}
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "lab/quotas.html", context, status=status)


def _end(request: HttpRequest, *, now: Any) -> None:
    """End the limit named in the form; one that is gone already stays gone."""
    actor, said = shell.actor_of(request), request.POST.get("id", "")
    try:
        rule = access.get_rule(actor, int(said) if said.isdecimal() and len(said) < 18 else 0)
    except PortalError:
        return
    services.end_rule(actor=actor, rule=rule, now=now)
    messages.success(request, gettext("已取消这条限额。"))


def _row(rule: QuotaRule, named: list[int], *, zone: str, now: datetime) -> dict[str, Any]:
    own = []
    if rule.measure == QuotaRule.Measure.KEPT_SHARE:
        own = [_own(each) for each in kept.standings_of(rule, named, zone=zone, now=now)]
    return {"rule": rule, "words": _words(rule), "peak": _peak(rule), "all": not named, "many": len(named), "own": own}


def _own(standing: OwnStanding) -> dict[str, Any]:
    """Return what a template says of what the lab took itself."""
    zone = zone_of(standing.zone)
    return {
        "since": standing.window.start.astimezone(zone).date(),
        "until": standing.window.end.astimezone(zone).date() - timedelta(days=1),
        "used": hours(standing.used),
        "allowed": hours(standing.allowed),
        "kept": hours(standing.kept),
        "over": standing.used > standing.allowed,
    }


def _words(rule: QuotaRule) -> str:
    """Say a limit in a line: whose, in which period, at most how much."""
    span = rule.get_span_display()
    said = {"who": rule.get_per_display(), "span": span.lower() if is_english() else span, "most": rule.amount}
    if rule.measure == QuotaRule.Measure.BOOKINGS:
        return gettext("%(who)s最多 %(most)s 个尚未开始的预约") % said
    if rule.measure == QuotaRule.Measure.KEPT_SHARE:
        return gettext("%(span)s给外单位保留 %(most)s%%") % said
    if rule.measure == QuotaRule.Measure.PEAK_SHARE:
        return gettext("%(who)s%(span)s最多占高峰时段的 %(most)s%%") % said
    return gettext("%(who)s%(span)s最多 %(most)s 小时") % {**said, "most": rule.amount // 3600}


def _peak(rule: QuotaRule) -> str:
    """Say which hours are a limit's peak; empty where it has none."""
    if rule.measure != QuotaRule.Measure.PEAK_SHARE:
        return ""
    days = days_in_words(rule.peak_days)
    clocks = [f"{minutes // 60:02d}:{minutes % 60:02d}" for minutes in (rule.peak_from_min, rule.peak_until_min)]
    return f"{days} {clocks[0]}–{clocks[1]}"
