"""Reach vouchers: the holder sees its own."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from vouchers.wallets.models import Voucher


def vouchers_of(actor: Actor) -> QuerySet[Voucher]:
    """Return the vouchers of the actor's organisation, first to expire first."""
    actor.require(Permission.VOUCHER_READ_OWN)
    return Voucher.objects.filter(holder_id=actor.organisation_id).select_related(
        "application", "application__version", "application__version__programme"
    )


def get_voucher(actor: Actor, number: str) -> Voucher:
    """Return a voucher of the actor's organisation. Raises NotFound: a foreign voucher does not exist."""
    voucher = vouchers_of(actor).filter(number=number).first()
    if voucher is None:
        raise NotFound(field="voucher")
    return voucher
