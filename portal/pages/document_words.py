"""Words for documents of what was paid and for tax invoices, none of which has a tone."""

from __future__ import annotations

from typing import Any, Final

from vouchers.invoices import words
from vouchers.invoices.models import ChargeDocument, Fapiao, SalesTax

__all__ = ["PLAIN"]

PLAIN: Final[dict[str, Any]] = {
    "fapiao_colour": dict(Fapiao.Colour.choices),
    "fapiao_kind": dict(Fapiao.Kind.choices),
    "fapiao_covers": dict(Fapiao.Covers.choices),
    "tax_rate": dict(SalesTax.Rate.choices),
    "document": dict(ChargeDocument.Kind.choices),
    "cancelled": words.WHYS,
}
