"""Take an instrument off the catalogue: first see what becomes of its bookings and sample orders, then confirm."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.period import Period
from portal.pages import acts, shell, slots
from scheduler.catalogue.withdrawing import Plan, booked
from scheduler.catalogue.withdrawing import settle as settle_bookings
from scheduler.resources import access
from scheduler.samples import withdrawing

__all__ = ["instrument_withdraw"]


class WithdrawForm(forms.Form):
    """Why, and until the end of which local day bookings are kept."""

    reason = forms.CharField(
        label=_("撤下原因"),
        max_length=180,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("预约单位会看到。"),
    )
    keep_until = slots.DayField(
        label=_("保留预约至"),
        required=False,
        help_text=_("到这一天为止的预约照常使用，之后的取消。不填则取消全部尚未开始的预约。"),
    )

    def plan(self, zone: str) -> Plan:
        """Return what was said, the day as the midnight that ends it. Raises LocalTimeMissing."""
        said: dict[str, Any] = self.cleaned_data
        return Plan(said["reason"], self.kept(zone))

    def kept(self, zone: str) -> datetime | None:
        """Return the midnight that ends the day named, or None."""
        day = self.cleaned_data.get("keep_until")
        return slots.instant(day + timedelta(days=1), 0, zone, field="keep_until") if day else None


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_withdraw(request: HttpRequest, number: str) -> HttpResponse:
    """Show what withdrawing does to each booking and sample order (``look``), and do it (``withdraw``)."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = access.get_own_instrument(actor, number)
    form = WithdrawForm(request.POST if request.method == "POST" else None)
    error: Explained | None = None
    act = shell.act_of(request, "look", "withdraw") if request.method == "POST" else ""
    if act and form.is_valid() and act == "withdraw":
        seen = request.POST.getlist("seen")
        done, error = acts.attempt_on(
            "resource",
            lambda: withdrawing.withdraw(
                actor=actor, resource=resource, plan=form.plan(resource.zone), seen=seen, now=now
            ),
        )
        if error is None:
            said = gettext("已撤下：保留 %(kept)s 项预约，取消 %(ended)s 项，费用已退回，预约单位已获知原因。")
            messages.success(request, said % {"kept": len(done.bookings.kept), "ended": len(done.bookings.ended)})
            if done.orders.kept or done.orders.ended:
                said = gettext("送样检测：%(kept)s 项按约完成，%(ended)s 项已回绝，送样单位已获知原因。")
                messages.success(request, said % {"kept": len(done.orders.kept), "ended": len(done.orders.ended)})
            return redirect("instrument", number)
        error = slots.put_back(form, error)
    keep = form.kept(resource.zone) if act and not form.errors.get("keep_until") else None
    settled = settle_bookings(booked(resource, now=now), keep_until=keep, now=now)
    orders = withdrawing.settle(withdrawing.ordered(resource))
    stays = {row.pk for row in settled.kept}
    lines = [
        {"booking": row, "period": Period(row.starts_at, row.ends_at), "stays": row.pk in stays}
        for row in sorted([*settled.kept, *settled.ended], key=lambda row: (row.starts_at, row.pk))
    ]
    context = {"resource": resource, "form": form, "error": error, "lines": lines, "ended": len(settled.ended)}
    context["orders"] = [
        *({"order": row, "stays": True} for row in orders.kept),
        *({"order": row, "stays": False} for row in orders.ended),
    ]
    status = error.status if error else 422 if act and form.errors else 200
    return shell.page(request, "lab/withdraw.html", context, status=status)
