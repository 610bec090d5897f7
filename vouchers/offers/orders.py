"""Place, serve, deliver and accept orders; with ``disputes`` the only writer of orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from portal.audit import services as audit
from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Invalid, Reason, Refused, noop
from portal.kernel.money import Money
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from vouchers.charges import prices
from vouchers.charges import services as charges
from vouchers.charges.models import Charge
from vouchers.evidence import access as evidence
from vouchers.evidence import services as files
from vouchers.evidence.models import EvidenceFile
from vouchers.offers import queries, rules
from vouchers.offers.models import Offer, Order
from vouchers.offers.ports import News, Teller
from vouchers.payments import advances
from vouchers.wallets.models import Voucher

_ = noop

A = rules.OrderAction
NOTE = 200


class PurposeMissing(Invalid):
    code = "order.purpose"
    message = _("请填写用途（200 字以内），仅贵单位和提供单位可见。")


class NoSuchPurpose(Invalid):
    code = "order.file_purpose"
    message = _("请从列表中选择文件用途。")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is ordered. `vouchers` are reached through their access module; `related` is the buyer's declaration."""

    offer: Offer
    lines: Sequence[prices.Line]
    purpose: str
    related: bool
    vouchers: Sequence[Voucher] = ()

    def fingerprint(self) -> str:
        return idempotency.fingerprint(
            {
                "offer": self.offer.number,
                "lines": queries.lines_json(self.lines),
                "purpose": self.purpose.strip(),
                "related": self.related,
                "vouchers": [voucher.number for voucher in self.vouchers],
            }
        )


@transaction.atomic
def place(*, actor: Actor, wanted: Wanted, now: datetime, key: str) -> Order:
    """Order at the list price in force; the whole price is held until acceptance: the vouchers' part and the own share.

    Where the offer asks for it, the own share is to be paid in advance, within the offer's days.
    Idempotent on (organisation, `key`). The price list and the licence are frozen with the order. Raises Refused with
    *all* reasons, NoPrice, NoSuchItem, KeyReused, PurposeMissing, Forbidden.
    """
    actor.require(Permission.ORDER_PLACE)
    purpose = wanted.purpose.strip()
    if not purpose or len(purpose) > NOTE:
        raise PurposeMissing(field="purpose")
    offer = (
        Offer.objects.select_for_update(no_key=True, of=("self",))
        .select_related("provider")
        .order_by("pk")
        .get(pk=wanted.offer.pk)
    )
    print_ = wanted.fingerprint()
    if existing := Order.objects.filter(organisation_id=actor.acting_for, key=key).first():
        idempotency.check_replay(stored=existing.fingerprint, asked=print_)
        return existing
    lines = [line for line in wanted.lines if line.quantity]
    quote = queries.quote(
        offer,
        lines=lines,
        vouchers=wanted.vouchers,
        related=wanted.related,
        organisation_id=actor.acting_for,
        now=now,
    )
    if quote.reasons:
        raise Refused(quote.reasons)
    order = Order.objects.create(
        number=next_number(prefix="D", now=now),
        offer=offer,
        price_list=quote.price_list,
        organisation_id=actor.acting_for,
        placed_by_id=actor.user_id,
        purpose=purpose,
        related=wanted.related,
        licence=offer.licence,
        wanted=queries.lines_json(lines),
        prepay_by=now + timedelta(days=offer.prepay_days) if offer.prepay_days else None,
        key=key,
        fingerprint=print_,
        placed_at=now,
        updated_at=now,
    )
    order.charge = _hold(order, quote, wanted.vouchers, actor=actor, now=now)
    if not order.charge.own_held_fen:
        order.prepay_by = None
    order.save(update_fields=["charge", "prepay_by"])
    record(order, action="order.placed", actor=actor, now=now)
    if order.prepay_by is not None and not actor.is_system:
        tell(order, News.ASKED, now=now)
    return order


def _hold(order: Order, quote: queries.Quote, vouchers: Sequence[Voucher], *, actor: Actor, now: datetime) -> Charge:
    amount = quote.priced.amount
    return charges.hold(
        bill=charges.Bill(
            subject=order.subject,
            service=order.offer.kind,
            payer_id=order.organisation_id,
            provider_id=order.offer.provider_id,
            price=amount,
            quote={
                "unit": "order",
                "unit_price_fen": amount.fen,
                "quantity": "1/1",
                "price_list": quote.price_list.version,
                "lines": order.wanted,
            },
            pay_by=order.prepay_by,
        ),
        vouchers=vouchers,
        actor=actor,
        now=now,
    )


def record(order: Order, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    """Write an act on an order into the record of both sides."""
    audit.record(
        action=action,
        subject=order.subject,
        actor=actor,
        now=now,
        organisations=[order.organisation_id, order.offer.provider_id],
        data={"state": order.state, **data},
    )


def tell(order: Order, news: News, *, now: datetime, again: Order | None = None) -> None:
    """Tell the buyer what happens to an order that is paid in advance; once an order and kind of news."""
    if settings.ORDER_TELLER and order.charge is not None:
        teller: Teller = import_string(settings.ORDER_TELLER)
        asked = advances.of_charge(order.charge.pk)
        amount = Money(asked.amount_fen if asked is not None else order.charge.own_held_fen)
        teller(order=order, news=news, amount=amount, again=again, now=now)


def lock(order: Order) -> Order:
    """Lock an order and return it as it is now; before its charge, which comes before the accounts."""
    return (
        Order.objects.select_for_update(no_key=True, of=("self",))
        .select_related("offer", "offer__provider", "price_list", "charge", "organisation")
        .order_by("pk")
        .get(pk=order.pk)
    )


def serve(actor: Actor, order: Order) -> Order:
    """Lock an order for its provider. Raises Forbidden."""
    actor.require(Permission.ORDER_SERVE)
    locked = lock(order)
    if locked.offer.provider_id != actor.organisation_id:
        raise Forbidden
    return locked


def buy(actor: Actor, order: Order) -> Order:
    """Lock an order for its buyer. Raises Forbidden."""
    actor.require(Permission.ORDER_PLACE)
    locked = lock(order)
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    return locked


def noted(note: str) -> str:
    """Return a reason given. Raises NoteMissing."""
    note = note.strip()
    if not note or len(note) > NOTE:
        raise rules.NoteMissing(field="note")
    return note


def move(order: Order, action: rules.OrderAction, *, actor: Actor, now: datetime, note: str = "") -> None:
    """Take the transition, save the whole row and record it under the new state's name."""
    order.state = next_state(rules.TRANSITIONS, rules.OrderState(order.state), action).value
    order.updated_at = now
    order.note = note or order.note
    order.save()
    more = {"note": note} if note else {}
    record(order, action=f"order.{order.state}", actor=actor, now=now, **more)


def _charge(order: Order) -> int:
    """Return the id of an order's charge: every order has one from the moment it is committed."""
    assert order.charge_id is not None
    return order.charge_id


def end(order: Order, action: rules.OrderAction, *, actor: Actor, now: datetime, note: str = "") -> Order:
    """End an order that buys nothing: everything held is free again."""
    order.resolved_at = now
    move(order, action, actor=actor, now=now, note=note)
    order.charge = charges.release(charge_id=_charge(order), reason=order.state, actor=actor, now=now)
    return order


@transaction.atomic
def accept(*, actor: Actor, order: Order, now: datetime) -> Order:
    """Take a placed order on, as the provider. Raises InvalidTransition, Forbidden."""
    locked = serve(actor, order)
    move(locked, A.ACCEPT, actor=actor, now=now)
    return locked


@transaction.atomic
def decline(*, actor: Actor, order: Order, note: str, now: datetime) -> Order:
    """Turn a placed order down, with a reason; everything held is free again at once."""
    locked = serve(actor, order)
    return end(locked, A.DECLINE, actor=actor, now=now, note=noted(note))


@transaction.atomic
def cancel(*, actor: Actor, order: Order, note: str, now: datetime) -> Order:
    """Cancel as the buyer, before delivery begins; everything held is free again at once."""
    locked = buy(actor, order)
    return end(locked, A.CANCEL, actor=actor, now=now, note=note.strip()[:NOTE])


@transaction.atomic
def give_up(*, actor: Actor, order: Order, note: str, now: datetime) -> Order:
    """Give an order up as the provider, before delivery or in a dispute; everything held is free again at once."""
    locked = serve(actor, order)
    return end(locked, A.GIVE_UP, actor=actor, now=now, note=noted(note))


@transaction.atomic
def begin(*, actor: Actor, order: Order, now: datetime) -> Order:
    """Begin delivery: from now on the buyer cannot cancel alone. Raises InvalidTransition, Forbidden.

    Raises Refused while an advance has not arrived.
    """
    locked = serve(actor, order)
    accepted = locked.state == rules.OrderState.ACCEPTED.value
    if accepted and locked.prepay_by is not None and not advances.is_paid(charge_id=_charge(locked)):
        raise Refused([rules.NOT_PAID])
    move(locked, A.BEGIN, actor=actor, now=now)
    return locked


@transaction.atomic
def deliver(
    *, actor: Actor, order: Order, quantities: Sequence[prices.Line] | None = None, note: str = "", now: datetime
) -> Order:
    """Hand over for acceptance what was delivered, priced by the frozen list; again after a dispute.

    Where usage lines were imported they are what was delivered; else `quantities`, at most what was ordered, or all that was
    ordered. The deadline of acceptance starts anew. Raises NotDeliverable with everything that lacks.
    """
    locked = serve(actor, order)
    used = queries.used(locked)
    ordered = queries.lines_of(locked.wanted)
    lines = used or (list(quantities) if quantities is not None else ordered)
    reasons = rules.delivery_reasons(
        kind=rules.OfferKind(locked.offer.kind),
        channel=rules.SaleChannel(locked.offer.channel),
        purposes=list(evidence.files_of(locked.subject).values_list("purpose", flat=True)),
        has_usage=bool(used),
        stated=quantities is not None,
    )
    reasons += [] if used else _too_much(lines, ordered)
    amount = queries.priced(locked, lines).amount
    reasons += queries.amount_reasons(amount)
    if reasons:
        raise rules.NotDeliverable(reasons)
    locked.delivered = queries.lines_json(lines)
    locked.actual_fen = amount.fen
    locked.delivered_at = now
    locked.accept_by = now + timedelta(days=locked.offer.acceptance_days)
    locked.noticed_at = None
    move(locked, A.DELIVER, actor=actor, now=now, note=note.strip()[:NOTE])
    return locked


def _too_much(lines: Sequence[prices.Line], ordered: Sequence[prices.Line]) -> list[Reason]:
    most = {line.code: line.quantity for line in ordered}
    if all(0 <= line.quantity <= most.get(line.code, 0) for line in lines) and any(line.quantity for line in lines):
        return []
    return [
        Reason(
            "order.more_than_ordered",
            _("实际数量须大于零，且不超过订购数量。"),
            _("超出部分请让采购单位另下订单；什么都没有交付的，请放弃订单。"),
            field="quantities",
        )
    ]


@transaction.atomic
def approve(*, actor: Actor, order: Order, now: datetime) -> Order:
    """Accept a delivery as the buyer, in a dispute too: the actual price is captured, the rest is free again.

    Never more than was held: what the delivery comes to above that is waived. Two acceptances at once capture once. Raises
    InvalidTransition, Forbidden.
    """
    locked = buy(actor, order)
    return complete(locked, actor=actor, now=now)


def complete(
    order: Order, *, actor: Actor, now: datetime, action: rules.OrderAction = A.APPROVE, note: str = ""
) -> Order:
    """Capture what a locked order's delivery comes to; the rest of what was held is free again."""
    if order.actual_fen is None:
        # Nothing was handed over yet: the table knows no way to acceptance from there, and says so.
        next_state(rules.TRANSITIONS, rules.OrderState(order.state), action)
    order.resolved_at = now
    move(order, action, actor=actor, now=now, note=note)
    assert order.actual_fen is not None
    order.charge = charges.capture(
        charge_id=_charge(order),
        actual=Money(order.actual_fen),
        measured={
            "lines": order.delivered,
            "price_list": order.price_list.version,
            "priced": queries.priced_json(order),
        },
        actor=actor,
        now=now,
    )
    return order


BUYERS_FILES = frozenset({rules.FilePurpose.ACCEPTANCE_NOTE, rules.FilePurpose.DISPUTE})


@transaction.atomic
def add_file(*, actor: Actor, order: Order, purpose: str, upload: files.Upload, now: datetime) -> EvidenceFile:
    """Keep a file with an order: acceptance and dispute by the buyer, everything else by the provider.

    Idempotent for the same bytes. Raises BadFile with every ground, NoSuchPurpose, Forbidden.
    """
    try:
        known = rules.FilePurpose(purpose)
    except ValueError:
        raise NoSuchPurpose(field="purpose") from None
    locked = buy(actor, order) if known in BUYERS_FILES else serve(actor, order)
    return files.store(actor=actor, subject=locked.subject, purpose=known.value, upload=upload, now=now)
