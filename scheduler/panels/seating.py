"""Set up panels of a call and seat reviewers on them: from any organisation, never the facility's own judges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from django.db import transaction
from django.db.models import Q

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Invalid, Reason, Refused, noop
from portal.organisations.models import User
from scheduler.panels import access, bonds, grading, rounds
from scheduler.panels.models import Assessment, Grading, Panel, Panelist
from scheduler.proposals import outcomes
from scheduler.proposals.models import ProposalCall

__all__ = ["BadPanel", "NoPerson", "PanelWanted", "StaffOnPanel", "open_panel", "seat", "set_targets", "unseat"]

_ = noop


class BadPanel(Refused):
    code = "panel.bad"
    message = _("评审组设置有误。")


class NoPerson(Invalid):
    code = "panel.no_person"
    message = _("没有这个用户名或电子邮箱、并用这个姓名的账户。请向对方核对，或先请对方注册。")


class StaffOnPanel(Conflict):
    code = "panel.staff"
    message = _("此人在本装置负责可行性或安全审查或作决定，不能进入评审组。")


class NameTaken(Conflict):
    code = "panel.name_taken"
    message = _("这次征集已有同名的评审组。")


@dataclass(frozen=True, slots=True)
class PanelWanted:
    """A panel: `targets` say which part of the shifts a group should get, where grades are equal (group → part)."""

    name: str
    name_en: str = ""
    targets: Mapping[str, Fraction] = field(default_factory=dict)


def _checked(wanted: PanelWanted) -> dict[str, list[int]]:
    found: list[Reason] = []
    if not wanted.name.strip() or len(wanted.name) > 80:
        found.append(Reason("panel.name", _("评审组名称须为 1 到 80 字。"), "", "name"))
    if any(not 0 <= part <= 1 for part in wanted.targets.values()):
        found.append(Reason("panel.target", _("每组的比例须在 0 到 100% 之间。"), "", "targets"))
    elif sum(wanted.targets.values(), Fraction(0)) > 1:
        found.append(Reason("panel.targets", _("各组比例合计超过 100%。"), _("请减小比例。"), "targets"))
    if found:
        raise BadPanel(found)
    return {group.strip()[:40]: [part.numerator, part.denominator] for group, part in wanted.targets.items()}


@transaction.atomic
def open_panel(*, actor: Actor, call: ProposalCall, wanted: PanelWanted, now: datetime) -> Panel:
    """Set up a panel of a call, as its user office. Raises BadPanel, NameTaken, Forbidden."""
    access.require(actor, call.facility, Permission.FACILITY_MANAGE)
    targets = _checked(wanted)
    panel, is_new = Panel.objects.get_or_create(
        call=call,
        name=wanted.name.strip(),
        defaults={
            "facility": call.facility,
            "name_en": wanted.name_en.strip()[:120],
            "targets": targets,
            "created_at": now,
        },
    )
    if not is_new:
        raise NameTaken(field="name")
    _record(panel, action="panel.opened", actor=actor, now=now)
    return panel


@transaction.atomic
def set_targets(*, actor: Actor, panel: Panel, wanted: PanelWanted, now: datetime) -> Panel:
    """Say anew which balance counts among equals; lists that stand keep theirs. Raises BadPanel, Forbidden."""
    locked = rounds.lock_panel(panel.pk)
    access.require(actor, locked.facility, Permission.FACILITY_MANAGE)
    locked.targets = _checked(wanted)
    locked.save(update_fields=["targets"])
    _record(locked, action="panel.targets_set", actor=actor, now=now)
    return locked


def _is_called(user: User, name: str) -> bool:
    """Say whether somebody is called so; spaces and case do not matter."""
    return "".join(str(user).split()).casefold() == "".join(name.split()).casefold()


@transaction.atomic
def seat(*, actor: Actor, panel: Panel, person: str, name: str, is_chair: bool, now: datetime) -> Panelist:
    """Seat a registered person, known by user name or mail and by name; who sat before sits again. Again changes only the chair.

    The name must be given: an address alone would tell whose it is, and a mistyped one would seat a stranger. Raises
    NoPerson, the same for an unknown address and for another's name, StaffOnPanel (judges feasibility or safety there, decides there, or has judged one of the call's
    proposals), Forbidden.
    """
    locked = rounds.lock_panel(panel.pk)
    access.require(actor, locked.facility, Permission.FACILITY_MANAGE)
    said = person.strip()
    users = (
        User.objects.filter(Q(username=said) | Q(email__iexact=said), is_active=True) if said else User.objects.none()
    )
    user = users.order_by("pk").first()
    if user is None or len(users[:2]) > 1 or not _is_called(user, name):
        raise NoPerson(field="person")
    judged = Assessment.objects.filter(proposal__call_id=locked.call_id, by=user).exists()
    if judged or bonds.staff([user.pk], locked.facility):
        raise StaffOnPanel(field="person")
    if is_chair:
        locked.panelists.filter(is_chair=True).exclude(user=user).update(is_chair=False)
    row, _new = Panelist.objects.update_or_create(
        panel=locked, user=user, defaults={"is_chair": is_chair, "left_at": None}
    )
    _record(locked, action="panel.seated", actor=actor, now=now, who=str(user), is_chair=is_chair)
    return row


@transaction.atomic
def unseat(*, actor: Actor, panel: Panel, panelist: Panelist, now: datetime) -> Panelist:
    """Let a reviewer go: what she has not graded is asked of her no more, what she graded stands. Raises Forbidden."""
    locked = rounds.lock_panel(panel.pk)
    access.require(actor, locked.facility, Permission.FACILITY_MANAGE)
    row = Panelist.objects.select_for_update(no_key=True, of=("self",)).order_by("pk").get(pk=panelist.pk)
    if row.left_at is None:
        row.left_at, row.is_chair = now, False
        row.save()
        asked = Grading.objects.filter(panelist=row, state=Grading.State.ASKED.value)
        proposals = outcomes.lock(asked.values_list("proposal_id", flat=True))
        asked.delete()
        for proposal in proposals:
            grading.settle(proposal)
        _record(locked, action="panel.unseated", actor=actor, now=now, who=str(row.user))
    return row


def _record(panel: Panel, *, action: str, actor: Actor, now: datetime, **data: object) -> None:
    audit.record(
        action=action,
        subject=f"panel:{panel.pk}",
        actor=actor,
        now=now,
        organisations=[panel.facility.owner_id],
        data={"panel": panel.name, "call": panel.call.number, **data},
    )
