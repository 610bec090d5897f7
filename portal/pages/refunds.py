"""Give money of a settled charge back, give up own shares that will not come, and the second person's desk for both."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.pages import exports
from portal.pages.actions import events, subject_link
from portal.pages.acts import attempt_on
from portal.pages.fields import YuanField
from portal.pages.labels import label_of
from portal.pages.shell import EXPORT_LIMIT, act_of, actor_of, key_of, listing, needs, new_key, page
from vouchers.charges import access, proposing, reasons, refunding
from vouchers.charges.models import ChargeProposal
from vouchers.payments.models import Payment

__all__ = ["proposal", "proposals", "refund", "write_off"]


LABELS_OF_REFUNDS = tuple((code, _(text)) for code, text in reasons.REFUND_REASONS.items())
LABELS_OF_WRITE_OFFS = tuple((code, _(text)) for code, text in reasons.WRITE_OFF_REASONS.items())


class RefundForm(forms.Form):
    """How much goes back, and why."""

    amount = YuanField(label=_("退款金额（元）"))
    reason_code = forms.ChoiceField(label=_("原因类别"), choices=list(LABELS_OF_REFUNDS), initial=reasons.OTHER)
    reason = forms.CharField(
        label=_("退款原因"),
        max_length=200,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("付款单位会看到，并进入审计记录。"),
    )


class WriteOffForm(forms.Form):
    """Why an own share will not come, and what shows it."""

    reason_code = forms.ChoiceField(label=_("原因类别"), choices=list(LABELS_OF_WRITE_OFFS))
    reason = forms.CharField(label=_("说明"), max_length=200, widget=forms.Textarea(attrs={"rows": 3}))
    evidence = forms.CharField(
        label=_("依据"),
        max_length=600,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("裁定书文号、催收记录编号或注销公告等。批准人和服务单位会看到。"),
    )


@needs(Permission.CHARGE_REFUND, Permission.PAYMENT_CONFIRM)
def refund(request: HttpRequest, number: str) -> HttpResponse:
    """Show what may still be given back of a charge and what was, and give some back or ask for it."""
    actor = actor_of(request)
    charge = access.get_charge(actor, number)
    is_provider = charge.provider_id == actor.organisation_id
    if not (is_provider or actor.may(Permission.PAYMENT_CONFIRM)):
        raise NotFound
    about, url = subject_link(charge.subject)
    form = RefundForm(
        request.POST if request.method == "POST" else None,
        initial={"amount": Money(charge.refundable_fen)},
    )
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        made, error = attempt_on(
            "charge",
            lambda: proposing.refund_or_propose(
                actor=actor,
                charge=charge,
                amount=values["amount"],
                grounds=refunding.Grounds(values["reason"], values["reason_code"]),
                now=timezone.now(),
                key=key_of(request),
            ),
        )
        if error is None and isinstance(made, ChargeProposal):
            messages.success(request, gettext("已提出退款申请，等待另一位同事批准。"))
            return redirect("charge_proposal", number=made.number)
        if error is None:
            told = {"amount": Money(made.amount_fen), "voucher": Money(made.voucher_fen), "own": Money(made.own_fen)}
            messages.success(request, gettext("已退款 %(amount)s：退回券 %(voucher)s，自付 %(own)s。") % told)
            return redirect(url or "dashboard")
    context = {
        "charge": charge,
        "about": about,
        "url": url,
        "form": form,
        "refunds": charge.refunds.order_by("pk"),
        "limit_fen": settings.REFUND_APPROVAL_FEN if is_provider else 0,
        "waiting": charge.proposals.filter(state="proposed", kind="refund").first(),
        "error": error,
        "key": request.POST.get("idempotency_key") or new_key(),
    }
    status = error.status if error else 422 if request.method == "POST" and form.errors else 200
    return page(request, "payments/refund.html", context, status=status)


@needs(Permission.PAYMENT_CONFIRM)
def write_off(request: HttpRequest, number: str) -> HttpResponse:
    """Ask to give up an own share that will not come."""
    actor = actor_of(request)
    charge = access.get_charge(actor, number)
    payment = Payment.objects.filter(charge=charge).first()
    if payment is None:
        raise NotFound
    form = WriteOffForm(request.POST if request.method == "POST" else None)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        made, error = attempt_on(
            "charge",
            lambda: proposing.propose_write_off(
                actor=actor,
                charge=charge,
                grounds=refunding.Grounds(values["reason"], values["reason_code"]),
                evidence=values["evidence"],
                now=timezone.now(),
                key=key_of(request),
            ),
        )
        if error is None:
            messages.success(request, gettext("已提出核销申请，等待另一人批准。"))
            return redirect("charge_proposal", number=made.number)
    status = error.status if error else 422 if request.method == "POST" and form.errors else 200
    context = {
        "charge": charge,
        "payment": payment,
        "about": subject_link(charge.subject)[0],
        "form": form,
        "days": settings.WRITE_OFF_AFTER_DAYS,
        "error": error,
        "key": request.POST.get("idempotency_key") or new_key(),
    }
    return page(request, "payments/write_off.html", context, status=status)


READERS = (Permission.LEDGER_READ, Permission.CHARGE_REFUND, Permission.SETTLEMENT_READ_OWN)
SORTS = {"number": ["pk"], "amount": ["amount_fen"], "asked": ["proposed_at"]}


class Filters(forms.Form):
    """What the list may be narrowed to."""

    state = forms.ChoiceField(label=_("状态"), required=False, choices=[("", _("全部")), *ChargeProposal.State.choices])
    kind = forms.ChoiceField(label=_("种类"), required=False, choices=[("", _("全部")), *ChargeProposal.Kind.choices])


@needs(*READERS)
def proposals(request: HttpRequest) -> HttpResponse:
    """List refunds and write-offs that were asked for, those that wait first."""
    actor = actor_of(request)
    filters = Filters(request.GET or None)
    values = filters.cleaned_data if filters.is_valid() else {}
    rows = access.proposals_visible_to(actor).filter(**{name: value for name, value in values.items() if value})
    if (wanted := request.GET.get("format")) in exports.FORMATS:
        return _exported(rows.order_by("-pk")[:EXPORT_LIMIT], wanted)
    context = {
        "listing": listing(request, rows, sorts=SORTS, default="-asked"),
        "filters": filters,
        "filtered": any(values.values()),
    }
    return page(request, "payments/proposals.html", context)


def _exported(rows: QuerySet[ChargeProposal], wanted: str) -> HttpResponse:
    head = (
        *(_("退款或核销号"), _("种类"), _("状态"), _("费用单号"), _("付款单位"), _("服务单位"), _("金额（元）")),
        *(_("原因类别"), _("说明"), _("依据"), _("提出人"), _("提出时间"), _("办理人"), _("办理时间")),
    )
    return exports.exported(
        "charge-proposals",
        wanted,
        head,
        (
            [
                row.number,
                label_of("proposal_kind", row.kind)[1],
                label_of("proposal", row.state)[1],
                row.charge.number,
                row.charge.payer.name,
                row.charge.provider.name,
                Money(row.amount_fen),
                label_of(f"{row.kind}_why", row.reason_code)[1],
                row.reason,
                row.evidence,
                str(row.proposed_by),
                timezone.localtime(row.proposed_at).isoformat(timespec="minutes"),
                str(row.decided_by or ""),
                timezone.localtime(row.decided_at).isoformat(timespec="minutes") if row.decided_at else "",
            ]
            for row in rows
        ),
    )


@needs(*READERS)
def proposal(request: HttpRequest, number: str) -> HttpResponse:
    """Show what was asked for, and let a second person approve it or send it back."""
    actor = actor_of(request)
    found = access.get_proposal(actor, number)
    error: Explained | None = None
    if request.method == "POST":
        act, now = act_of(request, "approve", "return"), timezone.now()
        note = request.POST.get("note", "")
        _done, error = attempt_on(
            "proposal",
            lambda: (
                proposing.approve(actor=actor, proposal=found, now=now)
                if act == "approve"
                else proposing.send_back(actor=actor, proposal=found, note=note, now=now)
            ),
        )
        if error is None:
            messages.success(request, gettext("已批准并记账。") if act == "approve" else gettext("已退回。"))
            return redirect("charge_proposal", number=number)
        found = access.get_proposal(actor, number)
    is_open, is_own = found.state == "proposed", found.proposed_by_id == actor.user_id
    may = proposing.may_approve(actor, found)
    about, url = subject_link(found.charge.subject)
    context = {
        "proposal": found,
        "about": about,
        "url": url if found.charge.provider_id == actor.organisation_id else "",
        "reason_words": label_of(f"{found.kind}_why", found.reason_code)[1],
        "is_own": is_open and is_own,
        "may_approve": may,
        "may_return": is_open and (may or is_own),
        "events": events(audit.trail(f"proposal:{found.number}", actor=actor)),
        "note": request.POST.get("note", ""),
        "error": error,
    }
    return page(request, "payments/proposal.html", context, status=error.status if error else 200)
