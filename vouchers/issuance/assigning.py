"""Draw who reviews a case, put another in their place, and let people declare that they keep away."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Q

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Invalid, noop
from portal.organisations import access as people
from portal.organisations.models import Member, Organisation
from vouchers.issuance import conflicts, drawing, queries, rules, workflow
from vouchers.issuance.models import Application, Assignment, Recusal

__all__ = ["assign", "eligible_for", "holders", "lift", "reassign", "recuse"]

_ = noop


class RecusedBefore(Conflict):
    code = "application.recused_before"
    message = _("您已经申请过回避。")


class ReasonMissing(Invalid):
    code = "application.recusal_reason"
    message = _("请写明回避的原因，例如亲属任职、曾任职、持股或其他利害关系。")


class LiftReasonMissing(Invalid):
    code = "application.lift_reason"
    message = _("请写明解除回避的原因，例如利害关系已消除、登记有误。")


class OwnRecusal(Forbidden):
    code = "application.own_recusal"
    message = _("自己申请的回避不能由自己解除。请由本单位其他审批人员解除。")


class LiftedBefore(Conflict):
    code = "application.recusal_lifted"
    message = _("这项回避已经解除。")


def holders(application: Application) -> list[Assignment]:
    """Return who holds the case at its present stage; none where nobody is drawn for such a stage."""
    return list(
        Assignment.objects.filter(
            application=application, turn=application.turn, stage=application.stage, released_at__isnull=True
        ).select_related("person")
    )


def eligible_for(application: Application) -> list[int]:
    """Return whom the case's present stage may be given to: people of that role in the department that acts there.

    Those with a part in the case are left out.
    """
    role = workflow.ASSIGNED.get(workflow.StageRole(application.role))
    if role is None:
        return []
    members = Member.objects.filter(
        organisation_id=application.desk_id or application.version.programme.department_id,
        left_at__isnull=True,
        roles__contains=[role.value],
    ).values_list("user_id", flat=True)
    persons = set(members)
    return sorted(persons - conflicts.found(application, persons).keys())


def assign(application: Application, *, now: datetime) -> list[Assignment]:
    """Draw the quorum for the stage a locked case has just come to. Nobody is drawn for approvers, who act as a body."""
    if workflow.StageRole(application.role) not in workflow.ASSIGNED:
        return []
    quorum = queries.stages(application.version)[application.stage].quorum
    return _draw(application, eligible_for(application), count=quorum, now=now)


def _draw(application: Application, eligible: list[int], *, count: int, now: datetime) -> list[Assignment]:
    assert application.submitted_at is not None
    seed = drawing.seed_of(
        number=application.number,
        turn=application.turn,
        stage=application.stage,
        submitted=application.submitted_at,
    )
    return [
        Assignment.objects.create(
            application=application,
            turn=application.turn,
            stage=application.stage,
            person_id=person,
            seed=seed,
            eligible=eligible,
            at=now,
        )
        for person in drawing.draw(seed=seed, eligible=eligible, count=count)
    ]


def _replace(application: Application, old: Assignment, *, reason: str, actor: Actor, now: datetime) -> None:
    """End an assignment and draw another from those who have not held the case at this stage."""
    left = _fresh(application)
    old.released_at, old.released_by_id, old.reason = now, actor.user_id, reason[:300]
    old.save(update_fields=["released_at", "released_by", "reason"])
    drawn = _draw(application, left, count=1, now=now)
    audit.record(
        action="application.reassigned",
        subject=f"application:{application.number}",
        actor=actor,
        now=now,
        organisations=[
            application.version.programme.department_id,
            *([application.desk_id] if application.desk_id else []),
        ],
        data={"from": old.person_id, "to": [each.person_id for each in drawn], "reason": reason},
    )


def _fresh(application: Application) -> list[int]:
    """Return the eligible who have not held the case at this stage in this turn."""
    held = Assignment.objects.filter(application=application, turn=application.turn, stage=application.stage)
    known = set(held.values_list("person_id", flat=True))
    return [person for person in eligible_for(application) if person not in known]


@transaction.atomic
def reassign(*, actor: Actor, application: Application, reason: str, now: datetime) -> Application:
    """Take a case from those it was drawn for who have not acted yet, and draw others. An approver's act.

    The others are drawn by the same lot, so that nobody is picked by hand. Raises NobodyLeft where fewer are left than
    have to be replaced, ReasonMissing, Forbidden.
    """
    actor.require(Permission.APPLICATION_APPROVE)
    locked = queries.locked(application)
    if (locked.desk_id or locked.version.programme.department_id) != actor.organisation_id:
        raise Forbidden
    if not reason.strip():
        raise ReasonMissing(field="reason")
    held = [each for each in holders(locked) if not queries.acted_now(locked, each.person_id)]
    if not held or len(_fresh(locked)) < len(held):
        raise rules.NobodyLeft
    for old in held:
        _replace(locked, old, reason=reason.strip(), actor=actor, now=now)
    return locked


@transaction.atomic
def recuse(
    *, actor: Actor, application: Application | None, organisation: Organisation | None, reason: str, now: datetime
) -> Recusal:
    """Declare that the actor keeps away from a case, or from all of an organisation's; what they hold goes to others.

    Exactly one of `application` and `organisation`. Raises ReasonMissing, RecusedBefore, Forbidden.
    """
    if not any(actor.may(permission) for permission in workflow.PERMISSION.values()):
        raise Forbidden
    if not reason.strip():
        raise ReasonMissing(field="reason")
    try:
        with transaction.atomic():
            made = Recusal.objects.create(
                person_id=actor.person,
                application=application,
                organisation=organisation,
                reason=reason.strip()[:300],
                at=now,
            )
    except IntegrityError:
        raise RecusedBefore from None
    audit.record(
        action="application.recused",
        subject=_subject(made),
        actor=actor,
        now=now,
        organisations=[actor.organisation_id],
        data={"reason": made.reason},
    )
    mine = Assignment.objects.filter(person_id=actor.person, released_at__isnull=True)
    touched = Q(application=application) if application else Q(application__organisation=organisation)
    for old in mine.filter(touched, application__state=rules.ApplicationState.REVIEW.value).order_by("application_id"):
        locked = queries.locked(old.application)
        if (locked.turn, locked.stage) == (old.turn, old.stage):
            _replace(locked, old, reason=made.reason, actor=actor, now=now)
    return made


@transaction.atomic
def lift(*, actor: Actor, recusal: Recusal, reason: str, now: datetime) -> Recusal:
    """End a recusal of one of the actor's department, with a reason. An approver's act, never for oneself.

    What was drawn anew meanwhile stays where it is; the person may be drawn again from now on. Raises
    LiftReasonMissing, OwnRecusal, LiftedBefore, Forbidden.
    """
    actor.require(Permission.APPLICATION_APPROVE)
    locked = Recusal.objects.select_for_update(no_key=True).get(pk=recusal.pk)
    if not people.belongs(user_id=locked.person_id, organisation_id=actor.acting_for):
        raise Forbidden
    if locked.person_id == actor.person:
        raise OwnRecusal
    if not reason.strip():
        raise LiftReasonMissing(field="reason")
    if locked.withdrawn_at is not None:
        raise LiftedBefore
    locked.withdrawn_at, locked.withdrawn_by_id, locked.withdrawn_reason = now, actor.person, reason.strip()[:300]
    locked.save(update_fields=["withdrawn_at", "withdrawn_by", "withdrawn_reason"])
    audit.record(
        action="application.recusal_lifted",
        subject=_subject(locked),
        actor=actor,
        now=now,
        organisations=[actor.organisation_id],
        data={"reason": locked.withdrawn_reason},
    )
    return locked


def _subject(recusal: Recusal) -> str:
    """Return what a recusal keeps its person away from, as the audit trail names it."""
    if recusal.application is not None:
        return f"application:{recusal.application.number}"
    return f"organisation:{recusal.organisation_id}"
