"""The review queue: what waits, for whom, how long, until when; and several decisions in one go."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from portal.http import explain
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Invalid, noop
from portal.pages.shell import (
    EXPORT_LIMIT,
    actor_of,
    attempt,
    csv_response,
    listing,
    needs,
    page,
    wants_csv,
)
from vouchers.issuance import access, bulk, queries, reviewing
from vouchers.issuance.models import Application, StageDecision
from vouchers.issuance.reviewing import Verdict
from vouchers.issuance.rules import CLOSED, ApplicationState
from vouchers.issuance.workflow import PERMISSION, RECHECK_STAGE, StageRole

__all__ = ["DECIDERS", "bulk_decide", "mine", "queue"]

S = ApplicationState
SORTS = {
    "number": ["pk"],
    "submitted": ["submitted_at"],
    "due": ["due_at"],
    "amount": ["amount_fen"],
    "organisation": ["organisation__name"],
}
TABS: dict[str, tuple[Any, Q]] = {
    "review": (
        _("待审核"),
        Q(state=S.REVIEW.value, role__in=[StageRole.REVIEWER.value, StageRole.EXPERT.value]),
    ),
    "approval": (
        _("待审批"),
        Q(state=S.REVIEW.value, role__in=[StageRole.APPROVER.value, StageRole.COLLECTIVE.value]),
    ),
    "appeal": (_("申诉"), Q(state=S.APPEAL.value)),
    "returned": (_("待企业补充"), Q(state=S.SUPPLEMENT.value)),
    "decided": (
        _("待发放"),
        Q(state__in=[S.WAITING.value, S.DECIDED.value, S.NOTICED.value, S.OBJECTION.value, S.GRANTED.value]),
    ),
    "sampled": (_("抽中复核"), Q(sampled=True) & ~Q(decisions__stage=RECHECK_STAGE)),
    "closed": (_("已办结"), Q(state__in=[state.value for state in CLOSED])),
}
DECIDERS = access.DECIDERS
SOON = timedelta(days=7)


class Filters(forms.Form):
    """What the queue may be narrowed to."""

    q = forms.CharField(label=_("单位或编号"), required=False, max_length=60)
    due = forms.ChoiceField(
        label=_("期限"), required=False, choices=[("", _("全部")), ("overdue", _("已超期")), ("week", _("七天内到期"))]
    )
    whose = forms.ChoiceField(label=_("由谁办理"), required=False, choices=[("", _("全部")), ("mine", _("轮到我办"))])


def mine(actor: Actor) -> QuerySet[Application]:
    """Return the cases this person may decide now, the nearest deadline first."""
    own = Q(pk__in=[])
    for permission in dict.fromkeys(PERMISSION.values()):
        if actor.may(permission):
            own |= Q(pk__in=access.cases_at(actor, permission).order_by().values("pk"))
    return access.cases(actor).filter(own).order_by("due_at", "pk")


def _narrowed(
    rows: QuerySet[Application], values: dict[str, Any], *, actor: Actor, now: datetime
) -> QuerySet[Application]:
    if text := values.get("q"):
        rows = rows.filter(Q(number__icontains=text) | Q(organisation__name__icontains=text))
    if values.get("due") == "overdue":
        rows = rows.filter(due_at__lte=now)
    elif values.get("due") == "week":
        rows = rows.filter(due_at__gt=now, due_at__lte=now + SOON)
    if values.get("whose") == "mine":
        rows = rows.filter(pk__in=mine(actor).order_by().values("pk"))
    return rows


@needs(*DECIDERS)
def queue(request: HttpRequest) -> HttpResponse:
    """List the department's cases by what they wait for; the nearest deadline first."""
    actor, now = actor_of(request), timezone.now()
    default = "review" if actor.may(Permission.APPLICATION_REVIEW) else "approval"
    tab = request.GET.get("tab", default)
    if tab not in TABS:
        tab = default
    filters = Filters(request.GET or None)
    values = filters.cleaned_data if filters.is_bound and filters.is_valid() else {}
    cases = _narrowed(access.cases(actor), values, actor=actor, now=now)
    counts = cases.order_by().aggregate(**{name: Count("pk", filter=which) for name, (_label, which) in TABS.items()})
    decided = StageDecision.objects.filter(application=OuterRef("pk"), person_id=actor.user_id)
    rows = cases.filter(TABS[tab][1]).annotate(had_part=Exists(decided))
    if wants_csv(request):
        return _csv(rows.order_by("pk")[:EXPORT_LIMIT])
    by_default = {"closed": "-number", "decided": "-number", "returned": "submitted", "appeal": "submitted"}
    found = listing(request, rows, sorts=SORTS, default=by_default.get(tab, "due"))
    return page(
        request,
        "applications/queue.html",
        {
            "listing": found,
            "tab": tab,
            "tabs": [(name, label, counts[name]) for name, (label, _which) in TABS.items()],
            "filters": filters,
            "now": now,
            "may_bulk": tab in {"review", "approval"},
        },
    )


def _csv(rows: QuerySet[Application]) -> HttpResponse:
    header = (_("申请号"), _("申请单位"), _("政策项目"), _("状态"), _("环节"), _("提交时间"), _("期限"), _("金额"))
    return csv_response(
        "cases",
        header,
        (
            [
                row.number,
                row.organisation.name,
                row.version.name,
                row.get_state_display(),
                queries.stage_name(row) if row.state == S.REVIEW.value else "",
                timezone.localtime(row.submitted_at).isoformat(timespec="seconds") if row.submitted_at else "",
                timezone.localtime(row.due_at).isoformat(timespec="seconds") if row.due_at else "",
                f"{row.amount_fen / 100:.2f}",
            ]
            for row in rows
        ),
    )


@needs(*DECIDERS)
def bulk_decide(request: HttpRequest) -> HttpResponse:
    """Decide several cases at once: each keeps its own act and reason, and each result is told."""
    actor = actor_of(request)
    numbers = (request.POST if request.method == "POST" else request.GET).getlist("case")[: bulk.MOST]
    cases = list(mine(actor).filter(number__in=numbers))
    if not cases:
        return redirect("review_queue")
    results: list[Any] = []
    error = None
    if request.method == "POST":
        done, error = attempt(lambda: _decided(request, actor, cases))
        results = done or []
    return page(
        request,
        "applications/bulk.html",
        {
            "rows": [
                (case, queries.stage_name(case), reviewing.seen_of(case), request.POST.get(f"note.{case.number}", ""))
                for case in cases
            ],
            "results": results,
            "error": error,
        },
        status=error.status if error else 200,
    )


class NothingChosen(Invalid):
    code = "application.nothing_chosen"
    message = noop("请至少为一份申请选择办理结果。")


def _decided(request: HttpRequest, actor: Actor, cases: list[Application]) -> list[tuple[str, str, str]]:
    """Decide what was chosen; return number, state code and what went wrong of each."""
    items = [
        bulk.Item(
            case.number,
            act,
            Verdict(note=request.POST.get(f"note.{case.number}", ""), seen=request.POST.get(f"seen.{case.number}", "")),
        )
        for case in cases
        if (act := request.POST.get(f"act.{case.number}", "")) in bulk.ACTS
    ]
    if not items:
        raise NothingChosen(field="act")
    return [
        (
            result.number,
            result.application.state if result.application else "",
            explain(result.error).text if result.error else "",
        )
        for result in bulk.decide_each(actor=actor, items=items, now=timezone.now())
    ]
