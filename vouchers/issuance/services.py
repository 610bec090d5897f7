"""Apply, review, approve and issue; the only writer of applications and vouchers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Invalid, Refused, noop
from portal.kernel.money import Money
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from portal.organisations import access as people
from portal.organisations.models import Organisation
from vouchers.issuance import facts, queries, rules
from vouchers.issuance.models import Application, Voucher
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import (
    AccountKey,
    AccountKind,
    HoldOp,
    InsufficientFunds,
    JournalKind,
    Outcome,
    Posting,
    ResolveOp,
)
from vouchers.programmes.access import scheme_of
from vouchers.programmes.decisions import Decision, DecisionKind
from vouchers.programmes.models import Budget, ProgrammeVersion
from vouchers.programmes.states import VersionState

_ = noop

DEFAULT_MONTHS = 12
"""How long a voucher is valid when its programme does not say."""
POOL_TRIES = 5


class NoteMissing(Invalid):
    code = "application.note"
    message = _("请写明原因，申请单位会看到。")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an enterprise applies with: a contract, and further facts by path."""

    version: ProgrammeVersion
    contract: facts.Contract
    stated: Mapping[str, Any]


def assess(*, actor: Actor, wanted: Wanted, now: datetime) -> Decision:
    """Say what the rules would decide now, changing nothing. Raises Refused for a contract that is not one."""
    actor.require(Permission.APPLICATION_SUBMIT)
    return queries.decide(wanted.version, _request(actor, wanted, now))


def _request(actor: Actor, wanted: Wanted, now: datetime) -> dict[str, Any]:
    today = now.astimezone(rules.BEIJING).date()
    if reasons := facts.contract_reasons(wanted.contract, today=today):
        raise Refused(reasons)
    return queries.request_for(
        organisation_id=actor.acting_for,
        version=wanted.version,
        contract=wanted.contract,
        stated=wanted.stated,
        today=today,
    )


@transaction.atomic
def submit(*, actor: Actor, wanted: Wanted, now: datetime, key: str) -> Application:
    """Submit: the rules decide, and what they grant is reserved in the pool at once, first come first served.

    Idempotent on (organisation, `key`). Locks the organisation: its caps are judged by all it holds, so its
    applications are decided one after the other. Facts missing → state `supplement`, nothing reserved yet. Raises Refused with
    every failing test, NotOpen, KeyReused, Forbidden.
    """
    actor.require(Permission.APPLICATION_SUBMIT)
    _lock_applicant(actor.acting_for)
    request = _request(actor, wanted, now)
    print_ = idempotency.fingerprint(
        {"version": wanted.version.pk, "contract": request["contract"], "stated": dict(wanted.stated)}
    )
    if existing := Application.objects.filter(organisation_id=actor.acting_for, key=key).first():
        idempotency.check_replay(stored=existing.fingerprint, asked=print_)
        return existing
    version = ProgrammeVersion.objects.select_related("programme").get(pk=wanted.version.pk)
    if version.state != VersionState.PUBLISHED.value:
        raise rules.NotOpen
    application, created = Application.objects.get_or_create(
        organisation_id=actor.acting_for,
        key=key,
        defaults={
            "number": next_number(prefix="A", now=now),
            "version": version,
            "contract_number": wanted.contract.number.strip(),
            "request": request,
            "decision": {},
            "state": rules.ApplicationState.SUPPLEMENT.value,
            "submitted_by_id": actor.user_id,
            "fingerprint": print_,
            "submitted_at": now,
        },
    )
    if not created:
        idempotency.check_replay(stored=application.fingerprint, asked=print_)
        return application
    _decide(application, actor=actor, now=now)
    return application


@transaction.atomic
def complete(*, actor: Actor, application: Application, stated: Mapping[str, Any], now: datetime) -> Application:
    """Bring missing facts; the rules decide anew by the version the case was submitted under."""
    actor.require(Permission.APPLICATION_SUBMIT)
    _lock_applicant(application.organisation_id)
    locked = _lock(application)
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    next_state(rules.TRANSITIONS, rules.ApplicationState(locked.state), rules.ApplicationAction.COMPLETE)
    locked.request = queries.with_facts(locked, stated=stated)
    locked.reviewed_by_id = None
    _decide(locked, actor=actor, now=now)
    return locked


def _decide(application: Application, *, actor: Actor, now: datetime) -> None:
    """Ask the rules and reserve what they grant, again if rivals emptied the pool in between. Raises Refused."""
    for attempt in range(POOL_TRIES):
        application.request = queries.with_pool(application)
        decision = queries.decide(application.version, application.request)
        application.decision = decision.as_json()
        if decision.decision is DecisionKind.REJECT:
            raise Refused(decision.failures, data={"decision": application.decision})
        if decision.decision is DecisionKind.SUPPLEMENT:
            application.save()
            _record(application, action="application.supplement_asked", actor=actor, now=now)
            return
        amount = decision.amount or Money(0)
        try:
            application.reserve_hold_id = _reserve(application, amount=amount, actor=actor, now=now)
        except InsufficientFunds:
            if attempt == POOL_TRIES - 1:
                raise
            continue
        break
    application.computed_fen = application.amount_fen = amount.fen
    application.state = rules.ApplicationState.SUBMITTED.value
    application.submitted_at = now
    application.save()
    _record(application, action="application.submitted", actor=actor, now=now)


def _reserve(application: Application, *, amount: Money, actor: Actor, now: datetime) -> int:
    version = application.version
    pool = Budget.objects.get(programme=version.programme, fiscal_year=version.fiscal_year).account_id
    voucher = AccountKey(
        AccountKind.VOUCHER, f"application:{application.number}", version.programme.code, version.fiscal_year
    )
    result = ledger.post(
        posting=Posting(
            kind=JournalKind.RESERVE,
            key=f"application:{application.number}/reserve/{now.isoformat()}",
            operations=[HoldOp(pool, voucher, amount.fen)],
            actor=actor.signature,
            source_type="application",
            source_id=application.number,
        )
    )
    return result.hold_ids[0]


def _lock_applicant(organisation_id: int) -> None:
    """Make an organisation's applications wait for each other: taken before the application's own lock."""
    Organisation.objects.select_for_update(no_key=True).order_by("pk").get(pk=organisation_id)


def _lock(application: Application) -> Application:
    return (
        Application.objects.select_for_update(no_key=True, of=("self",))
        .select_related("version", "version__programme", "organisation", "reviewed_by")
        .order_by("pk")
        .get(pk=application.pk)
    )


def _record(application: Application, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    audit.record(
        action=action,
        subject=f"application:{application.number}",
        actor=actor,
        now=now,
        organisations=[application.organisation_id, application.version.programme.department_id],
        data={"state": application.state, "amount_fen": application.amount_fen, **data},
    )


def _case(actor: Actor, application: Application, permission: Permission) -> Application:
    """Lock a case for one of its department's deciders, who has had no part in it yet. Raises SamePerson.

    Whoever also belongs to the applicant has a part in it, whoever pressed the button there.
    """
    actor.require(permission)
    locked = _lock(application)
    if locked.version.programme.department_id != actor.organisation_id:
        raise Forbidden
    if actor.user_id is None or actor.user_id in {locked.submitted_by_id, locked.reviewed_by_id}:
        raise rules.SamePerson
    if people.belongs(user_id=actor.user_id, organisation_id=locked.organisation_id):
        raise rules.SamePerson
    return locked


def _move(application: Application, action: rules.ApplicationAction) -> None:
    application.state = next_state(rules.TRANSITIONS, rules.ApplicationState(application.state), action).value


@transaction.atomic
def endorse(*, actor: Actor, application: Application, amount: Money | None, note: str, now: datetime) -> Application:
    """Pass the first check, with the computed amount or less. Raises AmountRaised, SamePerson, InvalidTransition."""
    locked = _case(actor, application, Permission.APPLICATION_REVIEW)
    _move(locked, rules.ApplicationAction.ENDORSE)
    if amount is not None:
        if not 0 < amount.fen <= locked.computed_fen:
            raise rules.AmountRaised(field="amount", limit=str(Money(locked.computed_fen)))
        locked.amount_fen = amount.fen
    locked.reviewed_by_id = actor.user_id
    locked.note = note.strip()[:300]
    locked.save()
    _record(locked, action="application.reviewed", actor=actor, now=now)
    return locked


@transaction.atomic
def return_to_applicant(*, actor: Actor, application: Application, note: str, now: datetime) -> Application:
    """Send a case back for more facts; its reservation is released, its place in the queue given up."""
    locked = _case(actor, application, Permission.APPLICATION_REVIEW)
    if not note.strip():
        raise NoteMissing(field="note")
    _move(locked, rules.ApplicationAction.RETURN)
    _unreserve(locked, actor=actor)
    locked.note = note.strip()[:300]
    locked.save()
    _record(locked, action="application.returned", actor=actor, now=now)
    return locked


@transaction.atomic
def refuse(*, actor: Actor, application: Application, note: str, now: datetime) -> Application:
    """Refuse a case at either stage, with a reason; its reservation is released."""
    permission = (
        Permission.APPLICATION_REVIEW
        if application.state == rules.ApplicationState.SUBMITTED.value
        else Permission.APPLICATION_APPROVE
    )
    locked = _case(actor, application, permission)
    if not note.strip():
        raise NoteMissing(field="note")
    _move(locked, rules.ApplicationAction.REFUSE)
    _unreserve(locked, actor=actor)
    locked.note = note.strip()[:300]
    locked.decided_at = now
    locked.save()
    _record(locked, action="application.refused", actor=actor, now=now)
    return locked


@transaction.atomic
def withdraw(*, actor: Actor, application: Application, now: datetime) -> Application:
    """Withdraw an undecided application; its reservation is released."""
    actor.require(Permission.APPLICATION_SUBMIT)
    locked = _lock(application)
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    _move(locked, rules.ApplicationAction.WITHDRAW)
    _unreserve(locked, actor=actor)
    locked.decided_at = now
    locked.save()
    _record(locked, action="application.withdrawn", actor=actor, now=now)
    return locked


def _unreserve(application: Application, *, actor: Actor) -> None:
    if application.reserve_hold_id is None:
        return
    ledger.post(
        posting=Posting(
            kind=JournalKind.RELEASE,
            key=f"application:{application.number}/unreserve/{application.reserve_hold_id}",
            operations=[ResolveOp(application.reserve_hold_id, Outcome.RELEASED)],
            actor=actor.signature,
            source_type="application",
            source_id=application.number,
        )
    )
    application.reserve_hold_id = None
    application.amount_fen = application.computed_fen = 0


@transaction.atomic
def approve(*, actor: Actor, application: Application, now: datetime) -> Voucher:
    """Approve as a second person and issue the voucher: the reservation becomes its balance, the rest goes back.

    Raises SamePerson, InvalidTransition, Forbidden.
    """
    locked = _case(actor, application, Permission.APPLICATION_APPROVE)
    _move(locked, rules.ApplicationAction.APPROVE)
    locked.approved_by_id = actor.user_id
    locked.decided_at = now
    assert locked.reserve_hold_id is not None
    ledger.post(
        posting=Posting(
            kind=JournalKind.ISSUE,
            key=f"application:{locked.number}/issue",
            operations=[ResolveOp(locked.reserve_hold_id, Outcome.CAPTURED, locked.amount_fen)],
            actor=f"{locked.reviewed_by} #{locked.reviewed_by_id}",
            approved_by=actor.signature,
            source_type="application",
            source_id=locked.number,
        )
    )
    locked.save()
    voucher = _issue(locked, now=now)
    _record(locked, action="voucher.issued", actor=actor, now=now, voucher=voucher.number)
    return voucher


def _issue(application: Application, *, now: datetime) -> Voucher:
    version = application.version
    scheme = scheme_of(version)
    share = queries.bill_share(scheme, Decision.from_json(application.decision))
    months = scheme.terms.validity.length or DEFAULT_MONTHS
    return Voucher.objects.create(
        number=next_number(prefix="V", now=now),
        application=application,
        holder_id=application.organisation_id,
        account_id=ledger.account(
            kind=AccountKind.VOUCHER,
            owner=f"application:{application.number}",
            programme=version.programme.code,
            fiscal_year=version.fiscal_year,
        ),
        programme_code=version.programme.code,
        fiscal_year=version.fiscal_year,
        face_fen=application.amount_fen,
        share_num=share.numerator,
        share_den=share.denominator,
        services=queries.services_of(scheme),
        valid_from=now,
        valid_until=rules.valid_until(now, months=months),
    )
