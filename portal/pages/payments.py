"""Own shares: what an enterprise owes and has transferred, and what finance finds on the bank statement."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import F, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.money import Money
from portal.pages import paying
from portal.pages.actions import events, subject_link
from portal.pages.acts import attempt_on
from portal.pages.labels import label_of
from portal.pages.shell import EXPORT_LIMIT, act_of, actor_of, csv_response, listing, needs, page, wants_csv
from vouchers.payments import access, services
from vouchers.payments.models import Payment
from vouchers.payments.rules import Collect, PaymentState

LEFT = F("amount_fen") - F("paid_fen")
SORTS = {"number": ["pk"], "amount": ["amount_fen"], "created": ["created_at"], "payer": ["payer__name"]}
READERS = (
    *(Permission.PAYMENT_DECLARE, Permission.PAYMENT_CONFIRM, Permission.BANK_APPROVE),
    Permission.VOUCHER_READ_OWN,
)


class Filters(forms.Form):
    """What the list may be narrowed to."""

    state = forms.ChoiceField(label=_("状态"), required=False, choices=[("", _("全部")), *Payment.State.choices])
    q = forms.CharField(label=_("付款号、附言码或银行流水号"), required=False, max_length=60)


class BankForm(forms.Form):
    """The bank's reference of a transfer."""

    bank_reference = forms.CharField(
        label=_("银行流水号"),
        max_length=60,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("网银回单上的流水号，便于财务核对。"),
    )


class ReturnForm(forms.Form):
    """Why a declared payment goes back."""

    note = forms.CharField(label=_("退回原因"), max_length=200, widget=forms.Textarea(attrs={"rows": 2}))


@needs(*READERS)
def payments(request: HttpRequest) -> HttpResponse:
    """List payments: the payer's own, or for finance all of them, those to check first."""
    actor = actor_of(request)
    rows = access.visible_to(actor)
    filters = Filters(request.GET or None)
    values = filters.cleaned_data if filters.is_valid() else {}
    narrowed = _narrowed(rows, values)
    if wants_csv(request):
        return _csv(narrowed.order_by("-pk")[:EXPORT_LIMIT])
    due = rows.filter(state=PaymentState.DUE.value).aggregate(total=Sum(LEFT))["total"] or 0
    declared = rows.filter(state=PaymentState.DECLARED.value).aggregate(total=Sum(LEFT))["total"] or 0
    found = listing(request, narrowed, sorts=SORTS, default="-created")
    return page(
        request,
        "payments/list.html",
        {
            "listing": found,
            "filters": filters,
            "filtered": any(values.values()),
            "due_fen": due,
            "declared_fen": declared,
            "is_finance": actor.may(Permission.PAYMENT_CONFIRM),
            "rows": [(row, *subject_link(row.charge.subject)) for row in found.rows],
        },
    )


def _narrowed(rows: QuerySet[Payment], values: dict[str, Any]) -> QuerySet[Payment]:
    if values.get("state"):
        rows = rows.filter(state=values["state"])
    if text := values.get("q"):
        rows = rows.filter(Q(number__icontains=text) | Q(reference__iexact=text) | Q(bank_reference__icontains=text))
    return rows


def _csv(rows: QuerySet[Payment]) -> HttpResponse:
    texts = (
        _("付款号"),
        _("付款单位"),
        _("收款单位"),
        _("金额（元）"),
        _("状态"),
        _("附言码"),
        _("银行流水号"),
        _("产生时间"),
        _("确认时间"),
    )
    return csv_response(
        "payments",
        texts,
        (
            [
                row.number,
                row.payer.name,
                row.charge.provider.name,
                Money(row.amount_fen).yuan(),
                label_of("payment", row.state)[1],
                row.reference,
                row.bank_reference,
                timezone.localtime(row.created_at).isoformat(timespec="minutes"),
                timezone.localtime(row.confirmed_at).isoformat(timespec="minutes") if row.confirmed_at else "",
            ]
            for row in rows
        ),
    )


@needs(*READERS)
def payment(request: HttpRequest, number: str) -> HttpResponse:
    """Show one payment and do what its state asks for: declare it, confirm its arrival, or send it back."""
    actor = actor_of(request)
    found = access.get_payment(actor, number)
    bank, back = BankForm(initial={"bank_reference": found.bank_reference}), ReturnForm()
    if request.method != "POST":
        return _shown(request, found, bank=bank, back=back)
    act = act_of(request, "declare", "confirm", "return", "pay_back", "pay", "give_up")
    if act in {"pay", "give_up"}:
        done = {"pay": paying.pay, "give_up": paying.give_up}[act]
        _made, error = attempt_on("payment", lambda: done(request, found, now=timezone.now()))
        if error:
            return _shown(request, found, bank=bank, back=back, error=error, status=error.status)
        return redirect("payment", number=number)
    form: forms.Form = ReturnForm(request.POST) if act == "return" else BankForm(request.POST)
    bank, back = (bank, form) if isinstance(form, ReturnForm) else (form, back)  # type: ignore[assignment]
    if not form.is_valid():
        return _shown(request, found, bank=bank, back=back, status=422)
    said, error = _do(request, found, act, form.cleaned_data)
    if error:
        again = access.get_payment(actor, number)
        return _shown(request, again, bank=bank, back=back, error=error, status=error.status)
    messages.success(request, said)
    return redirect("payment", number=number)


def _do(request: HttpRequest, found: Payment, act: str, values: dict[str, Any]) -> tuple[str, Explained | None]:
    actor, now = actor_of(request), timezone.now()
    if act == "return":
        _done, error = attempt_on(
            "payment",
            lambda: services.return_declared(actor=actor, payment=found, note=values["note"], now=now),
        )
        return gettext("已退回，付款单位会看到原因。"), error
    if act == "pay_back":
        _done, error = attempt_on(
            "payment",
            lambda: services.pay_back(actor=actor, payment=found, bank_reference=values["bank_reference"], now=now),
        )
        return gettext("已记录退还。"), error
    if act == "confirm":
        _done, error = attempt_on(
            "payment",
            lambda: services.confirm(actor=actor, payment=found, bank_reference=values["bank_reference"], now=now),
        )
        return gettext("已确认到账并记账。"), error
    _done, error = attempt_on(
        "payment",
        lambda: services.declare(actor=actor, payment=found, bank_reference=values["bank_reference"], now=now),
    )
    return gettext("已登记付款，财务核对到账后会更新状态。"), error


def _shown(
    request: HttpRequest,
    found: Payment,
    *,
    bank: forms.Form,
    back: forms.Form,
    error: Explained | None = None,
    status: int = 200,
) -> HttpResponse:
    actor = actor_of(request)
    about, url = subject_link(found.charge.subject)
    is_payer = actor.organisation_id == found.payer_id
    return page(
        request,
        "payments/payment.html",
        {
            "payment": found,
            "about": about,
            "about_url": url,
            "bank": bank,
            "back": back,
            "account": settings.BANK_ACCOUNT,
            "events": events(audit.trail(f"payment:{found.number}", actor=actor)),
            "may_declare": is_payer and actor.may(Permission.PAYMENT_DECLARE) and found.state == PaymentState.DUE.value,
            "may_confirm": not is_payer
            and actor.may(Permission.PAYMENT_CONFIRM)
            and found.state in {PaymentState.DUE.value, PaymentState.DECLARED.value},
            "may_pay_back": not is_payer and actor.may(Permission.PAYMENT_CONFIRM) and bool(found.owed_back_fen),
            "may_return": not is_payer
            and actor.may(Permission.PAYMENT_CONFIRM)
            and found.state == PaymentState.DECLARED.value,
            "may_write_off": not is_payer
            and actor.may(Permission.PAYMENT_CONFIRM)
            and found.state == PaymentState.DUE.value
            and found.collect == Collect.AFTER.value,
            "error": error,
            "rails": paying.context(actor, found, now=timezone.now()),
        },
        status=status,
    )
