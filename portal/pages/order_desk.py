"""The provider's orders: the queue by what is to be done, and the import of usage lines in two steps."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.core.cache import cache
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained, explain_reason
from portal.kernel.actors import Permission
from portal.kernel.errors import noop
from portal.kernel.money import Money
from portal.pages import acts, shell, slots
from portal.pages.booking_requests import arrived
from portal.pages.fields import YuanField
from portal.pages.orders import SORTS, OrderFilter, orders_csv
from portal.pages.templatetags.show import bilingual, label
from portal.tables.values import LIMITS
from vouchers.charges import prices, proposing, refunding
from vouchers.charges.models import ChargeProposal
from vouchers.evidence.services import Upload
from vouchers.offers import access, importing, queries, rules, usage
from vouchers.offers.models import MICRO, Order, UsageLine

__all__ = ["order_queue", "order_refund", "order_usage", "order_usage_csv", "order_usage_template"]

S = rules.OrderState
KEPT_S = 1800
"""How long a checked file waits for the word to import it, in seconds."""


TABS: Final[Mapping[str, str]] = {
    "placed": noop("待接单"),
    "work": noop("交付中"),
    "delivered": noop("待验收"),
    "disputed": noop("有异议"),
    "all": noop("全部"),
}
HOLDS: Final[Mapping[str, Q]] = {
    "placed": Q(state=S.PLACED.value),
    "work": Q(state__in=[S.ACCEPTED.value, S.DELIVERING.value]),
    "delivered": Q(state=S.DELIVERED.value),
    "disputed": Q(state=S.DISPUTED.value),
    "all": Q(),
}


@shell.needs(Permission.ORDER_SERVE)
def order_queue(request: HttpRequest) -> HttpResponse:
    """List the orders on the provider's offers by what is to be done with them."""
    served = access.served_orders(shell.actor_of(request))
    chosen = request.GET.get("tab", "")
    chosen = chosen if chosen in HOLDS else "placed"
    filters = OrderFilter(request.GET)
    found = served.filter(HOLDS[chosen])
    if chosen == "all":
        found = filters.narrow(found)
    if shell.wants_csv(request):
        return orders_csv(found, told=True)
    counts = served.select_related(None).aggregate(
        **{key: Count("pk", filter=which) for key, which in HOLDS.items() if key != "all"}
    )
    context = {
        "tabs": [
            {"key": key, "name": gettext(name), "count": counts.get(key), "chosen": key == chosen}
            for key, name in TABS.items()
        ],
        "chosen": chosen,
        "filters": filters,
        "listing": shell.listing(request, found, sorts=SORTS, default="-placed" if chosen == "all" else "placed"),
    }
    return shell.page(request, "orders/queue.html", context)


class RefundForm(forms.Form):
    """How much of a settled order goes back, and why."""

    amount = YuanField(label=_("退款金额"))
    reason = forms.CharField(
        label=_("原因"), max_length=200, widget=forms.Textarea(attrs={"rows": 3}), help_text=_("采购单位会看到。")
    )


@shell.needs(Permission.CHARGE_REFUND)
def order_refund(request: HttpRequest, number: str) -> HttpResponse:
    """Give money of a settled order back, as its provider: each part goes to where it came from."""
    actor, now = shell.actor_of(request), timezone.now()
    order = access.get_served(actor, number)
    charge = order.charge
    if charge is None or charge.refundable_fen <= 0:
        return redirect("order", number)
    key = request.POST.get("idempotency_key", "")
    form = RefundForm(request.POST if request.method == "POST" else None)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        made, error = acts.attempt_on(
            "charge",
            lambda: proposing.refund_or_propose(
                actor=actor,
                charge=charge,
                amount=said["amount"],
                grounds=refunding.Grounds(said["reason"]),
                now=now,
                key=shell.key_of(request),
            ),
        )
        if error is None and isinstance(made, ChargeProposal):
            messages.success(
                request, gettext("已提出退款申请 %(number)s，等待另一位同事批准。") % {"number": made.number}
            )
            return arrived(request, reverse("order", args=[number]))
        if error is None:
            messages.success(request, gettext("已退款 %(amount)s，按原付款方式退回。") % {"amount": said["amount"]})
            return arrived(request, reverse("order", args=[number]))
        error = slots.put_back(form, error)
    context = {
        "order": order,
        "most": Money(charge.refundable_fen),
        "form": form,
        "error": error,
        "key": key or shell.new_key(),
        "path": request.path,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "orders/refund.html", context, status=status)


class UsageForm(forms.Form):
    """A file of usage lines."""

    file = forms.FileField(
        label=_("用量文件"),
        help_text=_("xlsx 或 CSV，不超过 10 MB、2 万行。先检查，确认无误再导入。"),
        allow_empty_file=True,
        error_messages={"required": _("请选择一个文件。")},
    )

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["file"].widget.attrs["accept"] = ".xlsx,.csv"


def _kept(user_id: int | None, order: Order, token: str) -> str:
    return f"usage:{user_id}:{order.number}:{token}"


@shell.needs(Permission.ORDER_SERVE)
def order_usage(request: HttpRequest, number: str) -> HttpResponse:
    """Take a file of usage lines in two steps: look at what it would do, then import it. Or withdraw an import."""
    actor, now = shell.actor_of(request), timezone.now()
    order = access.get_served(actor, number)
    if request.method != "POST":
        return _usage_page(request, order, UsageForm())
    if withdrawn := request.POST.get("withdraw"):
        return _withdraw(request, order, withdrawn)
    if token := request.POST.get("token"):
        return _import(request, order, token)
    form = UsageForm(request.POST, request.FILES)
    if not form.is_valid():
        return _usage_page(request, order, form)
    sent = form.cleaned_data["file"]
    upload = Upload(sent.name or "file", sent.read(LIMITS.size + 1))
    found, error = shell.attempt(lambda: importing.preview_file(order=order, upload=upload, now=now))
    if error is not None:
        return _usage_page(request, order, form, error=slots.put_back(form, error))
    token = secrets.token_urlsafe(16)
    if found.ready:
        cache.set(_kept(actor.user_id, order, token), {"name": upload.name, "content": upload.content}, KEPT_S)
    reasons = [problem.reason for problem in found.problems] + list(found.conflicts)
    context = {
        "order": order,
        "file": upload.name,
        "found": found,
        "lines": found.new[:20],
        "items": {item.code: item for item in queries.items_of(order.price_list)},
        "reasons": [explain_reason(reason) for reason in reasons],
        "token": token,
    }
    return shell.page(request, "orders/usage_check.html", context, status=200 if found.ready else 422)


def _import(request: HttpRequest, order: Order, token: str) -> HttpResponse:
    actor, now = shell.actor_of(request), timezone.now()
    kept = cache.get(_kept(actor.user_id, order, token))
    if kept is None:
        text = gettext("检查结果已过期或已导入，请重新选择文件。")
        return _usage_page(request, order, UsageForm(), error=Explained(409, "usage.expired", text, ()))
    upload = Upload(kept["name"], kept["content"])
    done, error = shell.attempt(lambda: importing.import_file(actor=actor, order=order, upload=upload, now=now))
    if error is not None:
        return _usage_page(request, order, UsageForm(), error=error)
    cache.delete(_kept(actor.user_id, order, token))
    if done.added:
        messages.success(request, gettext("已导入 %(added)s 行用量明细。") % {"added": done.added})
    else:
        messages.info(request, gettext("这些明细都已导入过，没有变化。"))
    return redirect("order_usage", order.number)


def _withdraw(request: HttpRequest, order: Order, pk: str) -> HttpResponse:
    actor, now = shell.actor_of(request), timezone.now()
    upload_id = int(pk) if pk.isascii() and pk.isdigit() and len(pk) < 19 else 0
    _done, error = shell.attempt(lambda: importing.withdraw(actor=actor, order=order, upload_id=upload_id, now=now))
    if error is not None:
        return _usage_page(request, order, UsageForm(), error=error)
    messages.success(request, gettext("已撤回这次导入，其中的明细不再计入。"))
    return redirect("order_usage", order.number)


def _usage_page(request: HttpRequest, order: Order, form: UsageForm, *, error: Explained | None = None) -> HttpResponse:
    used = queries.used(order)
    context = {
        "order": order,
        "form": form,
        "error": error,
        "priced": queries.priced(order, used) if used else None,
        "imports": order.imports.select_related("imported_by").order_by("-pk")[:50],
        "open": order.state in importing.OPEN,
        "columns": [{"title": gettext(column.title), "required": column.required} for column in usage.COLUMNS],
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "orders/usage.html", context, status=status)


@shell.needs(Permission.ORDER_PLACE, Permission.ORDER_SERVE, Permission.ORDER_READ)
def order_usage_csv(request: HttpRequest, number: str) -> HttpResponse:
    """Return the usage lines of an order that count, as a file that can be imported again."""
    order = access.get_order(shell.actor_of(request), number)
    units = {item.code: label(item.unit.value, "price_unit") for item in queries.items_of(order.price_list)}
    rows = UsageLine.objects.filter(order=order, active=True).order_by("day", "pk")[: shell.EXPORT_LIMIT]
    return shell.csv_response(
        f"usage-{order.number}",
        [gettext(column.title) for column in usage.COLUMNS],
        (_usage_row(row, units) for row in rows),
    )


def _usage_row(row: UsageLine, units: Mapping[str, str]) -> tuple[object, ...]:
    return (
        *(row.day.isoformat(), row.reference, row.code, prices.text(Fraction(row.quantity_micro, MICRO))),
        *(units[row.code], row.model, row.tokens_in, row.tokens_out),
        "" if row.stated_fen is None else Money(row.stated_fen).yuan(),
    )


@shell.needs(Permission.ORDER_SERVE)
def order_usage_template(request: HttpRequest, number: str) -> HttpResponse:
    """Return an empty file with the right headings, and one line that shows how it is filled in."""
    order = access.get_served(shell.actor_of(request), number)
    item = queries.items_of(order.price_list)[0]
    day = timezone.localtime(order.placed_at).date().isoformat()
    example = (day, "REF-0001", item.code, "1.5", label(item.unit.value, "price_unit"), bilingual(order.offer, "title"))
    head = [gettext(column.title) for column in usage.COLUMNS]
    return shell.csv_response("usage-template", head, [(*example, "", "", "")])
