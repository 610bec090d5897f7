"""Whose a bank reference is: either a person says by hand what it is for or its statement line is booked, never both."""

from __future__ import annotations

import zlib
from datetime import datetime

from django.db import connection

from vouchers.banking import rules
from vouchers.banking.models import BankClaim, MatchPart, StatementLine
from vouchers.banking.parts import Part

__all__ = ["claim", "claimed", "serialise", "subjects_of"]

REFERENCES = 0x62616E6B
"""First key of the advisory lock under which one bank reference is decided about."""
BY_HAND = (rules.PartKind.MANUAL.value, rules.PartKind.PAID_BACK.value, rules.PartKind.SETTLEMENT.value)
SIDES = {True: ("in:",), False: ("back:", "batch:", "order:")}
"""What lines that came in, and that went out, may have been claimed for."""


def serialise(reference: str) -> None:
    """Let nobody else decide about a bank reference until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [REFERENCES, zlib.crc32(reference.encode()) % 2**31])


def claim(reference: str, *, subject: str, now: datetime) -> None:
    """Claim a bank reference for what a person says by hand it is for; the same again changes nothing.

    Raises Booked where its line is booked as something else or waits to be, Claimed where it was claimed for something
    else. A line that is open is no obstacle: it is recognised later as what was said here. Called before any other lock.
    """
    serialise(reference)
    active = [state.value for state in rules.ACTIVE]
    for line in StatementLine.objects.filter(reference=reference).exclude(state=rules.LineState.OPEN.value):
        parts = list(
            MatchPart.objects.filter(match__line=line, match__state__in=active).select_related("payment", "batch")
        )
        is_same = any(subject in subjects_of(part) for part in parts if part.kind in BY_HAND)
        if line.state != rules.LineState.MATCHED.value or not is_same:
            raise rules.Booked(field="bank_reference", value=reference)
    made, is_new = BankClaim.objects.get_or_create(
        reference=reference, defaults={"subject": subject, "claimed_at": now}
    )
    if not is_new and made.subject != subject:
        raise rules.Claimed(field="bank_reference", value=reference, target=made.subject.partition(":")[2])


def subjects_of(part: MatchPart | Part) -> list[str]:
    """Return what a part that was booked by hand may have been claimed for."""
    if part.kind == rules.PartKind.MANUAL.value and part.payment is not None:
        return [f"in:{part.payment.number}"]
    if part.kind == rules.PartKind.PAID_BACK.value and part.payment is not None:
        return [f"back:{part.payment.number}"]
    if part.batch is not None:
        orders = part.batch.order_lines.values_list("order__number", flat=True)
        return [f"batch:{part.batch.number}", *(f"order:{number}" for number in orders)]
    return []


def claimed(line: StatementLine) -> str:
    """Return what the reference of a line was claimed for by hand, or an empty text. One query."""
    found = BankClaim.objects.filter(reference=line.reference).values_list("subject", flat=True).first() or ""
    return found if found.startswith(SIDES[line.amount_fen > 0]) else ""
