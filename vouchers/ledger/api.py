"""The ledger's own check, for those who audit it."""

from __future__ import annotations

from typing import Any

from ninja import Router, Schema

from portal.kernel.actors import Permission
from portal.wire import ActorRequest, problems
from vouchers.ledger import queries

router = Router(tags=["ledger"])


class ViolationOut(Schema):
    """One broken promise, for operators."""

    check: str
    subject: str
    detail: str


class CheckOut(Schema):
    """`unaccounted_fen` is 0 and `violations` empty when every fen is explained."""

    unaccounted_fen: int
    violations: list[ViolationOut]


@router.get("/check", response={200: CheckOut, **problems()})
def check(request: ActorRequest) -> dict[str, Any]:
    """Check every invariant over the whole ledger: one sequential pass per check, meant for a nightly run."""
    request.actor.require(Permission.LEDGER_READ)
    return {
        "unaccounted_fen": queries.unaccounted_fen(),
        "violations": [
            {"check": found.check, "subject": found.subject, "detail": found.detail} for found in queries.verify()
        ],
    }
