"""Find out how reviewers are bound to proposals, from what the portal knows: teams, memberships, earlier proposals, staff."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db.models import Q

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Reason, Refused, noop
from portal.organisations.models import Member
from portal.organisations.rules import PERMISSIONS
from scheduler.facilities.models import Facility
from scheduler.panels import rounds, rules
from scheduler.panels.models import Assessment, Grading, Panel, Panelist
from scheduler.proposals.models import BeamProposal, TeamMember

__all__ = ["STAFF_ROLES", "Bound", "bound", "check", "found", "names", "not_bound", "reasons", "staff"]

_ = noop
STAFF_PERMISSIONS = {Permission.PROPOSAL_ASSESS, Permission.PROPOSAL_CLEAR, Permission.FACILITY_DECIDE}
STAFF_ROLES = sorted({role.value for (_kind, role), held in PERMISSIONS.items() if held & STAFF_PERMISSIONS})
"""Roles whose holders judge feasibility and safety, or decide: not on a panel of their own facility."""
OUT = ("removed", "declined")
Found = Mapping[tuple[int, int], list[rules.Conflict]]


class Bound(Refused):
    """Who has to step back from a proposal puts it in no place on a list either."""

    code = "panel.bound"
    message = _("您须回避列入排序的申请，不能参与这次排序。")


def found(panelists: Sequence[Panelist], proposals: Sequence[BeamProposal], *, now: datetime) -> Found:
    """Return the conflicts of each reviewer with each proposal, by the keys of both; pairs without are left out.

    "Of late" is the facility's `together_years` before `now`. All proposals are of one facility. Eight queries.
    """
    if not panelists or not proposals:
        return {}
    facility = proposals[0].facility
    since = now - timedelta(days=365 * facility.together_years)
    people = {one.user_id: one.user for one in panelists}
    teams: dict[int, list[TeamMember]] = defaultdict(list)
    for member in TeamMember.objects.filter(proposal__in=proposals).exclude(state__in=OUT).order_by("pk"):
        teams[member.proposal_id].append(member)
    users = {member.user_id for rows in teams.values() for member in rows if member.user_id}
    belongs = _organisations(users | set(people), since=since)
    together = _together(set(people), since=since)
    works_there, assessed = staff(people, facility), _assessed(people, proposals)
    mails = {user.email.lower(): pk for pk, user in people.items() if user.email}
    result: dict[tuple[int, int], list[rules.Conflict]] = {}
    for proposal in proposals:
        team = [_bonds(member, proposal, belongs, mails) for member in teams[proposal.pk]]
        for panelist in panelists:
            who = panelist.user_id
            is_staff = who in works_there or (who, proposal.pk) in assessed
            reviewer = rules.Bonds(who, frozenset(belongs[who]), frozenset(together[who]))
            if one := rules.conflicts(reviewer, team, is_staff_of=is_staff):
                result[panelist.pk, proposal.pk] = one
    return result


def _bonds(
    member: TeamMember, proposal: BeamProposal, belongs: Mapping[int, set[int]], mails: Mapping[str, int]
) -> rules.Bonds:
    """Return what is known of a member; who has not joined yet is known by mail, or by a number below zero."""
    person = member.user_id or mails.get(member.email.lower()) or -member.pk
    organisations = set(belongs[person]) | ({member.organisation_id} if member.organisation_id else set())
    return rules.Bonds(person, frozenset(organisations | ({proposal.organisation_id} if member.is_leader else set())))


def _organisations(users: set[int], *, since: datetime) -> Mapping[int, set[int]]:
    rows: dict[int, set[int]] = defaultdict(set)
    lately = Q(left_at__isnull=True) | Q(left_at__gte=since)
    for user, organisation in Member.objects.filter(lately, user_id__in=users).values_list(
        "user_id", "organisation_id"
    ):
        rows[user].add(organisation)
    return rows


def _together(users: set[int], *, since: datetime) -> Mapping[int, set[int]]:
    """Return with whom each proposed together of late: who was in a team that sent a proposal since then."""
    rows: dict[int, set[int]] = defaultdict(set)
    mine = TeamMember.objects.filter(user_id__in=users, state="joined", proposal__sent_at__gte=since)
    by_proposal: dict[int, set[int]] = defaultdict(set)
    members = TeamMember.objects.filter(proposal__in=mine.values("proposal"), state="joined", user__isnull=False)
    for proposal, user in members.values_list("proposal_id", "user_id"):
        by_proposal[proposal].add(user)
    for team in by_proposal.values():
        for one in team & users:
            rows[one] |= team - {one}
    return rows


def staff(users: Iterable[int], facility: Facility) -> set[int]:
    """Return who of the users judges feasibility or safety at the facility, or decides there."""
    there = Member.objects.filter(organisation_id=facility.owner_id, left_at__isnull=True, user_id__in=list(users))
    return set(there.filter(roles__overlap=STAFF_ROLES).values_list("user_id", flat=True))


def _assessed(users: Iterable[int], proposals: Sequence[BeamProposal]) -> set[tuple[int, int]]:
    done = Assessment.objects.filter(by_id__in=list(users), proposal__in=proposals)
    return set(done.values_list("by_id", "proposal_id"))


def names(conflicts: Iterable[rules.Conflict], proposal: BeamProposal) -> dict[int, str]:
    """Return the names of the team that conflicts mention: for the office only. One query."""
    wanted = {who for one in conflicts for who in one.with_whom}
    members = TeamMember.objects.filter(proposal=proposal)
    said = {member.user_id or -member.pk: member.name for member in members}
    return {who: said[who] for who in wanted if who in said}


def reasons(conflicts: Sequence[rules.Conflict], *, named: Mapping[int, str] | None = None) -> list[Reason]:
    """Return conflicts as reasons; with `named`, for the office, who they are with. A reviewer is told no person."""
    told = []
    for one in conflicts:
        who = sorted(filter(None, ((named or {}).get(pk, "") for pk in one.with_whom)))
        text = rules.NAMED[one.party] if who else one.words
        remedy = rules.CHOOSE_ANOTHER if named is not None else rules.STEP_BACK
        params = {"who": "、".join(who)} if who else {}
        told.append(Reason(f"panel.conflict_{one.party.value}", text, remedy, "panelist", params))
    return told


def check(panelist: Panelist, proposal: BeamProposal, *, now: datetime, tell_names: bool) -> None:
    """Raise Conflicted with every conflict of one reviewer with one proposal."""
    conflicts = found([panelist], [proposal], now=now).get((panelist.pk, proposal.pk), [])
    if conflicts:
        raise rules.Conflicted(reasons(conflicts, named=names(conflicts, proposal) if tell_names else None))


def bound(reader: Actor, panel: Panel, proposals: Sequence[BeamProposal], *, now: datetime) -> set[int]:
    """Return which proposals the person has to keep out of, by key: as somebody of the team, or from her seat on the panel
    by a conflict found out or by having stepped back. Twelve queries at most.
    """
    mine = rounds.own(reader, proposals)
    seats = list(panel.panelists.select_related("user").filter(user_id=reader.person, left_at__isnull=True))
    mine |= {proposal for _seat, proposal in found(seats, proposals, now=now)}
    gone = Grading.objects.filter(panelist__in=seats, proposal__in=proposals, state=Grading.State.RECUSED)
    return mine | set(gone.values_list("proposal_id", flat=True))


def not_bound(actor: Actor, panel: Panel, proposals: Sequence[BeamProposal], *, now: datetime) -> None:
    """Raise OwnProposal where the person is in a team of the proposals, Bound where she has to step back from any."""
    rounds.not_in_team(actor, proposals)
    text, remedy = _("您须回避 %(number)s，原因见评审组页面。"), _("请由用户办公室排序。")
    pks = bound(actor, panel, proposals, now=now)
    numbers = sorted({one.number for one in proposals if one.pk in pks})
    if numbers:
        raise Bound([Reason("panel.bound_to", text, remedy, params={"number": number}) for number in numbers])
