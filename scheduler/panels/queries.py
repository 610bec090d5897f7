"""What staff, reviewers, office and teams read of judging: constant numbers of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Reason
from scheduler.panels import access, appeals, assessing, bonds, rounds, rules
from scheduler.panels.models import Assessment, Grading, Panel, Panelist, RankedRequest, Ranking
from scheduler.proposals.models import BeamProposal, BeamRequest

__all__ = ["Answer", "Judged", "answer_of", "conflicts_of", "judged", "listed", "team_conflicts", "waiting_for"]

K = rules.AssessmentKind


@dataclass(frozen=True, slots=True)
class Judged:
    """A proposal before a panel: who was asked and answered what, and whom its conflicts keep from it, with names."""

    proposal: BeamProposal
    round_no: int
    gradings: Sequence[Grading]
    conflicts: Mapping[int, list[Reason]]
    """By panelist: why she may not grade it."""
    is_hidden: bool = False
    """Whether the reader is bound to it: who grades it and how is not shown to her, only her own conflict."""


def judged(panel: Panel, *, reader: Actor, now: datetime) -> tuple[list[Panelist], list[Judged]]:
    """Return a panel's reviewers and the proposals of its call that panels grade. Fourteen queries, however many.

    Persons of conflicts are named to the facility's own office and director; a chair is told the kind of bond alone.
    """
    seats = list(panel.panelists.select_related("user").filter(left_at__isnull=True))
    proposals = list(
        BeamProposal.objects.filter(call_id=panel.call_id, kind__in=rounds.reviewed_kinds(panel.facility))
        .filter(is_confidential=False)
        .exclude(state__in=["draft", "submitted", "returned", "withdrawn"])
        .select_related("facility", "organisation")
        .prefetch_related("requests__beamline__resource", "team")
        .order_by("sent_order", "pk")
    )
    now_in = rounds.rounds(proposals)
    found = bonds.found(seats, proposals, now=now)
    asked: dict[int, list[Grading]] = defaultdict(list)
    rows = Grading.objects.filter(panelist__panel=panel, proposal__in=proposals).select_related("panelist__user")
    for row in rows:
        if row.round_no == now_in[row.proposal_id]:
            asked[row.proposal_id].append(row)
    tells_names = access.heads(reader) and reader.organisation_id == panel.facility.owner_id
    own, mine = rounds.own(reader, proposals), [seat for seat in seats if seat.user_id == reader.person]
    own |= {row.proposal_id for row in rows if row.state == "recused" and row.panelist.user_id == reader.person}
    rows_of = []
    for one in proposals:
        is_hidden = one.pk in own or any((seat.pk, one.pk) in found for seat in mine)
        conflicts = _conflicts(one, mine if is_hidden else seats, found, tells_names=tells_names)
        rows_of.append(Judged(one, now_in[one.pk], [] if is_hidden else asked[one.pk], conflicts, is_hidden))
    return seats, rows_of


def listed(ranking: Ranking, *, reader: Actor, now: datetime) -> tuple[list[RankedRequest], int]:
    """Return a list's rows in their order without those the reader is bound to, and how many were left out.

    Who has to step back from a proposal learns neither its grade nor its place here. Thirteen queries at most.
    """
    rows = list(ranking.rows.select_related("request__proposal__facility", "request__proposal__organisation"))
    bound = bonds.bound(reader, ranking.panel, [row.request.proposal for row in rows], now=now)
    shown = sorted((row for row in rows if row.request.proposal_id not in bound), key=lambda row: row.place)
    return shown, len(rows) - len(shown)


def _conflicts(
    proposal: BeamProposal, seats: Sequence[Panelist], found: bonds.Found, *, tells_names: bool
) -> dict[int, list[Reason]]:
    named = {member.user_id or -member.pk: member.name for member in proposal.team.all()} if tells_names else {}
    return {
        seat.pk: bonds.reasons(conflicts, named=named)
        for seat in seats
        if (conflicts := found.get((seat.pk, proposal.pk)))
    }


def team_conflicts(grading: Grading, *, now: datetime) -> list[Reason]:
    """Return why a reviewer has to step back, as she is told it: without persons."""
    return conflicts_of([grading], now=now)[grading.pk]


def conflicts_of(gradings: Sequence[Grading], *, now: datetime) -> dict[int, list[Reason]]:
    """Return the same for many of them, by their keys. Eight queries for each facility, however many there are."""
    by_facility: dict[int, list[Grading]] = defaultdict(list)
    for one in gradings:
        by_facility[one.proposal.facility_id].append(one)
    told: dict[int, list[Reason]] = {}
    for rows in by_facility.values():
        seats, proposals = (
            {row.panelist_id: row.panelist for row in rows},
            {row.proposal_id: row.proposal for row in rows},
        )
        found = bonds.found(list(seats.values()), list(proposals.values()), now=now)
        told |= {row.pk: bonds.reasons(found.get((row.panelist_id, row.proposal_id), [])) for row in rows}
    return told


def waiting_for(actor: Actor, kind: rules.AssessmentKind) -> QuerySet[BeamProposal]:
    """Return what waits for this finding by the actor's own part of the staff, the longest waiting first."""
    if not any(actor.may(one) for one in assessing.PERMISSIONS[kind]):
        return BeamProposal.objects.none()
    found = access.proposals_of(actor)
    if kind is K.AFTERWARDS:
        used = BeamRequest.objects.filter(assessing.USED).values("proposal")
        found = found.filter(kind="urgent", state__in=["accepted", "closed"], pk__in=used)
    else:
        found = found.filter(state="admitted")
        if kind is K.URGENCY:
            found = found.filter(kind="urgent")
    # In a later round (after an appeal) everything is found anew; that is rare, so the few are looked at one by one.
    done = Assessment.objects.filter(kind=kind.value, proposal__in=found.values("pk")).values_list(
        "proposal_id", "round_no"
    )
    latest: dict[int, int] = {}
    for proposal, round_no in done:
        latest[proposal] = max(latest.get(proposal, 0), round_no)
    now_in = rounds.rounds(BeamProposal.objects.filter(pk__in=latest)) if latest else {}
    over = [pk for pk, round_no in latest.items() if round_no >= now_in[pk]]
    return found.exclude(pk__in=over).order_by("sent_order", "pk")


def kinds_of(actor: Actor) -> list[rules.AssessmentKind]:
    """Return which findings are the actor's to make."""
    return [kind for kind, permissions in assessing.PERMISSIONS.items() if any(actor.may(one) for one in permissions)]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a team is told: findings, what the reviewers want it to know (nobody is named), its place, the decision."""

    proposal: BeamProposal
    findings: Sequence[Assessment]
    comments: Sequence[str]
    places: Sequence[RankedRequest]
    may_appeal: bool


def answer_of(proposal: BeamProposal, *, now: datetime) -> Answer:
    """Return what the team of a proposal is told; comments and places once it was decided. Six queries.

    A review that runs anew after an appeal is told as little as the first was: what was said in it comes with its decision.
    """
    upheld = proposal.appeals.filter(state="upheld").aggregate(count=Count("pk"), latest=Max("answered_at"))
    is_decided = proposal.decided_at is not None and (not upheld["count"] or proposal.decided_at > upheld["latest"])
    told = proposal.state in {"accepted", "refused", "closed"} or is_decided
    over = upheld["count"] + told
    findings = [one for one in proposal.assessments.select_related("by") if one.to_team]
    comments = proposal.gradings.filter(state="graded", round_no__lte=over).exclude(to_team="")
    places = RankedRequest.objects.filter(request__proposal=proposal, ranking__state="decided").select_related(
        "request__beamline__resource", "request__cycle", "ranking__panel__facility"
    )
    return Answer(
        proposal=proposal,
        findings=findings,
        comments=list(comments.order_by("round_no", "pk").values_list("to_team", flat=True)),
        places=list(places),
        may_appeal=appeals.refusal(proposal, now=now) is None,
    )


def decides(actor: Actor) -> bool:
    """Say whether the actor decides at a facility."""
    return actor.may(Permission.FACILITY_DECIDE)
