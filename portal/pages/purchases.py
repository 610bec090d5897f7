"""Orders and payments: everything an enterprise bought with what is paid, due and owed back, its receipt and fapiao."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.kernel.actors import Permission
from portal.kernel.money import Money
from portal.pages import exports, shell
from portal.pages.actions import subject_link
from portal.pages.labels import label_of
from portal.pages.purchase_words import BOUGHT, PAPERS, STANDINGS
from portal.pages.templatetags.show import bilingual
from vouchers.charges.models import Charge
from vouchers.purchases import access, queries
from vouchers.purchases.rules import Bought, Papers, Standing

__all__ = ["purchases"]

SORTS = {
    "created": ["created_at"],
    "price": ["price_fen"],
    "own": ["own_held_fen"],
    "provider": ["provider__name"],
}
DAY = timedelta(days=1)


class Filters(forms.Form):
    """What the list may be narrowed to; days are of Beijing, both included."""

    q = forms.CharField(label=_("订单、付款号、附言码或单位"), required=False, max_length=60)
    standing = forms.ChoiceField(label=_("付款情况"), required=False, choices=[("", _("全部")), *STANDINGS.items()])
    kind = forms.ChoiceField(label=_("类别"), required=False, choices=[("", _("全部")), *BOUGHT.items()])
    papers = forms.ChoiceField(label=_("发票"), required=False, choices=[("", _("全部")), *PAPERS.items()])
    since = forms.DateField(label=_("起始日期"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=_("截止日期"), required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def narrowing(self) -> queries.Narrowing:
        """Return what can be read of it; a value not on offer narrows nothing."""
        self.full_clean()
        said = getattr(self, "cleaned_data", {})
        since, until = said.get("since"), said.get("until")
        return queries.Narrowing(
            standing=Standing(said["standing"]) if said.get("standing") else None,
            kind=Bought(said["kind"]) if said.get("kind") else None,
            papers=Papers(said["papers"]) if said.get("papers") else None,
            since=_begin(since) if since else None,
            until=_begin(until) + DAY if until else None,
            text=said.get("q") or "",
        )


def _begin(day: Any) -> datetime:
    return datetime.combine(day, time.min, tzinfo=timezone.get_default_timezone())


@shell.needs(Permission.VOUCHER_READ_OWN)
def purchases(request: HttpRequest) -> HttpResponse:
    """List what the organisation bought, or hand the list out as a file. Six queries whatever the page."""
    own = access.own_purchases(shell.actor_of(request))
    filters = Filters(request.GET)
    found = queries.narrowed(own, filters.narrowing())
    if (wanted := request.GET.get("format", "")) in exports.FORMATS:
        return _exported(queries.with_papers(found.order_by("-pk")[: shell.EXPORT_LIMIT]), wanted)
    listing = shell.listing(request, queries.with_papers(found), sorts=SORTS, default="-created")
    return shell.page(
        request,
        "payments/purchases.html",
        {
            "listing": listing,
            "filters": filters,
            "filtered": any(request.GET.get(name) for name in filters.fields),
            "sums": queries.sums(own),
            "rows": [(row, *subject_link(row.charge.subject)) for row in map(queries.row, listing.rows)],
        },
    )


def _exported(rows: Iterable[Charge], wanted: str) -> HttpResponse:
    head = (
        *(gettext("订单"), gettext("类别"), gettext("提供单位"), gettext("下单时间"), gettext("付款情况")),
        *(gettext("金额（元）"), gettext("券抵扣（元）"), gettext("自付（元）"), gettext("已付（元）")),
        *(gettext("待付（元）"), gettext("服务退款（元）"), gettext("已退还（元）"), gettext("待退还（元）")),
        *(gettext("付款号"), gettext("收款凭证"), gettext("发票状态"), gettext("发票号码")),
    )
    return exports.exported("purchases", wanted, head, (_cells(queries.row(charge)) for charge in rows))


def _cells(row: queries.Row) -> list[Any]:
    figures = row.figures
    return [
        *(row.subject, BOUGHT.get(row.kind, row.kind), bilingual(row.charge.provider)),
        timezone.localtime(row.charge.created_at).isoformat(timespec="minutes"),
        label_of("purchase", row.standing.value)[1],
        *(Money(figures.price), Money(figures.voucher), Money(figures.own), Money(figures.paid)),
        *(Money(figures.due), Money(figures.refunded), Money(figures.back), Money(figures.owed_back)),
        row.payment.number if row.payment else "",
        row.receipt,
        label_of("fapiao", row.fapiao.state)[1] if row.fapiao else "",
        row.fapiao.printed_number if row.fapiao else "",
    ]
