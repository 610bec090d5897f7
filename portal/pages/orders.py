"""Orders: one's own, one order with its money, files, usage and story, and every act on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import charts
from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages import actions, files, shell
from portal.pages.booking_requests import arrived
from portal.pages.templatetags.show import bilingual, label
from portal.wire import language
from vouchers.charges import prices
from vouchers.evidence import access as evidence
from vouchers.offers import access, orders, prepaying, queries, rules
from vouchers.offers.models import Order

__all__ = ["OrderFilter", "order", "order_file", "order_page", "orders_csv", "orders_list", "overseen"]

S, A = rules.OrderState, rules.OrderAction
SORTS = {
    "number": ["number"],
    "title": ["offer__title"],
    "price": ["charge__price_fen"],
    "state": ["state"],
    "placed": ["placed_at"],
}
PARTIES = (Permission.ORDER_PLACE, Permission.ORDER_SERVE, Permission.ORDER_READ)


class OrderFilter(forms.Form):
    """What a list of orders may be narrowed to."""

    q = forms.CharField(label=_("关键词"), max_length=80, required=False)
    state = forms.ChoiceField(label=_("状态"), required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter_%s")
        self.fields["q"].widget.attrs.update({"type": "search", "placeholder": gettext("订单号、服务或单位")})
        states = self.fields["state"]
        assert isinstance(states, forms.ChoiceField)
        states.choices = [("", gettext("全部")), *Order.State.choices]
        self.full_clean()

    def narrow(self, found: QuerySet[Order]) -> QuerySet[Order]:
        """Return what the filter leaves; a value not on offer narrows nothing."""
        if state := self.cleaned_data.get("state"):
            found = found.filter(state=state)
        return queries.matching_orders(found, self.cleaned_data.get("q") or "")


@shell.needs(Permission.ORDER_PLACE)
def orders_list(request: HttpRequest) -> HttpResponse:
    """List the organisation's orders."""
    return _list(request, access.own_orders(shell.actor_of(request)), buying=True)


@shell.needs(Permission.ORDER_READ)
def overseen(request: HttpRequest) -> HttpResponse:
    """List the orders paid with vouchers of the department's programmes, to look at."""
    return _list(request, access.overseen_orders(shell.actor_of(request)), buying=False)


def _list(request: HttpRequest, found: QuerySet[Order], *, buying: bool) -> HttpResponse:
    filters = OrderFilter(request.GET)
    found = filters.narrow(found)
    if shell.wants_csv(request):
        return orders_csv(found, told=buying)
    listing = shell.listing(request, found, sorts=SORTS, default="-placed")
    context = {"filters": filters, "listing": listing, "buying": buying}
    return shell.page(request, "orders/list.html", context)


def orders_csv(found: QuerySet[Order], *, told: bool) -> HttpResponse:
    """Return orders as a file; `told` says whether the reader may know what they are for."""
    head = (
        *(
            gettext("订单号"),
            gettext("服务"),
            gettext("类别"),
            gettext("采购单位"),
            gettext("提供单位"),
            gettext("用途"),
        ),
        *(gettext("状态"), gettext("下单时间"), gettext("冻结（元）"), gettext("其中券（元）")),
        *(gettext("实际（元）"), gettext("其中券抵扣（元）"), gettext("自付（元）")),
    )
    rows = found.order_by("-pk")[: shell.EXPORT_LIMIT]
    return shell.csv_response("orders", head, (_csv_row(row, told=told) for row in rows))


def _csv_row(row: Order, *, told: bool) -> tuple[object, ...]:
    charge = row.charge
    assert charge is not None
    captured = charge.actual_fen is not None
    return (
        *(row.number, bilingual(row.offer, "title"), label(row.offer.kind, "offer_kind")),
        *(bilingual(row.organisation), bilingual(row.offer.provider), row.purpose if told else ""),
        *(label(row.state, "order"), f"{timezone.localtime(row.placed_at):%Y-%m-%d %H:%M}"),
        *(Money(charge.price_fen).yuan(), Money(charge.voucher_held_fen).yuan()),
        Money(charge.actual_fen).yuan() if charge.actual_fen is not None else "",
        Money(charge.voucher_captured_fen).yuan() if captured else "",
        Money(charge.own_captured_fen).yuan() if captured else "",
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an order's way: ``done``, ``now``, ``bad`` or still to come."""

    css: str
    name: str
    note: str = ""


def _steps(made: Order) -> list[Step]:
    state = S(made.state)
    ended = {S.DECLINED: gettext("未接单"), S.CANCELLED: gettext("已取消"), S.LAPSED: gettext("逾期未接单")}
    if queries.is_unpaid(made):
        ended[S.LAPSED] = gettext("逾期未预付")
    if state in ended:
        return [Step("done", gettext("提交")), Step("bad", ended[state], gettext("冻结的费用已全部退回"))]
    way = [S.PLACED, S.ACCEPTED, S.DELIVERING, S.DELIVERED, S.COMPLETED]
    at = way.index(S.DELIVERED if state is S.DISPUTED else state)
    names = (gettext("提交"), gettext("已接单"), gettext("交付"), gettext("提交验收"), gettext("验收结算"))
    notes = (gettext("等待提供单位接单"), gettext("等待开始交付"), gettext("正在交付"), gettext("等待采购单位验收"), "")
    if queries.waits_for_money(made):
        notes = (gettext("等待采购单位预付"), gettext("等待采购单位预付"), *notes[2:])
    steps = [
        Step("done" if place <= at else "now" if place == at + 1 else "", name, notes[at] if place == at + 1 else "")
        for place, name in enumerate(names)
    ]
    if state is S.DISPUTED:
        steps[-1] = Step("bad", gettext("有异议"), gettext("结算暂停，等待提供单位处理"))
    return steps


def _can(actor: Actor, made: Order) -> Mapping[str, bool]:
    """Return which acts the order's state and the actor's part in it allow."""
    state = S(made.state)
    mine, served = access.is_buyer(actor, made), access.is_provider(actor, made)
    sides = {**dict.fromkeys((A.CANCEL, A.APPROVE, A.DISPUTE), mine)}
    sides |= dict.fromkeys((A.ACCEPT, A.DECLINE, A.BEGIN, A.DELIVER, A.GIVE_UP), served)
    sides[A.RULE] = not mine and not served and actor.may(Permission.ORDER_RULE)
    allowed = {act.value: part and (state, act) in rules.TRANSITIONS for act, part in sides.items()}
    allowed[A.BEGIN.value] = allowed[A.BEGIN.value] and not queries.waits_for_money(made)
    usage = served and state in {S.DELIVERING, S.DISPUTED}
    charge = made.charge
    refunds = served and actor.may(Permission.CHARGE_REFUND) and charge is not None and charge.refundable_fen > 0
    return {
        **allowed,
        "refund": refunds and state is S.COMPLETED,
        "mine": mine,
        "serves": served,
        "usage": usage,
        "part": mine or served,
    }


@shell.needs(*PARTIES)
def order(request: HttpRequest, number: str) -> HttpResponse:
    """Show one order to its buyer, its provider, or the department whose voucher pays it."""
    return order_page(request, access.get_order(shell.actor_of(request), number))


def order_page(request: HttpRequest, made: Order, *, error: Explained | None = None) -> HttpResponse:
    """Render an order's page, with what went wrong when an act on it was refused."""
    actor = shell.actor_of(request)
    can = _can(actor, made)
    days = queries.usage_by_day(made)
    usage = queries.priced(made, _summed(days)) if days else None
    context = {
        "order": made,
        "charge": made.charge,
        "parts": list(made.charge.parts.select_related("voucher")) if made.charge else [],
        "wanted": queries.priced(made, queries.lines_of(made.wanted)),
        "delivered": queries.priced(made, queries.lines_of(made.delivered)) if made.delivered else None,
        "proposed": queries.priced(made, queries.lines_of(made.proposed)) if made.proposed else None,
        "usage": usage,
        "usage_lines": sum(day.lines for day in days),
        "chart": _chart(made, days) if len({day.day for day in days}) > 1 else "",
        "split": _split(made),
        "steps": _steps(made),
        **_advance(actor, made, part=can["part"]),
        "can": can,
        "files": list(evidence.files_of(made.subject)),
        "purposes": _purposes(can),
        "trail": actions.events(audit.trail(made.subject, actor=actor)) if can["part"] else [],
        "error": error,
    }
    return shell.page(request, "orders/order.html", context, status=error.status if error else 200)


def _advance(actor: Actor, made: Order, *, part: bool) -> dict[str, Any]:
    """Return what an order's page says of its advance, and of the order that lapsed before or took its place."""
    asked = queries.advance(made) if part else None
    waits = queries.waits_for_money(made)
    return {
        "advance": asked,
        "waits_for_money": waits,
        "lapses_at": prepaying.ends_at(asked) if asked else None,
        "may_pay": waits and access.is_buyer(actor, made) and actor.may(Permission.PAYMENT_DECLARE),
        "again": Order.objects.filter(again_of=made).first() if asked else None,
    }


def _summed(days: Sequence[queries.Day]) -> list[prices.Line]:
    return [prices.Line(day.code, day.quantity) for day in days]


def _chart(made: Order, days: Sequence[queries.Day]) -> str:
    """Draw the use by day; one series an item. The list of lines says the same in numbers."""
    names = {item.code: item for item in queries.items_of(made.price_list)}
    points = tuple(
        charts.Point(
            label=f"{day.day:%m-%d}",
            amount=float(day.quantity),
            text=f"{prices.text(day.quantity)} {label(names[day.code].unit.value, 'price_unit')}",
            series=bilingual(names[day.code]),
        )
        for day in days
    )
    chart = charts.Chart(
        kind=charts.Kind.LINE,
        title=gettext("每日用量"),
        description=charts.text_of(list(points)),
        points=points,
        amounts=gettext("用量"),
        language=language(),
    )
    return charts.cached(chart)


def _split(made: Order) -> list[dict[str, Any]]:
    """Return the rows of the money table: held, captured, given back; each for voucher, own and both."""
    charge = made.charge
    assert charge is not None
    held = (charge.voucher_held_fen, charge.own_held_fen)
    taken = (charge.voucher_captured_fen, charge.own_captured_fen)
    rows = [(gettext("下单时冻结"), held)]
    if charge.state != charge.State.HELD.value:
        rows.append((gettext("实际结算"), taken))
        rows.append((gettext("已退回"), (held[0] - taken[0], held[1] - taken[1])))
    if charge.refunded_fen:
        rows.append((gettext("验收后退款"), (charge.voucher_refunded_fen, charge.own_refunded_fen)))
    return [{"name": name, "voucher": part[0], "own": part[1], "total": sum(part)} for name, part in rows]


def _purposes(can: Mapping[str, bool]) -> list[tuple[str, str]]:
    """Return what a file may be that the reader brings; usage files come through their own page."""
    sides = [
        purpose
        for purpose in rules.FilePurpose
        if purpose is not rules.FilePurpose.USAGE and (can["mine"] if purpose in orders.BUYERS_FILES else can["serves"])
    ]
    return [(purpose.value, label(purpose.value, "order_file")) for purpose in sides]


@shell.needs(*PARTIES)
def order_file(request: HttpRequest, number: str, file_id: int) -> HttpResponse:
    """Hand out a file of an order to those who may see the order."""
    made = access.get_order(shell.actor_of(request), number)
    return files.handed_out(request, evidence.get_file(made.subject, file_id))


@shell.needs(Permission.ORDER_PLACE, Permission.ORDER_SERVE)
def order_upload(request: HttpRequest, number: str) -> HttpResponse:
    """Keep a file with an order; a refusal says why on the order's page."""
    actor, now = shell.actor_of(request), timezone.now()
    made = access.get_order(actor, number)
    upload = files.upload_of(request)
    if request.method != "POST" or upload is None:
        if request.method == "POST":
            text = gettext("请选择要上传的文件。")
            return order_page(request, made, error=Explained(422, "file.missing", text, ()))
        return arrived(request, reverse("order", args=[number]))
    purpose = request.POST.get("purpose", "")
    _kept, error = shell.attempt(
        lambda: orders.add_file(actor=actor, order=made, purpose=purpose, upload=upload, now=now)
    )
    if error is not None:
        return order_page(request, made, error=error)
    messages.success(request, gettext("文件已保存。"))
    return arrived(request, reverse("order", args=[number]))
