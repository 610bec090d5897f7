"""What every step of judging needs: which round a proposal is in, its record in the trail, texts that must be there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from django.db.models import Count, Q, QuerySet

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import Conflict, Forbidden, Invalid, Reason, noop
from portal.organisations.models import User
from scheduler.facilities.models import Facility, FacilityCourse
from scheduler.panels.models import Appeal, Panel
from scheduler.proposals import steps
from scheduler.proposals.models import BeamProposal, BeamRequest, TeamMember

__all__ = [
    "NEWS",
    "NOTE",
    "TEXT",
    "Changed",
    "NoteMissing",
    "OwnProposal",
    "hidden",
    "lock_panel",
    "not_in_team",
    "note",
    "off_multiple",
    "own",
    "record",
    "reviewed_kinds",
    "round_of",
    "rounds",
    "teams",
    "tell",
]

_ = noop

NOTE: Final = 1000
TEXT: Final = 2000


class NoteMissing(Invalid):
    code = "panel.note"
    message = _("请说明理由，至多 %(most)s 字。")


class OwnProposal(Forbidden):
    code = "panel.own_proposal"
    message = _("您是课题组成员，不能参与对这项申请的审查、评审或决定。")


class Changed(Conflict):
    """Somebody changed it since it was read; nothing was overwritten."""

    code = "panel.changed"
    message = _("此期间已有他人修改，请刷新后再试；您的修改没有覆盖对方的。")


def note(text: str, *, field: str, most: int = NOTE, required: bool = True) -> str:
    """Return the text without the space around it. Raises NoteMissing."""
    text = text.strip()
    if (required and not text) or len(text) > most:
        raise NoteMissing(field=field, most=most)
    return text


def rounds(proposals: Iterable[BeamProposal]) -> dict[int, int]:
    """Return in which round of judging proposals are: one more than appeals upheld. One query."""
    pks = [one.pk for one in proposals]
    upheld = Count("appeals", filter=Q(appeals__state=Appeal.State.UPHELD.value))
    rows = BeamProposal.objects.filter(pk__in=pks).order_by().annotate(upheld=upheld).values_list("pk", "upheld")
    return {pk: count + 1 for pk, count in rows}


def round_of(proposal: BeamProposal) -> int:
    """Return in which round of judging a proposal is. One query."""
    return rounds([proposal])[proposal.pk]


def reviewed_kinds(facility: Facility) -> set[str]:
    """Return the kinds that a panel grades before they get time; confidential ones never are."""
    found = FacilityCourse.objects.filter(facility=facility, peer_review=True, confidential=False)
    return set(found.values_list("kind", flat=True))


def own(actor: Actor, proposals: Iterable[BeamProposal]) -> set[int]:
    """Return in which proposals' teams the person is: joined or invited, also by her mail address. Two queries."""
    pks = [one.pk for one in proposals]
    return set(teams(actor).filter(proposal__in=pks).values_list("proposal_id", flat=True))


def teams(actor: Actor) -> QuerySet[TeamMember]:
    """Return in which teams the person is: joined or invited, also by her mail address. One query."""
    mail = User.objects.filter(pk=actor.person).values_list("email", flat=True).first()
    is_her = Q(user_id=actor.person) | (Q(user__isnull=True, email__iexact=mail) if mail else Q(pk__in=[]))
    return TeamMember.objects.filter(is_her, state__in=["joined", "invited"])


def off_multiple(number: str, facility: Facility, *, field: str) -> Reason:
    """Return that a proposal would be given what is neither whole multiples of the facility's shifts nor all it asked for."""
    text, remedy = _("%(number)s 的班次须为 %(multiple)s 的倍数。"), _("请改为整倍数的班次，或按申请的班次数给足。")
    return Reason("panel.multiple", text, remedy, field, {"number": number, "multiple": facility.multiple})


def not_in_team(actor: Actor, proposals: Iterable[BeamProposal]) -> None:
    """Raise OwnProposal where the person is in a team, invited or joined."""
    if own(actor, proposals):
        raise OwnProposal


def lock_panel(pk: int) -> Panel:
    """Lock a panel: grades, seats and lists of one panel change one after the other. Before proposals."""
    return (
        Panel.objects.select_for_update(no_key=True, of=("self",))
        .select_related("facility", "call__cycle")
        .order_by("pk")
        .get(pk=pk)
    )


NEWS: Final[dict[str, str]] = {
    "accepted": _("获得机时。"),
    "graded": _("列入候补，有班次空出时按次序递补。"),
    "refused": _("未获机时，可以申诉。"),
    "nothing": _("未获机时。"),
    "not_feasible": _("审查结论为不可行，可以申诉。"),
    "feasible": _("申诉成立，将重新评审。"),
    "admitted": _("申诉成立，将重新审查。"),
    "dismissed": _("申诉不成立，维持原决定。"),
}


def tell(
    proposal: BeamProposal, outcome: str, why: str, *, key: str, now: datetime, where: BeamRequest | None = None
) -> None:
    """Tell the team what became of its proposal (of one of its requests: `where`) and the reason as it was given.

    `outcome` is a state, ``dismissed``, or ``nothing`` where a part got no time and another may yet.
    """
    found = [Reason("panel.told", NEWS[outcome])]
    if where is not None:
        params = {"line": where.beamline.code, "cycle": where.cycle.code}
        found.append(Reason("panel.where", _("线站 %(line)s，运行周期 %(cycle)s。"), params=params))
    if why:
        found.append(Reason("panel.why", _("理由：%(why)s"), "", "", {"why": why[:500]}))
    steps.tell(proposal, found, key=key, now=now)


HIDDEN: Final = ("grading.", "beam_proposal.assessed")
"""How acts begin that say who judges: told to no team, and at the facility to nobody but who judges."""


def hidden() -> Q:
    """Match records that say who judges."""
    found = Q()
    for begin in HIDDEN:
        found |= Q(action__startswith=begin)
    return found


def record(proposal: BeamProposal, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    """Record an act on a proposal, for the facility and (unless it says who judges) the team's organisation.

    Never its title. Who of them reads it is judged at each reading (`scheduler.beamtime.trails`).
    """
    owner = proposal.facility.owner_id
    audit.record(
        action=action,
        subject=f"beam_proposal:{proposal.number}",
        actor=actor,
        now=now,
        organisations=[owner] if action.startswith(HIDDEN) else [owner, proposal.organisation_id],
        data=data,
    )
