"""Let the machine itself take a case through its stages, where the programme grants at once (即申即享, 免申即享).

The same machine with automatic hands: no stage is skipped in the record, and a share of the cases is drawn for a check
afterwards. Source: 贵州省 2026 算力券“即申即享”; the rate of the sample is the programme's own `audit.sample_rate`.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, noop
from vouchers.issuance import cases, drawing, issuing, queries, rules, workflow
from vouchers.issuance.conflicts import refuse_interest
from vouchers.issuance.models import Application, StageDecision
from vouchers.issuance.workflow import ReviewAction
from vouchers.programmes.decisions import DecisionKind
from vouchers.programmes.terms import Automation

__all__ = ["ACTOR", "RecheckedBefore", "recheck", "run"]

_ = noop

ACTOR = Actor.system(noop("自动办理"))


class RecheckedBefore(Conflict):
    code = "application.rechecked_before"
    message = _("这份申请没有被抽中复核，或已经复核过。")


def run(application: Application, *, now: datetime, is_asked: bool = True) -> None:
    """Pass every stage of a locked case the rules have just granted; leave all others to people.

    A decision that needs judgement (`manual`) is never automatic. Where nobody applied (`is_asked` false), a person of
    the department put the case forward, so the last stage stays with an approver: nobody grants money alone.
    """
    terms = queries.terms(application.version)
    granted = application.decision.get("decision") == DecisionKind.GRANT.value
    if terms.automation is Automation.NONE or application.state != rules.ApplicationState.REVIEW.value or not granted:
        return
    stages = queries.stages(application.version)
    passed = stages if is_asked else stages[:-1]
    for at, stage in enumerate(passed):
        StageDecision.objects.create(
            application=application,
            turn=application.turn,
            stage=at,
            role=stage.role,
            person=None,
            action=ReviewAction.PASS.value,
            amount_fen=application.amount_fen,
            at=now,
        )
    application.assignments.filter(released_at__isnull=True).update(released_at=now)
    application.sampled = drawing.is_sampled(application.number, rate=terms.audit.sample_rate)
    cases.record(application, action="application.automatic", actor=ACTOR, now=now, sampled=application.sampled)
    if not is_asked:
        cases.enter_stage(application, stage=len(stages) - 1, now=now)
        application.save()
        return
    application.stage = len(stages) - 1
    issuing.conclude(application, actor=ACTOR, now=now)


@transaction.atomic
def recheck(*, actor: Actor, application: Application, is_sound: bool, note: str, now: datetime) -> Application:
    """Record what the check afterwards of a sampled case found; a reason where it is not sound. Once.

    What follows from an unsound case (freezing, recovery) is decided by its own verbs. Raises RecheckedBefore,
    NoteMissing, SamePerson, HasInterest, Forbidden.
    """
    actor.require(Permission.APPLICATION_REVIEW)
    locked = queries.locked(application)
    if locked.version.programme.department_id != actor.organisation_id:
        raise Forbidden
    if not locked.sampled or locked.decisions.filter(stage=workflow.RECHECK_STAGE).exists():
        raise RecheckedBefore
    refuse_interest(locked, actor)
    StageDecision.objects.create(
        application=locked,
        turn=locked.turn,
        stage=workflow.RECHECK_STAGE,
        role=workflow.StageRole.REVIEWER.value,
        person_id=actor.person,
        action=(ReviewAction.PASS if is_sound else ReviewAction.REFUSE).value,
        note=note.strip()[: cases.NOTE_MAX] if is_sound else cases.noted(note),
        at=now,
    )
    cases.record(locked, action="application.rechecked", actor=actor, now=now, is_sound=is_sound)
    return locked
