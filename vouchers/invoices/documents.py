"""Make documents and say whether one is genuine; the only writer of documents."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.core.signing import BadSignature, Signer
from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import Conflict, NotFound, noop
from portal.numbers.services import next_number
from vouchers.charges.models import Charge, Refund
from vouchers.charges.rules import ChargeState
from vouchers.invoices import access, contents, rules
from vouchers.invoices.models import ChargeDocument
from vouchers.payments.models import Payment
from vouchers.payments.rules import PaymentState

__all__ = [
    "Genuine",
    "NotArrived",
    "NotTaken",
    "all_for",
    "canonical",
    "credit_note_for",
    "digest",
    "documents_of",
    "genuine",
    "invoice_for",
    "is_paid",
    "receipt_for",
    "structured",
    "token_of",
]

_ = noop
K = rules.DocumentKind

PREFIXES: Final[Mapping[rules.DocumentKind, str]] = {K.INVOICE: "ZD", K.RECEIPT: "SK", K.CREDIT_NOTE: "TK"}


class NotTaken(Conflict):
    code = "document.not_taken"
    message = _("费用还没有结算，暂无单据。服务完成并结算后即可查看。")


class NotArrived(Conflict):
    code = "document.not_arrived"
    message = _("自付款还没有全部到账，暂不能出具收款凭证。结算单现在就可以查看。")


def canonical(content: Mapping[str, Any]) -> bytes:
    """Return what the digest of a document is taken of: keys sorted, no spaces, UTF-8."""
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a document's content, hexadecimal."""
    return hashlib.sha256(canonical(content)).hexdigest()


def structured(document: ChargeDocument) -> dict[str, Any]:
    """Return a document as data: its content with its digest."""
    return {**document.content, "sha256": document.sha256}


def _signer() -> Signer:
    return Signer(salt="vouchers.invoices.documents", sep=".")


def token_of(document: ChargeDocument) -> str:
    """Return what the public address of a document carries: its token, signed."""
    return _signer().sign(document.token)


@dataclass(frozen=True, slots=True)
class Genuine:
    """What a stranger may know of a genuine document: what is printed on it, and what has corrected it since."""

    document: ChargeDocument
    corrected_by: tuple[str, ...]
    refunded_fen: int
    is_whole: bool
    """Whether the content still has the digest it was made with."""


def genuine(*, token: str) -> Genuine:
    """Return the document of a signed token. Raises NotFound; forged tokens cost no query."""
    try:
        plain = _signer().unsign(token)
    except BadSignature:
        raise NotFound from None
    found = ChargeDocument.objects.filter(token=plain).select_related("charge").first()
    if found is None:
        raise NotFound
    notes = [] if found.kind == K.CREDIT_NOTE.value else _notes(found.charge)
    return Genuine(
        document=found,
        corrected_by=tuple(note.number for note in notes),
        refunded_fen=found.charge.refunded_fen,
        is_whole=digest(found.content) == found.sha256,
    )


def _notes(charge: Charge) -> list[ChargeDocument]:
    return list(ChargeDocument.objects.filter(charge=charge, kind=K.CREDIT_NOTE.value).order_by("pk"))


def documents_of(charge: Charge) -> list[ChargeDocument]:
    """Return the documents of a charge made so far, in order."""
    return list(charge.documents.select_related("refund").order_by("pk"))


def _keep(
    charge: Charge,
    kind: rules.DocumentKind,
    content: Mapping[str, Any],
    *,
    refund: Refund | None,
    actor: Actor,
    now: datetime,
) -> ChargeDocument:
    """Write a document unless it is there: of two at once, one is made and both get it."""
    number = next_number(prefix=PREFIXES[kind], now=now)
    whole = {**content, "number": number}
    made, created = ChargeDocument.objects.get_or_create(
        charge=charge,
        kind=kind.value,
        refund=refund,
        defaults={
            "number": number,
            "content": whole,
            "sha256": digest(whole),
            "token": secrets.token_urlsafe(18),
            "made_at": now,
            "made_by": actor.signature[:160],
        },
    )
    if created:
        audit.record(
            action="document.made",
            subject=charge.subject,
            actor=actor,
            now=now,
            organisations=[charge.payer_id, charge.provider_id],
            data={"document": number, "kind": kind.value, "charge": charge.number, "sha256": made.sha256},
        )
    return made


def _existing(charge: Charge, kind: rules.DocumentKind) -> ChargeDocument | None:
    return ChargeDocument.objects.filter(charge=charge, kind=kind.value).first()


@transaction.atomic
def invoice_for(*, charge: Charge, actor: Actor, now: datetime) -> ChargeDocument:
    """Return the invoice of a captured charge, made at the first time of asking. Raises NotTaken."""
    if known := _existing(charge, K.INVOICE):
        return known
    fresh = Charge.objects.select_related("payer", "provider").get(pk=charge.pk)
    if fresh.state != ChargeState.CAPTURED.value or not fresh.actual_fen:
        raise NotTaken
    return _keep(fresh, K.INVOICE, contents.invoice_of(fresh, now=now), refund=None, actor=actor, now=now)


@transaction.atomic
def receipt_for(*, charge: Charge, actor: Actor, now: datetime) -> ChargeDocument:
    """Return the receipt of a charge whose own share has arrived in full, made at the first time of asking.

    Raises NotArrived, also where vouchers pay everything: no money was received then; NotTaken.
    """
    if known := _existing(charge, K.RECEIPT):
        return known
    invoice = invoice_for(charge=charge, actor=actor, now=now)
    payment = Payment.objects.filter(charge=charge, state=PaymentState.CONFIRMED.value, paid_fen__gt=0).first()
    if payment is None:
        raise NotArrived
    fresh = Charge.objects.select_related("payer", "provider").get(pk=charge.pk)
    content = contents.receipt_of(fresh, payment, invoice=invoice.number, now=now)
    return _keep(fresh, K.RECEIPT, content, refund=None, actor=actor, now=now)


@transaction.atomic
def credit_note_for(*, refund: Refund, actor: Actor, now: datetime) -> ChargeDocument:
    """Return the credit note of a refund, made at the first time of asking; with the invoice it corrects."""
    if known := ChargeDocument.objects.filter(refund=refund).first():
        return known
    whole = Refund.objects.select_related("charge__payer", "charge__provider").get(pk=refund.pk)
    invoice = invoice_for(charge=whole.charge, actor=actor, now=now)
    content = contents.credit_note_of(whole, invoice=invoice.content, number=invoice.number, now=now)
    return _keep(whole.charge, K.CREDIT_NOTE, content, refund=whole, actor=actor, now=now)


@transaction.atomic
def all_for(*, actor: Actor, charge: Charge, now: datetime) -> list[ChargeDocument]:
    """Return every document a charge has by now, making those that are missing. The actor may see the charge.

    Raises NotFound, NotTaken.
    """
    found = access.get_taken(actor, charge.number)
    invoice_for(charge=found, actor=actor, now=now)
    if found.own_captured_fen and is_paid(found):
        receipt_for(charge=found, actor=actor, now=now)
    for refund in found.refunds.filter(credit_note__isnull=True).order_by("pk"):
        credit_note_for(refund=refund, actor=actor, now=now)
    return documents_of(found)


def is_paid(charge: Charge) -> bool:
    """Say whether money for the own share of a charge has arrived, all that was asked for."""
    return Payment.objects.filter(charge=charge, state=PaymentState.CONFIRMED.value, paid_fen__gt=0).exists()
