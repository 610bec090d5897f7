"""Judge by staff whether a proposal can be done, how dangerous it is, how urgent; and what an urgent one was worth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Q

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Reason, Refused, noop
from scheduler.facilities.courses import ProposalKind
from scheduler.facilities.models import FacilityCourse
from scheduler.panels import access, rounds, rules
from scheduler.panels.models import Assessment, Panelist
from scheduler.proposals import outcomes
from scheduler.proposals.models import BeamProposal
from scheduler.proposals.rules import BeamProposalAction as Action

__all__ = [
    "PERMISSIONS",
    "AlreadyAssessed",
    "BadAssessment",
    "Finding",
    "NotToAssess",
    "OnPanel",
    "assess",
    "had_beam",
    "needed",
]

_ = noop
K = rules.AssessmentKind
PERMISSIONS: Final = {
    K.TECHNICAL: (Permission.PROPOSAL_ASSESS,),
    K.SAFETY: (Permission.PROPOSAL_CLEAR,),
    K.URGENCY: (Permission.FACILITY_DECIDE,),
    K.AFTERWARDS: (Permission.FACILITY_DECIDE, Permission.FACILITY_MANAGE),
}
USED: Final = Q(allocations__visits__state__in=["done", "closed"])
"""Requests with a visit that is over."""


class OnPanel(Forbidden):
    code = "panel.on_panel"
    message = _("您是该征集评审组的成员，不能再作可行性或安全审查。")


class AlreadyAssessed(Conflict):
    code = "panel.assessed"
    message = _("%(who)s 已作出这项审查结论。")


class NotToAssess(Conflict):
    code = "panel.not_to_assess"
    message = _("这项申请目前不需要这项审查。")


class SameJudge(Forbidden):
    code = "panel.same_judge"
    message = _("紧急性由您判断，事后评价须由另一人作出。")


class BadAssessment(Refused):
    code = "panel.assessment"
    message = _("审查结论还不完整，原因如下。")


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found. `shifts`: how many the staff think are needed; `to_team` is read by the team, `note` is not."""

    kind: rules.AssessmentKind
    passed: bool
    safety_class: str = ""
    shifts: int | None = None
    note: str = ""
    to_team: str = ""


def needed(kind: str) -> tuple[rules.AssessmentKind, ...]:
    """Return what has to be found before a proposal of this kind goes on."""
    urgent = (K.URGENCY,) if kind == ProposalKind.URGENT.value else ()
    return (K.TECHNICAL, K.SAFETY, *urgent)


def _check(finding: Finding) -> None:
    found: list[Reason] = []
    classes = {one.value for one in rules.SafetyClass}
    if finding.kind is K.SAFETY and finding.passed and finding.safety_class not in classes:
        found.append(Reason("panel.safety_class", _("没有选择安全等级。"), _("请选择一个等级。"), "safety_class"))
    if finding.kind is not K.SAFETY and finding.safety_class:
        found.append(
            Reason("panel.safety_class", _("安全等级只在安全审查中填写。"), _("请删去安全等级。"), "safety_class")
        )
    if not finding.passed and not finding.to_team.strip():
        text = _("没有告诉课题组不通过的理由。")
        found.append(Reason("panel.to_team", text, _("请写明理由，课题组会读到。"), "to_team"))
    for name in ("note", "to_team"):
        if len(getattr(finding, name)) > rounds.NOTE:
            text = _("文字超过 %(most)s 字。")
            found.append(Reason("panel.too_long", text, _("请删减。"), name, {"most": rounds.NOTE}))
    if finding.shifts is not None and not 1 <= finding.shifts <= 999:
        found.append(Reason("panel.shifts", _("班次数须在 1 到 999 之间。"), "", "shifts"))
    if found:
        raise BadAssessment(found)


@transaction.atomic
def assess(*, actor: Actor, proposal: BeamProposal, finding: Finding, now: datetime) -> Assessment:
    """File a finding; once all that are needed have passed the proposal is feasible, at the first that has not it is not.

    By staff who hold the kind's permission at the facility, sit on no panel of the call and are not in the team; what
    an urgent one was worth is judged once a visit of it is over, by somebody else than its urgency. The same finding
    again changes nothing. Raises Forbidden, OnPanel, OwnProposal, SameJudge, NotToAssess, AlreadyAssessed, BadAssessment.
    """
    (locked,) = outcomes.lock([proposal.pk])
    access.require(actor, locked.facility, *PERMISSIONS[finding.kind])
    rounds.not_in_team(actor, [locked])
    if Panelist.objects.filter(panel__call_id=locked.call_id, user_id=actor.person, left_at__isnull=True).exists():
        raise OnPanel
    _check(finding)
    round_no = rounds.round_of(locked)
    rows = {one.kind: one for one in locked.assessments.filter(round_no=round_no).select_related("by")}
    if before := rows.get(finding.kind.value):
        if _same(before, finding, actor):
            return before
        raise AlreadyAssessed(who=str(before.by))
    _may_be(locked, finding, rows, actor)
    made = Assessment.objects.create(
        proposal=locked,
        kind=finding.kind.value,
        round_no=round_no,
        passed=finding.passed,
        safety_class=finding.safety_class,
        shifts=finding.shifts,
        note=finding.note.strip(),
        to_team=finding.to_team.strip(),
        by_id=actor.person,
        at=now,
    )
    if finding.kind is not K.AFTERWARDS:
        _go_on(locked, {**rows, made.kind: made}, actor=actor, now=now)
    rounds.record(
        locked,
        action="beam_proposal.assessed",
        actor=actor,
        now=now,
        kind=made.kind,
        passed=made.passed,
        safety_class=made.safety_class,
    )
    return made


def _same(before: Assessment, finding: Finding, actor: Actor) -> bool:
    said = (before.passed, before.safety_class, before.shifts, before.note, before.to_team, before.by_id)
    return said == (
        finding.passed,
        finding.safety_class,
        finding.shifts,
        finding.note.strip(),
        finding.to_team.strip(),
        actor.user_id,
    )


def had_beam(proposal: BeamProposal) -> bool:
    """Say whether beam given to a proposal was used: only then can be said what it was worth. One query."""
    return proposal.state in {"accepted", "closed"} and proposal.requests.filter(USED).exists()


def _may_be(proposal: BeamProposal, finding: Finding, rows: dict[str, Assessment], actor: Actor) -> None:
    if finding.kind is K.AFTERWARDS:
        course = FacilityCourse.objects.filter(facility=proposal.facility, kind=proposal.kind).first()
        if course is None or not course.reviewed_after or not had_beam(proposal):
            raise NotToAssess
        urgency = rows.get(K.URGENCY.value)
        if urgency is not None and urgency.by_id == actor.user_id:
            raise SameJudge
    elif proposal.state != "admitted" or finding.kind not in needed(proposal.kind):
        raise NotToAssess


def _go_on(proposal: BeamProposal, rows: dict[str, Assessment], *, actor: Actor, now: datetime) -> None:
    """Move a locked proposal by its findings, and keep how dangerous it is."""
    safety = rows.get(K.SAFETY.value)
    if safety is not None and safety.passed:
        proposal.safety_class = safety.safety_class
    failed = [one for one in rows.values() if not one.passed]
    if failed:
        outcomes.move(proposal, Action.FIND_NOT_FEASIBLE)
        proposal.decision_note = failed[0].to_team
        proposal.decided_at, proposal.decided_by_id = now, actor.user_id
        rounds.tell(proposal, "not_feasible", proposal.decision_note, key=f"assessed:{failed[0].pk}", now=now)
    elif all(kind.value in rows for kind in needed(proposal.kind)):
        outcomes.move(proposal, Action.FIND_FEASIBLE)
    proposal.save()
