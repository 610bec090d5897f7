"""What stands on a document, drawn from the charge, the payment and the ledger; see `docs/invoices.md` for the schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from django.conf import settings
from django.utils.module_loading import import_string

from portal.organisations.models import Organisation
from vouchers.charges.models import Charge, ChargePart, ChargeProposal, Refund
from vouchers.charges.proposal_rules import ChargeProposalKind, ProposalState
from vouchers.invoices import lines, ports, rules, taxes
from vouchers.invoices.models import ChargeDocument, SalesTax
from vouchers.ledger.models import Transfer
from vouchers.ledger.rules import AccountKind
from vouchers.payments.models import Payment

__all__ = [
    "VERSION",
    "Given",
    "cancellation_of",
    "corrected_before",
    "credit_note_of",
    "describe",
    "given_back",
    "invoice_of",
    "rate_of",
    "receipt_of",
    "write_off_of",
]

VERSION: Final = "gongxiang.document/1"


def describe(subjects: Sequence[str]) -> Mapping[str, ports.Delivered]:
    """Return what subjects delivered, by those who know."""
    path = settings.INVOICE_DELIVERIES
    return cast("ports.Describe", import_string(path))(subjects) if path else {}


def _moment(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="seconds") if at else None


def _party(organisation: Organisation) -> dict[str, str]:
    return {
        "name": organisation.name,
        "name_en": organisation.name_en or organisation.name,
        "credit_code": organisation.credit_code,
    }


def rate_of(charge: Charge) -> SalesTax | None:
    """Return what the provider states of the tax of a charge's service; its general word where it has none of its own."""
    found = SalesTax.objects.filter(provider_id=charge.provider_id, service__in=["", charge.service])
    return found.order_by("-service").first()


def _head(charge: Charge, kind: str, *, now: datetime) -> dict[str, Any]:
    told = describe([charge.subject]).get(charge.subject)
    return {
        "version": VERSION,
        "kind": kind,
        "made_at": _moment(now),
        "charge": charge.number,
        "subject": charge.subject,
        "service": charge.service,
        "delivered": {
            "title": told.title if told else "",
            "title_en": (told.title_en or told.title) if told else "",
            "starts_at": _moment(told.starts_at) if told else None,
            "ends_at": _moment(told.ends_at) if told else None,
            "settled_at": _moment(charge.resolved_at),
        },
        "seller": _party(charge.provider),
        "buyer": _party(charge.payer),
        "currency": "CNY",
        "refers_to": None,
    }


def _totals(gross: int, net: int | None, tax: int | None) -> dict[str, int | None]:
    return {"amount_fen": gross, "net_fen": net, "tax_fen": tax}


def invoice_of(charge: Charge, *, now: datetime) -> dict[str, Any]:
    """Return the invoice of a captured charge: the whole price, and who pays which part of it.

    Only what the capture froze stands on it, so that it is the same whenever it is made. Vouchers never lower the price:
    deduction (抵扣) is a way of paying.
    """
    actual = charge.actual_fen or 0
    stated = rate_of(charge)
    rate = taxes.TaxRate(stated.rate) if stated else None
    listed = lines.lines_of(quote=charge.quote, measured=charge.measured, actual_fen=actual)
    taxed = taxes.taxed_lines([line.amount_fen for line in listed], rate) if rate else []
    said = [{"rate": stated.rate, "net_fen": one.net, "tax_fen": one.tax} for one in taxed] if stated else []
    return {
        **_head(charge, "invoice", now=now),
        "lines": [
            {"position": at + 1, **line.as_json(), "tax": said[at] if said else None} for at, line in enumerate(listed)
        ],
        "totals": _totals(
            actual, sum(one.net for one in taxed) if rate else None, sum(one.tax for one in taxed) if rate else None
        ),
        "payers": _payers(charge, own_fen=charge.own_captured_fen),
    }


def _voucher(part: ChargePart) -> dict[str, Any]:
    version = part.voucher.application.version
    return {
        "voucher": part.voucher.number,
        "programme": part.voucher.programme_code,
        "programme_name": version.name,
        "programme_name_en": version.name_en or version.name,
        "fiscal_year": part.voucher.fiscal_year,
        "share": f"{part.share_num}/{part.share_den}",
    }


def parts_of(charge: Charge) -> list[ChargePart]:
    """Return a charge's parts with what is told of their programmes, in the order they burn."""
    return list(charge.parts.select_related("voucher__application__version").order_by("pk"))


def _payers(charge: Charge, *, own_fen: int) -> list[dict[str, Any]]:
    paid = [
        {"by": "voucher", **_voucher(part), "amount_fen": part.captured_fen}
        for part in parts_of(charge)
        if part.captured_fen
    ]
    if own_fen:
        paid.append({"by": "own", "amount_fen": own_fen})
    return paid


def receipt_of(charge: Charge, payment: Payment, *, invoice: str, now: datetime) -> dict[str, Any]:
    """Return the receipt of an own share that has arrived: how it came, arrival by arrival, and what it pays.

    What a gateway took back of earlier arrivals is told as `taken_fen`, below zero; the total is what has stayed. That
    is what the own payer has paid, also where the rest was given up.
    """
    arrivals: list[dict[str, Any]] = [
        {
            "rail": row.rail,
            "source": row.source,
            "arrived_at": _moment(row.arrived_at),
            "amount_fen": row.applied_fen,
        }
        for row in payment.arrivals.filter(applied_fen__gt=0, reversal=None).order_by("pk")
    ]
    return {
        **_head(charge, "receipt", now=now),
        "refers_to": invoice,
        "payment": payment.number,
        "collect": payment.collect,
        "price_fen": charge.actual_fen,
        "payers": _payers(charge, own_fen=payment.paid_fen),
        "arrivals": arrivals,
        "taken_fen": payment.paid_fen - sum(int(row["amount_fen"]) for row in arrivals),
        "totals": _totals(payment.paid_fen, None, None),
    }


def cancellation_of(
    receipt: ChargeDocument, charge: Charge, *, why: rules.WhyCancelled, now: datetime
) -> dict[str, Any]:
    """Return what takes a receipt back: its amount below zero, and why it no longer holds."""
    fen = receipt.content["totals"]["amount_fen"]
    return {
        **_head(charge, "cancellation", now=now),
        "refers_to": receipt.content["refers_to"],
        "cancels": receipt.number,
        "why": why.value,
        "payment": receipt.content["payment"],
        "payers": [{"by": "own", "amount_fen": -fen}],
        "totals": _totals(-fen, None, None),
    }


@dataclass(frozen=True, slots=True)
class Given:
    """What of a refund went where, in fen: to vouchers by their part's pk, of those what lapsed, to the payer."""

    parts: Mapping[int, int]
    lapsed: Mapping[int, int]
    own: int


def given_back(refund: Refund, parts: Sequence[ChargePart]) -> Given:
    """Return where a refund's money went as the ledger booked it. One query."""
    by_hold = {part.hold_id: part.pk for part in parts if part.hold_id is not None}
    gone: dict[int, int] = {}
    lapsed: dict[int, int] = {}
    own = 0
    moved = Transfer.objects.filter(journal__key=f"refund:{refund.number}").select_related("credit_account")
    for row in moved.order_by("line_no"):
        part = by_hold.get(row.hold_id) if row.hold_id is not None else None
        if part is None:
            own += row.amount
            continue
        gone[part] = gone.get(part, 0) + row.amount
        if row.credit_account.kind == AccountKind.EXPIRED.value:
            lapsed[part] = lapsed.get(part, 0) + row.amount
    return Given(gone, lapsed, own)


def corrected_before(charge: Charge, *, refund: Refund | None = None, write_off: ChargeProposal | None = None) -> int:
    """Return what refunds and write-offs took off a price before this one, in fen: in the order they came, refunds first."""
    refunds = charge.refunds.all()
    given_up = charge.proposals.filter(kind=ChargeProposalKind.WRITE_OFF.value, state=ProposalState.APPROVED.value)
    if refund is not None:
        refunds, given_up = refunds.filter(pk__lt=refund.pk), given_up.filter(decided_at__lt=refund.refunded_at)
    elif write_off is not None:
        refunds = refunds.filter(refunded_at__lte=write_off.decided_at)
        given_up = given_up.filter(pk__lt=write_off.pk)
    return sum(row.amount_fen for row in refunds) + sum(row.amount_fen for row in given_up)


def _corrects(invoice: ChargeDocument, what: lines.What, fen: int, *, before: int) -> dict[str, Any]:
    """Return the line and the totals of what takes `fen` off an invoice.

    Tax is cut cumulatively: what takes a price off whole takes off exactly its tax.
    """
    totals, tax = invoice.content["totals"], None
    if totals["tax_fen"] is not None:
        tax = taxes.tax_between(before, before + fen, gross=totals["amount_fen"], tax=totals["tax_fen"])
    rate = next((row["tax"]["rate"] for row in invoice.content["lines"] if row["tax"]), None)
    said = None if tax is None else {"rate": rate, "net_fen": tax - fen, "tax_fen": -tax}
    return {
        "refers_to": invoice.number,
        "lines": [{"position": 1, **lines.correcting_line(what, fen).as_json(), "tax": said}],
        "totals": _totals(-fen, None if tax is None else tax - fen, None if tax is None else -tax),
    }


def credit_note_of(refund: Refund, *, invoice: ChargeDocument, before: int, now: datetime) -> dict[str, Any]:
    """Return the credit note of a refund: amounts are negative. `before` is what was taken off the invoice earlier."""
    charge = refund.charge
    parts = parts_of(charge)
    given = given_back(refund, parts)
    back: list[dict[str, Any]] = [
        {
            "by": "voucher",
            **_voucher(part),
            "amount_fen": -given.parts[part.pk],
            "lapsed_fen": -given.lapsed.get(part.pk, 0),
        }
        for part in parts
        if part.pk in given.parts
    ]
    if given.own:
        back.append({"by": "own", "amount_fen": -given.own})
    return {
        **_head(charge, "credit_note", now=now),
        **_corrects(invoice, lines.What.REFUND, refund.amount_fen, before=before),
        "refund": refund.number,
        "refunded_at": _moment(refund.refunded_at),
        "reason": refund.reason,
        "payers": back,
    }


def write_off_of(proposal: ChargeProposal, *, invoice: ChargeDocument, before: int, now: datetime) -> dict[str, Any]:
    """Return the document of what of an own share was given up: below zero. Who approved it stands in the records."""
    return {
        **_head(proposal.charge, "write_off", now=now),
        **_corrects(invoice, lines.What.WRITTEN_OFF, proposal.amount_fen, before=before),
        "write_off": proposal.number,
        "written_off_at": _moment(proposal.decided_at),
        "reason": proposal.reason,
        "payers": [{"by": "own", "amount_fen": -proposal.amount_fen}],
    }
