"""Whose a bank reference is: either finance confirms it by hand or its statement line is booked, never both."""

from __future__ import annotations

import zlib

from django.db import connection

from vouchers.banking import rules
from vouchers.banking.models import MatchPart, StatementLine

__all__ = ["claim", "serialise"]

REFERENCES = 0x62616E6B
"""First key of the advisory lock under which one bank reference is decided about."""
BY_HAND = (rules.PartKind.MANUAL.value, rules.PartKind.PAID_BACK.value)


def serialise(reference: str) -> None:
    """Let nobody else decide about a bank reference until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [REFERENCES, zlib.crc32(reference.encode()) % 2**31])


def claim(reference: str) -> None:
    """Claim a bank reference for confirming money by hand. Raises Booked where its line is booked or waits to be.

    A line that is open is no obstacle: it is recognised later as what was confirmed here. Called before any other lock.
    """
    serialise(reference)
    active = [state.value for state in rules.ACTIVE]
    for line in StatementLine.objects.filter(reference=reference).exclude(state=rules.LineState.OPEN.value):
        parts = MatchPart.objects.filter(match__line=line, match__state__in=active)
        if line.state != rules.LineState.MATCHED.value or parts.exclude(kind__in=BY_HAND).exists():
            raise rules.Booked(field="bank_reference", value=reference)
