"""Every act on an order: what it is called, what follows, and the quantities or the reason it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.pages import acts, shell
from portal.pages.booking_requests import arrived
from portal.pages.orders import order_page
from portal.pages.templatetags.show import bilingual, label
from vouchers.charges import prices
from vouchers.offers import access, disputes, orders, queries
from vouchers.offers.models import Order

__all__ = ["order_act"]


class ActForm(forms.Form):
    """Why, for the other side to read; and how much of each item, where the act asks for that."""

    note = forms.CharField(label=_("原因"), max_length=200, widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, data: Any, *, act: Act, asked: Sequence[Asked]) -> None:
        super().__init__(data)
        self.asked = asked
        self.fields["note"].required = act.note is True
        for at, one in enumerate(asked):
            field = forms.DecimalField(
                label=gettext("%(word)s：%(item)s") % {"word": act.counts, "item": bilingual(one.item)},
                required=act.must_count,
                min_value=0,
                max_value=one.most.numerator / one.most.denominator,
                max_digits=16,
                decimal_places=6,
                initial=one.said,
                widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
                help_text=gettext("最多 %(most)s %(unit)s")
                % {"most": prices.text(one.most), "unit": label(one.item.unit.value, "price_unit")},
            )
            self.fields[f"q{at}"] = field

    @property
    def quantities(self) -> list[forms.BoundField]:
        return [self[f"q{at}"] for at in range(len(self.asked))]

    def lines(self) -> list[prices.Line] | None:
        """Return what was counted; None where nothing was asked for or said."""
        said = [(one.item.code, self.cleaned_data[f"q{at}"]) for at, one in enumerate(self.asked)]
        if all(quantity is None for _code, quantity in said):
            return None
        return [prices.Line(code, Fraction(quantity or 0)) for code, quantity in said]


@dataclass(frozen=True, slots=True)
class Asked:
    """One item whose quantity is asked for: at most `most`; `said` is what stands in the field at first."""

    item: prices.PriceItem
    most: Fraction
    said: str


@dataclass(frozen=True, slots=True)
class Act:
    """One act on an order: its words, what follows, whether it asks for a reason (True), may take one, or needs none."""

    do: Callable[..., Order]
    name: str
    follows: str
    done: str
    note: bool | None = None
    """True: a reason is required; False: it may be given; None: pressed at once, without a page of its own."""
    counts: str = ""
    """What the quantities it asks for are; empty: it asks for none."""
    must_count: bool = False


def _acts() -> Mapping[str, Act]:
    back = gettext("冻结的费用立即全部退回采购单位。")
    return {
        "accept": Act(orders.accept, gettext("接单"), "", gettext("已接单。")),
        "begin": Act(orders.begin, gettext("开始交付"), "", gettext("已开始交付。")),
        "decline": Act(orders.decline, gettext("不接单"), back, gettext("已回绝订单，费用已退回采购单位。"), note=True),
        "cancel": Act(orders.cancel, gettext("取消订单"), back, gettext("已取消，费用已全部退回。"), note=False),
        "give_up": Act(orders.give_up, gettext("放弃订单"), back, gettext("已放弃，费用已退回采购单位。"), note=True),
        "deliver": Act(
            orders.deliver,
            gettext("提交交付"),
            gettext("采购单位须在验收期内验收；少于订购数量的，只按实际交付结算，其余费用退回。"),
            gettext("已提交交付，等待验收。"),
            note=False,
            counts=gettext("实际交付"),
        ),
        "approve": Act(
            orders.approve,
            gettext("验收通过"),
            gettext("验收后立即按实际金额结算，不能撤回。"),
            gettext("已验收，费用已结算。"),
        ),
        **_disputing(),
    }


def _disputing() -> Mapping[str, Act]:
    return {
        "dispute": Act(
            disputes.dispute,
            pgettext("order", "提出异议"),
            gettext(
                "结算暂停，验收期停止计算，直到提供单位重新交付或放弃，或由主管部门裁决。只认可一部分的，请填写认可的数量。"
            ),
            gettext("已提出异议，结算暂停。"),
            note=True,
            counts=gettext("认可的数量"),
        ),
        "rule": Act(
            disputes.rule,
            gettext("裁决异议"),
            gettext("按裁决的数量立即结算，其余费用退回；全部为零的，订单取消。双方都会看到理由，不能撤回。"),
            gettext("已裁决。"),
            note=True,
            counts=gettext("计入结算的数量"),
            must_count=True,
        ),
    }


def _asked(act: str, made: Order) -> list[Asked]:
    """Return the quantities an act asks for: of what was ordered when delivering without usage lines, else of the delivery."""
    if act == "deliver":
        most = [] if queries.used(made) else queries.lines_of(made.wanted)
    else:
        most = queries.lines_of(made.delivered)
    accepted = {line.code: line.quantity for line in queries.lines_of(made.proposed)}
    items = {item.code: item for item in queries.items_of(made.price_list)}
    return [
        Asked(
            item=items[line.code],
            most=line.quantity,
            said=""
            if act == "dispute"
            else prices.text(min(line.quantity, accepted.get(line.code, Fraction(0))) if accepted else line.quantity),
        )
        for line in most
    ]


@shell.needs(Permission.ORDER_PLACE, Permission.ORDER_SERVE, Permission.ORDER_RULE)
def order_act(request: HttpRequest, number: str, act: str) -> HttpResponse:
    """Do one act on an order; those that ask for a reason or cannot be undone ask first, saying what follows."""
    actor, now = shell.actor_of(request), timezone.now()
    known = _acts()
    if act not in known:
        raise NotFound
    one, made = known[act], access.get_order(actor, number)
    asked = _asked(act, made) if one.counts else []
    form = ActForm(request.POST if request.method == "POST" else None, act=one, asked=asked)
    asks = one.note is not None or bool(one.follows)
    if request.method != "POST" or (asks and not form.is_valid()):
        context = {
            "order": made,
            "act": one,
            "form": form,
            "asks": one.note is not None,
            "path": request.path,
            "ordered": queries.priced(made, queries.lines_of(made.wanted)),
        }
        return shell.page(request, "orders/act.html", context, status=422 if form.errors else 200)
    more: dict[str, Any] = {"note": form.cleaned_data["note"]} if one.note is not None else {}
    if asked:
        more["quantities"] = form.lines()
    _done, error = acts.attempt_on("order", lambda: one.do(actor=actor, order=made, now=now, **more))
    if error is None:
        messages.success(request, one.done)
        return arrived(request, reverse("order", args=[number]))
    return order_page(request, access.get_order(actor, number), error=error)
