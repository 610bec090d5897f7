"""Settlement: what providers are owed, batches through four eyes to payment, statements, and the ledger's sums."""

from __future__ import annotations

import itertools
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.organisations import access as people
from portal.organisations.models import Organisation
from portal.pages import exports
from portal.pages.actions import events, subject_link
from portal.pages.acts import attempt_on
from portal.pages.labels import label_of
from portal.pages.shell import EXPORT_LIMIT, act_of, actor_of, csv_response, listing, needs, page, wants_csv
from vouchers.claims import queries as queries_of_claims
from vouchers.ledger import queries as ledger_queries
from vouchers.programmes.models import ProgrammeVersion
from vouchers.recoveries import queries as queries_of_recoveries
from vouchers.settlements import access, bouncing, files, offsetting, paying_out, queries, services
from vouchers.settlements.cadences import needs_check
from vouchers.settlements.models import SettlementBatch, SettlementLine
from vouchers.settlements.payout_models import RailPayout
from vouchers.settlements.payout_rules import RailPayoutState
from vouchers.settlements.rules import OPEN, TRANSITIONS, BatchAction, BatchState, Leg

SORTS = {"number": ["pk"], "total": ["total_fen"], "created": ["created_at"], "payee": ["payee__name"]}
READERS = (*access.FINANCE, Permission.SETTLEMENT_READ_OWN, Permission.CLAIM_FILE)


KINDS = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
}


class Filters(forms.Form):
    """What the list of batches may be narrowed to."""

    state = forms.ChoiceField(
        label=_("状态"), required=False, choices=[("", _("全部")), *SettlementBatch.State.choices]
    )
    q = forms.CharField(label=_("批次号或收款单位"), required=False, max_length=60)


class PayForm(forms.Form):
    """The treasury's voucher of a payment."""

    bank_reference = forms.CharField(
        label=_("付款凭证号"), max_length=60, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )


class ReconcileForm(forms.Form):
    """The bank's own line of a payment."""

    bank_line = forms.CharField(
        label=_("银行流水号"), max_length=80, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )


@needs(*READERS)
def settlements(request: HttpRequest) -> HttpResponse:
    """List batches; finance also sees what is due to whom and may draft."""
    return _overview(request)


def _overview(request: HttpRequest, *, error: Explained | None = None, status: int = 200) -> HttpResponse:
    actor = actor_of(request)
    is_finance = any(actor.may(permission) for permission in access.FINANCE)
    filters = Filters(request.GET or None)
    values = filters.cleaned_data if filters.is_valid() else {}
    rows = access.visible_to(actor)
    if values.get("state"):
        rows = rows.filter(state=values["state"])
    if text := values.get("q"):
        rows = rows.filter(Q(number__icontains=text) | Q(payee__name__icontains=text))
    if wants_csv(request):
        return _csv(rows.order_by("-pk")[:EXPORT_LIMIT])
    due = _due() if is_finance else []
    own_due = (
        [] if is_finance or actor.organisation_id is None else queries.due_to(actor.organisation_id, now=timezone.now())
    )
    return page(
        request,
        "settlements/list.html",
        {
            "listing": listing(request, rows, sorts=SORTS, default="-created"),
            "filters": filters,
            "filtered": any(values.values()),
            "due": due,
            "due_fen": sum(fen for _payee, fen in due),
            "own_due": own_due,
            "own_due_fen": sum(row.amount_fen for row in own_due),
            "is_finance": is_finance,
            "by_state": _by_state() if is_finance else [],
            "may_draft": actor.may(Permission.SETTLEMENT_DRAFT),
            "may_read_ledger": actor.may(Permission.LEDGER_READ),
            "error": error,
        },
        status=status,
    )


def _due() -> list[tuple[Organisation, int]]:
    """Return payees with what they are owed, the largest amount first. Three queries."""
    totals = queries.due_by_payee(now=timezone.now())
    payees = people.payees().filter(pk__in=totals)
    return sorted(((payee, totals[payee.pk]) for payee in payees), key=lambda row: -row[1])


def _by_state() -> list[tuple[str, int, int]]:
    """Return how many batches stand in each state that awaits somebody, and what they come to. One query."""
    found = {state: (count, fen) for state, count, fen in queries.standing()}
    return [(state, *found[state]) for state in (*OPEN, BatchState.PAID.value) if state in found]


def _csv(rows: Any) -> HttpResponse:
    texts = (
        _("批次号"),
        _("收款单位"),
        _("统一社会信用代码"),
        _("状态"),
        _("金额（元）"),
        _("编制时间"),
        _("付款时间"),
        _("付款凭证号"),
    )
    return csv_response(
        "settlements",
        texts,
        (
            [
                row.number,
                row.payee.name,
                row.payee.credit_code,
                label_of("settlement", row.state)[1],
                Money(row.total_fen).yuan(),
                timezone.localtime(row.created_at).isoformat(timespec="minutes"),
                timezone.localtime(row.paid_at).isoformat(timespec="minutes") if row.paid_at else "",
                row.bank_reference,
            ]
            for row in rows
        ),
    )


@require_POST
@needs(Permission.SETTLEMENT_DRAFT)
def draft(request: HttpRequest) -> HttpResponse:
    """Put everything a payee is owed into a new batch."""
    asked = request.POST.get("payee", "")
    payee = people.payees().filter(pk=int(asked)).first() if asked.isdecimal() and len(asked) < 19 else None
    if payee is None:
        raise NotFound
    batch, error = attempt_on(
        "settlement", lambda: services.draft(actor=actor_of(request), payee=payee, now=timezone.now())
    )
    if error:
        return _overview(request, error=error, status=error.status)
    messages.success(request, gettext("批次已编制，等待另一位同事审批。"))
    return redirect("settlement", number=batch.number)


@needs(*READERS)
def settlement(request: HttpRequest, number: str) -> HttpResponse:
    """Show a batch line by line, and take it one step further."""
    actor = actor_of(request)
    batch = access.get_batch(actor, number)
    form = PayForm()
    if request.method != "POST":
        return _shown(request, batch, form=form)
    act = act_of(request, "check", "approve", "pay", "reconcile", "discard", "reject", "set_off", "release", "payout")
    form = PayForm(request.POST) if act == "pay" else form
    if form.is_bound and not form.is_valid():
        return _shown(request, batch, form=form, status=422)
    reference = form.cleaned_data["bank_reference"] if form.is_bound else request.POST.get("bank_line", "")
    if act == "reject":
        done, error = _reject(request, batch)
    elif act == "release":
        text, now = request.POST.get("text", ""), timezone.now()
        _done, error = attempt_on("settlement", lambda: bouncing.release(actor=actor, batch=batch, text=text, now=now))
        done = gettext("已登记，批次可编入新的付款指令。")
    else:
        done, error = _do(actor, batch, act, reference)
    if error:
        return _shown(request, access.get_batch(actor, number), form=form, error=error, status=error.status)
    messages.success(request, done)
    return redirect("settlement", number=number)


def _do(actor: Actor, batch: SettlementBatch, act: str, reference: str) -> tuple[str, Explained | None]:
    now = timezone.now()
    if act == "pay":
        _done, error = attempt_on(
            "settlement",
            lambda: services.mark_paid(actor=actor, batch=batch, bank_reference=reference, now=now),
        )
        return gettext("已登记付款并记账。"), error
    if act == "payout":
        sent, error = attempt_on("settlement", lambda: paying_out.pay(actor=actor, batch=batch, now=now))
        return _payout_said(sent), error
    if act == "check":
        _done, error = attempt_on("settlement", lambda: services.check(actor=actor, batch=batch, now=now))
        return gettext("批次已核对，等待另一位同事审批。"), error
    if act == "reconcile":
        _done, error = attempt_on(
            "settlement", lambda: services.reconcile(actor=actor, batch=batch, bank_line=reference, now=now)
        )
        return gettext("已与银行流水对账。"), error
    if act == "discard":
        _done, error = attempt_on("settlement", lambda: services.discard(actor=actor, batch=batch, now=now))
        return gettext("批次已作废，其中的明细可编入新的批次。"), error
    if act == "set_off":
        _done, error = attempt_on("settlement", lambda: offsetting.set_off(actor=actor, batch=batch, now=now))
        return gettext("欠款已列入抵扣，等待审批。"), error
    _done, error = attempt_on("settlement", lambda: services.approve(actor=actor, batch=batch, now=now))
    return gettext("批次已审批，可以付款。"), error


def _payout_said(sent: RailPayout | None) -> str:
    if sent is not None and sent.state == RailPayoutState.PAID.value:
        return gettext("已经支付机构付款并记账。")
    if sent is not None and sent.state == RailPayoutState.FAILED.value:
        return gettext("支付机构没有付款，款项仍应付，可重新编制批次。")
    return gettext("已发给支付机构，结果还不知道，平台会自动查询，不会重复付款。")


def _reject(request: HttpRequest, batch: SettlementBatch) -> tuple[str, Explained | None]:
    line = request.POST.get("line", "")
    _done, error = attempt_on(
        "settlement",
        lambda: services.reject_line(
            actor=actor_of(request),
            batch=batch,
            line_id=int(line) if line.isdecimal() and len(line) < 19 else 0,
            reason=request.POST.get("reason", ""),
            now=timezone.now(),
        ),
    )
    return gettext("已退回该明细，可编入以后的批次。"), error


def _shown(
    request: HttpRequest,
    batch: SettlementBatch,
    *,
    form: forms.Form,
    error: Explained | None = None,
    status: int = 200,
) -> HttpResponse:
    actor = actor_of(request)
    lines = list(queries.lines_of(batch.pk))
    state = BatchState(batch.state)
    over_rail = batch.account is not None and bool(batch.account.rail)
    debts = list(offsetting.possible(batch)) if actor.may(Permission.SETTLEMENT_DRAFT) else []

    def may(action: BatchAction, permission: Permission) -> bool:
        return (state, action) in TRANSITIONS and actor.may(permission)

    return page(
        request,
        "settlements/settlement.html",
        {
            "batch": batch,
            "lines": [(line, *_about(line)) for line in lines],
            "legs": [(leg.value, fen) for leg in Leg if (fen := _sum(lines, leg))],
            "events": events(audit.trail(f"settlement:{batch.number}", actor=actor)),
            "form": form,
            "error": error,
            "debts": debts,
            "debts_fen": sum(debt.fen for debt in debts),
            "may_approve": may(BatchAction.APPROVE, Permission.SETTLEMENT_APPROVE),
            "may_reject": (state, BatchAction.DISCARD) in TRANSITIONS
            and not batch.returns
            and (actor.may(Permission.SETTLEMENT_APPROVE) or actor.may(Permission.SETTLEMENT_PAY)),
            "is_author": actor.user_id in (batch.created_by_id, batch.checked_by_id, batch.set_off_by_id),
            "may_check": may(BatchAction.CHECK, Permission.SETTLEMENT_DRAFT)
            or may(BatchAction.CHECK, Permission.SETTLEMENT_APPROVE),
            "must_check": (state, BatchAction.CHECK) in TRANSITIONS and needs_check(batch),
            "may_reconcile": (
                may(BatchAction.RECONCILE, Permission.SETTLEMENT_PAY)
                or may(BatchAction.RECONCILE, Permission.SETTLEMENT_APPROVE)
            )
            and actor.user_id != batch.paid_by_id,
            "reconcile_form": ReconcileForm(),
            "is_finance": any(actor.may(permission) for permission in access.FINANCE),
            "order_line": batch.order_lines.select_related("order").order_by("-pk").first(),
            "may_pay": may(BatchAction.PAY, Permission.SETTLEMENT_PAY) and not over_rail,
            "may_pay_out": may(BatchAction.EXPORT, Permission.SETTLEMENT_PAY)
            and over_rail
            and actor.user_id != batch.approved_by_id,
            "payouts": list(RailPayout.objects.filter(batch=batch).select_related("created_by")),
            "may_discard": may(BatchAction.DISCARD, Permission.SETTLEMENT_DRAFT) and not batch.returns,
            "may_release": may(BatchAction.RELEASE, Permission.SETTLEMENT_PAY)
            or may(BatchAction.RELEASE, Permission.SETTLEMENT_APPROVE),
        },
        status=status,
    )


def _about(line: SettlementLine) -> tuple[str, str]:
    if line.claim is not None:
        return subject_link(queries_of_claims.subject_of(line.claim))
    if line.recovery is not None:
        return subject_link(queries_of_recoveries.subject_of(line.recovery))
    if line.charge is None:
        if line.programme_code:
            return subject_link(f"programme:{line.programme_code}")
        return gettext("自付部分退款"), ""
    return subject_link(line.charge.subject)


def _sum(lines: list[SettlementLine], leg: Leg) -> int:
    return sum(line.amount_fen for line in lines if line.active and line.leg == leg.value)


@needs(*READERS)
def download(request: HttpRequest, number: str) -> HttpResponse:
    """Send a batch as a workbook, as CSV for the treasury's system, or as the list of both with their SHA-256."""
    batch = access.get_batch(actor_of(request), number)
    lines = list(queries.lines_of(batch.pk).filter(active=True))
    contents = {
        f"{batch.number}.xlsx": exports.settlement_workbook(batch, lines),
        f"{batch.number}.csv": files.statement(batch, lines),
    }
    kind = request.GET.get("as", "xlsx")
    if kind == "manifest":
        name, content = f"{batch.number}.json", files.manifest(batch, lines, contents)
    else:
        name = f"{batch.number}.csv" if kind == "csv" else f"{batch.number}.xlsx"
        content = contents[name]
    response = HttpResponse(content, content_type=KINDS[name.rpartition(".")[2]])
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@needs(Permission.LEDGER_READ)
def ledger(request: HttpRequest) -> HttpResponse:
    """Show the trial balance programme by programme, and whether every fen is explained."""
    lines = ledger_queries.trial_balance()
    titles = {
        version.programme.code: version
        for version in ProgrammeVersion.objects.select_related("programme").order_by("number")
    }
    parts = []
    for (code, year), group in itertools.groupby(lines, key=lambda line: (line.programme, line.fiscal_year)):
        rows = list(group)
        parts.append(
            {
                "version": titles.get(code),
                "year": year,
                "rows": rows,
                "debit_fen": sum(row.debit_fen for row in rows),
                "credit_fen": sum(row.credit_fen for row in rows),
            }
        )
    return page(
        request, "settlements/ledger.html", {"parts": parts, "unaccounted_fen": ledger_queries.unaccounted_fen()}
    )
