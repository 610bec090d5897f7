"""Endpoints of judging by panels: seats, questions, grades, lists."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.utils import timezone
from ninja import Query, Router, Status

from portal.kernel.errors import NotFound, Reason
from portal.wire import ActorRequest, Cursor, PageOut, paged, problems
from scheduler.facilities.models import Beamline
from scheduler.panels import access, grading, queries, ranking, schemas, seating
from scheduler.panels.models import Grading, Panel, Panelist, Ranking
from scheduler.panels.schemas import Id
from scheduler.proposals.models import BeamProposal

router = Router(tags=["panels"])
reviews = Router(tags=["panels"])
rankings = Router(tags=["panels"])


def _panel_row(row: Panel) -> dict[str, Any]:
    names = ("name", "name_en", "targets")
    said = {name: getattr(row, name) for name in names}
    return {**said, "id": row.pk, "facility": row.facility.code, "call": row.call.number}


def _judged(one: queries.Judged) -> dict[str, Any]:
    proposal = one.proposal
    names = ("number", "title", "state", "owed")
    return {
        **{name: getattr(proposal, name) for name in names},
        "organisation": proposal.organisation.name,
        "round_no": one.round_no,
        "is_hidden": one.is_hidden,
        "gradings": [schemas.grading_out(row) for row in one.gradings],
        "conflicts": [{"panelist": pk, "reasons": schemas.told(why)} for pk, why in one.conflicts.items()],
    }


def _panel(request: ActorRequest, number: int) -> dict[str, Any]:
    row = access.get_panel(request.actor, number)
    if not ranking.may_rank(request.actor, row) and not access.heads(request.actor):
        raise NotFound
    seats, found = queries.judged(row, reader=request.actor, now=timezone.now())
    panelists = [{"id": seat.pk, "name": str(seat.user), "is_chair": seat.is_chair} for seat in seats]
    return {**_panel_row(row), "panelists": panelists, "proposals": [_judged(one) for one in found]}


def _targets(said: list[schemas.TargetIn]) -> dict[str, Fraction]:
    return {one.group: Fraction(one.num, one.den) for one in said}


@router.post("", response={201: schemas.PanelOut, **problems(404, 409)})
def open_panel(request: ActorRequest, payload: schemas.PanelIn) -> Status[dict[str, Any]]:
    """Set up a panel of a call, as the facility's user office."""
    made = seating.open_panel(
        actor=request.actor,
        call=access.get_call(request.actor, payload.call),
        wanted=seating.PanelWanted(payload.name, payload.name_en, _targets(payload.targets)),
        now=timezone.now(),
    )
    return Status(201, _panel(request, made.pk))


@router.get("", response={200: PageOut[schemas.PanelRowOut], **problems()})
def list_panels(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the panels the caller runs, decides on or chairs."""
    return paged(access.panels_of(request.actor), wanted, _panel_row)


@router.get("/{number}", response={200: schemas.PanelOut, **problems(404)})
def get_panel(request: ActorRequest, number: Id) -> dict[str, Any]:
    """Return a panel with who was asked what, and the conflicts that were found out."""
    return _panel(request, number)


@router.put("/{number}/targets", response={200: schemas.PanelOut, **problems(404, 409)})
def set_targets(request: ActorRequest, number: Id, payload: schemas.TargetsIn) -> dict[str, Any]:
    """Say anew which balance counts where grades are equal."""
    row = access.get_panel(request.actor, number)
    wanted = seating.PanelWanted(row.name, row.name_en, _targets(payload.targets))
    seating.set_targets(actor=request.actor, panel=row, wanted=wanted, now=timezone.now())
    return _panel(request, number)


@router.post("/{number}/seat", response={200: schemas.PanelOut, **problems(404, 409)})
def seat(request: ActorRequest, number: Id, payload: schemas.SeatIn) -> dict[str, Any]:
    """Seat a reviewer; again changes only whether she is the chair."""
    seating.seat(
        actor=request.actor,
        panel=access.get_panel(request.actor, number),
        person=payload.person,
        name=payload.name,
        is_chair=payload.is_chair,
        now=timezone.now(),
    )
    return _panel(request, number)


@router.post("/{number}/unseat", response={200: schemas.PanelOut, **problems(404, 409)})
def unseat(request: ActorRequest, number: Id, payload: schemas.UnseatIn) -> dict[str, Any]:
    """Let a reviewer go; what she graded stands."""
    row = access.get_panel(request.actor, number)
    seat = Panelist.objects.filter(panel=row, pk=payload.panelist).first()
    if seat is None:
        raise NotFound
    seating.unseat(actor=request.actor, panel=row, panelist=seat, now=timezone.now())
    return _panel(request, number)


@router.post("/{number}/ask", response={200: schemas.PanelOut, **problems(404, 409)})
def ask(request: ActorRequest, number: Id, payload: schemas.AskIn) -> dict[str, Any]:
    """Ask a reviewer to grade a proposal; refused with every conflict found out."""
    row = access.get_panel(request.actor, number)
    seat = Panelist.objects.filter(panel=row, pk=payload.panelist).select_related("user").first()
    proposal = BeamProposal.objects.filter(call_id=row.call_id, number=payload.proposal).first()
    if seat is None or proposal is None:
        raise NotFound
    grading.assign(actor=request.actor, panel=row, proposal=proposal, panelist=seat, now=timezone.now())
    return _panel(request, number)


@router.post("/{number}/take-back", response={200: schemas.PanelOut, **problems(404, 409)})
def take_back(request: ActorRequest, number: Id, payload: schemas.TakeBackIn) -> dict[str, Any]:
    """Take a question to a reviewer back that she has not answered."""
    row = access.get_panel(request.actor, number)
    found = Grading.objects.filter(panelist__panel=row, pk=payload.grading).first()
    if found is None:
        raise NotFound
    grading.take_back(actor=request.actor, panel=row, grading=found, now=timezone.now())
    return _panel(request, number)


@router.post("/{number}/rank", response={201: schemas.RankingOut, **problems(404, 409)})
def rank(request: ActorRequest, number: Id, payload: schemas.RankIn) -> Status[dict[str, Any]]:
    """Draft the panel's list for a beamline, as its chair or the user office; a draft that stands is made anew."""
    row = access.get_panel(request.actor, number)
    line = Beamline.objects.filter(facility=row.facility, code=payload.beamline).first()
    if line is None:
        raise NotFound
    made = ranking.draft(
        actor=request.actor,
        panel=row,
        beamline=line,
        shifts=payload.shifts,
        without=payload.without,
        now=timezone.now(),
    )
    return Status(201, shown(request, made.pk))


def shown(request: ActorRequest, number: int) -> dict[str, Any]:
    """Return a list as it is now."""
    row = access.get_ranking(request.actor, number)
    rows, hidden = queries.listed(row, reader=request.actor, now=timezone.now())
    return {**schemas.ranking_out(row), "rows": [schemas.ranked_out(one) for one in rows], "hidden": hidden}


@rankings.get("", response={200: PageOut[schemas.RankingRowOut], **problems()})
def list_rankings(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the lists of those panels."""
    return paged(access.rankings_of(request.actor).order_by("-pk"), wanted, schemas.ranking_out)


@rankings.get("/{number}", response={200: schemas.RankingOut, **problems(404)})
def get_ranking(request: ActorRequest, number: Id) -> dict[str, Any]:
    """Return a list with the reason for each place."""
    return shown(request, number)


@rankings.put("/{number}/rows", response={200: schemas.RankingOut, **problems(404, 409)})
def arrange(request: ActorRequest, number: Id, payload: schemas.ArrangeIn) -> dict[str, Any]:
    """Put a draft in the panel's own order with its own awards; what differs from the rule is given a reason."""
    ranking.arrange(
        actor=request.actor,
        ranking=access.get_ranking(request.actor, number),
        rows=[ranking.Row(one.number, one.shifts, one.on_reserve, one.moved_note, one.to_team) for one in payload.rows],
        version=payload.version,
        now=timezone.now(),
    )
    return shown(request, number)


def _step(request: ActorRequest, number: int, payload: schemas.RankingStepIn) -> dict[str, Any]:
    row: Ranking = access.get_ranking(request.actor, number)
    return {"actor": request.actor, "ranking": row, "version": payload.version, "now": timezone.now()}


@rankings.post("/{number}/propose", response={200: schemas.RankingOut, **problems(404, 409)})
def propose(request: ActorRequest, number: Id, payload: schemas.RankingStepIn) -> dict[str, Any]:
    """Propose a draft to the director."""
    ranking.propose(note=payload.note, **_step(request, number, payload))
    return shown(request, number)


@rankings.post("/{number}/send-back", response={200: schemas.RankingOut, **problems(404, 409)})
def send_back(request: ActorRequest, number: Id, payload: schemas.RankingStepIn) -> dict[str, Any]:
    """Send a proposed list back to the panel with a reason, as the director."""
    ranking.send_back(note=payload.note, **_step(request, number, payload))
    return shown(request, number)


@rankings.post("/{number}/discard", response={204: None, **problems(404, 409)})
def discard(request: ActorRequest, number: Id, payload: schemas.RankingStepIn) -> Status[None]:
    """Throw a draft away: grades can be changed again."""
    ranking.discard(**_step(request, number, payload))
    return Status(204, None)


def _review(row: Grading) -> dict[str, Any]:
    return _reviews([row])[0]


def _reviews(rows: list[Grading]) -> list[dict[str, Any]]:
    found = queries.conflicts_of([row for row in rows if row.state != "recused"], now=timezone.now())
    return [_review_out(row, found.get(row.pk, [])) for row in rows]


def _review_out(row: Grading, conflicts: list[Reason]) -> dict[str, Any]:
    is_hidden, proposal = bool(conflicts) or row.state == "recused", row.proposal
    return {
        "id": row.pk,
        "number": proposal.number,
        "title": "" if is_hidden else proposal.title,
        "summary": "" if is_hidden else proposal.summary,
        "organisation": "" if is_hidden else proposal.organisation.name,
        "facility": proposal.facility.code,
        "panel": row.panelist.panel.name,
        "state": row.state,
        "grade": schemas.grade_text(row.grade_c),
        "to_panel": row.to_panel,
        "to_team": row.to_team,
        "conflicts": schemas.told(conflicts),
    }


@reviews.get("", response={200: PageOut[schemas.ReviewAskedOut], **problems()})
def list_reviews(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List what the caller was asked to grade, and nothing else."""
    page = paged(access.reviews_of(request.actor), wanted, lambda row: row)
    return {**page, "items": _reviews(page["items"])}


@reviews.get("/{number}", response={200: schemas.ReviewAskedOut, **problems(404)})
def get_review(request: ActorRequest, number: Id) -> dict[str, Any]:
    """Return one of them."""
    return _review(access.get_review(request.actor, number))


@reviews.post("/{number}/grade", response={200: schemas.ReviewAskedOut, **problems(404, 409)})
def grade(request: ActorRequest, number: Id, payload: schemas.GradeIn) -> dict[str, Any]:
    """Grade on the facility's scale; until the panel has ranked, again takes the place of before."""
    grading.grade(
        actor=request.actor,
        grading=access.get_review(request.actor, number),
        given=grading.GradeGiven(Decimal(payload.grade), payload.to_panel, payload.to_team),
        now=timezone.now(),
    )
    return _review(access.get_review(request.actor, number))


@reviews.post("/{number}/recuse", response={200: schemas.ReviewAskedOut, **problems(404, 409)})
def recuse(request: ActorRequest, number: Id, payload: schemas.RecuseIn) -> dict[str, Any]:
    """Step back, saying why."""
    row = access.get_review(request.actor, number)
    grading.recuse(actor=request.actor, grading=row, note=payload.note, now=timezone.now())
    return _review(access.get_review(request.actor, number))
