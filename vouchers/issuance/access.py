"""Reach applications: the applicant sees its own, the programme's department sees its cases."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from portal.organisations.models import Member
from vouchers.issuance.models import Application, Assignment, Recusal, StageDecision
from vouchers.issuance.rules import ApplicationState
from vouchers.issuance.workflow import PERMISSION
from vouchers.programmes.models import CoLead

RELATED = (
    "version",
    "version__programme",
    "version__programme__department",
    "desk",
    "organisation",
    "submitted_by",
    "reviewed_by",
    "approved_by",
    "voucher",
)
UNSENT = Q(submitted_at__isnull=True)
"""What an enterprise is still filling in is nobody else's business."""
DECIDERS = (Permission.APPLICATION_REVIEW, Permission.APPLICATION_SCORE, Permission.APPLICATION_APPROVE)


def own_applications(actor: Actor) -> QuerySet[Application]:
    """Return the applications of the actor's organisation."""
    if not (actor.may(Permission.APPLICATION_SUBMIT) or actor.may(Permission.VOUCHER_READ_OWN)):
        raise Forbidden
    return Application.objects.filter(organisation_id=actor.acting_for).select_related(*RELATED)


def cases(actor: Actor) -> QuerySet[Application]:
    """Return the applications under the actor's department's programmes, and those of others while it acts at their stage.

    An expert's are those given to them. Raises Forbidden unless a decider.
    """
    if not any(actor.may(permission) for permission in DECIDERS):
        raise Forbidden
    return Application.objects.filter(_cases_of(actor)).select_related(*RELATED)


def own_cases(actor: Actor) -> QuerySet[Application]:
    """Return the cases under programmes of the actor's own department: not those it only sees at its stage."""
    return cases(actor).filter(version__programme__department_id=actor.organisation_id)


def _cases_of(actor: Actor) -> Q:
    """Return what holds of the cases a decider may read: an expert is appointed for single ones, and reads no other."""
    own = Q(version__programme__department_id=actor.acting_for)
    department = (own | Q(desk_id=actor.acting_for)) & ~UNSENT
    if actor.may(Permission.APPLICATION_REVIEW) or actor.may(Permission.APPLICATION_APPROVE):
        return department
    case = {"application": OuterRef("pk")}
    given = Assignment.objects.filter(**case, person_id=actor.user_id, released_at__isnull=True)
    acted = StageDecision.objects.filter(**case, person_id=actor.user_id)
    held = Assignment.objects.filter(**case, turn=OuterRef("turn"), stage=OuterRef("stage"), released_at__isnull=True)
    roles = [role.value for role, needed in PERMISSION.items() if needed is Permission.APPLICATION_SCORE]
    free = Q(state=ApplicationState.REVIEW.value, role__in=roles) & Q(~Exists(held)) & _here(actor)
    return department & (Q(Exists(given)) | Q(Exists(acted)) | free)


def _here(actor: Actor) -> Q:
    """Return the condition on cases of `cases` that the actor's department acts on now."""
    return Q(desk_id=actor.acting_for) | Q(desk__isnull=True)


def _decided_by(actor: Actor) -> Q:
    """Return the condition on cases of a programme the actor's department is a co-lead of, that the actor decided on."""
    decided = StageDecision.objects.filter(application=OuterRef("pk"), person_id=actor.user_id)
    partner = CoLead.objects.filter(version=OuterRef("version"), organisation_id=actor.acting_for)
    return Q(Exists(decided)) & Q(Exists(partner)) & ~UNSENT


def get_case(actor: Actor, number: str) -> Application:
    """Return a case of the actor's department, at its stage, or that the actor decided on at such one. Raises NotFound."""
    if not any(actor.may(permission) for permission in DECIDERS):
        raise Forbidden
    seen = _cases_of(actor) | _decided_by(actor)
    found = Application.objects.filter(seen, number=number).select_related(*RELATED).first()
    if found is None:
        raise NotFound
    return found


def cases_at(actor: Actor, permission: Permission) -> QuerySet[Application]:
    """Return the cases at a stage of `permission`, and of the actor's department, that the actor may decide: no part so far."""
    roles = [role.value for role, needed in PERMISSION.items() if needed is permission]
    acted = StageDecision.objects.filter(application=OuterRef("pk"), person_id=actor.user_id).exclude(
        ~Q(turn=OuterRef("turn")), stage=OuterRef("stage")
    )
    held = Assignment.objects.filter(
        application=OuterRef("pk"), turn=OuterRef("turn"), stage=OuterRef("stage"), released_at__isnull=True
    )
    return (
        cases(actor)
        .filter(_here(actor), state=ApplicationState.REVIEW.value, role__in=roles)
        .exclude(submitted_by_id=actor.user_id)
        .exclude(Exists(acted))
        .filter(Exists(held.filter(person_id=actor.user_id)) | ~Exists(held))
    )


def get_application(actor: Actor, number: str) -> Application:
    """Return an application the actor may see. Raises NotFound."""
    seen = Q(pk__in=[])
    if actor.may(Permission.APPLICATION_SUBMIT) or actor.may(Permission.VOUCHER_READ_OWN):
        seen |= Q(organisation_id=actor.organisation_id)
    if any(actor.may(permission) for permission in DECIDERS):
        seen |= _cases_of(actor) | _decided_by(actor)
    application = Application.objects.filter(seen, number=number).select_related(*RELATED).first()
    if application is None:
        raise NotFound
    return application


def recusals(actor: Actor) -> QuerySet[Recusal]:
    """Return the recusals the actor may see: their own; an approver those of the department's people too.

    Raises Forbidden unless a decider.
    """
    if not any(actor.may(permission) for permission in DECIDERS):
        raise Forbidden
    seen = Q(person_id=actor.user_id)
    if actor.may(Permission.APPLICATION_APPROVE):
        people = Member.objects.filter(organisation_id=actor.acting_for, left_at__isnull=True)
        seen |= Q(person__in=people.values("user_id"))
    return Recusal.objects.filter(seen).select_related("person", "organisation", "application", "withdrawn_by")


def get_recusal(actor: Actor, recusal_id: int) -> Recusal:
    """Return a recusal the actor may see. Raises NotFound."""
    found = recusals(actor).filter(pk=recusal_id).first()
    if found is None:
        raise NotFound
    return found
