"""Ask reviewers, take their grades, let them step back; who is bound to a team is neither asked nor heard."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, NotFound, noop
from portal.kernel.states import next_state
from scheduler.facilities.grades import Direction, Scale
from scheduler.facilities.models import Facility
from scheduler.panels import access, bonds, rounds, rules
from scheduler.panels.models import Grading, Panel, Panelist, RankedRequest
from scheduler.proposals import outcomes
from scheduler.proposals.models import BeamProposal
from scheduler.proposals.rules import BeamProposalAction

__all__ = ["GradeGiven", "NotForPanel", "Ranked", "assign", "grade", "recuse", "scale_of", "settle", "take_back"]

_ = noop
A, S = rules.GradingAction, rules.GradingState
JUDGED = ("feasible", "graded")


class NotForPanel(Conflict):
    code = "panel.not_for_panel"
    message = _("这项申请不由这个评审组评审，或目前不在评审阶段。")


class Ranked(Conflict):
    code = "panel.ranked"
    message = _("评审组已经排序，评分不能再改。请联系评审组组长或用户办公室。")


@dataclass(frozen=True, slots=True)
class GradeGiven:
    """A grade on the facility's scale, what the panel is told, and what the team is told (without the reviewer's name)."""

    value: Decimal
    to_panel: str = ""
    to_team: str = ""


def scale_of(facility: Facility) -> Scale:
    """Return the facility's scale."""
    lowest, highest, step = (
        Decimal(number) / 100 for number in (facility.lowest_c, facility.highest_c, facility.step_c)
    )
    return Scale(lowest, highest, step, Direction(facility.best))


@transaction.atomic
def assign(*, actor: Actor, panel: Panel, proposal: BeamProposal, panelist: Panelist, now: datetime) -> Grading:
    """Ask a reviewer to grade a proposal, as the user office; asked before, nothing changes.

    Raises Conflicted with every reason why she has to step back (with the persons, for the office), NotForPanel,
    Ranked, NotFound, OwnProposal, Forbidden.
    """
    locked_panel = rounds.lock_panel(panel.pk)
    access.require(actor, locked_panel.facility, Permission.FACILITY_MANAGE)
    if panelist.panel_id != panel.pk or panelist.left_at is not None:
        raise NotFound
    (locked,) = outcomes.lock([proposal.pk])
    rounds.not_in_team(actor, [locked])
    _check_judged(locked, locked_panel)
    round_no = rounds.round_of(locked)
    if before := Grading.objects.filter(panelist=panelist, proposal=locked, round_no=round_no).first():
        return before
    bonds.check(panelist, locked, now=now, tell_names=True)
    made = Grading.objects.create(panelist=panelist, proposal=locked, round_no=round_no)
    _record(made, action="grading.asked", actor=actor, now=now)
    return made


def _check_judged(proposal: BeamProposal, panel: Panel) -> None:
    if (
        proposal.call_id != panel.call_id
        or proposal.state not in JUDGED
        or proposal.is_confidential
        or proposal.kind not in rounds.reviewed_kinds(panel.facility)
    ):
        raise NotForPanel
    on_list = RankedRequest.objects.filter(request__proposal=proposal, ranking__state__in=["draft", "proposed"])
    if on_list.exists() or not proposal.requests.filter(state="open").exists():
        raise Ranked


@transaction.atomic
def take_back(*, actor: Actor, panel: Panel, grading: Grading, now: datetime) -> None:
    """Ask no more, as the user office, what a reviewer has not graded; graded ones stay. Raises OwnProposal, Forbidden."""
    locked_panel = rounds.lock_panel(panel.pk)
    access.require(actor, locked_panel.facility, Permission.FACILITY_MANAGE)
    (proposal,) = outcomes.lock([grading.proposal_id])
    rounds.not_in_team(actor, [proposal])
    row = _lock(grading)
    if row.panelist.panel_id != panel.pk or row.state != S.ASKED.value:
        raise NotForPanel
    _record(row, action="grading.taken_back", actor=actor, now=now)
    row.delete()
    settle(proposal)


def _lock(grading: Grading) -> Grading:
    found = (
        Grading.objects.select_for_update(no_key=True, of=("self",))
        .select_related("panelist__panel", "panelist__user", "proposal__facility")
        .filter(pk=grading.pk)
        .order_by("pk")
        .first()
    )
    if found is None:
        raise NotFound
    return found


def _own(actor: Actor, grading: Grading) -> tuple[Grading, BeamProposal]:
    """Lock panel, proposal and grading of the reviewer herself. Raises Forbidden, NotForPanel, Ranked."""
    if grading.panelist.user_id != actor.person:
        raise Forbidden
    panel = rounds.lock_panel(grading.panelist.panel_id)
    (proposal,) = outcomes.lock([grading.proposal_id])
    row = _lock(grading)
    if row.panelist.left_at is not None:
        raise Forbidden
    if row.round_no != rounds.round_of(proposal):
        raise NotForPanel
    _check_judged(proposal, panel)
    return row, proposal


@transaction.atomic
def grade(*, actor: Actor, grading: Grading, given: GradeGiven, now: datetime) -> Grading:
    """Grade a proposal one was asked to; until the panel has ranked, a later grade takes the place of an earlier.

    Raises BadGrade (off the scale, E7), Conflicted with every reason found out (no person is named), Ranked,
    NotForPanel, InvalidTransition after stepping back, NoteMissing, Forbidden.
    """
    row, proposal = _own(actor, grading)
    bonds.check(row.panelist, proposal, now=now, tell_names=False)
    value = rules.check_grade(given.value, scale_of(proposal.facility))
    row.state = next_state(rules.GRADING_TRANSITIONS, S(row.state), A.GRADE).value
    row.grade_c = int(value * 100)
    row.to_panel = rounds.note(given.to_panel, field="to_panel", most=rounds.TEXT, required=False)
    row.to_team = rounds.note(given.to_team, field="to_team", most=rounds.TEXT)
    row.at = now
    row.save()
    settle(proposal)
    _record(row, action="grading.graded", actor=actor, now=now)
    return row


@transaction.atomic
def recuse(*, actor: Actor, grading: Grading, note: str, now: datetime) -> Grading:
    """Step back, saying why: the declared reason and whatever was found out is kept for the office.

    Raises NoteMissing, Ranked, NotForPanel, InvalidTransition, Forbidden.
    """
    row, proposal = _own(actor, grading)
    row.recused_note = rounds.note(note, field="note", most=300)
    row.state = next_state(rules.GRADING_TRANSITIONS, S(row.state), A.RECUSE).value
    row.grade_c, row.at = None, now
    conflicts = bonds.found([row.panelist], [proposal], now=now).get((row.panelist_id, proposal.pk), [])
    row.parties = [rules.Party.DECLARED.value, *(one.party.value for one in conflicts)]
    row.save()
    settle(proposal)
    _record(row, action="grading.recused", actor=actor, now=now)
    return row


def settle(proposal: BeamProposal) -> None:
    """Call a locked proposal graded once everybody asked has answered, and enough of them with a grade."""
    rows = list(proposal.gradings.filter(round_no=rounds.round_of(proposal)).values_list("state", flat=True))
    enough = rows.count(S.GRADED.value) >= proposal.facility.graders
    if proposal.state == "feasible" and enough and S.ASKED.value not in rows:
        outcomes.move(proposal, BeamProposalAction.GRADE)
        proposal.save(update_fields=["state", "version"])


def _record(grading: Grading, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    rounds.record(
        grading.proposal,
        action=action,
        actor=actor,
        now=now,
        reviewer=str(grading.panelist.user),
        **data,
    )
