"""Reach documents and tax invoices: the payer and the provider see their own, finance and auditors see all."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from vouchers.charges import access as charges
from vouchers.charges.models import Charge
from vouchers.charges.rules import ChargeState
from vouchers.invoices import rules
from vouchers.invoices.models import ChargeDocument, Fapiao, SalesTax

__all__ = [
    "documents_visible_to",
    "fapiaos_visible_to",
    "get_document",
    "get_fapiao",
    "get_taken",
    "open_for",
    "served",
    "taken_visible_to",
    "taxes_of",
]


def taken_visible_to(actor: Actor) -> QuerySet[Charge]:
    """Return the captured charges whose documents the actor may see: as payer, as provider, or as finance."""
    seen = charges.visible_to(actor)
    if not actor.may(Permission.LEDGER_READ) and actor.may(Permission.INVOICE_ISSUE):
        seen = seen | Charge.objects.select_related("payer", "provider", "voucher").filter(
            provider_id=actor.organisation_id
        )
    return seen.filter(state=ChargeState.CAPTURED.value, actual_fen__gt=0)


def get_taken(actor: Actor, number: str) -> Charge:
    """Return a captured charge whose documents the actor may see. Raises NotFound."""
    found = taken_visible_to(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def documents_visible_to(actor: Actor) -> QuerySet[ChargeDocument]:
    """Return the documents the actor may see."""
    rows = ChargeDocument.objects.select_related("charge__payer", "charge__provider", "cancels", "cancelled_by")
    return rows.filter(charge__in=taken_visible_to(actor).order_by().values("pk"))


def get_document(actor: Actor, number: str) -> ChargeDocument:
    """Return a document the actor may see. Raises NotFound."""
    found = documents_visible_to(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def fapiaos_visible_to(actor: Actor) -> QuerySet[Fapiao]:
    """Return the tax invoices the actor may see: its own as buyer, those on its sales as seller, all for finance."""
    rows = Fapiao.objects.select_related(
        "charge__payer", "charge__provider", "original", "file", "replaces", "replaced_by"
    )
    if actor.may(Permission.LEDGER_READ):
        return rows
    mine = Q(pk__in=[])
    if actor.may(Permission.VOUCHER_READ_OWN):
        mine |= Q(charge__payer_id=actor.organisation_id)
    if actor.may(Permission.INVOICE_ISSUE):
        mine |= Q(charge__provider_id=actor.organisation_id)
    return rows.filter(mine)


def get_fapiao(actor: Actor, number: str) -> Fapiao:
    """Return a tax invoice the actor may see. Raises NotFound."""
    found = fapiaos_visible_to(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def served(actor: Actor) -> QuerySet[Fapiao]:
    """Return the tax invoices the actor's organisation is to issue or has issued."""
    if not actor.may(Permission.INVOICE_ISSUE):
        return Fapiao.objects.none()
    return fapiaos_visible_to(actor).filter(charge__provider_id=actor.organisation_id)


def open_for(actor: Actor) -> QuerySet[Fapiao]:
    """Return those the actor's organisation still has to issue."""
    return served(actor).filter(state__in=[rules.FapiaoState.REQUESTED.value, rules.FapiaoState.ACCEPTED.value])


def taxes_of(actor: Actor) -> QuerySet[SalesTax]:
    """Return the tax the actor's organisation states of its sales. Raises Forbidden."""
    actor.require(Permission.INVOICE_ISSUE)
    return SalesTax.objects.filter(provider_id=actor.organisation_id).order_by("service")
