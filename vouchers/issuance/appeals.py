"""Appeal against a refusal or a noticed result, and decide the appeal."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from portal.kernel.states import next_state
from portal.workdays.queries import workdays
from vouchers.issuance import cases, conflicts, queries, rules, workflow
from vouchers.issuance.models import Application, StageDecision
from vouchers.issuance.workflow import ReviewAction

__all__ = ["admit", "appeal", "appeal_until", "ask", "dismiss", "is_asked", "resume"]

APPEAL_MAX = 600


def appeal_until(application: Application) -> datetime | None:
    """Return the first instant at which a refusal can no longer be appealed; None where nothing was refused.

    The programme's `appeal_days` are working days after the day of the refusal. A noticed result may be appealed as
    long as it is noticed.
    """
    if application.decided_at is None or application.state != rules.ApplicationState.REFUSED.value:
        return None
    days = queries.terms(application.version).appeal_days
    return rules.due(workdays(), application.decided_at, days=days)


@transaction.atomic
def appeal(*, actor: Actor, application: Application, note: str, now: datetime) -> Application:
    """Appeal, once and in time, with the grounds. What was reserved for a noticed case is released meanwhile.

    Raises AppealClosed, AppealedBefore, NoteMissing, InvalidTransition, Forbidden.
    """
    actor.require(Permission.APPLICATION_SUBMIT)
    cases.lock_applicant(actor.acting_for)
    locked = queries.locked(application)
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    if locked.appealed_at is not None:
        raise rules.AppealedBefore
    until = appeal_until(locked)
    if until is not None and now >= until:
        raise rules.AppealClosed(deadline=rules.in_beijing(until))
    cases.move(locked, rules.ApplicationAction.APPEAL)
    locked.appeal_note = cases.noted(note, most=APPEAL_MAX)
    locked.appealed_at = now
    cases.unreserve(locked, actor=actor)
    cases.leave_stages(locked)
    locked.stage_since = now
    locked.save()
    cases.record(locked, action="application.appealed", actor=actor, now=now)
    return locked


def _appealed(actor: Actor, application: Application, action: rules.ApplicationAction) -> Application:
    """Lock an appealed case for one of its department who had no part in it before. Raises SamePerson, HasInterest."""
    actor.require(Permission.APPLICATION_APPROVE)
    cases.lock_applicant(application.organisation_id)
    locked = queries.locked(application)
    if locked.version.programme.department_id != actor.organisation_id:
        raise Forbidden
    if locked.state != rules.ApplicationState.APPEAL.value:
        next_state(rules.TRANSITIONS, rules.ApplicationState(locked.state), rules.ApplicationAction.ADMIT)
    next_state(rules.TRANSITIONS, rules.ApplicationState(locked.state), action)
    locked.turn += 1
    locked.first_turn = locked.turn
    locked.stage = workflow.APPEAL_STAGE
    conflicts.refuse_interest(locked, actor)
    return locked


@transaction.atomic
def admit(*, actor: Actor, application: Application, note: str, now: datetime) -> Application:
    """Let an appealed case be decided anew from the first stage, by other people. Raises Refused if the rules say no.

    Where the rules lack facts, the applicant is asked for them first, and the case goes on as any returned one.
    """
    locked = _appealed(actor, application, rules.ApplicationAction.ADMIT)
    _write(locked, ReviewAction.ADMIT, actor=actor, note=note, now=now)
    locked.reviewed_by_id = locked.approved_by_id = locked.decided_at = None
    locked.note = note.strip()[: cases.NOTE_MAX]
    locked.stage = 0
    submitted = locked.submitted_at
    cases.decide(locked, action=rules.ApplicationAction.ADMIT, actor=actor, now=now)
    locked.submitted_at = submitted
    locked.save(update_fields=["submitted_at"])
    return locked


@transaction.atomic
def ask(*, actor: Actor, application: Application, note: str, now: datetime) -> Application:
    """Ask the applicant for facts or documents before the appeal is decided; the answer brings it back to the appeal.

    Whoever asks has not decided anything, and may still do so. The programme's days for a supplement hold; who does not
    answer in time has the appeal decided on what is there. Raises NoteMissing, SamePerson, HasInterest, Forbidden.
    """
    locked = _appealed(actor, application, rules.ApplicationAction.RETURN)
    locked.note = cases.noted(note)
    _write(locked, ReviewAction.RETURN, actor=actor, note=note, now=now)
    cases.move(locked, rules.ApplicationAction.RETURN)
    cases.ask_applicant(locked, now=now)
    locked.save()
    cases.record(locked, action="application.appeal_asked", actor=actor, now=now, note=locked.note)
    return locked


def is_asked(application: Application) -> bool:
    """Say whether the applicant is asked for something inside an appeal that is not decided yet."""
    return application.state == rules.ApplicationState.SUPPLEMENT.value and application.stage == workflow.APPEAL_STAGE


def resume(application: Application, *, action: str, actor: Actor, now: datetime, note: str = "") -> Application:
    """Put a locked case that was asked inside its appeal back before those who decide appeals; nothing is judged yet."""
    cases.move(application, rules.ApplicationAction.RESUME)
    if application.stopped_at is not None:
        application.stopped_s += max(0, int((now - application.stopped_at).total_seconds()))
        application.stopped_at = None
    application.due_at = None
    application.stage_since = now
    application.save()
    cases.record(application, action=action, actor=actor, now=now, note=note.strip()[:APPEAL_MAX])
    return application


@transaction.atomic
def dismiss(*, actor: Actor, application: Application, note: str, now: datetime) -> Application:
    """Turn an appeal down, with a reason the applicant reads."""
    locked = _appealed(actor, application, rules.ApplicationAction.REFUSE)
    locked.note = cases.noted(note)
    _write(locked, ReviewAction.DISMISS, actor=actor, note=note, now=now)
    cases.move(locked, rules.ApplicationAction.REFUSE)
    cases.leave_stages(locked)
    locked.stage = 0
    locked.decided_at = now
    locked.save()
    cases.record(locked, action="application.appeal_dismissed", actor=actor, now=now)
    return locked


def _write(application: Application, action: ReviewAction, *, actor: Actor, note: str, now: datetime) -> None:
    StageDecision.objects.create(
        application=application,
        turn=application.turn,
        stage=workflow.APPEAL_STAGE,
        role=workflow.StageRole.APPROVER.value,
        person_id=actor.user_id,
        action=action.value,
        note=note.strip()[: cases.NOTE_MAX],
        at=now,
    )
