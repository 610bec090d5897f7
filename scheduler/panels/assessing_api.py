"""Endpoints of findings by staff, of what a team is told, and of its appeals."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from ninja import Query, Router, Status

from portal.wire import ActorRequest, Cursor, Number, PageOut, paged, problems
from scheduler.panels import access, appeals, assessing, queries, rules, schemas
from scheduler.panels.schemas import Id
from scheduler.proposals.models import BeamProposal

router = Router(tags=["panels"])
appealing = Router(tags=["panels"])
answers = Router(tags=["panels"])


class ToAssessFilter(Cursor):
    """Which finding is waited for."""

    kind: rules.AssessmentKind


def _shown(row: BeamProposal) -> dict[str, Any]:
    names = ("number", "title", "kind", "state")
    return {
        **{name: getattr(row, name) for name in names},
        "organisation": row.organisation.name,
        "facility": row.facility.code,
        "findings": [schemas.assessment_out(one) for one in row.assessments.all()],
    }


@router.get("", response={200: PageOut[schemas.ToAssessOut], **problems()})
def list_to_assess(request: ActorRequest, wanted: Query[ToAssessFilter]) -> dict[str, Any]:
    """List the proposals that wait for a finding of this kind which is the caller's to make."""
    found = queries.waiting_for(request.actor, wanted.kind).prefetch_related("assessments__by").order_by("-pk")
    return paged(found, wanted, _shown)


@router.get("/{number}", response={200: schemas.ToAssessOut, **problems(404)})
def get_to_assess(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return a proposal of the caller's facility with all findings."""
    return _shown(access.get_proposal(request.actor, number))


@router.post("/{number}", response={201: schemas.ToAssessOut, **problems(404, 409)})
def assess(request: ActorRequest, number: Number, payload: schemas.AssessmentIn) -> Status[dict[str, Any]]:
    """File a finding: feasibility, safety, urgency, or what an urgent one was worth. The same again changes nothing."""
    finding = assessing.Finding(
        kind=payload.kind,
        passed=payload.passed,
        safety_class=payload.safety_class.value if payload.safety_class else "",
        shifts=payload.shifts,
        note=payload.note,
        to_team=payload.to_team,
    )
    row = access.get_proposal(request.actor, number)
    assessing.assess(actor=request.actor, proposal=row, finding=finding, now=timezone.now())
    return Status(201, _shown(access.get_proposal(request.actor, number)))


@appealing.get("", response={200: PageOut[schemas.AppealOut], **problems()})
def list_appeals(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the appeals to the caller's facilities, and those of her own teams."""
    return paged(access.appeals_of(request.actor), wanted, schemas.appeal_out)


@appealing.post("", response={201: schemas.AppealOut, **problems(404, 409)})
def appeal(request: ActorRequest, payload: schemas.AppealIn) -> Status[dict[str, Any]]:
    """Appeal against the refusal of one's own team's proposal."""
    row = access.get_own(request.actor, payload.proposal)
    made = appeals.appeal(actor=request.actor, proposal=row, text=payload.text, now=timezone.now())
    return Status(201, schemas.appeal_out(access.get_appeal(request.actor, made.pk)))


@appealing.post("/{number}/answer", response={200: schemas.AppealOut, **problems(404, 409)})
def answer_appeal(request: ActorRequest, number: Id, payload: schemas.AppealAnswerIn) -> dict[str, Any]:
    """Answer an appeal, as somebody of the facility who decided nothing of it before."""
    appeals.answer(
        actor=request.actor,
        appeal=access.get_appeal(request.actor, number),
        uphold=payload.uphold,
        text=payload.text,
        now=timezone.now(),
    )
    return schemas.appeal_out(access.get_appeal(request.actor, number))


@answers.get("/{number}", response={200: schemas.AnswerOut, **problems(404)})
def get_answer(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return what the caller's team is told of its proposal: no reviewer is named."""
    said = queries.answer_of(access.get_own(request.actor, number), now=timezone.now())
    names = ("by", "place", "shifts", "on_reserve", "to_team")
    return {
        "number": said.proposal.number,
        "state": said.proposal.state,
        "note": said.proposal.decision_note,
        "findings": [one.to_team for one in said.findings],
        "comments": list(said.comments),
        "places": [
            {
                **{name: getattr(one, name) for name in names},
                "beamline": one.request.beamline.code,
                "cycle": one.request.cycle.code,
                "grade": schemas.grade_text(one.aged_c),
            }
            for one in said.places
        ],
        "may_appeal": said.may_appeal,
    }
