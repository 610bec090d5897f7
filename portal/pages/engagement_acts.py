"""Every act on a project and its milestones: what it is called, what follows, and what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained, explain_reason
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound, PortalError
from portal.kernel.money import Money
from portal.pages import acts, engagement_forms, purses, shell, slots
from portal.pages.booking_requests import arrived
from portal.pages.engagements import PARTIES, can, engagement_page
from portal.pages.ratings import RateForm
from scheduler.engagements import access, delivering, quoting, rules, services, steps
from scheduler.engagements.models import Engagement, EngagementQuote, Milestone
from scheduler.ratings import services as ratings
from scheduler.resources.rules import ServiceClass
from vouchers.evidence import rules as evidence
from vouchers.evidence import services as files

__all__ = ["engagement_accept", "engagement_act", "engagement_quote", "milestone_act"]


class PressForm(forms.Form):
    """Nothing but the button."""


class NoteForm(forms.Form):
    """Why, for the other party to read."""

    note = forms.CharField(label=_("原因"), max_length=400, widget=forms.Textarea(attrs={"rows": 3}))


class MaybeNoteForm(NoteForm):
    """Why, if one likes."""

    note = forms.CharField(label=_("说明"), max_length=400, required=False, widget=forms.Textarea(attrs={"rows": 3}))


@dataclass(frozen=True, slots=True)
class Act:
    """One act: its words, what follows, what it asks for; `do` takes actor, the thing, now and the form's values."""

    do: Callable[..., Any]
    name: str
    done: str
    form: type[forms.Form] = PressForm
    follows: str = ""


def _rate(*, actor: Actor, engagement: Engagement, now: Any, **said: Any) -> Any:
    return ratings.rate_engagement(actor=actor, engagement=engagement, now=now, **said)


def _acts() -> Mapping[str, Act]:
    return {
        "refuse": Act(
            quoting.refuse,
            gettext("不接受报价"),
            gettext("已答复不接受，实验室可以重新报价。"),
            NoteForm,
            gettext("请写明希望怎样修改。项目进行中的，原方案继续有效。"),
        ),
        "decline": Act(
            services.decline,
            pgettext("act", "不能承接"),
            gettext("已答复不能承接。"),
            NoteForm,
            gettext("委托单位会看到原因。"),
        ),
        "cancel": Act(
            services.cancel,
            gettext("撤回需求"),
            gettext("已撤回。"),
            MaybeNoteForm,
            gettext("还没有冻结任何费用；撤回后不能恢复。"),
        ),
        "stop": Act(
            services.stop,
            gettext("提前终止"),
            gettext("项目已提前终止，未交付部分的冻结已退回。"),
            NoteForm,
            gettext("已验收的里程碑不受影响；未交付部分冻结的费用立即退回。终止后不能恢复。"),
        ),
        "rate": Act(_rate, gettext("评价并完结"), gettext("感谢评价，服务已完结。"), RateForm),
    }


@shell.needs(*PARTIES)
def engagement_act(request: HttpRequest, number: str, act: str) -> HttpResponse:
    """Do one act on a project; each asks first, saying what follows."""
    actor, now = shell.actor_of(request), timezone.now()
    one = _acts().get(act)
    if one is None:
        raise NotFound
    found = access.get_engagement(actor, number)
    form = one.form(request.POST if request.method == "POST" else None)
    if request.method != "POST":
        if act not in can(actor, found, waiting=steps.open_quote(found)):
            return arrived(request, reverse("engagement", args=[number]))
        return _act_page(request, found, one, form)
    if not form.is_valid():
        return _act_page(request, found, one, form)
    said = form.cleaned_data
    _done, error = acts.attempt_on("engagement", lambda: one.do(actor=actor, engagement=found, now=now, **said))
    return _after(request, found, one, form, error)


def _after(
    request: HttpRequest,
    found: Engagement,
    act: Act,
    form: forms.Form,
    error: Explained | None,
    *,
    milestone: Milestone | None = None,
) -> HttpResponse:
    """Go back to the project, or say at the form or on the project's page what was wrong."""
    if error is None:
        messages.success(request, act.done)
        return arrived(request, reverse("engagement", args=[found.number]))
    if error.fields or any(reason["field"] for reason in error.reasons):
        return _act_page(request, found, act, form, error=slots.put_back(form, error), milestone=milestone)
    return engagement_page(request, access.get_engagement(shell.actor_of(request), found.number), error=error)


def _act_page(
    request: HttpRequest,
    found: Engagement,
    act: Act,
    form: forms.Form,
    *,
    error: Explained | None = None,
    milestone: Milestone | None = None,
) -> HttpResponse:
    context = {
        "engagement": found,
        "milestone": milestone,
        "act": act,
        "form": form,
        "error": error,
        "path": request.path,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "engagements/act.html", context, status=status)


@shell.needs(Permission.BOOKING_DECIDE)
def engagement_quote(request: HttpRequest, number: str) -> HttpResponse:
    """Quote milestones, as the lab; while the project runs, a new plan for what is not delivered yet."""
    actor, now = shell.actor_of(request), timezone.now()
    found = access.get_served(actor, number)
    if request.method != "POST":
        if "quote" not in can(actor, found, waiting=None):
            return arrived(request, reverse("engagement", args=[number]))
        rows, initial = engagement_forms.initial_of(found)
        return _quote_page(request, found, engagement_forms.PlanForm(rows=rows, initial=initial))
    rows = engagement_forms.rows_of(request.POST)
    if request.POST.get("act") == "more":
        return _quote_page(request, found, engagement_forms.unjudged(request.POST, rows=rows))
    form = engagement_forms.PlanForm(request.POST, rows=rows)
    if not form.is_valid():
        return _quote_page(request, found, form)
    _made, error = acts.attempt_on(
        "engagement", lambda: quoting.quote(actor=actor, engagement=found, plan=form.plan(), now=now)
    )
    if error is None:
        messages.success(request, gettext("已报价，等待委托单位接受。"))
        return arrived(request, reverse("engagement", args=[number]))
    return _quote_page(request, found, form, error=slots.put_back(form, error))


def _quote_page(
    request: HttpRequest, found: Engagement, form: engagement_forms.PlanForm, *, error: Explained | None = None
) -> HttpResponse:
    context = {
        "engagement": found,
        "form": form,
        "error": error,
        "path": request.path,
        "running": found.state == Engagement.State.RUNNING.value,
        "full": form.rows >= rules.MOST_MILESTONES,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "engagements/quote.html", context, status=status)


@shell.needs(Permission.BOOKING_REQUEST)
def engagement_accept(request: HttpRequest, number: str) -> HttpResponse:
    """Accept the open quote: what each milestone costs and who pays which part of it is shown before."""
    actor, now = shell.actor_of(request), timezone.now()
    found = access.get_own(actor, number)
    waiting = steps.open_quote(found)
    if waiting is None:
        return arrived(request, reverse("engagement", args=[number]))
    mine = purses.purses_of(actor, now=now, service=ServiceClass.RD_SERVICE)
    total = sum(line.price_fen for line in waiting.lines.all())
    first = purses.first_that_pays(mine, Money(total), now=now, service=ServiceClass.RD_SERVICE)
    initial = {"version": waiting.version, "seen": total, "voucher": first}
    form = engagement_forms.PayForm(request.POST if request.method == "POST" else None, initial=initial)
    purses.offer_all(form, mine)
    if request.method != "POST":
        return _accept_page(request, found, waiting, form, said=initial, mine=mine)
    if not form.is_valid() or request.POST.get("act") == "show":
        return _accept_page(request, found, waiting, form, said=form.cleaned_data, mine=mine)
    said = form.cleaned_data
    seen = (said["version"], said["seen"])

    def accept() -> Engagement:
        paying = purses.chosen(actor, mine, said)
        return quoting.accept(actor=actor, engagement=found, seen=seen, vouchers=paying, now=now)

    _done, error = acts.attempt_on("engagement", accept)
    if error is None:
        messages.success(request, gettext("已接受报价，费用已冻结。"))
        return arrived(request, reverse("engagement", args=[number]))
    if error.fields or any(reason["field"] for reason in error.reasons):
        error = slots.put_back(form, error, {"vouchers": "voucher"})
        return _accept_page(request, found, waiting, form, said=said, mine=mine, error=error)
    return engagement_page(request, access.get_own(actor, number), error=error)


def _accept_page(
    request: HttpRequest,
    found: Engagement,
    waiting: EngagementQuote,
    form: forms.Form,
    *,
    said: Mapping[str, Any],
    mine: list[purses.Purse],
    error: Explained | None = None,
) -> HttpResponse:
    try:
        vouchers = purses.chosen(shell.actor_of(request), mine, said)
    except PortalError:
        vouchers = []
    paying = quoting.payment_plan(engagement=found, quote=waiting, vouchers=vouchers, now=timezone.now())
    context = {
        "engagement": found,
        "quote": waiting,
        "total_fen": sum(line.price_fen for line in waiting.lines.all()),
        "split": [
            {"line": line, "voucher": plan.split.voucher, "own": plan.split.own}
            for line, plan in zip(waiting.lines.all(), paying.plans, strict=True)
        ],
        "paying": paying,
        "reasons": [explain_reason(reason) for reason in paying.reasons] if error is None else [],
        "running": found.state == Engagement.State.RUNNING.value,
        "form": form,
        "error": error,
        "path": request.path,
    }
    return shell.page(request, "engagements/accept.html", context, status=error.status if error else 200)


def _deliver(*, actor: Actor, milestone: Milestone, now: Any, request: HttpRequest, note: str, file: Any) -> Any:  # noqa: ARG001
    sent = request.FILES.getlist("file")[: rules.DELIVERY_FILES + 1]
    uploads = [files.Upload(one.name or "file", one.read(evidence.MAX_BYTES + 1)) for one in sent]
    return delivering.deliver(actor=actor, milestone=milestone, uploads=uploads, note=note, now=now)


def _plain(service: Callable[..., Any]) -> Callable[..., Any]:
    def do(*, request: HttpRequest, **more: Any) -> Any:  # noqa: ARG001
        return service(**more)

    return do


def _milestone_acts() -> Mapping[str, Act]:
    return {
        "deliver": Act(
            _deliver,
            pgettext("act", "交付"),
            gettext("已交付，等待委托单位验收。"),
            engagement_forms.DeliverForm,
            gettext("委托单位立即看到文件；验收期满未答复的，视为验收通过并结算。等待答复的变更方案随之失效。"),
        ),
        "accept": Act(
            _plain(delivering.accept),
            gettext("验收并结算"),
            gettext("已验收，该里程碑已结算。"),
            PressForm,
            gettext("该里程碑的价款立即结算，不能撤回。"),
        ),
        "return": Act(
            _plain(delivering.send_back),
            gettext("退回交付"),
            gettext("已退回，等待重新交付。"),
            NoteForm,
            gettext("请写明哪些不符合约定。费用继续冻结，实验室重新交付后再次验收。"),
        ),
        "dispute": Act(
            _plain(delivering.dispute),
            gettext("申请裁定"),
            gettext("已申请裁定，费用在裁定之前继续冻结。"),
            NoteForm,
            gettext(
                "出券的主管部门（没有用券的，由平台主管部门）会看到这个里程碑和交付文件，裁定认可多少价款，并说明理由。"
            ),
        ),
    }


@shell.needs(*PARTIES)
def milestone_act(request: HttpRequest, number: str, position: int, act: str) -> HttpResponse:
    """Deliver, accept, return or dispute one milestone; each asks first, saying what follows."""
    actor, now = shell.actor_of(request), timezone.now()
    one = _milestone_acts().get(act)
    if one is None:
        raise NotFound
    found = access.get_engagement(actor, number)
    milestone = access.get_milestone(found, position)
    posted = request.method == "POST"
    form = one.form(request.POST if posted else None, request.FILES if posted else None)
    if not posted or not form.is_valid():
        return _act_page(request, found, one, form, milestone=milestone)
    said = form.cleaned_data
    _done, error = acts.attempt_on(
        "milestone", lambda: one.do(actor=actor, milestone=milestone, now=now, request=request, **said)
    )
    return _after(request, found, one, form, error, milestone=milestone)
