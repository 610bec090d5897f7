"""Reach vouchers: the holder sees its own, the officers of the granting department see their programmes'."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from vouchers.wallets.models import Voucher

RELATED = ("application", "application__version", "application__version__programme")


def vouchers_of(actor: Actor) -> QuerySet[Voucher]:
    """Return the vouchers of the actor's organisation, first to expire first."""
    actor.require(Permission.VOUCHER_READ_OWN)
    return Voucher.objects.filter(holder_id=actor.organisation_id).select_related(*RELATED)


def get_voucher(actor: Actor, number: str) -> Voucher:
    """Return a voucher of the actor's organisation. Raises NotFound: a foreign voucher does not exist."""
    voucher = vouchers_of(actor).filter(number=number).first()
    if voucher is None:
        raise NotFound(field="voucher")
    return voucher


def get_vouchers(actor: Actor, numbers: Sequence[str]) -> list[Voucher]:
    """Return vouchers of the actor's organisation, each once, in the order asked for. Raises NotFound for any other."""
    wanted = list(dict.fromkeys(numbers))
    if not wanted:
        return []
    found = {voucher.number: voucher for voucher in vouchers_of(actor).filter(number__in=wanted)}
    if len(found) != len(wanted):
        raise NotFound(field="voucher")
    return [found[number] for number in wanted]


def register(actor: Actor) -> QuerySet[Voucher]:
    """Return the vouchers granted under the programmes of the actor's department. Raises Forbidden."""
    actor.require(Permission.VOUCHER_REGISTER)
    return Voucher.objects.filter(application__version__programme__department_id=actor.organisation_id).select_related(
        *RELATED, "holder"
    )


def get_registered(actor: Actor, number: str) -> Voucher:
    """Return a voucher of the actor's department's register. Raises NotFound, Forbidden."""
    voucher = register(actor).filter(number=number).first()
    if voucher is None:
        raise NotFound(field="voucher")
    return voucher
