"""Make documents and say whether one is genuine; the only writer of documents."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.db.models import Q, QuerySet

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import Conflict, NotFound, noop
from portal.numbers.services import PORTAL_ZONE
from vouchers.charges.models import Charge, ChargeProposal, Refund
from vouchers.charges.proposal_rules import ChargeProposalKind, ProposalState
from vouchers.charges.rules import ChargeState
from vouchers.invoices import access, contents, rules
from vouchers.invoices.models import ChargeDocument, DocumentSeries
from vouchers.payments.models import ArrivalReversal, Payment
from vouchers.payments.rail_models import PaymentDispute
from vouchers.payments.rules import PaymentState

__all__ = [
    "Genuine",
    "NotArrived",
    "NotTaken",
    "all_for",
    "cancel_wrong",
    "canonical",
    "credit_note_for",
    "digest",
    "documents_of",
    "genuine",
    "invoice_for",
    "is_paid",
    "missing_of",
    "receipt_for",
    "standing_receipt",
    "structured",
    "token_of",
    "write_off_for",
    "write_offs",
]

_ = noop
K = rules.DocumentKind

PREFIXES: Final[Mapping[rules.DocumentKind, str]] = {
    K.INVOICE: "ZD",
    K.RECEIPT: "SK",
    K.CREDIT_NOTE: "TK",
    K.CANCELLATION: "ZF",
    K.WRITE_OFF: "HX",
}


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
    cancelled_by: ChargeDocument | None = None
    """What took a receipt back, or None while it holds."""


def genuine(*, token: str) -> Genuine:
    """Return the document of a signed token. Raises NotFound; forged tokens cost no query."""
    try:
        plain = _signer().unsign(token)
    except BadSignature:
        raise NotFound from None
    found = ChargeDocument.objects.filter(token=plain).select_related("charge").first()
    if found is None:
        raise NotFound
    corrects = [K.CREDIT_NOTE.value, K.WRITE_OFF.value] if found.kind in {K.INVOICE.value, K.RECEIPT.value} else []
    notes = found.charge.documents.filter(kind__in=corrects).order_by("pk")
    return Genuine(
        document=found,
        corrected_by=tuple(notes.values_list("number", flat=True)),
        refunded_fen=found.charge.refunded_fen,
        is_whole=digest(found.content) == found.sha256,
        cancelled_by=ChargeDocument.objects.filter(cancels=found).first(),
    )


def documents_of(charge: Charge) -> list[ChargeDocument]:
    """Return the documents of a charge made so far, in order."""
    return list(charge.documents.select_related("charge", "refund", "cancels", "cancelled_by").order_by("pk"))


def _series(kind: rules.DocumentKind, *, now: datetime) -> DocumentSeries:
    """Lock the series of a kind and month in Beijing until the transaction ends: no number is given and then not used.

    One begins after the numbers that were given before there were series.
    """
    key = f"{PREFIXES[kind]}{now.astimezone(PORTAL_ZONE):%y%m}"
    if not DocumentSeries.objects.filter(key=key).exists():
        latest = ChargeDocument.objects.filter(number__startswith=f"{key}-").order_by("-number").first()
        last = int(latest.number.partition("-")[2]) if latest else 0
        DocumentSeries.objects.bulk_create([DocumentSeries(key=key, last=last)], ignore_conflicts=True)
    return DocumentSeries.objects.select_for_update(no_key=True).order_by("pk").get(key=key)


@transaction.atomic
def _keep(
    charge: Charge,
    kind: rules.DocumentKind,
    content: Mapping[str, Any],
    *,
    actor: Actor,
    now: datetime,
    of: Mapping[str, Any],
) -> ChargeDocument:
    """Write a document unless it is there: of two at once, one is made and both get it. `of` tells it from others."""
    series = _series(kind, now=now)
    if known := ChargeDocument.objects.filter(charge=charge, kind=kind.value, **of).first():
        return known
    series.last += 1
    series.save(update_fields=["last"])
    number = str(series)
    whole = {**content, "number": number}
    made = ChargeDocument.objects.create(
        charge=charge,
        kind=kind.value,
        number=number,
        content=whole,
        sha256=digest(whole),
        token=secrets.token_urlsafe(18),
        made_at=now,
        made_by=actor.signature[:160],
        **of,
    )
    audit.record(
        action="document.made",
        subject=charge.subject,
        actor=actor,
        now=now,
        organisations=[charge.payer_id, charge.provider_id],
        data={"document": number, "kind": kind.value, "charge": charge.number, "sha256": made.sha256},
    )
    return made


def _whole(charge_id: int) -> Charge:
    return Charge.objects.select_related("payer", "provider").get(pk=charge_id)


def invoice_for(*, charge: Charge, actor: Actor, now: datetime) -> ChargeDocument:
    """Return the invoice of a captured charge, made at the first time of asking. Raises NotTaken."""
    if known := ChargeDocument.objects.filter(charge=charge, kind=K.INVOICE.value).first():
        return known
    fresh = _whole(charge.pk)
    if fresh.state != ChargeState.CAPTURED.value or not fresh.actual_fen:
        raise NotTaken
    content = contents.invoice_of(fresh, now=now)
    return _keep(fresh, K.INVOICE, content, actor=actor, now=now, of={"turn": 0})


def standing_receipt(charge: Charge) -> ChargeDocument | None:
    """Return the receipt of a charge that has not been cancelled, or None."""
    return charge.documents.filter(kind=K.RECEIPT.value, cancelled_by=None).first()


def _settled(charge: Charge) -> Payment | None:
    return Payment.objects.filter(charge=charge, state=PaymentState.CONFIRMED.value, paid_fen__gt=0).first()


def receipt_for(*, charge: Charge, actor: Actor, now: datetime) -> ChargeDocument:
    """Return the receipt of a charge whose own share has arrived in full, made at the first time of asking.

    One whose money did not stay is cancelled first. Raises NotArrived, also where vouchers pay everything: no money was
    received then; NotTaken.
    """
    cancel_wrong(charge=charge, actor=actor, now=now)
    if known := standing_receipt(charge):
        return known
    invoice = invoice_for(charge=charge, actor=actor, now=now)
    payment = _settled(charge)
    if payment is None:
        raise NotArrived
    fresh = _whole(charge.pk)
    content = contents.receipt_of(fresh, payment, invoice=invoice.number, now=now)
    turn = charge.documents.filter(kind=K.CANCELLATION.value).count()
    return _keep(fresh, K.RECEIPT, content, actor=actor, now=now, of={"turn": turn})


def _reversed(receipt: ChargeDocument, sources: Collection[str]) -> bool:
    return ArrivalReversal.objects.filter(
        arrival__payment__charge=receipt.charge_id, arrival__source__in=sources
    ).exists()


def _named(sources: Collection[str], kind: str) -> list[str]:
    """Return what arrivals came by: attempts by their number, what disputes gave back by the dispute's id."""
    return [source.removeprefix(kind).partition("/")[0] for source in sources if source.startswith(kind)]


def _why(receipt: ChargeDocument) -> rules.WhyCancelled | None:
    """Return why a receipt no longer says what has arrived, or None while it does."""
    listed = {row["source"] for row in receipt.content["arrivals"]}
    if _reversed(receipt, listed):
        return rules.WhyCancelled.TAKEN_BACK
    payment = _settled(receipt.charge)
    if payment is not None and payment.paid_fen == receipt.content["totals"]["amount_fen"]:
        return None
    disputes = PaymentDispute.objects.filter(moves__gt=0).filter(
        Q(attempt__number__in=_named(listed, "attempt:")) | Q(provider_id__in=_named(listed, "dispute:"))
    )
    return rules.WhyCancelled.CHARGEBACK if disputes.exists() else rules.WhyCancelled.CHANGED


def cancel_wrong(*, charge: Charge, actor: Actor, now: datetime) -> ChargeDocument | None:
    """Cancel the receipt of a charge where its money did not stay, by a document that says why; else return None.

    The receipt stays as it is, and readable. Safe at any time.
    """
    receipt = standing_receipt(charge)
    why = _why(receipt) if receipt is not None else None
    if receipt is None or why is None:
        return None
    content = contents.cancellation_of(receipt, _whole(charge.pk), why=why, now=now)
    return _keep(charge, K.CANCELLATION, content, actor=actor, now=now, of={"cancels": receipt})


def credit_note_for(*, refund: Refund, actor: Actor, now: datetime) -> ChargeDocument:
    """Return the credit note of a refund, made at the first time of asking; with the invoice it corrects."""
    if known := ChargeDocument.objects.filter(refund=refund).first():
        return known
    whole = Refund.objects.select_related("charge__payer", "charge__provider").get(pk=refund.pk)
    invoice = invoice_for(charge=whole.charge, actor=actor, now=now)
    before = contents.corrected_before(whole.charge, refund=whole)
    content = contents.credit_note_of(whole, invoice=invoice, before=before, now=now)
    return _keep(whole.charge, K.CREDIT_NOTE, content, actor=actor, now=now, of={"refund": whole})


def write_offs(charge: Charge | None = None) -> QuerySet[ChargeProposal]:
    """Return what was given up of own shares, for which there are documents: of one charge, or all."""
    rows = ChargeProposal.objects.filter(kind=ChargeProposalKind.WRITE_OFF.value, state=ProposalState.APPROVED.value)
    return (rows if charge is None else rows.filter(charge=charge)).order_by("pk")


def write_off_for(*, proposal: ChargeProposal, actor: Actor, now: datetime) -> ChargeDocument:
    """Return the document of an approved write-off, made at the first time of asking; with the invoice it corrects."""
    if known := ChargeDocument.objects.filter(write_off=proposal).first():
        return known
    whole = ChargeProposal.objects.select_related("charge__payer", "charge__provider").get(pk=proposal.pk)
    invoice = invoice_for(charge=whole.charge, actor=actor, now=now)
    before = contents.corrected_before(whole.charge, write_off=whole)
    content = contents.write_off_of(whole, invoice=invoice, before=before, now=now)
    return _keep(whole.charge, K.WRITE_OFF, content, actor=actor, now=now, of={"write_off": whole})


def all_for(*, actor: Actor, charge: Charge, now: datetime) -> list[ChargeDocument]:
    """Return every document a charge has by now, making those that are missing. The actor may see the charge.

    Each in a transaction of its own: what is made stays made. Raises NotFound, NotTaken.
    """
    found = access.get_taken(actor, charge.number)
    invoice_for(charge=found, actor=actor, now=now)
    if found.own_captured_fen:
        cancel_wrong(charge=found, actor=actor, now=now)
        if is_paid(found):
            receipt_for(charge=found, actor=actor, now=now)
    for refund in found.refunds.filter(credit_note__isnull=True).order_by("pk"):
        credit_note_for(refund=refund, actor=actor, now=now)
    for proposal in write_offs(found).filter(document__isnull=True):
        write_off_for(proposal=proposal, actor=actor, now=now)
    return documents_of(found)


def missing_of(charge: Charge) -> list[rules.DocumentKind]:
    """Return the kinds of documents a captured charge lacks by now; they are being made. Five queries, nothing written."""
    receipt = standing_receipt(charge)
    is_wrong = receipt is not None and _why(receipt) is not None
    found = [] if charge.documents.filter(kind=K.INVOICE.value).exists() else [K.INVOICE]
    found += [K.CANCELLATION] if is_wrong else []
    if (receipt is None or is_wrong) and charge.own_captured_fen and is_paid(charge):
        found.append(K.RECEIPT)
    found += [K.CREDIT_NOTE] if charge.refunds.filter(credit_note__isnull=True).exists() else []
    found += [K.WRITE_OFF] if write_offs(charge).filter(document__isnull=True).exists() else []
    return found


def is_paid(charge: Charge) -> bool:
    """Say whether money for the own share of a charge has arrived, all that was asked for."""
    return _settled(charge) is not None
