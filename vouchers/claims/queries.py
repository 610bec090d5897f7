"""Read what can be claimed, what a claim rests on, and when it will be paid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.expressions import NegatedExpression

from portal.kernel.money import Money
from portal.kernel.period import Period
from vouchers.charges.models import ChargePart
from vouchers.claims import rules
from vouchers.claims.models import ClaimLine, PaymentRun, RedemptionClaim
from vouchers.evidence import access as evidence
from vouchers.issuance import queries as issuance
from vouchers.issuance.models import Application
from vouchers.issuance.rules import ApplicationState
from vouchers.ledger import queries as ledger
from vouchers.programmes.access import scheme_of
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.terms import Cadence, RedeemMode
from vouchers.wallets.models import Voucher
from vouchers.wallets.rules import VoucherState

OPEN_STATES = (rules.ClaimState.REFUSED.value, rules.ClaimState.WITHDRAWN.value)


def subject_of(claim: RedemptionClaim) -> str:
    """Return the claim's name for evidence, flags and the trail."""
    return f"claim:{claim.number}"


def claims_needed(version: str) -> Q:
    """Return the condition that charges under the programme version at path `version` are paid on a claim only.

    A programme that deducts, and asks for documents or an audit of claims, is paid on claims; where it asks for neither,
    the measured use is proof enough and is settled at once.
    """
    return (
        Q(**{f"{version}__document__evidence__contains": [{"stage": "claim"}]})
        | Q(**{f"{version}__document__evidence__contains": [{"stage": "redeem"}]})
        | Q(**{f"{version}__document__audit__has_key": "sample_rate"})
    )


def on_claim() -> QuerySet[ChargePart]:
    """Return what is paid on a claim: the parts of charges paid by vouchers of programmes that need one, no others."""
    return ChargePart.objects.filter(claims_needed("voucher__application__version"))


def unclaimed() -> NegatedExpression[Any]:
    """Return the condition on parts of charges that no filed claim holds them."""
    return ~Exists(ClaimLine.objects.filter(charge=OuterRef("charge"), voucher=OuterRef("voucher"), active=True))


def claimable(provider_id: int) -> QuerySet[ChargePart]:
    """Return what vouchers paid of the provider's captured charges, and what waits to be claimed."""
    return (
        on_claim()
        .filter(
            unclaimed(),
            charge__provider_id=provider_id,
            charge__state="captured",
            charge__withheld_at__isnull=True,
            captured_fen__gt=F("refunded_fen") - F("owed_fen"),
        )
        .select_related("charge", "charge__payer", "voucher__application__version__programme")
        .order_by("charge_id", "pk")
    )


def reimbursable(organisation_id: int) -> list[Voucher]:
    """Return the organisation's vouchers that pay back what was paid in full."""
    found = Voucher.objects.filter(
        holder_id=organisation_id, application__version__document__redeem__mode=RedeemMode.REIMBURSE.value
    ).select_related("application", "application__version__programme")
    return list(found.order_by("valid_until", "pk"))


def awards_to_open() -> QuerySet[Application]:
    """Return granted applications that are paid without a voucher and that no claim was ever opened for."""
    return (
        Application.objects.filter(
            state=ApplicationState.GRANTED.value,
            version__document__redeem__mode=RedeemMode.AWARD.value,
            claims__isnull=True,
        )
        .select_related("version", "version__programme", "organisation")
        .order_by("pk")
    )


def applications_of(claim: RedemptionClaim) -> list[Application]:
    """Return the applications a claim rests on."""
    found = [claim.application] if claim.application else []
    if claim.voucher:
        found.append(claim.voucher.application)
    lines = claim.lines.filter(voucher__isnull=False).select_related("voucher__application__version")
    found += [line.voucher.application for line in lines if line.voucher]
    return list({application.pk: application for application in found}.values())


def documents_asked(claim: RedemptionClaim) -> list[str]:
    """Return the documents the programme asks for with a claim, by name, in its order."""
    requests: Sequence[dict[str, Any]] = [application.request for application in applications_of(claim)] or [{}]
    asked = [
        term.doc for request in requests for term in issuance.evidence_asked(claim.version, request, stage="claim")
    ]
    return list(dict.fromkeys(asked))


def documents_missing(claim: RedemptionClaim) -> list[str]:
    """Return the documents asked for that nobody has brought."""
    held = set(evidence.files_of(subject_of(claim)).values_list("purpose", flat=True))
    return [document for document in documents_asked(claim) if document not in held]


def items_of(claim: RedemptionClaim) -> list[rules.Item]:
    """Return a claim's lines as the rules read them."""
    return [
        rules.Item(
            amount=Money(line.amount_fen),
            base=Money(line.base_fen),
            invoice=line.invoice,
            day=line.day,
            payable=_payable(line),
        )
        for line in claim.lines.select_related("charge").prefetch_related("charge__parts").order_by("position")
    ]


def _payable(line: ClaimLine) -> Money | None:
    """Return what a line's voucher paid of its charge; None for a line that is no charge."""
    if line.charge is None:
        return None
    return Money(sum(part.payable_fen for part in line.charge.parts.all() if part.voucher_id == line.voucher_id))


def is_whole(line: ClaimLine) -> bool:
    """Say whether nothing of a line's charge was refunded since it was filed."""
    return not ChargePart.objects.filter(charge=line.charge_id, voucher=line.voucher_id, owed_fen__gt=0).exists()


def support_of(claim: RedemptionClaim) -> rules.Support:
    """Return what a claim rests on; what the claim itself holds on its voucher counts as available.

    A claim that holds its amount was filed in time and not changed since: neither end nor freeze stops it any more.
    """
    if claim.mode == RedeemMode.REIMBURSE.value and claim.voucher is not None:
        voucher = claim.voucher
        available = ledger.balances(account_ids=[voucher.account_id])[voucher.account_id].available_fen
        own = claim.amount_fen if claim.hold_id is not None else 0
        return rules.Support(
            share=Fraction(voucher.share_num, voucher.share_den),
            available=Money(available + own),
            starts=voucher.valid_from,
            ends=voucher.valid_until if claim.hold_id is None else None,
            is_frozen=claim.hold_id is None and voucher.state != VoucherState.ACTIVE.value,
            needs_invoice=True,
        )
    if claim.application is not None:
        return rules.Support(available=Money(claim.application.amount_fen))
    return rules.Support()


def cadence_of(version: ProgrammeVersion) -> Cadence:
    """Return when accepted claims of a programme are paid."""
    return scheme_of(version).terms.redeem.cadence


def window_of(claim: RedemptionClaim, *, now: datetime) -> Period | None:
    """Return the window whose end a claim waits for: that of its filing, or the present one if that run is over."""
    cadence = cadence_of(claim.version).value
    period = rules.window(claim.filed_at or now, cadence)
    if period is None:
        return None
    over = PaymentRun.objects.filter(programme_id=claim.version.programme_id, starts_at=period.start).exists()
    return rules.window(max(claim.approved_at or now, period.end), cadence) if over else period


def other_support(claim: RedemptionClaim) -> list[Application]:
    """Return other applications that rest on the same contract, in whichever programme or level; see `contract_print`."""
    own = applications_of(claim)
    prints = [application.contract_print for application in own if application.contract_print]
    if not prints:
        return []
    return list(
        Application.objects.filter(contract_print__in=prints, state__in=issuance.COUNTED)
        .exclude(pk__in=[application.pk for application in own])
        .select_related("version", "version__programme", "organisation")
        .order_by("pk")
    )


def beneficiary_of(claim: RedemptionClaim) -> int | None:
    """Return whom a claim supports in the end: the holder of the vouchers it redeems; None where there are several."""
    if claim.mode != RedeemMode.DEDUCT.value:
        return claim.claimant_id
    payers = set(claim.lines.values_list("charge__payer_id", flat=True))
    return payers.pop() if len(payers) == 1 else None


def waiting_for_runs(*, now: datetime) -> list[tuple[ProgrammeVersion, Period | None, int, int]]:
    """Return what waits for a payment run: version, its window (None = called by hand), number of claims and their fen."""
    waiting = (
        RedemptionClaim.objects.filter(state=rules.ClaimState.PAYABLE.value, eligible_at__isnull=True)
        .select_related("version__programme")
        .order_by("pk")
    )
    sums: dict[tuple[int, Period | None], tuple[ProgrammeVersion, int, int]] = {}
    for claim in waiting:
        key = (claim.version.programme_id, window_of(claim, now=now))
        _version, count, fen = sums.get(key, (claim.version, 0, 0))
        sums[key] = (claim.version, count + 1, fen + (claim.approved_fen or 0))
    return [(version, period, count, fen) for (_pk, period), (version, count, fen) in sums.items()]
