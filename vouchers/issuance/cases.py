"""What every writer of applications shares: locking a case, moving it, asking the rules, reserving and releasing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import Invalid, Refused, noop
from portal.kernel.money import Money
from portal.kernel.states import next_state
from portal.organisations.models import Organisation
from portal.workdays.queries import workdays
from vouchers.issuance import assigning, funds, queries, rules
from vouchers.issuance.models import Application
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
from vouchers.programmes.decisions import DecisionKind
from vouchers.programmes.models import ProgrammeVersion

_ = noop

POOL_TRIES = 5
NOTE_MAX = 300


class NoteMissing(Invalid):
    code = "application.note"
    message = _("请写明原因，申请单位会看到。")


def lock_applicant(organisation_id: int) -> None:
    """Make an organisation's applications wait for each other: taken before the application's own lock."""
    Organisation.objects.select_for_update(no_key=True).order_by("pk").get(pk=organisation_id)


def record(application: Application, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    """Write what was done into the trail, for the applicant and the department to read."""
    audit.record(
        action=action,
        subject=f"application:{application.number}",
        actor=actor,
        now=now,
        organisations=[application.organisation_id, *departments_of(application)],
        data={"state": application.state, "amount_fen": application.amount_fen, **data},
    )


def departments_of(application: Application) -> list[int]:
    """Return the programme's department, and the co-lead that acts at the present stage, if one does."""
    desk = application.desk_id
    return [application.version.programme.department_id, *([desk] if desk is not None else [])]


def desk_of(application: Application) -> int:
    """Return the department whose people act on the case now."""
    return application.desk_id or application.version.programme.department_id


def move(application: Application, action: rules.ApplicationAction) -> None:
    """Take the case to the state `action` leads to. Raises InvalidTransition."""
    application.state = next_state(rules.TRANSITIONS, rules.ApplicationState(application.state), action).value


def noted(note: str, *, most: int = NOTE_MAX) -> str:
    """Return a reason the applicant will read. Raises NoteMissing."""
    if not note.strip():
        raise NoteMissing(field="note")
    return note.strip()[:most]


def enter_stage(application: Application, *, stage: int, now: datetime) -> None:
    """Put the case before those who act at a stage: draw them, and start its time of working days.

    A case that comes back after the clock stood has the days that were left.
    """
    found = queries.stages(application.version)[stage]
    days = found.sla_days
    if application.days_left is not None and days is not None:
        days = min(days, application.days_left)
    application.days_left = None
    application.stage = stage
    application.role = found.role
    application.desk_id = queries.desk_of(application, found)
    application.stage_since = now
    application.due_at = rules.due(workdays(), now, days=days) if days is not None else None
    assigning.assign(application, now=now)


def ask_applicant(application: Application, *, now: datetime) -> None:
    """Stop the clock and give the applicant the programme's days to answer."""
    if application.role and application.due_at is not None:
        application.days_left = rules.days_left(workdays(), now, until=application.due_at)
    application.role, application.desk_id = "", None
    application.stage_since = now
    application.stopped_at = now
    days = queries.terms(application.version).supplement_days
    application.due_at = rules.due(workdays(), now, days=days)


def leave_stages(application: Application) -> None:
    """Take the case from its reviewers: nobody's desk shows it as theirs."""
    application.role, application.desk_id = "", None
    application.due_at = None
    application.stage_since = None


def decide(
    application: Application,
    *,
    action: rules.ApplicationAction,
    actor: Actor,
    now: datetime,
    put_forward: str | None = None,
) -> None:
    """Ask the rules, record the place in the order and reserve what they grant; lacking facts, ask the applicant.

    First come, first served: whoever has the earlier place has the earlier claim to the pool. A batch order only
    records, and a case that was in time stays in time whatever it was asked for later. The version is locked, so places
    have no gap and no two cases the same. `put_forward` is what the department's putting it forward rests on; None where
    the applicant handed it in. Raises Refused.
    """
    ProgrammeVersion.objects.select_for_update(no_key=True).order_by("pk").get(pk=application.version_id)
    funds.lock(application.version, now=now)
    for attempt in range(POOL_TRIES):
        application.request = queries.with_pool(application, now=now)
        decision = queries.decide(application.version, application.request)
        application.contract_print = queries.print_of(application.organisation, application.request)
        application.decision = decision.as_json()
        if decision.decision is DecisionKind.REJECT:
            raise Refused(decision.failures, data={"decision": application.decision})
        if decision.decision is DecisionKind.SUPPLEMENT:
            _ask(application, put_forward, actor=actor, now=now)
            return
        amount = decision.amount or Money(0)
        application.place = queries.last_place(application.version_id) + 1
        try:
            if queries.may_reserve(application, amount, now=now):
                application.reserve_hold_id = reserve(application, amount=amount, actor=actor, now=now, attempt=attempt)
        except InsufficientFunds:
            if attempt == POOL_TRIES - 1:
                raise
            continue
        break
    application.computed_fen = application.amount_fen = amount.fen
    move(application, action)
    if application.submitted_at is None or not queries.is_batch(application.version):
        application.submitted_at = rules.to_the_millisecond(now)
    application.stopped_at = None
    enter_stage(application, stage=0, now=now)
    application.save()
    if action is rules.ApplicationAction.ADMIT:
        record(application, action="application.appeal_admitted", actor=actor, now=now)
    elif put_forward is None:
        record(application, action="application.submitted", actor=actor, now=now)
    else:
        record(application, action="application.put_forward", actor=actor, now=now, reason=put_forward)


def _ask(application: Application, put_forward: str | None, *, actor: Actor, now: datetime) -> None:
    if application.state in {rules.ApplicationState.DRAFT.value, rules.ApplicationState.APPEAL.value}:
        move(application, rules.ApplicationAction.ASK)
        application.submitted_at = rules.to_the_millisecond(now)
        ask_applicant(application, now=now)
    application.save()
    if put_forward is None:
        record(application, action="application.supplement_asked", actor=actor, now=now)
        return
    record(application, action="application.put_forward", actor=actor, now=now, reason=put_forward)
    record(application, action="application.put_forward_incomplete", actor=actor, now=now)


def reserve(
    application: Application,
    *,
    amount: Money,
    actor: Actor,
    now: datetime,
    in_round: Money | None = None,
    attempt: int = 0,
) -> int:
    """Hold `amount` for the case in the budget of now's year and return the hold; unsaved. Raises InsufficientFunds.

    `in_round` is what a pool of each round has given already. `attempt` tells the tries of one moment apart: a key the
    ledger has refused stays refused.
    """
    version = application.version
    pool, year = funds.draw(version, amount=amount, now=now, submitted=application.submitted_at, in_round=in_round)
    application.reserved_at, application.fiscal_year = now, year
    voucher = AccountKey(AccountKind.VOUCHER, f"application:{application.number}", version.programme.code, year)
    result = ledger.post(
        posting=Posting(
            kind=JournalKind.RESERVE,
            key=f"application:{application.number}/reserve/{now.isoformat()}/{attempt}",
            operations=[HoldOp(pool, voucher, amount.fen)],
            actor=actor.signature,
            source_type="application",
            source_id=application.number,
        )
    )
    return result.hold_ids[0]


def release(application: Application, *, actor: Actor) -> None:
    """Give back what was reserved, if anything; the amounts stay."""
    if application.reserve_hold_id is not None:
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
    application.reserve_hold_id, application.reserved_at = None, None


def unreserve(application: Application, *, actor: Actor) -> None:
    """Give back what was reserved; the case is worth nothing until it is decided again."""
    release(application, actor=actor)
    application.amount_fen = application.computed_fen = 0
