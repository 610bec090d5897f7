"""The vouchers an organisation can pay an instrument's use with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext

from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages.templatetags.show import bilingual, percent
from scheduler.resources.rules import ServiceClass
from vouchers.charges import rules as charge_rules
from vouchers.charges import services as charges
from vouchers.ledger import queries as ledger
from vouchers.wallets import access
from vouchers.wallets.models import Voucher

__all__ = ["Purse", "first_that_pays", "purses_of"]


@dataclass(frozen=True, slots=True)
class Purse:
    """A voucher and what is left on it."""

    voucher: Voucher
    available: Money

    @property
    def label(self) -> str:
        """Say which voucher, how much of a bill it pays, and what is left."""
        terms = charges.terms_of(self.voucher)
        name = bilingual(self.voucher.application.version)
        values = {"name": name, "share": percent(terms.share), "left": self.available, "number": self.voucher.number}
        return gettext("%(name)s：抵扣 %(share)s，可用 %(left)s（%(number)s）") % values


def purses_of(actor: Actor, *, now: datetime, service: ServiceClass = ServiceClass.INSTRUMENT_USE) -> list[Purse]:
    """Return the actor's vouchers that are valid now, pay for `service` and have something left. Two queries."""
    if not actor.may(Permission.VOUCHER_READ_OWN):
        return []
    held = list(
        access.vouchers_of(actor)
        .filter(state=Voucher.State.ACTIVE, valid_from__lte=now, valid_until__gt=now)
        .filter(Q(services=[]) | Q(services__contains=[service.value]))
    )
    left = ledger.balances(account_ids=[voucher.account_id for voucher in held])
    purses = [Purse(voucher, Money(left[voucher.account_id].available_fen)) for voucher in held]
    return [purse for purse in purses if purse.available.fen > 0]


def first_that_pays(
    purses: Sequence[Purse], price: Money, *, now: datetime, service: ServiceClass = ServiceClass.INSTRUMENT_USE
) -> str:
    """Return the number of the first voucher (first to expire) that can pay its share of `price`, or ""."""
    for purse in purses:
        terms = charges.terms_of(purse.voucher)
        if not charge_rules.voucher_refusals(
            price, terms=terms, available=purse.available, service=service.value, at=now
        ):
            return purse.voucher.number
    return ""
