"""The vouchers an organisation can pay an instrument's use with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django import forms
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages.templatetags.show import bilingual, percent
from scheduler.resources.rules import ServiceClass
from vouchers.charges import rules as charge_rules
from vouchers.charges import services as charges
from vouchers.ledger import queries as ledger
from vouchers.wallets import access
from vouchers.wallets.models import Voucher

__all__ = ["MoreVouchers", "PayWith", "Purse", "chosen", "first_that_pays", "offer_all", "purses_of"]


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


def purses_of(actor: Actor, *, now: datetime, service: StrEnum = ServiceClass.INSTRUMENT_USE) -> list[Purse]:
    """Return the actor's vouchers that are valid now, are for `service` and have something left. Two queries.

    Those that pay back on a claim are among them: `PayWith` does not offer them, but says what to do with them.
    """
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
    purses: Sequence[Purse], price: Money, *, now: datetime, service: StrEnum = ServiceClass.INSTRUMENT_USE
) -> str:
    """Return the number of the first voucher (first to expire) that can pay its share of `price`, or ""."""
    for purse in purses:
        lot = charge_rules.Lot(charges.terms_of(purse.voucher), purse.available)
        if not charge_rules.voucher_refusals(price, lots=[lot], service=service.value, at=now):
            return purse.voucher.number
    return ""


class PayWith(forms.CharField):
    """The voucher that pays, or none; below it, which vouchers pay back later and how."""

    def __init__(self) -> None:
        super().__init__(label=_("付款方式"), required=False, widget=forms.Select)

    def offer(self, purses: Sequence[Purse]) -> None:
        """Offer the vouchers that pay at purchase, and paying all oneself."""
        widget = self.widget
        assert isinstance(widget, forms.Select)
        widget.choices = [*_choices(purses), ("", gettext("全部自付"))]
        later = [purse.voucher.number for purse in purses if not purse.voucher.deducts]
        if later:
            self.help_text = gettext(
                "%(numbers)s 为先付后补，不能在此抵扣：请先全部自付，取得发票后在“申领”中申领。"
            ) % {"numbers": gettext("、").join(later)}


def _choices(purses: Sequence[Purse]) -> list[tuple[str, str]]:
    return [(purse.voucher.number, purse.label) for purse in purses if purse.voucher.deducts]


class MoreVouchers(forms.MultipleChoiceField):
    """Further vouchers that pay the same bill, beside the one chosen first; hidden while there is only one."""

    def __init__(self) -> None:
        super().__init__(
            label=_("同时使用其他券"),
            required=False,
            widget=forms.CheckboxSelectMultiple,
            help_text=_("先到期的先用，每张最多支付自己的比例；同一政策的券合计不超过其比例。"),
        )

    def offer(self, purses: Sequence[Purse]) -> None:
        """Offer the vouchers that pay at purchase."""
        choices = _choices(purses)
        self.choices = choices
        if len(choices) < 2:
            self.widget = forms.MultipleHiddenInput()

    def valid_value(self, value: str) -> bool:  # noqa: ARG002
        """Take any number: whether it may pay is judged with all other reasons, not by the field."""
        return True


def offer_all(form: forms.Form, purses: Sequence[Purse]) -> None:
    """Offer the vouchers in a form's `voucher` and `more`."""
    for name in ("voucher", "more"):
        field = form.fields[name]
        assert isinstance(field, PayWith | MoreVouchers)
        field.offer(purses)


def chosen(actor: Actor, purses: Sequence[Purse], values: Mapping[str, Any]) -> list[Voucher]:
    """Return the vouchers a form's `voucher` and `more` name, each once. Raises NotFound at the field for a foreign one."""
    numbers = dict.fromkeys(number for number in [values.get("voucher") or "", *(values.get("more") or [])] if number)
    known = {purse.voucher.number: purse.voucher for purse in purses}
    if all(number in known for number in numbers):
        return [known[number] for number in numbers]
    return access.get_vouchers(actor, list(numbers))
