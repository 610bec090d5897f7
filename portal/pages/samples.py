"""Samples sent to a lab: one's own orders, asking for tests, and one order with its quote, custody, reports and story."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.pages import actions, acts, files, sample_forms, shell, slots
from portal.pages.booking_requests import arrived, signing_in_first
from portal.pages.templatetags.show import bilingual, label
from scheduler.resources import access as resources
from scheduler.resources.profile import ServiceMode
from scheduler.samples import access, reports, rules, services
from scheduler.samples.models import SampleOrder

__all__ = ["SampleFilter", "sample_new", "sample_order", "sample_page", "sample_report", "samples", "samples_csv"]

S, A = rules.SampleOrderState, rules.SampleOrderAction
SORTS = {
    "number": ["number"],
    "instrument": ["resource__name"],
    "state": ["state"],
    "price": ["charge__price_fen"],
    "changed": ["updated_at"],
}
PARTIES = (Permission.BOOKING_REQUEST, Permission.BOOKING_DECIDE)


class SampleFilter(forms.Form):
    """What a list of sample orders may be narrowed to."""

    q = forms.CharField(label=_("关键词"), max_length=80, required=False)
    state = forms.ChoiceField(label=_("状态"), required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter_%s")
        self.fields["q"].widget.attrs.update({"type": "search", "placeholder": gettext("订单号、名称、仪器或单位")})
        states = self.fields["state"]
        assert isinstance(states, forms.ChoiceField)
        states.choices = [("", gettext("全部")), *SampleOrder.State.choices]
        self.full_clean()

    def narrow(self, found: QuerySet[SampleOrder]) -> QuerySet[SampleOrder]:
        """Return what the filter leaves; a value not on offer narrows nothing."""
        if state := self.cleaned_data.get("state"):
            found = found.filter(state=state)
        names = ("number", "title", "resource__name", "resource__name_en", "organisation__name")
        for word in (self.cleaned_data.get("q") or "").split():
            either = Q()
            for name in names:
                either |= Q(**{f"{name}__icontains": word})
            found = found.filter(either)
        return found


@shell.needs(Permission.BOOKING_REQUEST)
def samples(request: HttpRequest) -> HttpResponse:
    """List the organisation's sample orders."""
    filters = SampleFilter(request.GET)
    found = filters.narrow(access.own_orders(shell.actor_of(request)))
    if shell.wants_csv(request):
        return samples_csv(found)
    listing = shell.listing(request, found, sorts=SORTS, default="-changed")
    return shell.page(request, "samples/list.html", {"filters": filters, "listing": listing})


def samples_csv(found: QuerySet[SampleOrder]) -> HttpResponse:
    """Return sample orders as a file for one of their parties."""
    head = (
        *(gettext("订单号"), gettext("检测名称"), gettext("仪器"), gettext("送样单位"), gettext("实验室")),
        *(gettext("状态"), gettext("报价（元）"), gettext("实际（元）"), gettext("机时（小时）"), gettext("最近变动")),
    )
    rows = found.order_by("-pk")[: shell.EXPORT_LIMIT]
    return shell.csv_response("samples", head, (_csv_row(row) for row in rows))


def _csv_row(row: SampleOrder) -> tuple[object, ...]:
    actual = row.charge.actual_fen if row.charge else None
    return (
        *(row.number, row.title, bilingual(row.resource), bilingual(row.organisation), bilingual(row.resource.owner)),
        label(row.state, "sample"),
        "" if row.price_fen is None else Money(row.price_fen).yuan(),
        "" if actual is None else Money(actual).yuan(),
        f"{row.machine_s / 3600:.2f}" if row.state in reports.ISSUED else "",
        f"{timezone.localtime(row.updated_at):%Y-%m-%d %H:%M}",
    )


NAMES = {"instrument": "", "samples": "label0", "hazards": "hazard0"}


@signing_in_first
@shell.needs(Permission.BOOKING_REQUEST)
def sample_new(request: HttpRequest, number: str) -> HttpResponse:
    """Ask a lab to test samples, each with its hazards declared. Nothing is held before its quote is accepted."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = resources.get_instrument(actor, number)
    if ServiceMode.SAMPLE.value not in resource.modes:
        raise NotFound
    rows = sample_forms.rows_of(request.POST)
    if request.method != "POST" or request.POST.get("act") == "more":
        more = request.POST if request.method == "POST" else None
        form = sample_forms.unjudged(more, rows=rows)
        return _new_page(request, resource, form)
    form = sample_forms.SampleForm(request.POST, rows=rows)
    if not form.is_valid():
        return _new_page(request, resource, form)
    said = form.cleaned_data
    wanted = services.Wanted(
        resource=resource,
        title=said["title"],
        wanted=said["wanted"],
        project=said["project"],
        samples=form.samples(),
    )
    made, error = acts.attempt_on(
        "sample", lambda: services.request(actor=actor, wanted=wanted, now=now, key=shell.key_of(request))
    )
    if error is not None:
        return _new_page(request, resource, form, error=slots.put_back(form, error, NAMES))
    messages.success(request, gettext("已提交，等待实验室答复。"))
    return arrived(request, reverse("sample_order", args=[made.number]))


def _new_page(
    request: HttpRequest, resource: Any, form: sample_forms.SampleForm, *, error: Explained | None = None
) -> HttpResponse:
    context = {
        "resource": resource,
        "form": form,
        "error": error,
        "key": request.POST.get("idempotency_key", "") or shell.new_key(),
        "full": form.rows >= rules.MAX_SAMPLES,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "samples/new.html", context, status=status)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an order's way: ``done``, ``now``, ``bad`` or still to come."""

    css: str
    name: str
    note: str = ""


def _steps(order: SampleOrder) -> list[Step]:
    state = S(order.state)
    if state in {S.DECLINED, S.CANCELLED}:
        return [Step("done", gettext("提交")), Step("bad", label(state.value, "sample"))]
    way = (
        (gettext("答复与报价"), {S.REQUESTED, S.NEEDS_METHOD, S.FEASIBLE, S.QUOTED}),
        (gettext("送样与收样"), {S.ACCEPTED, S.SAMPLES_REJECTED}),
        (gettext("检测"), {S.RECEIVED, S.QUEUED, S.TESTING}),
        (gettext("复核与签发"), {S.DRAFTED, S.REVIEWED}),
        (gettext("确认与结算"), {S.REPORTED}),
        (gettext("评价"), {S.BILLED}),
    )
    at = next((place for place, (_name, states) in enumerate(way) if state in states), len(way))
    steps = [Step("done", gettext("提交"))]
    for place, (name, _states) in enumerate(way):
        css = "done" if place < at else "now" if place == at else ""
        css = "bad" if place == at and state is S.SAMPLES_REJECTED else css
        steps.append(Step(css, name, label(state.value, "sample") if place == at else ""))
    return steps


SIDES: Mapping[str, tuple[str, ...]] = {
    "sender": ("accept", "cancel", "resend", "retest", "bill"),
    "lab": (
        *("answer_can", "answer_method", "decline", "quote", "queue", "start", "draft", "send_back", "review"),
        *("issue", "bill"),
    ),
}


def can(actor: Actor, order: SampleOrder) -> set[str]:
    """Return which acts the order's state and the actor's part in it allow."""
    state, now = S(order.state), timezone.now()
    allowed: set[str] = set()
    for side, part in (("sender", access.is_sender(actor, order)), ("lab", access.is_lab(actor, order))):
        if part:
            allowed |= {name for name in SIDES[side] if (state, A(name)) in rules.TRANSITIONS}
    if order.drafted_by_id == actor.user_id:
        allowed -= {"review", "send_back"}
    if "bill" in allowed and order.issued_at is not None:
        payer = access.is_sender(actor, order)
        if not rules.may_bill(issued_at=order.issued_at, by_payer=payer, now=now):
            allowed.discard("bill")
    if allowed & {"answer_can", "answer_method"}:
        allowed = allowed - {"answer_can", "answer_method", "decline"} | {"answer"}
    if state is S.BILLED and access.is_sender(actor, order):
        allowed.add("rate")
    return allowed


@shell.needs(*PARTIES)
def sample_order(request: HttpRequest, number: str) -> HttpResponse:
    """Show one sample order to the enterprise that sent it or the lab that tests it."""
    return sample_page(request, access.get_order(shell.actor_of(request), number))


def sample_page(request: HttpRequest, order: SampleOrder, *, error: Explained | None = None) -> HttpResponse:
    """Render an order's page, with what went wrong when an act on it was refused."""
    actor = shell.actor_of(request)
    lab = access.is_lab(actor, order)
    context = {
        "order": order,
        "charge": order.charge,
        "samples": list(order.samples.prefetch_related("custody__person")),
        "reports": list(reports.reports_for(actor, order)),
        "steps": _steps(order),
        "can": can(actor, order),
        "lab": lab,
        "handles": lab and order.charge_id is not None,
        "told": lab or order.state in reports.ISSUED,
        "rating": getattr(order, "rating", None),
        "trail": actions.events(audit.trail(order.subject, actor=actor)),
        "error": error,
    }
    return shell.page(request, "samples/order.html", context, status=error.status if error else 200)


@shell.needs(*PARTIES)
def sample_report(request: HttpRequest, number: str, file_id: int) -> HttpResponse:
    """Hand out a report to the parties: to the enterprise once it is issued."""
    actor = shell.actor_of(request)
    return files.handed_out(request, reports.get_report(actor, access.get_order(actor, number), file_id))
