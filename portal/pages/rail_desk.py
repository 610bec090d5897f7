"""Finance's desk for payments over rails: what needs a person, and everything that goes back the way it came."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages.acts import attempt_on
from portal.pages.labels import label_of
from portal.pages.shell import EXPORT_LIMIT, act_of, actor_of, csv_response, listing, needs, page, wants_csv
from vouchers.payments import attempting, failures, inbox, looking, rail_access, rails, refunding, settling
from vouchers.payments.rail_models import RefundAttempt
from vouchers.payments.rail_rules import AttemptState, EventState, RefundState

__all__ = ["desk"]

SORTS = {"number": ["pk"], "amount": ["amount_fen"], "created": ["created_at"]}
SHOWN = 50
"""How many of what needs a person are shown at once: the oldest, so that none is forgotten."""


class Filters(forms.Form):
    """Which refunds are listed."""

    state = forms.ChoiceField(label=_("状态"), required=False, choices=[("", _("全部")), *RefundAttempt.State.choices])


@needs(Permission.PAYMENT_CONFIRM)
def desk(request: HttpRequest) -> HttpResponse:
    """Show what needs a person, list refunds over rails, and do what finance decides."""
    actor, now = actor_of(request), timezone.now()
    if request.method != "POST":
        return _shown(request, actor, now=now)
    said, error = _do(request, actor, now=now)
    if error is not None:
        return _shown(request, actor, now=now, error=error, status=error.status)
    messages.success(request, said)
    return redirect("rail_desk")


def _do(request: HttpRequest, actor: Actor, *, now: datetime) -> tuple[str, Explained | None]:
    act, number = (
        act_of(request, "release", "ignore", "look", "look_back", "retry", "bank"),
        request.POST.get("number", ""),
    )
    if act in {"release", "ignore"}:
        found = rail_access.get_notice(actor, int(number) if number.isdecimal() and len(number) < 19 else 0)
        if act == "release":
            return gettext("已重新处理这条通知。"), attempt_on(
                "rail_notice", lambda: inbox.release(actor=actor, event=found, now=now)
            )[1]
        reason = request.POST.get("reason", "")
        return gettext("已记录：这条通知不作处理。"), attempt_on(
            "rail_notice", lambda: inbox.ignore(actor=actor, event=found, reason=reason, now=now)
        )[1]
    if act == "look":
        attempt = rail_access.get_attempt(actor, number)
        return gettext("正在向支付机构核实，结果几秒后出现。"), attempt_on(
            "attempt", lambda: looking.look_again(actor=actor, attempt=attempt, now=now)
        )[1]
    refund = rail_access.get_refund(actor, number)
    if act == "look_back":
        return gettext("正在向支付机构核实，结果几秒后出现。"), attempt_on(
            "rail_refund", lambda: looking.look_again_for_refund(actor=actor, refund=refund, now=now)
        )[1]
    if act == "retry":
        return gettext("已重新申请原路退款。"), attempt_on(
            "rail_refund", lambda: settling.retry(actor=actor, refund=refund, now=now)
        )[1]
    value = request.POST.get("bank_reference", "")[:60]
    return gettext("已记录退还。"), attempt_on(
        "rail_refund", lambda: settling.pay_by_bank(actor=actor, refund=refund, bank_reference=value, now=now)
    )[1]


def _shown(
    request: HttpRequest, actor: Actor, *, now: datetime, error: Explained | None = None, status: int = 200
) -> HttpResponse:
    refunds = rail_access.refunds_visible_to(actor)
    filters = Filters(request.GET or None)
    state = filters.cleaned_data.get("state") if filters.is_valid() else ""
    narrowed = refunds.filter(state=state) if state else refunds
    if wants_csv(request):
        return _csv(list(narrowed.order_by("-pk")[:EXPORT_LIMIT]))
    notices = rail_access.notices_visible_to(actor).filter(state=EventState.QUARANTINED.value)
    unsolved = rail_access.attempts_visible_to(actor).filter(_unsolved(AttemptState.UNKNOWN, attempting.OPEN))
    unknown = refunds.filter(_unsolved(RefundState.UNKNOWN, refunding.OPEN))
    failed = refunds.filter(state=RefundState.FAILED.value, settled_as="")
    disputes = rail_access.disputes_visible_to(actor)
    return page(
        request,
        "payments/desk.html",
        {
            "notices": list(notices.order_by("pk")[:SHOWN]),
            "unsolved": list(unsolved.order_by("pk")[:SHOWN]),
            "unknown": list(unknown.order_by("pk")[:SHOWN]),
            "failed": [(row, failures.explained(row.failure_code)) for row in failed.order_by("pk")[:SHOWN]],
            "disputes": list(disputes.order_by("is_over", "-pk")[:SHOWN]),
            "counts": {
                "notices": notices.count(),
                "unsolved": unsolved.count(),
                "unknown": unknown.count(),
                "failed": failed.count(),
                "disputes": disputes.filter(is_over=False).count(),
            },
            "silent": [(code, since) for code in _codes() if (since := looking.silent_since(code, now=now))],
            "listing": listing(request, narrowed, sorts=SORTS, default="-created"),
            "filters": filters,
            "filtered": bool(state),
            "error": error,
        },
        status=status,
    )


def _codes() -> list[str]:
    return [rail.code for rail in rails.rails()]


def _unsolved(unknown: str, still_open: Iterable[str]) -> Q:
    """What the answer about is lost, or nobody looks for any more although it is open."""
    given_up = Q(state__in=sorted(still_open), next_look_at__isnull=True)
    return Q(state=str(unknown)) | given_up


def _csv(rows: list[RefundAttempt]) -> HttpResponse:
    header = (
        _("退款号"), _("付款号"), _("付款单位"), _("支付号"), _("金额（元）"), _("原因"), _("状态"), _("处理"), _("时间"),
    )  # fmt: skip
    return csv_response(
        "rail-refunds",
        header,
        (
            [
                row.number,
                row.payment.number,
                row.payment.payer.name,
                row.attempt.number,
                Money(row.amount_fen).yuan(),
                label_of("refund_reason", row.reason)[1],
                label_of("rail_refund", row.state)[1],
                row.settled_as,
                timezone.localtime(row.created_at).isoformat(timespec="minutes"),
            ]
            for row in rows
        ),
    )
