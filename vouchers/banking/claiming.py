"""Whose a bank reference is: either a person says by hand what it is for or its statement line is booked, never both."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from datetime import datetime

from django.db import connection
from django.db.models import Q, Sum

from portal.kernel.money import Money
from vouchers.banking import rules
from vouchers.banking.models import BankClaim, MatchPart, StatementLine
from vouchers.banking.parts import Part
from vouchers.payments.models import Arrival
from vouchers.payments.rules import bank_reference
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import PaymentOrderLine
from vouchers.settlements.order_rules import NOT_PAID

__all__ = [
    "arrival_of",
    "booked_as",
    "by_hand",
    "claim",
    "claimed",
    "found_again",
    "loose",
    "serialise",
    "subjects_of",
]

REFERENCES = 0x62616E6B
"""First key of the advisory lock under which one bank reference is decided about."""
BY_HAND = (
    rules.PartKind.MANUAL.value,
    rules.PartKind.PAID_BACK.value,
    rules.PartKind.SETTLEMENT.value,
    rules.PartKind.RECOVERED.value,
)
SIDES = {True: ("in:", "recovery:"), False: ("back:", "batch:", "order:")}
"""What lines that came in, and that went out, may have been claimed for."""


def serialise(reference: str) -> None:
    """Let nobody else decide about a bank reference until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [REFERENCES, zlib.crc32(reference.encode()) % 2**31])


def claim(
    reference: str,
    *,
    subject: str,
    now: datetime,
    keep: bool = True,
    batch: str = "",
    unseen: bool = False,
    key: str = "",
) -> str:
    """Claim a bank reference for what a person says by hand it is for; the same again changes nothing.

    Returns the name under which its bookings are to know it, empty where nothing is kept: the reference, or another where
    it was released from something else before. `key` is that name where they are booked already.

    `keep` False only looks, for what a bank's file says itself. `batch` is the number of a batch that the line is to show.
    `unseen` only looks, too: Shown is raised where a line of it shows money going out that is not for something else.
    Raises Booked where its line is booked as something else or waits to be, Claimed where it was claimed for something
    else or a bank's file gave it to something else, LineTooSmall where what its line has left does not show `batch`. A line
    that is open is no obstacle: it is recognised later as what was said here. Called before any other lock.
    """
    serialise(reference)
    if unseen:
        _refuse_shown(reference, subject)
        return ""
    active = [state.value for state in rules.ACTIVE]
    for line in StatementLine.objects.filter(reference=reference).exclude(state=rules.LineState.OPEN.value):
        parts = list(
            MatchPart.objects.filter(match__line=line, match__state__in=active).select_related(
                "payment", "batch", "recovery"
            )
        )
        is_same = any(subject in subjects_of(part) for part in parts if part.kind in BY_HAND)
        if line.state != rules.LineState.MATCHED.value or not is_same:
            raise rules.Booked(field="bank_reference", value=reference)
    if batch:
        _refuse_too_small(reference, batch)
    known = BankClaim.objects.filter(reference=reference, released_at=None).first()
    if known is not None and known.subject != subject:
        raise rules.Claimed(field="bank_reference", value=reference, target=known.subject.partition(":")[2])
    if not keep:
        return ""
    if known is None:
        _refuse_standing(reference, subject)
        before = BankClaim.objects.filter(reference=reference).count()
        name = key or (f"{reference} {before + 1}" if before else "")
        known = BankClaim.objects.create(reference=reference, subject=subject, key=name, claimed_at=now)
    return known.booked_as


def booked_as(references: Iterable[str]) -> dict[str, str]:
    """Return by the name under which bookings know it the reference it has now, of those given. One query.

    What was released has none; what nobody claimed may have been booked under its own before claims were kept.
    """
    wanted = set(references)
    claims = list(BankClaim.objects.filter(reference__in=wanted))
    found = {each.booked_as: each.reference for each in claims if each.released_at is None}
    return found | {each: each for each in wanted - {each.reference for each in claims}}


def loose(subject: str) -> set[str]:
    """Return the names of bookings by hand for `subject` whose reference was released, and the right one is not known."""
    claims = list(BankClaim.objects.filter(subject=subject))
    return {each.booked_as for each in claims} - {each.booked_as for each in claims if each.released_at is None}


def found_again(line: StatementLine, *, subject: str, name: str, now: datetime) -> None:
    """Keep that a line turns out to be what was booked by hand as `name`, whose reference had been released."""
    if name in loose(subject) and not BankClaim.objects.filter(reference=line.reference, released_at=None).exists():
        BankClaim.objects.create(reference=line.reference, subject=subject, key=name, claimed_at=now)


def arrival_of(line: StatementLine) -> Arrival | None:
    """Return the money that finance confirmed by hand under the reference of a line. Two queries."""
    sources = [f"manual:{name}" for name in booked_as([line.reference])]
    return Arrival.objects.filter(source__in=sources, account=line.account.owner).select_related("payment").first()


def _refuse_shown(reference: str, subject: str) -> None:
    """Raises Shown where money went out by a line that nothing explains, or that is matched with the subject."""
    active = [state.value for state in rules.ACTIVE]
    for line in StatementLine.objects.filter(reference=reference, amount_fen__lt=0):
        parts = list(MatchPart.objects.filter(match__line=line, match__state__in=active).select_related("batch"))
        if not parts or any(subject in subjects_of(part) for part in parts):
            raise rules.Shown(field="text", value=reference, amount=Money(-line.amount_fen))


def _refuse_standing(reference: str, subject: str) -> None:
    """Raises Claimed where a bank's file, or a person before claims were kept, gave a reference to another payout."""
    rows = PaymentOrderLine.objects.filter(bank_reference__iexact=reference).exclude(bank_reference="")
    subjects = {f"order:{number}" for number in rows.values_list("order__number", flat=True)}
    subjects |= {f"batch:{number}" for number in rows.values_list("batch__number", flat=True)}
    paid = SettlementBatch.objects.filter(bank_reference__iexact=reference).values_list("number", flat=True)
    subjects |= {f"batch:{number}" for number in paid}
    if subjects and subject not in subjects:
        raise rules.Claimed(field="bank_reference", value=reference, target=min(subjects).partition(":")[2])


def _refuse_too_small(reference: str, number: str) -> None:
    """Refuse a line for a batch that a bank's file gave to others, or that is known and has less left than the batch.

    Raises Claimed, LineTooSmall.
    """
    batch = SettlementBatch.objects.get(number=number)
    rows = PaymentOrderLine.objects.filter(bank_reference__iexact=reference).select_related("batch").order_by("pk")
    other = None if rows.filter(batch=batch).exists() else rows.first()
    if other is not None:
        raise rules.Claimed(field="bank_line", value=reference, target=other.batch.number)
    active = [state.value for state in rules.ACTIVE]
    for line in StatementLine.objects.filter(reference=reference):
        parts = MatchPart.objects.filter(match__line=line, match__state__in=active)
        mine = Q(kind=rules.PartKind.SETTLEMENT.value, batch=batch)
        if parts.filter(mine).exists():
            continue
        taken = parts.aggregate(fen=Sum("amount_fen"))["fen"] or 0
        by_lines = parts.exclude(batch=None).values("batch")
        others = SettlementBatch.objects.filter(bank_line__iexact=reference).exclude(pk=batch.pk)
        taken += others.exclude(pk__in=by_lines).aggregate(fen=Sum("total_fen"))["fen"] or 0
        left = max(-line.amount_fen - taken, 0)
        if left < batch.total_fen:
            raise rules.LineTooSmall(
                field="bank_line", value=reference, left=Money(left), number=number, amount=Money(batch.total_fen)
            )


def subjects_of(part: MatchPart | Part) -> list[str]:
    """Return what a part that was booked by hand may have been claimed for."""
    if part.kind == rules.PartKind.MANUAL.value and part.payment is not None:
        return [f"in:{part.payment.number}"]
    if part.kind == rules.PartKind.PAID_BACK.value and part.payment is not None:
        return [f"back:{part.payment.number}"]
    if part.recovery is not None:
        return [f"recovery:{part.recovery.number}"]
    if part.batch is not None:
        orders = part.batch.order_lines.exclude(state__in=NOT_PAID).values_list("order__number", flat=True)
        return [f"batch:{part.batch.number}", *(f"order:{number}" for number in orders)]
    return []


def by_hand(batch: SettlementBatch) -> bool:
    """Say whether a person marked a batch as paid, not a bank's file: its reference was claimed then."""
    orders = batch.order_lines.values_list("order__number", flat=True)
    subjects = [f"batch:{batch.number}", *(f"order:{number}" for number in orders)]
    said = Q(reference=bank_reference(batch.bank_reference), released_at=None)
    return BankClaim.objects.filter(said | Q(subject__in=subjects, released_at__isnull=False)).exists()


def claimed(line: StatementLine) -> str:
    """Return what the reference of a line was claimed for by hand, or an empty text. One query."""
    claims = BankClaim.objects.filter(reference=line.reference, released_at=None)
    found = claims.values_list("subject", flat=True).first() or ""
    return found if found.startswith(SIDES[line.amount_fen > 0]) else ""
