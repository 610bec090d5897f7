"""Decide a case stage by stage: pass, return, refuse. Nobody decides two stages, or a case they have a part in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor
from portal.kernel.errors import Forbidden
from portal.kernel.money import Money
from portal.kernel.states import next_state
from vouchers.issuance import assigning, cases, conflicts, issuing, queries, rules, workflow
from vouchers.issuance.models import Application, StageDecision
from vouchers.issuance.workflow import ReviewAction
from vouchers.programmes.terms import Stage

MOST_POINTS = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a decider says. `amount` only to lower what came to them; `score` of 100; `checks` are the items ticked.

    `seen` is where the case stood for the decider (`seen_of`), so that a decision is never taken for another stage than
    the one looked at; empty = wherever it stands.
    """

    amount: Money | None = None
    note: str = ""
    score: int | None = None
    checks: tuple[str, ...] = ()
    seen: str = ""


def seen_of(application: Application) -> str:
    """Return where a case stands, for `Verdict.seen`."""
    return f"{application.state}.{application.turn}.{application.stage}"


@transaction.atomic
def pass_stage(*, actor: Actor, application: Application, verdict: Verdict, now: datetime) -> Application:
    """Pass the stage the case stands at; with its quorum the case goes on, after the last stage it is decided.

    Raises AmountRaised, SamePerson, MovedOn, InvalidTransition, Forbidden.
    """
    locked, stages = _case(actor, application, verdict)
    stage = stages[locked.stage]
    amount = _lowered(locked, verdict.amount)
    locked.amount_fen = amount
    scores = stage.action == "score"
    if scores and (verdict.score is None or not 0 <= verdict.score <= MOST_POINTS):
        raise rules.ScoreMissing(field="score")
    _write(
        locked,
        ReviewAction.SCORE if scores else ReviewAction.PASS,
        actor=actor,
        verdict=verdict,
        amount=amount,
        now=now,
    )
    locked.score = queries.score_of(locked)
    locked.note = verdict.note.strip()[: cases.NOTE_MAX]
    if not workflow.is_carried(stage, queries.passed_by(locked)):
        cases.move(locked, rules.ApplicationAction.PASS)
        locked.save()
        cases.record(locked, action="application.voted", actor=actor, now=now, stage=stage.stage)
        return locked
    if not workflow.is_last(stages, locked.stage):
        cases.move(locked, rules.ApplicationAction.PASS)
        locked.reviewed_by_id = actor.user_id
        cases.enter_stage(locked, stage=locked.stage + 1, now=now)
        locked.save()
        cases.record(locked, action="application.reviewed", actor=actor, now=now, stage=stage.stage)
        return locked
    locked.approved_by_id = actor.user_id
    issuing.conclude(locked, actor=actor, now=now)
    return locked


@transaction.atomic
def return_case(*, actor: Actor, application: Application, verdict: Verdict, now: datetime) -> Application:
    """Send a case back: to the applicant for more facts, or to the earlier stage the programme names.

    To the applicant: its reservation is released, its place in the order given up, its clock stands. Raises NoteMissing.
    """
    locked, stages = _case(actor, application, verdict)
    note = cases.noted(verdict.note)
    target = workflow.target_of(stages, locked.stage)
    action = ReviewAction.RETURN if target is None else ReviewAction.SEND_BACK
    _write(locked, action, actor=actor, verdict=verdict, amount=None, now=now)
    locked.note = note
    locked.reviewed_by_id = None
    if target is None:
        cases.move(locked, rules.ApplicationAction.RETURN)
        cases.unreserve(locked, actor=actor)
        cases.ask_applicant(locked, now=now)
    else:
        cases.move(locked, rules.ApplicationAction.SEND_BACK)
        locked.turn += 1
        locked.amount_fen = locked.computed_fen
        cases.enter_stage(locked, stage=target, now=now)
    locked.save()
    cases.record(locked, action="application.returned", actor=actor, now=now)
    return locked


@transaction.atomic
def refuse(*, actor: Actor, application: Application, verdict: Verdict, now: datetime) -> Application:
    """Refuse a case at any stage, with a reason; its reservation is released. Raises NoteMissing."""
    locked, _stages = _case(actor, application, verdict)
    note = cases.noted(verdict.note)
    _write(locked, ReviewAction.REFUSE, actor=actor, verdict=verdict, amount=None, now=now)
    cases.move(locked, rules.ApplicationAction.REFUSE)
    cases.unreserve(locked, actor=actor)
    cases.leave_stages(locked)
    locked.note = note
    locked.decided_at = now
    locked.save()
    cases.record(locked, action="application.refused", actor=actor, now=now)
    return locked


def _case(actor: Actor, application: Application, verdict: Verdict) -> tuple[Application, tuple[Stage, ...]]:
    """Lock a case for one of its department's people who may act at its stage and have had no part in it.

    Whoever also belongs to the applicant has a part in it, whoever pressed the button there. Raises SamePerson, MovedOn,
    InvalidTransition.
    """
    locked = queries.locked(application)
    if cases.desk_of(locked) != actor.organisation_id:
        raise Forbidden
    stages = queries.stages(locked.version)
    next_state(rules.TRANSITIONS, rules.ApplicationState(locked.state), rules.ApplicationAction.PASS)
    if verdict.seen and verdict.seen != seen_of(locked):
        raise rules.MovedOn
    actor.require(workflow.PERMISSION[workflow.StageRole(stages[locked.stage].role)])
    conflicts.refuse_interest(locked, actor)
    if queries.acted_now(locked, actor.person):
        raise rules.SamePerson
    held = assigning.holders(locked)
    if held and actor.user_id not in {each.person_id for each in held}:
        raise rules.NotAssigned
    return locked, stages


def _lowered(application: Application, amount: Money | None) -> int:
    """Return the amount passed on, fen: what came here or less. Raises AmountRaised."""
    if amount is None:
        return application.amount_fen
    if not 0 < amount.fen <= application.amount_fen:
        raise rules.AmountRaised(field="amount", limit=str(Money(application.amount_fen)))
    return amount.fen


def _write(
    application: Application,
    action: ReviewAction,
    *,
    actor: Actor,
    verdict: Verdict,
    amount: int | None,
    now: datetime,
) -> None:
    StageDecision.objects.create(
        application=application,
        turn=application.turn,
        stage=application.stage,
        role=application.role,
        person_id=actor.user_id,
        action=action.value,
        amount_fen=amount,
        score=verdict.score,
        checks=list(verdict.checks),
        note=verdict.note.strip()[: cases.NOTE_MAX],
        at=now,
    )
