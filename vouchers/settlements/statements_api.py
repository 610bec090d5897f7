"""Endpoint of payees' monthly statements."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Path, Query, Router, Schema
from pydantic import Field

from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.organisations import access as people
from portal.wire import ActorRequest, MoneyOut, StrictIn, money, problems
from vouchers.settlements import access, statements

router = Router(tags=["settlements"])


class StatementMovementOut(Schema):
    """One act that changed what a payee is owed: positive where more was owed."""

    at: datetime
    kind: statements.MovementKind
    source: str
    subject: str
    amount: MoneyOut


class PayeeStatementOut(Schema):
    """A payee's month in Beijing time: `opening` plus every line is `closing`."""

    credit_code: str
    starts_at: datetime
    ends_at: datetime
    opening: MoneyOut
    closing: MoneyOut
    totals: dict[str, MoneyOut]
    lines: list[StatementMovementOut]


class StatementFilter(StrictIn):
    """`payee` is a unified social credit code; only finance asks for others than its own."""

    payee: Annotated[str, Field(max_length=18)] = ""


@router.get("/statements/{year}/{month}", response={200: PayeeStatementOut, **problems(404)})
def get_statement(
    request: ActorRequest, year: Annotated[int, Path()], month: Annotated[int, Path()], wanted: Query[StatementFilter]
) -> dict[str, Any]:
    """Return a payee's statement of a month, read from the ledger: the own one, or for finance anybody's."""
    actor = request.actor
    if any(actor.may(permission) for permission in access.FINANCE):
        payee = people.payees().filter(credit_code=wanted.payee).first()
        if payee is None:
            raise NotFound(field="payee")
    else:
        if not actor.may(Permission.CLAIM_FILE):
            actor.require(Permission.SETTLEMENT_READ_OWN)
        payee = people.get_own(actor)
    found = statements.statement(payee.pk, statements.month_of(year, month, now=timezone.now()))
    return {
        "credit_code": payee.credit_code,
        "starts_at": found.period.start,
        "ends_at": found.period.end,
        "opening": money(found.opening_fen),
        "closing": money(found.closing_fen),
        "totals": {kind: money(fen) for kind, fen in found.totals.items()},
        "lines": [
            {
                "at": line.at,
                "kind": line.kind,
                "source": line.source,
                "subject": line.subject,
                "amount": money(line.amount_fen),
            }
            for line in found.lines
        ],
    }
