"""What follows by itself when money is given back: a lower request, or a request for a red tax invoice; and papers made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

import structlog
from django.db import transaction
from django.db.models import BigIntegerField, Exists, F, OuterRef, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast

from portal.kernel.actors import Actor
from portal.kernel.errors import PortalError
from portal.numbers.services import next_number
from vouchers.charges import services as charges
from vouchers.charges.models import Charge, Refund
from vouchers.charges.rules import ChargeState
from vouchers.invoices import documents, rules, services, taxes
from vouchers.invoices.models import ChargeDocument, Fapiao
from vouchers.payments.models import ArrivalReversal
from vouchers.payments.rules import PaymentState

__all__ = ["ask_back", "follow", "lost", "make_due", "refunded"]

logger = structlog.get_logger("invoices")
S = rules.FapiaoState
K = rules.DocumentKind
MOST = 500
"""Most documents of a kind that one run of the clock makes."""


def refunded(*, refund_id: int, now: datetime) -> None:
    """Answer `vouchers.charges.ports.RefundFollower`: bring the tax invoices of a refund's charge in line.

    Its credit note is made by the clock: all that stands on it is written already.
    """
    lost(charge_id=Refund.objects.values_list("charge_id", flat=True).get(pk=refund_id), now=now)


def lost(*, charge_id: int, now: datetime) -> None:
    """Answer `vouchers.charges.ports.WriteOffFollower`: what was given up is no longer billed."""
    if Fapiao.objects.filter(charge_id=charge_id).exists():
        follow(charge_id=charge_id, actor=Actor.system("自动处理"), now=now)


def make_due(*, now: datetime, most: int = MOST) -> int:
    """Make the documents that are missing: of captured charges, own shares that have arrived, refunds and write-offs.

    Receipts whose money did not stay are cancelled. At most `most` of each, the oldest first, each in a transaction of its
    own, so that what goes wrong with one keeps no other waiting; returns how many. Safe at any time.
    """
    actor = Actor.system("自动处理")
    made, kinds = 0, ChargeDocument.objects.filter(charge=OuterRef("pk"))
    taken = Charge.objects.filter(state=ChargeState.CAPTURED.value, actual_fen__gt=0).order_by("pk")
    for charge in taken.exclude(Exists(kinds.filter(kind=K.INVOICE.value)))[:most]:
        made += _safely(charge.number, partial(documents.invoice_for, charge=charge, actor=actor, now=now))
    for charge in Charge.objects.filter(pk__in=_wrong_receipts().values("charge")).order_by("pk")[:most]:
        made += _safely(charge.number, partial(documents.cancel_wrong, charge=charge, actor=actor, now=now))
    paid = taken.filter(own_captured_fen__gt=0, payment__state=PaymentState.CONFIRMED.value, payment__paid_fen__gt=0)
    standing = kinds.filter(kind=K.RECEIPT.value, cancelled_by=None)
    for charge in paid.exclude(Exists(standing))[:most]:
        made += _safely(charge.number, partial(documents.receipt_for, charge=charge, actor=actor, now=now))
    for refund in Refund.objects.filter(credit_note__isnull=True).order_by("pk")[:most]:
        made += _safely(refund.number, partial(documents.credit_note_for, refund=refund, actor=actor, now=now))
    for proposal in documents.write_offs().filter(document__isnull=True)[:most]:
        made += _safely(proposal.number, partial(documents.write_off_for, proposal=proposal, actor=actor, now=now))
    return made


def _safely(about: str, make: Callable[[], ChargeDocument | None]) -> int:
    """Make one document; what goes wrong with it is told in the log. Returns how many were made."""
    try:
        return int(make() is not None)
    except PortalError as error:
        logger.warning("documents.failed", about=about, error=str(error))
    except Exception:
        logger.exception("documents.broke", about=about)
    return 0


def _wrong_receipts() -> QuerySet[ChargeDocument]:
    """Return the receipts that may no longer say what has arrived: their payment is open again, or over another sum."""
    taken_back = ArrivalReversal.objects.filter(
        arrival__payment__charge=OuterRef("charge"), reversed_at__gte=OuterRef("made_at")
    )
    told = Cast(KeyTextTransform("amount_fen", KeyTransform("totals", "content")), BigIntegerField())
    standing = ChargeDocument.objects.filter(kind=K.RECEIPT.value, cancelled_by=None).alias(told=told)
    return standing.filter(
        ~Q(charge__payment__state=PaymentState.CONFIRMED.value)
        | ~Q(charge__payment__paid_fen=F("told"))
        | Exists(taken_back)
    )


@transaction.atomic
def follow(*, charge_id: int, actor: Actor, now: datetime) -> list[Fapiao]:
    """Bring a charge's blue tax invoices in line with what stays paid; returns the reds asked for. Idempotent.

    One not issued yet is lowered, to nothing is withdrawn. Of an issued one, what no longer stays paid is asked back in
    red: the reds of a blue one never exceed it, which the table refuses too.
    """
    charge = charges.lock(charge_id)
    rows = Fapiao.objects.select_for_update(no_key=True, of=("self",)).order_by("pk")
    blues = rows.filter(charge=charge, colour=rules.Colour.BLUE.value, state__in=[state.value for state in rules.LIVE])
    made = []
    for blue in blues.select_related("charge"):
        stays = services.covered_fen(charge=charge, covers=rules.Covers(blue.covers))
        if blue.state != S.ISSUED.value:
            _lower(blue, stays, actor=actor, now=now)
        elif due := rules.red_due(blue=blue.amount_fen, owed=stays, red=blue.red_fen):
            made.append(ask_back(charge, blue, due, actor=actor, now=now))
    return made


def _tax(fen: int, rate: str) -> int | None:
    return taxes.split_tax(fen, taxes.TaxRate(rate)).tax if rate else None


def _lower(blue: Fapiao, stays: int, *, actor: Actor, now: datetime) -> None:
    if stays >= blue.amount_fen:
        return
    blue.sums = [*blue.sums, blue.amount_fen]
    blue.amount_fen, blue.tax_fen = max(0, stays), _tax(max(0, stays), blue.rate)
    is_withdrawn = not blue.amount_fen and blue.state == S.REQUESTED.value
    if is_withdrawn:
        services.move(blue, rules.FapiaoAction.WITHDRAW)
        blue.ended_at = now
    blue.save(update_fields=["amount_fen", "sums", "tax_fen", "state", "ended_at"])
    services.record(blue, action="fapiao.withdrawn" if is_withdrawn else "fapiao.lowered", actor=actor, now=now)


def ask_back(charge: Charge, blue: Fapiao, fen: int, *, actor: Actor, now: datetime, reason: str = "") -> Fapiao:
    """Ask for a red one that takes `fen` of a locked issued blue one back; tax is cut cumulatively."""
    tax = None
    if blue.tax_fen is not None:
        tax = taxes.tax_between(blue.red_fen, blue.red_fen + fen, gross=blue.amount_fen, tax=blue.tax_fen)
    blue.red_fen += fen
    blue.save(update_fields=["red_fen"])
    red = Fapiao.objects.create(
        number=next_number(prefix="KP", now=now),
        colour=rules.Colour.RED.value,
        charge=charge,
        covers=blue.covers,
        original=blue,
        kind=blue.kind,
        buyer=blue.buyer,
        rate=blue.rate,
        category=blue.category,
        goods=blue.goods,
        asked_fen=fen,
        amount_fen=fen,
        tax_fen=tax,
        reason=reason,
        asked_by=actor.signature[:160],
        asked_at=now,
    )
    services.record(red, action="fapiao.red_requested", actor=actor, now=now, original=blue.number)
    return red
