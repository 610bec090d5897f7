"""Invoices that claims name and this portal knows: who sold, who bought, over how much, whether taken back, used elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.db.models import Q

from portal.kernel.errors import Reason, noop
from portal.kernel.money import Money
from vouchers.claims import rules
from vouchers.claims.models import ClaimInvoice, ClaimLine, RedemptionClaim
from vouchers.invoices.models import Fapiao
from vouchers.invoices.rules import Colour, FapiaoState

__all__ = ["InvoiceMark", "MarkedLine", "key_of", "known_to", "marked", "reasons_of"]

_ = noop


class InvoiceMark(StrEnum):
    """What this portal knows of an invoice that a line names."""

    UNKNOWN = "unknown"
    """It was not registered here: nothing is known of it."""
    KNOWN = "known"
    RED = "red"
    TAKEN_BACK = "taken_back"
    """Red ones have taken it back, or are to: in part or whole."""


@dataclass(frozen=True, slots=True)
class MarkedLine:
    """A line, and what is known of its invoice; `mark` is None where it names none."""

    line: ClaimLine
    mark: InvoiceMark | None


def known_to(claim: RedemptionClaim, lines: Iterable[ClaimLine]) -> dict[str, Fapiao]:
    """Return the tax invoices registered here that lines name, by the number as typed (`rules.invoice_key`). One query.

    Older ones are known by code and number together; by the number alone only where the claimant bought or sold it.
    """
    keys = {rules.invoice_key(line.invoice) for line in lines if line.invoice.strip()} - {""}
    if not keys:
        return {}
    own = Q(charge__payer_id=claim.claimant_id) | Q(charge__provider_id=claim.claimant_id)
    rows = Fapiao.objects.filter(
        Q(printed_key__in=keys) | Q(printed_number__in=keys) & own, state=FapiaoState.ISSUED.value
    ).select_related("charge__payer", "charge__provider")
    found: dict[str, Fapiao] = {}
    for one in rows.order_by("pk"):
        for key in {one.printed_key, one.printed_number} & keys:
            found.setdefault(key, one)
    return found


def key_of(number: str, known: dict[str, Fapiao]) -> str:
    """Return the one key under which an invoice is used up: that it was registered with, else as typed."""
    key = rules.invoice_key(number)
    return known[key].printed_key if key in known else key


def _mark(line: ClaimLine, known: dict[str, Fapiao]) -> InvoiceMark | None:
    if not line.invoice.strip():
        return None
    found = known.get(rules.invoice_key(line.invoice))
    if found is None:
        return InvoiceMark.UNKNOWN
    if found.colour == Colour.RED.value:
        return InvoiceMark.RED
    return InvoiceMark.TAKEN_BACK if found.red_fen else InvoiceMark.KNOWN


def marked(claim: RedemptionClaim) -> list[MarkedLine]:
    """Return the lines of a claim in order, each with what is known of its invoice by now. Two queries."""
    lines = list(claim.lines.select_related("charge", "voucher").order_by("position"))
    known = known_to(claim, lines)
    return [MarkedLine(line, _mark(line, known)) for line in lines]


def reasons_of(claim: RedemptionClaim) -> list[Reason]:
    """Return everything that speaks against the invoices known here that a claim names; unknown ones say nothing.

    A line that is a charge names the invoice of that charge; the sums of others may not exceed what stands of the invoice.
    """
    lines = list(claim.lines.select_related("charge__payer").order_by("position"))
    known = known_to(claim, lines)
    used = ClaimInvoice.objects.filter(key__in=[one.printed_key for one in known.values()], active=True)
    taken = set(used.exclude(claim=claim).values_list("key", flat=True)) if known else set()
    reasons: list[Reason] = []
    told: set[int] = set()
    for line in lines:
        found = known.get(rules.invoice_key(line.invoice))
        if found is None:
            continue
        reasons += _parties(claim, line, found)
        if found.pk in told:
            continue
        told.add(found.pk)
        reasons += _standing(line, found, lines, known)
        if found.printed_key in taken:
            said = {"invoice": line.invoice}
            reasons.append(Reason(rules.DuplicateInvoice.code, rules.DuplicateInvoice.message, "", "lines", said))
    return reasons


def _parties(claim: RedemptionClaim, line: ClaimLine, found: Fapiao) -> list[Reason]:
    at = {"row": line.position, "invoice": line.invoice}
    seller, reasons = found.charge.provider, []
    buyer_code = line.charge.payer.credit_code if line.charge else claim.claimant.credit_code
    is_seller = (seller.pk == claim.claimant_id) == (line.charge is not None)
    if not is_seller:
        text = _("第 %(row)s 行：发票 %(invoice)s 的销售方是%(seller)s，与申领不符。")
        remedy = _("服务单位申领自己开具的发票，购买单位申领别人开给自己的发票。")
        reasons.append(Reason("claim.invoice_seller", text, remedy, "lines", {**at, "seller": seller.name}))
    if found.buyer["credit_code"] != buyer_code:
        text = _("第 %(row)s 行：发票 %(invoice)s 的购买方是%(buyer)s，与申领不符。")
        remedy = _("请填写开给付款单位的发票，或请服务单位红冲重开。")
        reasons.append(Reason("claim.invoice_buyer", text, remedy, "lines", {**at, "buyer": found.buyer["title"]}))
    if line.charge is not None and line.charge_id != found.charge_id:
        text = _("第 %(row)s 行：发票 %(invoice)s 是为费用 %(charge)s 开具的。")
        reasons.append(
            Reason("claim.invoice_charge", text, "", "lines", {**at, "charge": found.charge.number}),
        )
    return reasons


def _standing(line: ClaimLine, found: Fapiao, lines: Sequence[ClaimLine], known: dict[str, Fapiao]) -> list[Reason]:
    at = {"row": line.position, "invoice": line.invoice}
    if found.colour == Colour.RED.value:
        text, remedy = _("第 %(row)s 行：%(invoice)s 是红字发票。"), _("请填写蓝字发票的号码。")
        return [Reason("claim.invoice_red", text, remedy, "lines", at)]
    left = found.amount_fen - found.red_fen
    if not left:
        text, remedy = _("第 %(row)s 行：发票 %(invoice)s 已全部红冲。"), _("有重开的，请填写重开的发票。")
        return [Reason("claim.invoice_taken_back", text, remedy, "lines", at)]
    named = [one for one in lines if known.get(rules.invoice_key(one.invoice)) == found and one.charge_id is None]
    base = sum(one.base_fen for one in named)
    if base <= left:
        return []
    text = _("第 %(row)s 行：发票 %(invoice)s 的有效金额是 %(left)s，填写的发票金额合计 %(base)s。")
    said = {**at, "left": str(Money(left)), "base": str(Money(base))}
    return [Reason("claim.invoice_amount", text, _("请照票面填写；有红字的，减去红字金额。"), "lines", said)]
