"""Words for documents of what was paid and for tax invoices, none of which has a tone."""

from __future__ import annotations

from typing import Any, Final

from portal.kernel.errors import noop
from vouchers.claims.printed import InvoiceMark
from vouchers.invoices import words
from vouchers.invoices.models import ChargeDocument, Fapiao, SalesTax

__all__ = ["PLAIN"]

_ = noop

PLAIN: Final[dict[str, Any]] = {
    "fapiao_colour": dict(Fapiao.Colour.choices),
    "fapiao_kind": dict(Fapiao.Kind.choices),
    "fapiao_covers": dict(Fapiao.Covers.choices),
    "tax_rate": dict(SalesTax.Rate.choices),
    "document": dict(ChargeDocument.Kind.choices),
    "cancelled": words.WHYS,
    "claim_invoice": {
        InvoiceMark.UNKNOWN.value: _("未在本平台开具"),
        InvoiceMark.KNOWN.value: _("本平台登记的发票，已核对"),
        InvoiceMark.RED.value: _("红字发票"),
        InvoiceMark.TAKEN_BACK.value: _("已有红字"),
    },
}
