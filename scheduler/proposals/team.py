"""Invite people into a team by mail, let them answer, remove them, change its leader; the only writer of teams.

A link's secret is derived from the portal's key, the member and the moment of the invitation: only its hash is kept, a
mail that failed is written again with the same link, and a new invitation ends the old link.
"""

from __future__ import annotations

import smtplib
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import validate_email
from django.db import transaction
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext

from portal import links
from portal.kernel.actors import Actor
from portal.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Reason, noop
from portal.kernel.states import next_state
from portal.mails import handed_in
from portal.organisations.models import Member
from scheduler.proposals import access, queries, rules, services, steps
from scheduler.proposals.models import BeamProposal, TeamMember

__all__ = [
    "BadPerson",
    "IsLeader",
    "TooMany",
    "TooSoon",
    "decline",
    "invite",
    "invite_again",
    "join",
    "lead",
    "orphaned",
    "remove",
    "secret_of",
    "send_due",
]

_ = noop

J, V = rules.InvitationAction, rules.InvitationState
MOST: Final = 30
MOST_EVER: Final = 60
"""Most people ever asked into one team, those who are out included."""
BETWEEN: Final = timedelta(hours=1)
"""How long an address is left alone between two mails of one team."""
STALE: Final = timedelta(minutes=5)
BATCH: Final = 50
LASTS: Final = timedelta(days=30)
"""How long an invitation may be answered: a link that lies about for years lets nobody into a team."""
ENDED = ("withdrawn", "closed", "refused", "not_feasible")

logger = structlog.get_logger("proposals")


class BadPerson(Invalid):
    code = "team.person"
    message = _("请填写姓名和有效的电子邮箱。")


class TooMany(Conflict):
    code = "team.too_many"
    message = _("课题组至多 30 人，先后邀请至多 60 人。请先移出不再参加的成员。")


class TooSoon(Conflict):
    code = "team.too_soon"
    message = _("一小时内已向该地址发过邀请。请稍后再试，或请对方查看邮箱。")


class IsLeader(Conflict):
    code = "team.leader"
    message = _("课题负责人不能移出。请先指定另一名负责人。")


class Elsewhere(Conflict):
    code = "team.joined_already"
    message = _("您已在这个课题组中。")


class Over(Conflict):
    code = "team.over"
    message = _("申请已结束，课题组不再变动。")


class Lapsed(Conflict):
    code = "team.lapsed"
    message = _("邀请已超过 30 天，链接失效。请联系课题负责人重新邀请。")


def secret_of(member: TeamMember) -> str:
    """Return the secret of a member's link as it was last invited."""
    said = f"{member.pk}:{member.email}:{member.invited_at.isoformat()}"
    return salted_hmac("beam-team", said, algorithm="sha256").hexdigest()


def _locked(actor: Actor, proposal: BeamProposal) -> BeamProposal:
    """Lock a proposal whose leader changes its team. Raises Forbidden, NotLeader, Over."""
    locked = steps.lock(proposal)
    services.leads(actor=actor, locked=locked)
    if locked.state in ENDED:
        raise Over
    return locked


def _member(locked: BeamProposal, member_id: int) -> TeamMember:
    rows = locked.team.select_for_update(no_key=True, of=("self",)).order_by("pk")
    found = rows.filter(pk=member_id).exclude(state=V.REMOVED.value).first()
    if found is None:
        raise NotFound
    return found


def _step(member: TeamMember, action: rules.InvitationAction) -> None:
    member.state = next_state(rules.INVITATION_TRANSITIONS, V(member.state), action).value


def _address(member: TeamMember, *, now: datetime) -> None:
    """Give a member a new link and have it mailed."""
    member.invited_at, member.answered_at = now, None
    member.digest = access.digest(secret_of(member))
    member.mail_at = now
    member.save(update_fields=["state", "invited_at", "answered_at", "digest", "mail_at"])


def _brake(proposal: BeamProposal, email: str, *, now: datetime) -> None:
    """Let nobody use the portal to write to an address again and again. Raises TooSoon."""
    if proposal.team.filter(email__iexact=email, invited_at__gt=now - BETWEEN).exists():
        raise TooSoon


@transaction.atomic
def invite(*, actor: Actor, proposal: BeamProposal, name: str, email: str, now: datetime) -> TeamMember:
    """Ask somebody into the team by mail, as its leader. Who is invited or in it already is not asked twice: idempotent.

    Raises BadPerson, TooMany, NotLeader, Over, Forbidden.
    """
    locked = _locked(actor, proposal)
    name, email = name.strip(), email.strip().lower()
    try:
        validate_email(email)
    except ValidationError as error:
        raise BadPerson(field="email") from error
    if not 1 <= len(name) <= 60 or len(email) > 254:
        raise BadPerson(field="name")
    present = locked.team.exclude(state=V.REMOVED.value)
    known = present.filter(email__iexact=email).first()
    if known is not None:
        if known.state == V.DECLINED.value:
            return invite_again(actor=actor, proposal=locked, member_id=known.pk, now=now)
        return known
    if present.count() >= MOST or locked.team.count() >= MOST_EVER:
        raise TooMany
    _brake(locked, email, now=now)
    made = TeamMember.objects.create(proposal=locked, name=name, email=email, invited_at=now)
    _address(made, now=now)
    steps.record(locked, action="beam_team.invited", actor=actor, now=now, member=made.pk)
    return made


@transaction.atomic
def invite_again(*, actor: Actor, proposal: BeamProposal, member_id: int, now: datetime) -> TeamMember:
    """Send somebody who has not answered, or declined, a new link; the old one ends. Raises InvalidTransition, NotFound."""
    locked = _locked(actor, proposal)
    member = _member(locked, member_id)
    _step(member, J.INVITE)
    _brake(locked, member.email, now=now)
    _address(member, now=now)
    steps.record(locked, action="beam_team.invited", actor=actor, now=now, member=member.pk)
    return member


@transaction.atomic
def remove(*, actor: Actor, proposal: BeamProposal, member_id: int, now: datetime) -> None:
    """Take somebody out of the team, as its leader, and off its visits that have not begun; who is out stays out.

    Raises IsLeader, NotLeader, Forbidden.
    """
    leaving = proposal.team.filter(pk=member_id, user__isnull=False).first()
    if leaving is not None:
        # Visits are locked before their proposal, as everywhere; where this is refused below, nobody is off anything.
        queries.left_team()(proposal.pk, user_id=leaving.user_id or 0, actor=actor, now=now)
    locked = _locked(actor, proposal)
    if locked.team.filter(pk=member_id, state=V.REMOVED.value).exists():
        return
    member = _member(locked, member_id)
    if member.is_leader:
        raise IsLeader
    _step(member, J.REMOVE)
    member.digest, member.mail_at, member.answered_at = "", None, now
    member.save(update_fields=["state", "digest", "mail_at", "answered_at"])
    steps.record(locked, action="beam_team.removed", actor=actor, now=now, member=member.pk)


@transaction.atomic
def lead(*, actor: Actor, proposal: BeamProposal, member_id: int, now: datetime) -> TeamMember:
    """Hand the lead to somebody who has joined and is still there, as the leader. Twice changes nothing.

    Where the leader has left her organisation anybody of the team may, and the user office. Raises NotJoined, NotLeader,
    NotFound, Forbidden.
    """
    locked = steps.lock(proposal)
    present = locked.team.filter(pk=member_id, is_leader=True, user_id=actor.person).first()
    if present is not None:
        return present
    is_orphaned = orphaned(locked)
    if not is_orphaned:
        services.leads(actor=actor, locked=locked)
    elif not (access.is_team(actor, locked) or access.is_office(actor, locked)):
        raise Forbidden
    member = _member(locked, member_id)
    if member.state != V.JOINED.value or not _belongs(member):
        raise services.NotJoined
    locked.team.filter(is_leader=True).update(is_leader=False)
    member.is_leader = True
    member.save(update_fields=["is_leader"])
    steps.record(locked, action="beam_team.led", actor=actor, now=now, member=member.pk)
    if is_orphaned:
        _tell(locked, _("原课题负责人已离开单位，%(who)s 已成为课题负责人。"), member, now=now)
    return member


def _belongs(member: TeamMember) -> bool:
    """Say whether a member still belongs to the organisation for which she joined."""
    there = Member.objects.filter(
        user_id=member.user_id or 0,
        organisation_id=member.organisation_id or 0,
        left_at__isnull=True,
        user__is_active=True,
    )
    return there.exists()


def orphaned(proposal: BeamProposal) -> bool:
    """Say whether a team's leader has left the organisation for which she leads it. Two queries."""
    leader = proposal.team.filter(is_leader=True).first()
    return leader is None or not _belongs(leader)


def _answering(secret: str, *, now: datetime) -> TeamMember:
    """Lock the proposal of an invitation, then it. Raises NotFound for a link that is unknown or no more open, Lapsed."""
    asked = access.by_link(secret)
    steps.lock(asked.proposal)
    rows = TeamMember.objects.select_for_update(no_key=True, of=("self",)).select_related("proposal__facility")
    member = rows.filter(pk=asked.pk, digest=asked.digest, state=V.INVITED.value).order_by("pk").first()
    if member is None:
        raise NotFound
    if now >= member.invited_at + LASTS:
        raise Lapsed
    return member


@transaction.atomic
def join(*, actor: Actor, secret: str, now: datetime) -> TeamMember:
    """Accept an invitation, for the organisation one acts for. Raises NotFound, Elsewhere, Over, Lapsed.

    Whoever holds the link and is signed in may accept it: addresses at work and of accounts are often not the same.
    """
    member = _answering(secret, now=now)
    proposal = member.proposal
    if proposal.state in ENDED:
        raise Over
    if proposal.team.filter(user_id=actor.person).exclude(state=V.REMOVED.value).exists():
        raise Elsewhere
    _step(member, J.JOIN)
    member.user_id, member.organisation_id = actor.person, actor.organisation_id
    member.digest, member.mail_at, member.answered_at = "", None, now
    member.save(update_fields=["state", "user", "organisation", "digest", "mail_at", "answered_at"])
    steps.record(proposal, action="beam_team.joined", actor=actor, now=now, member=member.pk)
    _tell(proposal, _("%(who)s 已加入课题组。"), member, now=now)
    return member


@transaction.atomic
def decline(*, actor: Actor, secret: str, now: datetime) -> TeamMember:
    """Decline an invitation. Raises NotFound, Lapsed."""
    member = _answering(secret, now=now)
    _step(member, J.DECLINE)
    member.digest, member.mail_at, member.answered_at = "", None, now
    member.save(update_fields=["state", "digest", "mail_at", "answered_at"])
    steps.record(member.proposal, action="beam_team.declined", actor=actor, now=now, member=member.pk)
    _tell(member.proposal, _("%(who)s 谢绝了加入课题组的邀请。"), member, now=now)
    return member


def _tell(proposal: BeamProposal, text: str, member: TeamMember, *, now: datetime) -> None:
    reason = Reason("team.answered", text, params={"who": member.name})
    steps.tell(proposal, [reason], key=f"team:{member.pk}:{now.isoformat()}", now=now)


def send_due(*, now: datetime) -> int:
    """Send the invitations that are due, 50 at most; return how many went. No transaction is open while mail is sent.

    A worker that dies in the sending is made up for after five minutes, with the same link and Message-ID.
    """
    due = TeamMember.objects.filter(mail_at__lte=now).order_by("mail_at", "pk").values_list("pk", flat=True)[:BATCH]
    return sum(_send(pk, now=now) for pk in list(due))


def _send(pk: int, *, now: datetime) -> bool:
    with transaction.atomic():
        rows = TeamMember.objects.select_for_update(no_key=True, of=("self",), skip_locked=True)
        member = (
            rows.select_related("proposal__facility", "proposal__organisation")
            .filter(pk=pk, mail_at__lte=now, state=V.INVITED.value)
            .order_by("pk")
            .first()
        )
        if member is None:
            return False
        member.mail_at = now + STALE
        member.save(update_fields=["mail_at"])
    try:
        done = handed_in(_mail(member), since=member.invited_at, now=now)
    except (OSError, smtplib.SMTPException) as error:
        logger.warning("proposals.mail_not_sent", member=pk, error=str(error))
        return False
    if done:
        TeamMember.objects.filter(pk=pk, digest=member.digest).update(mail_at=None)
    return done


def _mail(member: TeamMember) -> EmailMessage:
    """Return the mail: whose team at which facility, and the link. Neither title nor work is in it."""
    proposal = member.proposal
    said = {
        "name": member.name,
        "organisation": proposal.organisation.name,
        "facility": proposal.facility.name,
        "number": proposal.number,
    }
    lines = [
        gettext("%(name)s：") % said,
        gettext("%(organisation)s 邀请您加入其在%(facility)s的机时申请 %(number)s 的课题组。") % said,
        *links.line("team_invitation", secret_of(member)),
        gettext("请用本平台的账号登录后接受或谢绝。如果与您无关，请忽略本邮件。"),
    ]
    return EmailMessage(
        subject=gettext("课题组邀请：%(facility)s %(number)s") % said,
        body="\n".join(lines),
        to=[member.email],
        headers={
            "Message-ID": f"<team.{member.pk}.{member.digest[:12]}@gongxiang>",
            "Auto-Submitted": "auto-generated",
        },
    )
