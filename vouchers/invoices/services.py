"""Ask for tax invoices, remember buyers and state tax rates."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Invalid, noop
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from portal.organisations.models import Organisation
from vouchers.charges import services as charges
from vouchers.charges.models import Charge, ChargePart
from vouchers.charges.rules import ChargeState
from vouchers.invoices import access, contents, rules, taxes
from vouchers.invoices.models import BuyerFacts, Fapiao, SalesTax
from vouchers.programmes.access import scheme_of
from vouchers.programmes.terms import InvoiceScope

__all__ = [
    "BadCategory",
    "blue",
    "buyer_of",
    "covered_fen",
    "covers_of",
    "lock",
    "move",
    "own_buyer",
    "record",
    "remember",
    "request",
    "state_tax",
    "withdraw",
]

_ = noop


class BadCategory(Invalid):
    code = "fapiao.category"
    message = _("税收分类编码须为 19 位数字，或留空。")


class NotPayer(Conflict):
    code = "fapiao.payer_only"
    message = _("只有付款单位可以申请这笔费用的发票。")


def record(fapiao: Fapiao, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    """Keep in the trail what was done with a tax invoice."""
    charge = fapiao.charge
    audit.record(
        action=action,
        subject=f"fapiao:{fapiao.number}",
        actor=actor,
        now=now,
        organisations=[charge.payer_id, charge.provider_id],
        data={"charge": charge.number, "amount_fen": fapiao.amount_fen, **data},
    )


def lock(fapiao: Fapiao) -> Fapiao:
    """Lock the charge, then the tax invoice: one after the other for all that happens to a charge's tax invoices."""
    charges.lock(fapiao.charge_id)
    return (
        Fapiao.objects.select_for_update(no_key=True, of=("self",))
        .select_related("charge__payer", "charge__provider", "original")
        .order_by("pk")
        .get(pk=fapiao.pk)
    )


def move(fapiao: Fapiao, action: rules.FapiaoAction) -> None:
    """Take a locked tax invoice one state further. Raises InvalidTransition."""
    fapiao.state = next_state(rules.TRANSITIONS, rules.FapiaoState(fapiao.state), action).value


def buyer_of(*, organisation: Organisation) -> rules.Buyer:
    """Return whom an organisation's tax invoices name: as remembered, else as it is registered."""
    known = BuyerFacts.objects.filter(organisation=organisation).first()
    if known is None:
        return rules.Buyer(title=organisation.name, credit_code=organisation.credit_code)
    return rules.Buyer(
        title=known.title,
        credit_code=known.credit_code,
        kind=rules.FapiaoKind(known.kind),
        address=known.address,
        phone=known.phone,
        bank=known.bank,
        account=known.account,
        email=known.email,
    )


def _own(actor: Actor) -> Organisation:
    actor.require(Permission.INVOICE_REQUEST)
    return Organisation.objects.get(pk=actor.acting_for)


def own_buyer(*, actor: Actor) -> rules.Buyer:
    """Return whom the actor's organisation's tax invoices name. Raises Forbidden."""
    return buyer_of(organisation=_own(actor))


@transaction.atomic
def remember(*, actor: Actor, buyer: rules.Buyer, now: datetime) -> BuyerFacts:
    """Keep whom the actor's organisation wants named on its tax invoices. Raises BadBuyer, Forbidden."""
    organisation = _own(actor)
    clean = rules.check_buyer(buyer, payer_code=organisation.credit_code)
    return _remember(organisation, clean, actor=actor, now=now)


def _remember(organisation: Organisation, buyer: rules.Buyer, *, actor: Actor, now: datetime) -> BuyerFacts:
    values = {**asdict(buyer), "kind": buyer.kind.value}
    known = BuyerFacts.objects.select_for_update(no_key=True).order_by("pk").filter(organisation=organisation).first()
    if known is not None and all(getattr(known, name) == value for name, value in values.items()):
        return known
    kept, _created = BuyerFacts.objects.update_or_create(
        organisation=organisation, defaults={**values, "changed_at": now, "changed_by_id": actor.user_id}
    )
    audit.record(
        action="fapiao.buyer_kept",
        subject=f"organisation:{organisation.pk}",
        actor=actor,
        now=now,
        organisations=[organisation.pk],
        data={"title": buyer.title, "kind": buyer.kind.value},
    )
    return kept


@transaction.atomic
def state_tax(*, actor: Actor, service: str, rate: taxes.TaxRate, category: str, goods: str, now: datetime) -> SalesTax:
    """State the tax of the actor's organisation's sales: of one service class, or with "" of all that have no own word.

    It holds for documents and requests made from now on; what was made stays. Raises BadCategory, Forbidden.
    """
    actor.require(Permission.INVOICE_ISSUE)
    code = "".join(category.split())
    if code and not (len(code) == 19 and code.isascii() and code.isdigit()):
        raise BadCategory(field="category")
    stated, _created = SalesTax.objects.update_or_create(
        provider_id=actor.acting_for,
        service=service,
        defaults={
            "rate": rate.value,
            "category": code,
            "goods": goods.strip()[:60],
            "changed_at": now,
            "changed_by_id": actor.user_id,
        },
    )
    audit.record(
        action="fapiao.tax_stated",
        subject=f"organisation:{actor.acting_for}",
        actor=actor,
        now=now,
        organisations=[actor.acting_for],
        data={"service": service, "rate": rate.value, "category": code},
    )
    return stated


def _billed(charge: Charge) -> list[ChargePart]:
    """Return what vouchers pay of a charge whose programmes want it on the tax invoice."""
    parts = charge.parts.select_related("voucher__application__version__programme").order_by("pk")
    return [
        part for part in parts if scheme_of(part.voucher.application.version).terms.redeem.invoice is InvoiceScope.WHOLE
    ]


def covers_of(*, charge: Charge) -> rules.Covers:
    """Return what a tax invoice of a charge covers, by the rules of the programmes whose vouchers pay of it."""
    return rules.Covers.WHOLE if _billed(charge) else rules.Covers.OWN


def covered_fen(*, charge: Charge, covers: rules.Covers) -> int:
    """Return what of a charge stays paid or owed in fen, of the shares a tax invoice covers.

    Of what vouchers pay, `covers` whole takes the parts whose programmes say so; the others are on no tax invoice to the
    enterprise.
    """
    own = charge.own_captured_fen - charge.own_refunded_fen - charge.own_written_off_fen
    if covers is rules.Covers.OWN:
        return own
    return own + sum(part.captured_fen - part.refunded_fen for part in _billed(charge))


def blue(*, charge: Charge, buyer: rules.Buyer, covers: rules.Covers, actor: Actor, now: datetime) -> Fapiao:
    """Return a request, not saved, for a blue one over what of a locked charge stays paid, taxed as stated now."""
    stated = contents.rate_of(charge)
    amount = covered_fen(charge=charge, covers=covers)
    return Fapiao(
        number=next_number(prefix="KP", now=now),
        colour=rules.Colour.BLUE.value,
        charge=charge,
        covers=covers.value,
        kind=buyer.kind.value,
        buyer={**asdict(buyer), "kind": buyer.kind.value},
        rate=stated.rate if stated else "",
        category=stated.category if stated else "",
        goods=stated.goods if stated else "",
        asked_fen=amount,
        amount_fen=amount,
        tax_fen=taxes.split_tax(amount, taxes.TaxRate(stated.rate)).tax if stated else None,
        asked_by=actor.signature[:160],
        asked_at=now,
    )


@transaction.atomic
def request(*, actor: Actor, charge: Charge, buyer: rules.Buyer, now: datetime) -> Fapiao:
    """Ask the provider of a captured charge for a tax invoice over the own share that stays paid, and over what vouchers pay
    where their programmes say so.

    Once a charge, unless an earlier request ended or its invoice was taken back whole; asking twice for the same buyer
    returns the one there is. The buyer is remembered for the next time. Raises BadBuyer with every ground,
    NothingToInvoice, NotFound, Forbidden.
    """
    organisation = _own(actor)
    found = access.get_taken(actor, charge.number)
    if found.payer_id != organisation.pk:
        raise NotPayer
    clean = rules.check_buyer(buyer, payer_code=organisation.credit_code)
    locked = charges.lock(found.pk)
    live = Fapiao.objects.filter(charge=locked, colour=rules.Colour.BLUE.value)
    said = {**asdict(clean), "kind": clean.kind.value}
    waiting = live.filter(state=rules.FapiaoState.REQUESTED.value).first()
    if waiting is not None and waiting.buyer == said:
        return waiting
    covers = covers_of(charge=locked)
    if locked.state != ChargeState.CAPTURED.value or covered_fen(charge=locked, covers=covers) <= 0:
        raise rules.NothingToInvoice
    made = blue(charge=locked, buyer=clean, covers=covers, actor=actor, now=now)
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError as error:
        raise rules.NothingToInvoice from error
    _remember(organisation, clean, actor=actor, now=now)
    record(made, action="fapiao.requested", actor=actor, now=now)
    return made


@transaction.atomic
def withdraw(*, actor: Actor, fapiao: Fapiao, now: datetime) -> Fapiao:
    """Take a request back that the provider has not taken up yet. Raises RedStays, InvalidTransition, Forbidden."""
    actor.require(Permission.INVOICE_REQUEST)
    locked = lock(fapiao)
    if locked.charge.payer_id != actor.organisation_id:
        raise Forbidden
    if locked.colour == rules.Colour.RED.value:
        raise rules.RedStays
    move(locked, rules.FapiaoAction.WITHDRAW)
    locked.ended_at = now
    locked.save(update_fields=["state", "ended_at"])
    record(locked, action="fapiao.withdrawn", actor=actor, now=now)
    return locked
