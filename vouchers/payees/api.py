"""Endpoints of payees' bank accounts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from django.http import HttpResponse
from django.utils import timezone
from ninja import File, Form, Query, Router, Schema, Status, UploadedFile
from pydantic import Field

from portal.kernel.errors import Forbidden
from portal.wire import ActorRequest, Block, Cursor, Number, PageOut, StrictIn, paged, problems
from vouchers.evidence import access as evidence
from vouchers.evidence import services as files
from vouchers.evidence.rules import MAX_BYTES
from vouchers.payees import access, services
from vouchers.payees.models import PayeeAccount
from vouchers.payees.rules import Details, PayeeAccountState

router = Router(tags=["payees"])


class PayeeAccountOut(Schema):
    """A bank account, or with `rail` an account with a payment gateway, a payee is, was or wants to be paid to.

    `number` is masked for who need not know it.
    """

    reference: str
    payee: str
    credit_code: str
    holder: str
    bank: str
    cnaps: str
    number: str
    rail: str
    note: str
    state: PayeeAccountState
    state_label: str
    proposed_by: str
    proposed_at: datetime
    checked_by: str | None
    verified_by: str | None
    in_force_from: datetime | None
    ended_at: datetime | None
    reason: str
    proofs: list[int]


class PayeeAccountIn(StrictIn):
    """An account as the bank's certificate shows it; the proof comes beside it as a file.

    With `rail`, a payment gateway's code, `number` is the account's id there and `cnaps` stays empty.
    """

    holder: Annotated[str, Field(max_length=200)]
    bank: Annotated[str, Field(max_length=200)]
    cnaps: Annotated[str, Field(max_length=40)] = ""
    number: Annotated[str, Field(max_length=60)]
    note: Annotated[str, Field(max_length=300)] = ""
    rail: Annotated[str, Field(max_length=24)] = ""


class AccountRejectIn(StrictIn):
    """Why the account is sent back; its payee reads it."""

    reason: Annotated[Block, Field(max_length=300)]


class AccountFilter(Cursor):
    """``?state=checked`` is what finance has to verify."""

    state: PayeeAccountState | None = None


def _account_shown(request: ActorRequest, account: PayeeAccount) -> dict[str, Any]:
    whole = access.may_read_number(request.actor, account)
    return {
        "reference": account.reference,
        "payee": account.organisation.name,
        "credit_code": account.organisation.credit_code,
        "holder": account.holder,
        "bank": account.bank,
        "cnaps": account.cnaps,
        "number": account.number if whole else account.masked,
        "rail": account.rail,
        "note": account.note,
        "state": account.state,
        "state_label": account.get_state_display(),
        "proposed_by": str(account.proposed_by),
        "proposed_at": account.proposed_at,
        "checked_by": str(account.checked_by) if account.checked_by else None,
        "verified_by": str(account.verified_by) if account.verified_by else None,
        "in_force_from": account.in_force_from,
        "ended_at": account.ended_at,
        "reason": account.reason,
        "proofs": [],
    }


def _account_detail(request: ActorRequest, number: str) -> dict[str, Any]:
    account = access.get_account(request.actor, number)
    kept = evidence.files_of(access.subject_of(account))
    return {**_account_shown(request, account), "proofs": [file.pk for file in kept]}


@router.get("/accounts", response={200: PageOut[PayeeAccountOut], **problems()})
def list_accounts(request: ActorRequest, wanted: Query[AccountFilter]) -> dict[str, Any]:
    """List accounts, numbers masked: finance sees all, a payee's owners their own."""
    if not any(request.actor.may(permission) for permission in access.READERS):
        raise Forbidden
    rows = access.visible_to(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, lambda row: {**_account_shown(request, row), "number": row.masked})


@router.post("/accounts", response={201: PayeeAccountOut, **problems(404, 409)})
def propose_account(
    request: ActorRequest, payload: Form[PayeeAccountIn], file: File[UploadedFile]
) -> Status[dict[str, Any]]:
    """Propose an account for the own organisation with its proof (at most 20 MB); the same again changes nothing."""
    made = services.propose(
        actor=request.actor,
        details=Details(payload.holder, payload.bank, payload.cnaps, payload.number, payload.note, payload.rail),
        proof=files.Upload(file.name or "file", file.read(MAX_BYTES + 1)),
        now=timezone.now(),
    )
    return Status(201, _account_detail(request, made.reference))


@router.get("/accounts/{number}", response={200: PayeeAccountOut, **problems(404)})
def get_payee_account(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return an account with its whole number and its proofs."""
    return _account_detail(request, number)


@router.get("/accounts/{number}/proofs/{file_id}", response={200: bytes, **problems(404)})
def get_account_proof(request: ActorRequest, number: Number, file_id: int) -> HttpResponse:
    """Return a proof's bytes, as a download."""
    proof = access.get_proof(request.actor, number, file_id)
    response = HttpResponse(files.read(file=proof), content_type="application/octet-stream")
    response["Content-Disposition"] = "attachment"
    return response


def _act(request: ActorRequest, number: str, act: Callable[[PayeeAccount, datetime], object]) -> dict[str, Any]:
    act(access.get_account(request.actor, number), timezone.now())
    return _account_detail(request, number)


@router.post("/accounts/{number}/check", response={200: PayeeAccountOut, **problems(404, 409)})
def check_account(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Confirm that an account is as its proof says: as a second owner of the payee, or as finance."""
    return _act(request, number, lambda row, now: services.check(actor=request.actor, account=row, now=now))


@router.post("/accounts/{number}/verify", response={200: PayeeAccountOut, **problems(404, 409)})
def verify_account(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Verify a checked account as a third person: it comes into force after the cooling-off period."""
    return _act(request, number, lambda row, now: services.verify(actor=request.actor, account=row, now=now))


@router.post("/accounts/{number}/reject", response={200: PayeeAccountOut, **problems(404, 409)})
def reject_account(request: ActorRequest, number: Number, payload: AccountRejectIn) -> dict[str, Any]:
    """Send an account back before it is in force, with a reason."""
    return _act(
        request,
        number,
        lambda row, now: services.reject(actor=request.actor, account=row, reason=payload.reason, now=now),
    )


@router.post("/accounts/{number}/withdraw", response={200: PayeeAccountOut, **problems(404, 409)})
def withdraw_account(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Take an account of the own organisation back before it is in force."""
    return _act(request, number, lambda row, now: services.withdraw(actor=request.actor, account=row, now=now))
