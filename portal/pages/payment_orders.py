"""Payment orders, the bank's answers, discrepancies and settlement terms: finance's pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages.actions import events
from portal.pages.acts import attempt_on
from portal.pages.files import upload_of
from portal.pages.labels import label_of
from portal.pages.shell import EXPORT_LIMIT, act_of, actor_of, csv_response, listing, needs, page, wants_csv
from vouchers.programmes.models import Programme
from vouchers.settlements import access, answering, cadences, discrepancies, lateness, ordering
from vouchers.settlements.answers import ANSWER_FORMATS
from vouchers.settlements.formats import format_of
from vouchers.settlements.order_models import Discrepancy, PaymentOrder, SettlementTerms
from vouchers.settlements.order_rules import (
    CASE_TRANSITIONS,
    AnswerOutcome,
    DiscrepancyAction,
    DiscrepancyState,
    OrderLineState,
    PaymentOrderState,
    SettlementCadence,
)
from vouchers.settlements.rules import BatchState

__all__ = ["discrepancy", "discrepancy_list", "download", "order", "orders", "terms"]

FINANCE = (Permission.SETTLEMENT_PAY, Permission.SETTLEMENT_APPROVE)
SORTS = {"number": ["pk"], "total": ["total_fen"], "created": ["created_at"]}
in_words = gettext
"""Says in the reader's language what is marked for translation elsewhere."""
CASE_SORTS = {"number": ["pk"], "found": ["found_fen"], "opened": ["opened_at"]}


class AnswerForm(forms.Form):
    """The bank's return file."""

    layout = forms.ChoiceField(
        label=_("文件格式"), choices=lambda: [(code, in_words(each.name)) for code, each in ANSWER_FORMATS.items()]
    )
    file = forms.FileField(label=_("回盘文件"), required=False, help_text=_("CSV、xlsx 或 TXT，不超过 10 MB。"))


class CaseForm(forms.Form):
    """What became clear of a discrepancy."""

    text = forms.CharField(label=_("说明"), max_length=600, required=False, widget=forms.Textarea(attrs={"rows": 3}))


class TermsForm(forms.Form):
    """How often a programme is settled."""

    programme = forms.ChoiceField(
        label=_("项目"),
        required=False,
        choices=lambda: [
            ("", _("自付部分和其他项目")),
            *((code, code) for code in Programme.objects.order_by("code").values_list("code", flat=True)),
        ],
    )
    cadence = forms.ChoiceField(label=_("编制批次"), choices=SettlementTerms.Cadence.choices)
    needs_check = forms.BooleanField(label=_("审批之前须由另一人核对"), required=False)


@needs(*FINANCE)
def orders(request: HttpRequest) -> HttpResponse:
    """List payment orders; who pays chooses approved batches and exports them into one file."""
    actor = actor_of(request)
    error: Explained | None = None
    if request.method == "POST":
        numbers = request.POST.getlist("batches")
        made, error = attempt_on(
            "payment_order",
            lambda: ordering.export(
                actor=actor, numbers=numbers, format_code=request.POST.get("format", ""), now=timezone.now()
            ),
        )
        if error is None:
            messages.success(request, gettext("付款指令已生成。请下载文件送交银行，回盘后在此导入结果。"))
            return redirect("payment_order", number=made.number)
    rows = access.orders_visible_to(actor).defer("content")
    if wants_csv(request):
        return _csv(rows.order_by("-pk")[:EXPORT_LIMIT])
    waiting = list(access.visible_to(actor).filter(state=BatchState.APPROVED.value).order_by("pk"))
    return page(
        request,
        "settlements/orders.html",
        {
            "listing": listing(request, rows, sorts=SORTS, default="-number"),
            "waiting": waiting,
            "waiting_fen": sum(batch.total_fen for batch in waiting),
            "chosen": request.POST.getlist("batches"),
            "formats": [(code, in_words(each["name"])) for code, each in ordering.available_formats().items()],
            "open_cases": access.cases_visible_to(actor).exclude(state=DiscrepancyState.CLOSED.value).count(),
            "may_export": actor.may(Permission.SETTLEMENT_PAY),
            "error": error,
        },
        status=error.status if error else 200,
    )


def _csv(rows: Any) -> HttpResponse:
    texts = (_("付款指令"), _("状态"), _("金额（元）"), _("导出人"), _("导出时间"), "SHA-256")
    return csv_response(
        "payment-orders",
        texts,
        (
            [
                row.number,
                label_of("payment_order", row.state)[1],
                Money(row.total_fen).yuan(),
                str(row.created_by),
                timezone.localtime(row.created_at).isoformat(timespec="minutes"),
                row.sha256,
            ]
            for row in rows
        ),
    )


@needs(*FINANCE)
def order(request: HttpRequest, number: str) -> HttpResponse:
    """Show a payment order line by line; take in the bank's answer, or cancel an order that has not gone out."""
    actor = actor_of(request)
    found = access.get_order(actor, number)
    if request.method != "POST":
        return _order_shown(request, found, form=AnswerForm())
    act = act_of(request, "answer", "cancel")
    form = AnswerForm(request.POST, request.FILES) if act == "answer" else AnswerForm()
    if form.is_bound and not form.is_valid():
        return _order_shown(request, found, form=form, status=422)
    if act == "answer":
        sent = upload_of(request)
        made, error = attempt_on(
            "settlement",
            lambda: answering.import_answer(
                actor=actor,
                order=found,
                content=sent.content if sent else b"",
                name=sent.name if sent else "",
                format_code=form.cleaned_data["layout"],
                now=timezone.now(),
            ),
        )
        done = _said(made) if made else ""
    else:
        reason = request.POST.get("reason", "")
        _done, error = attempt_on(
            "payment_order", lambda: ordering.cancel(actor=actor, order=found, reason=reason, now=timezone.now())
        )
        done = gettext("付款指令已撤销，批次回到待付款。")
    if error:
        return _order_shown(request, access.get_order(actor, number), form=form, error=error, status=error.status)
    messages.success(request, done)
    return redirect("payment_order", number=number)


def _said(made: Any) -> str:
    return gettext(
        "已导入：付款 %(paid)s 笔，未付成 %(failed)s 笔，已知 %(unchanged)s 笔，差异 %(discrepancies)s 笔。"
    ) % {name: getattr(made, name) for name in ("paid", "failed", "unchanged", "discrepancies")}


def _order_shown(
    request: HttpRequest,
    found: PaymentOrder,
    *,
    form: forms.Form,
    error: Explained | None = None,
    status: int = 200,
) -> HttpResponse:
    actor = actor_of(request)
    lines = list(found.lines.select_related("batch__payee", "account"))
    is_open = found.state == PaymentOrderState.EXPORTED.value
    untouched = all(line.state == OrderLineState.OPEN.value for line in lines)
    return page(
        request,
        "settlements/order.html",
        {
            "order": found,
            "format": in_words(format_of(found.format).name),
            "lines": lines,
            "answers": list(found.answers.select_related("imported_by").defer("content")),
            "cases": list(found.discrepancies.order_by("pk")),
            "events": events(audit.trail(f"payment_order:{found.number}", actor=actor)),
            "form": form,
            "error": error,
            "may_answer": actor.may(Permission.SETTLEMENT_PAY),
            "is_cancelled": found.state == PaymentOrderState.CANCELLED.value,
            "may_cancel": is_open
            and untouched
            and actor.may(Permission.SETTLEMENT_APPROVE)
            and actor.user_id != found.created_by_id,
        },
        status=status,
    )


@needs(*FINANCE)
def download(request: HttpRequest, number: str) -> HttpResponse:
    """Send the very file that was made, or its manifest."""
    found = access.get_order(actor_of(request), number)
    if request.GET.get("as") == "manifest":
        name, content, kind = f"{found.number}.json", ordering.manifest(found), "application/json"
    else:
        name, content, kind = found.file_name, bytes(found.content), format_of(found.format).media_type
    response = HttpResponse(content, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private, no-store"
    return response


@needs(*FINANCE)
def discrepancy_list(request: HttpRequest) -> HttpResponse:
    """List discrepancies, open ones first asked for."""
    rows = access.cases_visible_to(actor_of(request))
    state = request.GET.get("state", "")
    if state in Discrepancy.State.values:
        rows = rows.filter(state=state)
    return page(
        request,
        "settlements/discrepancies.html",
        {
            "listing": listing(request, rows, sorts=CASE_SORTS, default="-number"),
            "states": Discrepancy.State.choices,
            "state": state,
        },
    )


Act = Callable[[Actor, Discrepancy, str], Discrepancy]
ACTS: dict[str, Act] = {
    "explain": lambda actor, case, text: discrepancies.explain(actor=actor, case=case, text=text, now=timezone.now()),
    "paid": lambda actor, case, text: discrepancies.correct(
        actor=actor, case=case, outcome=AnswerOutcome.PAID, text=text, now=timezone.now()
    ),
    "failed": lambda actor, case, text: discrepancies.correct(
        actor=actor, case=case, outcome=AnswerOutcome.FAILED, text=text, now=timezone.now()
    ),
    "return": lambda actor, case, _text: discrepancies.send_back(actor=actor, case=case, now=timezone.now()),
    "close": lambda actor, case, _text: discrepancies.close(actor=actor, case=case, now=timezone.now()),
}


@needs(*FINANCE)
def discrepancy(request: HttpRequest, number: str) -> HttpResponse:
    """Show one discrepancy and take it one step further."""
    actor = actor_of(request)
    case = access.get_case(actor, number)
    form, error = CaseForm(request.POST if request.method == "POST" else None), None
    if request.method == "POST":
        act = act_of(request, *ACTS)
        text = form.cleaned_data["text"] if form.is_valid() else ""
        _done, error = attempt_on("discrepancy", lambda: ACTS[act](actor, case, text))
        if error is None:
            messages.success(request, gettext("已办理并记录。"))
            return redirect("discrepancy", number=number)
        case = access.get_case(actor, number)
    state = DiscrepancyState(case.state)
    outcomes = discrepancies.may_become(case)
    return page(
        request,
        "settlements/discrepancy.html",
        {
            "case": case,
            "form": form,
            "error": error,
            "may_explain": (state, DiscrepancyAction.EXPLAIN) in CASE_TRANSITIONS,
            "may_correct": (state, DiscrepancyAction.CORRECT) in CASE_TRANSITIONS and bool(outcomes),
            "may_fail": AnswerOutcome.FAILED in outcomes,
            "is_late": outcomes == (AnswerOutcome.PAID,) and state is not DiscrepancyState.CLOSED,
            "elsewhere": lateness.elsewhere(case.line) if case.line and outcomes == (AnswerOutcome.PAID,) else [],
            "may_close": (state, DiscrepancyAction.CLOSE) in CASE_TRANSITIONS and actor.user_id != case.answered_by_id,
            "waits": (state, DiscrepancyAction.CLOSE) in CASE_TRANSITIONS and actor.user_id == case.answered_by_id,
            "difference_fen": case.found_fen - (case.expected_fen or 0),
        },
        status=error.status if error else 200,
    )


@needs(*FINANCE)
def terms(request: HttpRequest) -> HttpResponse:
    """Show and set how often what is owed is put into batches, and whether a checker looks at them."""
    actor = actor_of(request)
    form, error = TermsForm(request.POST if request.method == "POST" else None), None
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        _done, error = attempt_on(
            "settlement",
            lambda: cadences.set_terms(
                actor=actor,
                programme_code=values["programme"],
                cadence=SettlementCadence(values["cadence"]),
                needs_check=values["needs_check"],
                now=timezone.now(),
            ),
        )
        if error is None:
            messages.success(request, gettext("结算周期已设定。"))
            return redirect("settlement_terms")
    return page(
        request,
        "settlements/terms.html",
        {
            "rows": list(access.terms_visible_to(actor)),
            "form": form,
            "error": error,
            "may_set": actor.may(Permission.SETTLEMENT_APPROVE),
        },
        status=error.status if error else 422 if form.errors else 200,
    )
