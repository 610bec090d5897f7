"""Give money of a settled charge back, as the provider that served it."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.pages.actions import subject_link
from portal.pages.acts import attempt_on
from portal.pages.fields import YuanField
from portal.pages.shell import actor_of, key_of, needs, new_key, page
from vouchers.charges import access, refunding

__all__ = ["refund"]


class RefundForm(forms.Form):
    """How much goes back, and why."""

    amount = YuanField(label=_("退款金额（元）"))
    reason = forms.CharField(
        label=_("退款原因"),
        max_length=200,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("付款单位会看到，并进入审计记录。"),
    )


@needs(Permission.CHARGE_REFUND)
def refund(request: HttpRequest, number: str) -> HttpResponse:
    """Show what may still be given back of a charge and what was, and give some back."""
    actor = actor_of(request)
    charge = access.get_charge(actor, number)
    if charge.provider_id != actor.organisation_id:
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
            lambda: refunding.refund(
                actor=actor,
                charge=charge,
                amount=values["amount"],
                reason=values["reason"],
                now=timezone.now(),
                key=key_of(request),
            ),
        )
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
        "error": error,
        "key": request.POST.get("idempotency_key") or new_key(),
    }
    status = error.status if error else 422 if request.method == "POST" and form.errors else 200
    return page(request, "payments/refund.html", context, status=status)
