"""Violations: the lab's desk with its rule, the enterprise's own view with what follows, appeals and answers."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound, noop
from portal.organisations.models import Organisation
from portal.pages import acts, shell, slots
from portal.pages.booking_requests import arrived
from portal.pages.labels import label_of
from scheduler.bookings import access as bookings
from scheduler.conduct import access, queries, rules, services
from scheduler.conduct.models import Violation

__all__ = ["booking_violation", "conduct", "conduct_rule", "standing_at", "violation_act"]

K, S = rules.ViolationKind, rules.ViolationState
SORTS = {"at": ["at"], "booking": ["booking__number"], "points": ["points"], "state": ["state"]}
TABS = {"": noop("全部"), "appealed": noop("申诉中")}


def standing_at(owner_id: int, organisation_id: int) -> rules.Standing | None:
    """Return where an organisation stands at a lab; None where it is in good standing."""
    found = queries.standing_of(owner_id=owner_id, organisation_id=organisation_id, at=timezone.now())
    return None if found.level is rules.Level.GOOD else found


@shell.needs(Permission.BOOKING_REQUEST, Permission.BOOKING_DECIDE)
def conduct(request: HttpRequest) -> HttpResponse:
    """List violations: one's own as an enterprise with where one stands, or those of one's lab with who stands how."""
    actor, now = shell.actor_of(request), timezone.now()
    lab = actor.may(Permission.BOOKING_DECIDE)
    tab = request.GET.get("tab", "")
    found = access.visible_to(actor)
    if tab == "appealed":
        found = found.filter(state=S.APPEALED.value)
    listing = shell.listing(request, found, sorts=SORTS, default="-at")
    context = {
        "lab": lab,
        "rule": queries.rule_of(actor.acting_for) if lab else None,
        "standings": _standings(actor) if lab else queries.own_standings(organisation_id=actor.acting_for, at=now),
        "listing": listing,
        "lines": [{"row": row, "acts": _acts_on(actor, row)} for row in listing.rows],
        "tabs": [{"key": key, "name": gettext(name), "chosen": key == tab} for key, name in TABS.items()],
    }
    return shell.page(request, "conduct/list.html", context)


def _standings(actor: Actor) -> list[tuple[Organisation, rules.Standing]]:
    """Return who has points at the actor's lab, the most first."""
    found = queries.standings(owner_id=actor.acting_for, at=timezone.now())
    counting = {pk: one for pk, one in found.items() if one.points or one.until}
    people = Organisation.objects.in_bulk(counting)
    return sorted(((people[pk], one) for pk, one in counting.items()), key=lambda row: -row[1].points)


def _acts_on(actor: Actor, row: Violation) -> list[str]:
    """Return which acts are open to the actor."""
    state, found = S(row.state), []
    if row.organisation_id == actor.organisation_id and actor.may(Permission.BOOKING_REQUEST):
        found += ["appeal"] if state is S.COUNTED else []
    if row.owner_id == actor.organisation_id and actor.may(Permission.BOOKING_DECIDE):
        found += ["lift"] if state in {S.COUNTED, S.APPEALED} else []
        found += ["uphold"] if state is S.APPEALED else []
    return found


class NoteForm(forms.Form):
    """Why; the other side reads it."""

    note = forms.CharField(
        label=_("理由"),
        max_length=rules.NOTE,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("对方会看到。"),
    )


def _words(act: str) -> tuple[str, str]:
    return {
        "appeal": (gettext("申诉"), gettext("已申诉，等待实验室答复；撤销之前继续计分。")),
        "lift": (gettext("撤销记分"), gettext("已撤销，不再计分。")),
        "uphold": (gettext("维持记分"), gettext("已维持。")),
    }[act]


@shell.needs(Permission.BOOKING_REQUEST, Permission.BOOKING_DECIDE)
def violation_act(request: HttpRequest, violation_id: int, act: str) -> HttpResponse:
    """Appeal as the enterprise, or lift or uphold as the lab, with a reason."""
    actor, now = shell.actor_of(request), timezone.now()
    row = access.get_violation(actor, violation_id)
    if act not in {"appeal", "lift", "uphold"}:
        raise NotFound
    heading, done = _words(act)
    form = NoteForm(request.POST if request.method == "POST" else None)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        note = form.cleaned_data["note"]
        _made, error = acts.attempt_on(
            "violation",
            lambda: (
                services.appeal(actor=actor, violation=row, note=note, now=now)
                if act == "appeal"
                else services.decide(actor=actor, violation=row, lift=act == "lift", note=note, now=now)
            ),
        )
        if error is None:
            messages.success(request, done)
            return arrived(request, reverse("conduct"))
        error = slots.put_back(form, error)
    about = f"{label_of('violation_kind', row.kind)[1]} · {row.booking.number}"
    return _form(request, form, {"heading": heading, "about": about, "back": reverse("conduct")}, error)


def _form(request: HttpRequest, form: forms.Form, words: dict[str, Any], error: Explained | None) -> HttpResponse:
    status = error.status if error else 422 if form.errors else 200
    context = {**words, "form": form, "error": error, "path": request.path}
    return shell.page(request, "ratings/form.html", context, status=status)


class ViolationForm(NoteForm):
    """What the lab saw."""

    kind = forms.ChoiceField(
        label=_("违约"),
        choices=[row for row in Violation.Kind.choices if row[0] in {kind.value for kind in rules.BY_HAND}],
    )
    field_order = ("kind", "note")


@shell.needs(Permission.BOOKING_DECIDE)
def booking_violation(request: HttpRequest, number: str) -> HttpResponse:
    """Record overstaying, unreported damage or something else of a booking on one's own instrument."""
    actor, now = shell.actor_of(request), timezone.now()
    made = bookings.get_served(actor, number)
    form = ViolationForm(request.POST if request.method == "POST" else None)
    error: Explained | None = None
    back = reverse("booking", args=[number])
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        _made, error = shell.attempt(
            lambda: services.record_violation(
                actor=actor, booking=made, kind=K(said["kind"]), note=said["note"], now=now
            )
        )
        if error is None:
            messages.success(request, gettext("已登记违约，预约单位会看到，并可以申诉。"))
            return arrived(request, back)
        error = slots.put_back(form, error)
    return _form(
        request, form, {"heading": gettext("登记违约"), "about": f"{number} · {made.title}", "back": back}, error
    )


def _number(label: Any, least: int, most: int, help_text: Any = "") -> forms.IntegerField:
    return forms.IntegerField(label=label, min_value=least, max_value=most, help_text=help_text)


class RuleForm(forms.Form):
    """A lab's rule of conduct."""

    grace_min = _number(_("未到场宽限（分钟）"), 5, 1440, _("开始后超过宽限没有签到的，预约作废，时段立即放出。"))
    ratio_percent = _number(_("预约与使用之比（%）"), 101, 1000, _("预约时长达到实际使用的这个比例，计一次。"))
    warn_at = _number(_("提醒（分）"), 1, 1000)
    watch_at = _number(_("重点审批（分）"), 1, 1000, _("之后的每次预约都向实验室提示记分，由实验室决定是否确认。"))
    suspend_at = _number(_("暂停预约（分）"), 1, 1000)
    window_days = _number(_("计分期间（天）"), 1, 1000, _("超过期间的违约自动失效。"))
    suspend_days = _number(_("暂停多久（天）"), 1, 1000)

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        for kind in K:
            name = label_of("violation_kind", kind.value)[1]
            self.fields[f"points_{kind.value}"] = _number(gettext("%(kind)s（分）") % {"kind": name}, 0, 100)

    @property
    def weights(self) -> list[forms.BoundField]:
        return [self[f"points_{kind.value}"] for kind in K]

    @property
    def steps(self) -> list[forms.BoundField]:
        return [self[name] for name in ("warn_at", "watch_at", "suspend_at")]

    @property
    def spans(self) -> list[forms.BoundField]:
        return [self[name] for name in ("window_days", "suspend_days")]

    def value(self) -> rules.Thresholds:
        """Return the rule. Raises BadThresholds."""
        said = dict(self.cleaned_data)
        points = {kind: said.pop(f"points_{kind.value}") for kind in K}
        return rules.Thresholds(points=points, **said)


@shell.needs(Permission.INSTRUMENT_MANAGE)
def conduct_rule(request: HttpRequest) -> HttpResponse:
    """Set the rule of one's lab."""
    actor, now = shell.actor_of(request), timezone.now()
    held = queries.rule_of(actor.acting_for)
    shown = held or rules.Thresholds()
    initial: dict[str, Any] = {name: getattr(shown, name) for name in RuleForm.base_fields}
    initial |= {f"points_{kind.value}": shown.weighs(kind) for kind in K}
    form = RuleForm(request.POST if request.method == "POST" else None, initial=initial)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        _row, error = shell.attempt(lambda: services.set_rule(actor=actor, thresholds=form.value(), now=now))
        if error is None:
            messages.success(request, gettext("规则已保存，对以后开始的预约生效。"))
            return redirect("conduct")
        error = slots.put_back(form, error)
    status = error.status if error else 422 if form.errors else 200
    context = {"form": form, "error": error, "is_new": held is None}
    return shell.page(request, "conduct/rule.html", context, status=status)
