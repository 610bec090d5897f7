"""Disputes over the time a use was charged for: open one, follow it, answer and decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound, noop
from portal.pages import acts, shell, slots
from portal.pages.booking_requests import arrived
from portal.pages.session_clocks import clocks_of
from scheduler.bookings import access as bookings
from scheduler.bookings.models import Booking, Session
from scheduler.disputes import access, rules, services
from scheduler.disputes.models import Dispute

__all__ = ["booking_dispute", "dispute", "dispute_act", "disputes", "may_dispute"]

S = rules.DisputeState
WHO = (Permission.BOOKING_REQUEST, Permission.CHARGE_REFUND, Permission.ORDER_READ)
SORTS = {"number": ["number"], "opened": ["opened_at"], "state": ["state"], "due": ["due_at"]}
OVER = (S.SETTLED.value, S.WITHDRAWN.value)


class MinutesForm(forms.Form):
    """A time in minutes that is less than was charged, and why."""

    minutes = forms.IntegerField(label=_("应计分钟"), min_value=0, max_value=200_000)
    note = forms.CharField(label=_("理由"), max_length=rules.NOTE, widget=forms.Textarea(attrs={"rows": 4}))

    def __init__(self, *args: Any, charged_s: int, optional: bool = False, **more: Any) -> None:
        super().__init__(*args, **more)
        minutes = self.fields["minutes"]
        minutes.required = not optional
        hint = gettext("已按 %(charged)s 分钟收费。") % {"charged": f"{charged_s / 60:.0f}"}
        minutes.help_text = hint + (gettext("不填表示维持原收费。") if optional else "")
        self.fields["note"].help_text = gettext("对方和裁定人会看到。")

    @property
    def seconds(self) -> int | None:
        minutes = self.cleaned_data["minutes"]
        return None if minutes is None else minutes * 60


class NoteForm(forms.Form):
    """Why."""

    note = forms.CharField(label=_("理由"), max_length=rules.NOTE, widget=forms.Textarea(attrs={"rows": 4}))


def may_dispute(made: Booking, *, mine: bool) -> bool:
    """Say whether the organisation may still dispute a booking's charge: charged, in time, and not disputed before."""
    if not mine or made.state != "completed" or hasattr(made, "dispute"):
        return False
    return bool(services.charged_s(booking=made)) and timezone.now() < services.until(booking=made)


@shell.needs(Permission.BOOKING_REQUEST)
def booking_dispute(request: HttpRequest, number: str) -> HttpResponse:
    """Dispute the time one's own booking was charged for."""
    actor, now = shell.actor_of(request), timezone.now()
    made = bookings.get_own(actor, number)
    form = MinutesForm(request.POST if request.method == "POST" else None, charged_s=services.charged_s(booking=made))
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        opened, error = shell.attempt(
            lambda: services.open_dispute(
                actor=actor, booking=made, claimed_s=form.seconds or 0, reason=form.cleaned_data["note"], now=now
            )
        )
        if error is None:
            messages.success(request, gettext("已提出异议，这笔费用在了结之前不会支付给实验室。"))
            return arrived(request, reverse("dispute", args=[opened.number]))
        error = slots.put_back(form, error)
    words = {"heading": gettext("对计时提出异议"), "press": gettext("提出异议"), "follows": ""}
    words["follows"] = gettext("实验室须在 %(days)s 个工作日内答复，由另一人裁定；不服的可以请主管部门裁定。") % {
        "days": rules.ANSWER_DAYS
    }
    return _form(request, made, form, {**words, "back": reverse("booking", args=[number])}, error)


def _form(
    request: HttpRequest,
    made: Booking,
    form: forms.Form,
    words: Mapping[str, str],
    error: Explained | None,
) -> HttpResponse:
    context = {
        **words,
        "booking": made,
        "clocks": clocks_of(made, Session.objects.filter(booking=made).first()),
        "form": form,
        "error": error,
        "path": request.path,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "disputes/form.html", context, status=status)


TABS: Mapping[str, str] = {"open": noop("办理中"), "over": noop("已结束")}


@shell.needs(*WHO)
def disputes(request: HttpRequest) -> HttpResponse:
    """List one's disputes, as a party or as the department."""
    actor = shell.actor_of(request)
    tab = request.GET.get("tab", "open")
    tab = tab if tab in TABS else "open"
    found = access.visible_to(actor).filter(Q(state__in=OVER) if tab == "over" else ~Q(state__in=OVER))
    context = {
        "listing": shell.listing(request, found, sorts=SORTS, default="-opened"),
        "tabs": [{"key": key, "name": gettext(name), "chosen": key == tab} for key, name in TABS.items()],
        "mine": actor.may(Permission.BOOKING_REQUEST),
    }
    return shell.page(request, "disputes/list.html", context)


@dataclass(frozen=True, slots=True)
class Act:
    """One act on a dispute: its words, whether it asks for minutes (True) or a reason only (False), or neither (None)."""

    name: str
    follows: str
    done: str
    minutes: bool | None = None
    danger: bool = False


def _acts() -> Mapping[str, Act]:
    return {
        "answer": Act(
            gettext("答复"),
            gettext("填写应计分钟即提出更正，不填表示维持收费；随后由本单位另一人裁定。"),
            gettext("已答复，等待裁定。"),
            minutes=True,
        ),
        "decide": Act(
            gettext("裁定"),
            gettext("填写应计分钟即异议成立，多收的部分立即退回；不填表示维持收费。"),
            gettext("已裁定。"),
            minutes=True,
        ),
        "appeal": Act(
            gettext("请主管部门裁定"),
            gettext("主管部门的裁定是最终的。"),
            gettext("已提交主管部门裁定。"),
            minutes=False,
        ),
        "withdraw": Act(
            gettext("撤回异议"),
            gettext("撤回后维持原收费，不能再次提出。"),
            gettext("已撤回，维持原收费。"),
            danger=True,
        ),
    }


def _can(actor: Actor, row: Dispute) -> dict[str, bool]:
    """Return which acts the dispute's state and the actor's part in it allow."""
    state, now = S(row.state), timezone.now()
    mine = row.booking.organisation_id == actor.organisation_id and actor.may(Permission.BOOKING_REQUEST)
    lab = row.booking.resource.owner_id == actor.organisation_id and access.serves(actor)
    rules_here = actor.may(Permission.ORDER_RULE)
    late = state is S.OPEN and rules.is_over(row.due_at, now=now)
    return {
        "answer": lab and state is S.OPEN,
        "decide": (lab and state is S.ANSWERED and row.answered_by_id != actor.user_id)
        or (rules_here and (state in {S.ANSWERED, S.APPEALED} or late)),
        "appeal": mine and state is S.UPHELD and not rules.is_over(row.due_at, now=now),
        "withdraw": mine and state in {S.OPEN, S.ANSWERED, S.APPEALED},
        "waits_for_another": lab and state is S.ANSWERED and row.answered_by_id == actor.user_id,
    }


@shell.needs(*WHO)
def dispute(request: HttpRequest, number: str) -> HttpResponse:
    """Show one dispute to both parties and the department."""
    return _page(request, access.get_dispute(shell.actor_of(request), number))


def _page(request: HttpRequest, row: Dispute, *, error: Explained | None = None) -> HttpResponse:
    actor, made = shell.actor_of(request), row.booking
    can = _can(actor, row)
    names = _acts()
    context = {
        "dispute": row,
        "booking": made,
        "clocks": clocks_of(made, Session.objects.filter(booking=made).first()),
        "acts": [{"key": key, "name": act.name, "danger": act.danger} for key, act in names.items() if can[key]],
        "waits_for_another": can["waits_for_another"],
        "opens_booking": actor.may(Permission.BOOKING_REQUEST) or actor.may(Permission.BOOKING_DECIDE),
        "error": error,
    }
    return shell.page(request, "disputes/dispute.html", context, status=error.status if error else 200)


@shell.needs(*WHO)
def dispute_act(request: HttpRequest, number: str, act: str) -> HttpResponse:
    """Ask what an act needs, saying what follows; then do it."""
    actor, now = shell.actor_of(request), timezone.now()
    row = access.get_dispute(actor, number)
    known = _acts().get(act)
    if known is None:
        raise NotFound
    data = request.POST if request.method == "POST" else None
    form: forms.Form = (
        MinutesForm(data, charged_s=row.charged_s, optional=True, initial=_proposed(row, act))
        if known.minutes
        else NoteForm(data)
        if known.minutes is False
        else forms.Form(data)
    )
    back = reverse("dispute", args=[number])
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        _done, error = acts.attempt_on("dispute", lambda: _does(act, form)(actor=actor, dispute=row, now=now))
        if error is None:
            messages.success(request, known.done)
            return arrived(request, back)
        error = slots.put_back(form, error)
    words = {"heading": known.name, "press": known.name, "follows": known.follows}
    return _form(request, row.booking, form, {**words, "back": back}, error)


def _proposed(row: Dispute, act: str) -> dict[str, Any]:
    """Return what stands in the form at first: deciding begins with what the lab proposed."""
    said = row.answer_s if act == "decide" else None
    return {"minutes": None if said is None else said // 60}


def _does(act: str, form: forms.Form) -> Callable[..., Dispute]:
    said = form.cleaned_data
    if isinstance(form, MinutesForm):
        verb = services.answer if act == "answer" else services.decide
        return lambda **more: verb(counted_s=form.seconds, note=said["note"], **more)
    if act == "appeal":
        return lambda **more: services.appeal(note=said["note"], **more)
    return services.withdraw
