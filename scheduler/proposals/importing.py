"""Proposals brought in by a table, as the user office: looked at first, then taken in, each line with its own result."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, PortalError, Reason, Refused, noop
from portal.numbers.services import next_number
from portal.organisations import access as people
from portal.organisations.models import Member, Organisation, User
from portal.tables.reading import read_table
from portal.tables.values import Column, Kind, Limits, Row
from scheduler.facilities.courses import ProposalKind
from scheduler.facilities.models import Beamline
from scheduler.proposals import drafting, queries, rules, services, steps
from scheduler.proposals.models import BeamProposal, BeamRequest, BeamSample, ProposalCall, TeamMember

__all__ = ["COLUMNS", "LIMITS", "Line", "look", "take"]

_ = noop

LIMITS: Final = Limits(size=5 * 1024 * 1024, rows=500)
COLUMNS: Final = (
    Column("title", _("题目"), names=("课题名称", "title")),
    Column("summary", _("摘要"), names=("summary", "abstract"), max_length=3000),
    Column("kind", _("课题类别"), names=("类别", "kind"), required=False, max_length=20),
    Column("organisation", _("单位"), names=("申请单位", "统一社会信用代码", "organisation"), max_length=120),
    Column("leader", _("负责人账号"), names=("负责人", "用户名或邮箱", "leader"), max_length=160),
    Column("beamline", _("线站"), names=("线站代码", "beamline"), max_length=16),
    Column("shifts", _("班次数"), Kind.WHOLE, names=("班次", "shifts")),
    Column("reason", _("班次说明"), names=("reason",), required=False, max_length=300),
    Column("good", _("希望日期"), names=("good dates",), required=False, max_length=1500),
    Column("bad", _("不便日期"), names=("bad dates",), required=False, max_length=1500),
    Column("setup", _("实验布置"), names=("setup",), required=False, max_length=60),
    Column("sample", _("样品"), names=("样品名称", "sample"), required=False, max_length=120),
    Column("amount", _("样品数量"), names=("amount",), required=False, max_length=60),
    Column("hazards", _("危险性"), names=("hazards",), required=False, max_length=120),
    Column("handling", _("防护与处置"), names=("handling",), required=False, max_length=500),
    Column("afterwards", _("实验后去向"), names=("afterwards",), required=False, max_length=200),
)
"""Dates are ISO days, several separated by spaces, commas or semicolons; a line without a sample says: none is brought."""
HAZARDS: Final[Mapping[str, rules.Hazard]] = {
    **{one.value: one for one in rules.Hazard},
    "有毒": rules.Hazard.TOXIC,
    "易燃": rules.Hazard.FLAMMABLE,
    "易爆": rules.Hazard.EXPLOSIVE,
    "腐蚀性": rules.Hazard.CORROSIVE,
    "放射性": rules.Hazard.RADIOACTIVE,
    "生物危害": rules.Hazard.BIOLOGICAL,
    "纳米粉体": rules.Hazard.NANO,
    "高压": rules.Hazard.PRESSURE,
    "低温": rules.Hazard.CRYOGENIC,
    "强磁": rules.Hazard.MAGNETIC,
}


@dataclass(frozen=True, slots=True)
class Line:
    """What becomes of one line: `number` of its proposal once there is one, or every ground against it."""

    row: int
    title: str
    organisation: str = ""
    number: str = ""
    is_same: bool = False
    """It was taken in before: nothing is done again."""
    reasons: tuple[Reason, ...] = ()


class BadLine(Refused):
    code = "import.line"


class _Looked(Exception):
    """Ends a look: what it wrote is taken back."""


def look(*, actor: Actor, call: ProposalCall, content: bytes, name: str, now: datetime) -> list[Line]:
    """Return line by line what a table would do; nothing is kept. Raises BadTable, Forbidden."""
    found: list[Line] = []
    try:
        with transaction.atomic():
            found = _lines(actor, call, content, name, now)
            raise _Looked
    except _Looked:
        return [
            Line(one.row, one.title, one.organisation, one.number if one.is_same else "", one.is_same, one.reasons)
            for one in found
        ]


def take(*, actor: Actor, call: ProposalCall, content: bytes, name: str, now: datetime) -> list[Line]:
    """Take in every line that has no fault, as proposals sent now; faulty lines are told and keep no other from coming.

    The office vouches for what came on paper or from another system: the deadline and the call's files are not asked
    for, all else is, reports owed by the leader too. The same line twice is one proposal. Raises BadTable, Forbidden.
    """
    with transaction.atomic():
        return _lines(actor, call, content, name, now)


def _lines(actor: Actor, call: ProposalCall, content: bytes, name: str, now: datetime) -> list[Line]:
    actor.require(Permission.FACILITY_MANAGE)
    if call.facility.owner_id != actor.organisation_id:
        raise Forbidden
    table = read_table(content, name, COLUMNS, limits=LIMITS)
    faults: dict[int, list[Reason]] = {}
    for problem in table.problems:
        faults.setdefault(problem.row, []).append(problem.reason)
    rows = sorted((*table.rows, *table.faulty), key=lambda row: row.number)
    lines = {one.code: one for one in Beamline.objects.filter(facility=call.facility)}
    return [_line(row, faults.get(row.number, []), actor=actor, call=call, lines=lines, now=now) for row in rows]


def _text(row: Row, key: str) -> str:
    value = row.values.get(key)
    return "" if value is None else str(value).strip()


def _line(
    row: Row,
    faults: Sequence[Reason],
    *,
    actor: Actor,
    call: ProposalCall,
    lines: Mapping[str, Beamline],
    now: datetime,
) -> Line:
    title, organisation = _text(row, "title"), _text(row, "organisation")
    if faults:
        return Line(row.number, title, organisation, reasons=tuple(faults))
    try:
        with transaction.atomic():
            made, is_same = _taken(row, actor=actor, call=call, lines=lines, now=now)
    except Refused as error:
        return Line(row.number, title, organisation, reasons=error.reasons)
    except PortalError as error:
        reason = Reason(error.code, error.message, field=error.field, params=error.params)
        return Line(row.number, title, organisation, reasons=(reason,))
    return Line(row.number, title, organisation, made.number, is_same)


def _taken(
    row: Row, *, actor: Actor, call: ProposalCall, lines: Mapping[str, Beamline], now: datetime
) -> tuple[BeamProposal, bool]:
    found: list[Reason] = []
    kind = _kind(row, call, found)
    organisation, leader = _people(row, found)
    line = lines.get(_text(row, "beamline"))
    if line is None:
        params = {"code": _text(row, "beamline")}
        found.append(Reason("proposal.unknown", _("装置没有“%(code)s”，请重新选择。"), "", "beamline", params))
    good, bad = (_dates(row, name, found) for name in ("good", "bad"))
    hazards = _hazards(row, found)
    if not 1 <= (row.values["shifts"] or 0) <= drafting.MOST_SHIFTS:
        text = _("班次数须在 1 到 %(most)s 之间。")
        found.append(Reason("proposal.shifts", text, "", "shifts", {"most": drafting.MOST_SHIFTS}))
    if found or kind is None or organisation is None or leader is None or line is None:
        raise BadLine(found)
    said = f"{call.number}\n{organisation.credit_code}\n{leader.pk}\n{_text(row, 'title')}\n{line.code}"
    key = f"import:{hashlib.sha256(said.encode()).hexdigest()[:40]}"
    if known := BeamProposal.objects.filter(organisation=organisation, key=key).first():
        return known, True
    course = steps.course_of(call.facility, kind.value)
    if course is None:
        raise BadLine([Reason("proposal.kind", _("该装置不接受这类课题。"), "", "kind")])
    who = {"organisation": organisation, "leader": leader}
    made = _draft(row, call=call, kind=kind, course=course, key=key, now=now, **who)
    BeamRequest.objects.create(
        proposal=made,
        cycle=call.cycle,
        beamline=line,
        shifts=row.values["shifts"],
        off_multiple_reason=_text(row, "reason"),
        good=good,
        bad=bad,
        setup=_text(row, "setup"),
        created_at=now,
    )
    if sample := _text(row, "sample"):
        parts = {name: _text(row, name) for name in ("amount", "handling", "afterwards")}
        BeamSample.objects.create(proposal=made, name=sample, hazards=hazards, **parts)
    _send(made, actor=actor, now=now)
    return made, False


def _draft(row: Row, **said: Any) -> BeamProposal:
    call, leader, now = said["call"], said["leader"], said["now"]
    organisation: Organisation = said["organisation"]
    made = BeamProposal.objects.create(
        number=next_number(prefix="KT", now=now),
        key=said["key"],
        facility=call.facility,
        call=call,
        kind=said["kind"].value,
        organisation=organisation,
        title=_text(row, "title"),
        summary=_text(row, "summary"),
        group=organisation.city[:40],
        is_confidential=said["course"].confidential,
        no_samples=not _text(row, "sample"),
        created_by=leader,
        created_at=now,
    )
    TeamMember.objects.create(
        proposal=made,
        name=str(leader)[:60],
        email=leader.email or f"user-{leader.pk}@portal.invalid",
        user=leader,
        organisation=organisation,
        is_leader=True,
        state=rules.InvitationState.JOINED.value,
        invited_at=now,
        answered_at=now,
    )
    return made


def _send(made: BeamProposal, *, actor: Actor, now: datetime) -> None:
    against, made.owed = services.wanting(proposal=made, past=queries.past_of(made), now=now)
    if against := [reason for reason in against if reason.code != "proposal.form_missing"]:
        raise BadLine(against)
    steps.move(made, rules.BeamProposalAction.SUBMIT)
    made.sent_at, made.sent_order = now, services.arrival(facility=made.facility)
    made.save(update_fields=["state", "owed", "sent_at", "sent_order"])
    steps.record(made, action="beam_proposal.imported", actor=actor, now=now, order=made.sent_order, owed=made.owed)
    reason = Reason("proposal.imported", _("用户办公室已代为录入并提交这份申请。"))
    steps.tell(made, [reason], key="imported", now=now)


def _kind(row: Row, call: ProposalCall, found: list[Reason]) -> ProposalKind | None:
    said = _text(row, "kind") or ProposalKind.STANDARD.value
    words = {
        **{str(label): value for value, label in BeamProposal.Kind.choices},
        "普通": "standard",
        "长期": "long_term",
    }
    code = words.get(said, said)
    if code not in call.kinds:
        params = {"kind": said}
        found.append(Reason("proposal.kind", _("这次征集不接受“%(kind)s”。"), "", "kind", params))
        return None
    return ProposalKind(code)


def _people(row: Row, found: list[Reason]) -> tuple[Organisation | None, User | None]:
    organisation = people.by_name_or_code(_text(row, "organisation"))
    if organisation is None:
        text, remedy = _("没有登记名为“%(name)s”的单位。"), _("请填写登记的全称或统一社会信用代码，或请对方先登记。")
        params = {"name": _text(row, "organisation")}
        found.append(Reason("import.organisation", text, remedy, "organisation", params))
        return None, None
    account = _text(row, "leader")
    members = Member.objects.filter(organisation=organisation, left_at__isnull=True, user__is_active=True)
    members = members.select_related("user")
    member = members.filter(user__username=account).first() or members.filter(user__email__iexact=account).first()
    if member is None:
        text, remedy = _("“%(name)s”不是该单位的成员。"), _("请填写用户名或邮箱，或请对方先加入单位。")
        found.append(Reason("import.leader", text, remedy, "leader", {"name": account}))
        return organisation, None
    return organisation, member.user


def _dates(row: Row, name: str, found: list[Reason]) -> list[str]:
    days: set[str] = set()
    for word in re.split(r"[\s,;，；、]+", _text(row, name)):
        if not word:
            continue
        try:
            days.add(date.fromisoformat(word).isoformat())
        except ValueError:
            text = _("“%(day)s”不是日期。")
            found.append(Reason("import.day", text, _("请写成 2027-01-31 这样的日期。"), name, {"day": word[:20]}))
    return sorted(days)


def _hazards(row: Row, found: list[Reason]) -> list[str]:
    known: set[str] = set()
    for word in re.split(r"[\s,;，；、]+", _text(row, "hazards")):
        if word in HAZARDS:
            known.add(HAZARDS[word].value)
        elif word and word not in {"无", "none"}:
            text = _("没有危险性类别“%(word)s”。")
            words = "、".join(one for one in HAZARDS if not one.isascii())
            found.append(
                Reason("import.hazard", text, _("可填：%(words)s。"), "hazards", {"word": word[:20], "words": words})
            )
    return sorted(known)
