"""Draft a panel's list for one beamline, change it with reasons, propose it to the director, take it back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Reason, Refused, noop
from portal.kernel.states import next_state
from scheduler.facilities.grades import Ageing
from scheduler.facilities.models import Beamline
from scheduler.facilities.shares import Pool
from scheduler.panels import access, bonds, pools, rounds, rules
from scheduler.panels.grading import scale_of
from scheduler.panels.models import Grading, Panel, RankedRequest, Ranking
from scheduler.proposals.models import BeamProposal, BeamRequest

__all__ = [
    "BadRanking",
    "NotGraded",
    "Row",
    "arrange",
    "discard",
    "draft",
    "lock",
    "may_rank",
    "propose",
    "record",
    "send_back",
    "step",
    "targets_of",
]

_ = noop
A, S = rules.RankingAction, rules.RankingState


class NotGraded(Refused):
    code = "panel.not_graded"
    message = _("还不能排序，原因如下。")


class BadRanking(Refused):
    code = "panel.ranking"
    message = _("排序还不能保存，原因如下。")


class NothingToRank(Conflict):
    code = "panel.nothing_to_rank"
    message = _("这条线站没有待排序的申请。")


class AlreadyRanked(Conflict):
    code = "panel.list_open"
    message = _("这条线站已有一份待批准的排序。")


@dataclass(frozen=True, slots=True)
class Row:
    """What the panel decided of one request, known by its proposal's number, in the order of the list."""

    number: str
    shifts: int
    on_reserve: bool = True
    moved_note: str = ""
    to_team: str = ""


def may_rank(actor: Actor, panel: Panel) -> bool:
    """Say whether the actor may draft and propose the panel's lists: its chair, or the facility's user office."""
    if actor.organisation_id == panel.facility.owner_id and actor.may(Permission.FACILITY_MANAGE):
        return True
    return panel.panelists.filter(user_id=actor.person, is_chair=True, left_at__isnull=True).exists()


def _require(actor: Actor, panel: Panel, requests: Iterable[BeamRequest], *, now: datetime) -> None:
    """Raise Forbidden unless the actor may rank for the panel, OwnProposal or Bound where she is bound to what is ranked."""
    if not may_rank(actor, panel):
        raise Forbidden
    bonds.not_bound(actor, panel, [one.proposal for one in requests], now=now)


def targets_of(ranking: Ranking) -> Mapping[str, Fraction]:
    """Return which part of the shifts each group should get on this list."""
    return {group: Fraction(num, den) for group, (num, den) in ranking.targets.items()}


@transaction.atomic
def draft(
    *,
    actor: Actor,
    panel: Panel,
    beamline: Beamline,
    now: datetime,
    shifts: int | None = None,
    without: Collection[str] = (),
) -> Ranking:
    """Rank what the panel has graded for a beamline, with ageing; an earlier draft of it is made anew.

    `shifts`: how many to give, at most what the open pool has left (None: all of that). Proposals that are not graded yet
    keep a list from being drafted unless `without` names their numbers: they stay open for a later list. By the chair
    or the user office. Raises NotGraded with every reason, NothingToRank, AlreadyRanked, OwnProposal, Bound, Forbidden.
    """
    locked = rounds.lock_panel(panel.pk)
    _require(actor, locked, [], now=now)
    most = pools.left(beamline, locked.call.cycle, Pool.OPEN)
    wanted = _candidates(locked, beamline, without=set(without))
    _require(actor, locked, [request for request, _grade in wanted], now=now)
    if shifts is not None and not 0 <= shifts <= most:
        text, remedy = _("本线站开放机时还剩 %(most)s 个班次。"), _("请填写不超过此数的班次。")
        raise NotGraded([Reason("panel.pool_short", text, remedy, "shifts", {"most": most})])
    if not wanted:
        raise NothingToRank
    row = Ranking.objects.filter(panel=locked, beamline=beamline).exclude(state=S.DECIDED.value).first()
    if row is None:
        row = Ranking(panel=locked, beamline=beamline, version=0)
    elif row.state != S.DRAFT.value:
        raise AlreadyRanked
    row.shifts, row.version, row.targets = most if shifts is None else shifts, row.version + 1, locked.targets
    row.save()
    row.rows.all().delete()
    _write(row, wanted)
    record(row, action="ranking.drafted", actor=actor, now=now, shifts=row.shifts)
    return row


def _candidates(panel: Panel, beamline: Beamline, *, without: set[str]) -> list[tuple[BeamRequest, int]]:
    """Return open requests and the panel's grades of them (hundredths), of those too that another beamline's list gave time.
    Raises NotGraded. Five queries.
    """
    requests = (
        BeamRequest.objects.filter(cycle=panel.call.cycle, beamline=beamline, state="open")
        .filter(proposal__kind__in=rounds.reviewed_kinds(panel.facility), proposal__is_confidential=False)
        .exclude(proposal__number__in=without)
        .exclude(
            pk__in=RankedRequest.objects.filter(ranking__state__in=["draft", "proposed"])
            .exclude(ranking__panel=panel)
            .values("request")
        )
        .select_related("proposal")
        .order_by("pk")
    )
    rows = list(requests)
    now_in = rounds.rounds([one.proposal for one in rows])
    grades: dict[int, dict[str, list[int]]] = {}
    elsewhere: set[int] = set()
    for one in Grading.objects.filter(proposal__in=[row.proposal_id for row in rows]).select_related("panelist"):
        if one.round_no != now_in[one.proposal_id]:
            continue
        if one.panelist.panel_id != panel.pk:
            elsewhere.add(one.proposal_id)
            continue
        grades.setdefault(one.proposal_id, {}).setdefault(one.state, []).append(one.grade_c or 0)
    taken: list[tuple[BeamRequest, int]] = []
    reasons: list[Reason] = []
    for request in rows:
        proposal, mine = request.proposal, grades.get(request.proposal_id, {})
        if proposal.call_id != panel.call_id:
            # Gone on from an earlier cycle: it keeps the grade it has and ages.
            if request.grade_c is not None and proposal.state in {"graded", "accepted"}:
                taken.append((request, request.grade_c))
        elif not mine and proposal.pk in elsewhere:
            continue
        elif reason := _ungraded(proposal, mine, panel.facility.graders):
            reasons.append(reason)
        elif proposal.state in {"graded", "accepted"} and mine.get("graded"):
            mean = rules.mean([Decimal(number) / 100 for number in mine["graded"]])
            taken.append((request, int(mean * 100)))
    if reasons:
        raise NotGraded(reasons)
    return taken


def _ungraded(proposal: BeamProposal, mine: Mapping[str, Sequence[int]], least: int) -> Reason | None:
    told = {"number": proposal.number}
    remedy = _("请等待完成，或在排序时注明暂不列入。")
    if proposal.state in {"submitted", "admitted"}:
        return Reason("panel.unassessed", _("%(number)s 的审查尚未完成。"), remedy, "without", told)
    if proposal.state not in {"feasible", "graded"}:
        return None
    if len(mine.get("graded", ())) < least:
        text = _("%(number)s 的评分少于 %(least)s 份。")
        return Reason("panel.too_few", text, remedy, "without", {**told, "least": least})
    if mine.get("asked"):
        return Reason("panel.ungraded", _("%(number)s 还有评审人没有评分。"), remedy, "without", told)
    return None


def _candidate(request: BeamRequest, grade: Decimal) -> rules.Candidate:
    proposal = request.proposal
    return rules.Candidate(proposal.number, grade, request.shifts, proposal.group, proposal.sent_order or 0)


def _write(ranking: Ranking, wanted: Sequence[tuple[BeamRequest, int]]) -> None:
    facility = ranking.panel.facility
    scale = scale_of(facility)
    ageing = Ageing(Decimal(facility.ageing_c) / 100, facility.ageing_cycles)
    by_number = {request.proposal.number: (request, grade_c) for request, grade_c in wanted}
    aged = {
        number: rules.aged(Decimal(grade_c) / 100, waited=request.waited, ageing=ageing, scale=scale)
        for number, (request, grade_c) in by_number.items()
    }
    ranked = rules.rank(
        [_candidate(request, aged[number]) for number, (request, _grade) in by_number.items()],
        scale=scale,
        target=targets_of(ranking),
    )
    rows = []
    for award in rules.awards(ranked, shifts=ranking.shifts, multiple=facility.multiple):
        one = award.ranked
        request, grade_c = by_number[one.candidate.number]
        rows.append(
            RankedRequest(
                ranking=ranking,
                request=request,
                place=one.place,
                grade_c=grade_c,
                aged_c=int(one.candidate.grade * 100),
                by=one.by.value,
                has_had=one.has_had,
                shifts=award.shifts,
                on_reserve=award.shifts == 0,
            )
        )
        request.grade_c = grade_c
    RankedRequest.objects.bulk_create(rows)
    BeamRequest.objects.bulk_update([request for request, _grade in wanted], ["grade_c"])


def lock(ranking: Ranking, *, version: int | None = None) -> Ranking:
    """Lock a list's panel, then the list. Raises Changed where it is not `version` any more."""
    panel = rounds.lock_panel(ranking.panel_id)
    found = (
        Ranking.objects.select_for_update(no_key=True, of=("self",))
        .select_related("beamline__resource")
        .filter(pk=ranking.pk)
        .order_by("pk")
        .first()
    )
    if found is None or (version is not None and found.version != version):
        raise rounds.Changed
    found.panel = panel
    return found


def _rows(ranking: Ranking) -> list[RankedRequest]:
    return list(ranking.rows.select_related("request__proposal").order_by("place"))


def _by_rule(ranking: Ranking, rows: Sequence[RankedRequest]) -> list[str]:
    """Return the numbers in the order that grades, balance and arrival give."""
    ranked = rules.rank(
        [_candidate(row.request, Decimal(row.aged_c) / 100) for row in rows],
        scale=scale_of(ranking.panel.facility),
        target=targets_of(ranking),
    )
    return [one.candidate.number for one in ranked]


@transaction.atomic
def arrange(*, actor: Actor, ranking: Ranking, rows: Sequence[Row], version: int, now: datetime) -> Ranking:
    """Put a draft in the panel's own order with its own awards; who is moved, or gets less than there is, is told why.

    Every request of the list, once. Raises BadRanking with every reason, Changed, InvalidTransition, OwnProposal,
    Bound, Forbidden.
    """
    locked = lock(ranking, version=version)
    kept = _rows(locked)
    _require(actor, locked.panel, [row.request for row in kept], now=now)
    next_state(rules.RANKING_TRANSITIONS, S(locked.state), A.PROPOSE)
    known = {row.request.proposal.number: row for row in kept}
    if reasons := _faults(locked, rows, known):
        raise BadRanking(reasons)
    for place, said in enumerate(rows, 1):
        row = known[said.number]
        row.place, row.shifts, row.on_reserve = place, said.shifts, said.on_reserve and not said.shifts
        row.moved_note, row.to_team = said.moved_note.strip(), said.to_team.strip()
    RankedRequest.objects.bulk_update(known.values(), ["place", "shifts", "on_reserve", "moved_note", "to_team"])
    locked.version += 1
    locked.save(update_fields=["version"])
    record(locked, action="ranking.arranged", actor=actor, now=now)
    return locked


def _faults(ranking: Ranking, rows: Sequence[Row], known: Mapping[str, RankedRequest]) -> list[Reason]:
    order = [row.number for row in rows]
    if sorted(order) != sorted(known):
        text, remedy = _("须列出本排序的每一项申请，各一次。"), _("请刷新页面后重新排列。")
        return [Reason("panel.rows", text, remedy, "rows")]
    found: list[Reason] = []
    moved = rules.moved(order, _by_rule(ranking, list(known.values())))
    ordered = [known[number] for number in order]
    proposed = dict(zip(order, _usual(ranking, ordered), strict=True))
    for row in rows:
        found += _row_faults(row, known[row.number], ranking, moved=row.number in moved, usual=proposed[row.number])
    if (total := sum(row.shifts for row in rows)) > ranking.shifts:
        text = _("共分配 %(total)s 个班次，只有 %(most)s 个。")
        found.append(Reason("panel.pool_short", text, _("请减少。"), "rows", {"total": total, "most": ranking.shifts}))
    return found


def _usual(ranking: Ranking, ordered: Sequence[RankedRequest]) -> list[int]:
    """Return what each would get in this order if shifts were given down the list."""
    multiple = ranking.panel.facility.multiple
    listed = [
        rules.Ranked(at, _candidate(row.request, Decimal(row.aged_c) / 100), rules.TieBreak.ORDER)
        for at, row in enumerate(ordered, 1)
    ]
    return [one.shifts for one in rules.awards(listed, shifts=ranking.shifts, multiple=multiple)]


def _row_faults(row: Row, at: RankedRequest, ranking: Ranking, *, moved: bool, usual: int) -> list[Reason]:
    told, wanted, multiple = {"number": row.number}, at.request.shifts, ranking.panel.facility.multiple
    field = f"rows.{row.number}"
    found = []
    if not 0 <= row.shifts <= wanted:
        text = _("%(number)s 申请 %(wanted)s 个班次，不能分配 %(shifts)s 个。")
        params = {**told, "wanted": wanted, "shifts": row.shifts}
        found.append(Reason("panel.award", text, _("请填写 0 到申请数之间的班次。"), field, params))
    elif row.shifts % multiple and row.shifts != wanted:
        found.append(rounds.off_multiple(row.number, ranking.panel.facility, field=field))
    changed = moved or row.shifts != usual or (not row.shifts and not row.on_reserve)
    if changed and not row.moved_note.strip():
        text = _("%(number)s 的次序或班次与规则不同，须说明理由。")
        found.append(Reason("panel.moved", text, _("请填写评审组的理由。"), field, told))
    if not row.shifts and not row.on_reserve and not row.to_team.strip():
        text = _("%(number)s 未获机时，须告诉课题组理由。")
        found.append(Reason("panel.to_team", text, _("请填写给课题组的答复。"), field, told))
    if len(row.moved_note) > 500 or len(row.to_team) > rounds.NOTE:
        found.append(Reason("panel.too_long", _("%(number)s 的文字过长。"), _("请删减。"), field, told))
    return found


@transaction.atomic
def propose(*, actor: Actor, ranking: Ranking, note: str, version: int, now: datetime) -> Ranking:
    """Propose a draft to the director, as chair or office.

    Raises Changed, InvalidTransition, OwnProposal, Bound, Forbidden.
    """
    locked = lock(ranking, version=version)
    _require(actor, locked.panel, [row.request for row in _rows(locked)], now=now)
    step(locked, A.PROPOSE)
    locked.note = rounds.note(note, field="note", required=False)
    locked.proposed_by_id, locked.proposed_at = actor.person, now
    locked.save()
    record(locked, action="ranking.proposed", actor=actor, now=now)
    return locked


@transaction.atomic
def send_back(*, actor: Actor, ranking: Ranking, note: str, version: int, now: datetime) -> Ranking:
    """Send a proposed list back to the panel with a reason, as the director. Raises NoteMissing, Changed,
    InvalidTransition, OwnProposal, Forbidden.
    """
    locked = lock(ranking, version=version)
    access.require(actor, locked.panel.facility, Permission.FACILITY_DECIDE)
    rounds.not_in_team(actor, [row.request.proposal for row in _rows(locked)])
    step(locked, A.SEND_BACK)
    locked.note = rounds.note(note, field="note")
    locked.proposed_by, locked.proposed_at = None, None
    locked.save()
    record(locked, action="ranking.sent_back", actor=actor, now=now, note=locked.note)
    return locked


@transaction.atomic
def discard(*, actor: Actor, ranking: Ranking, version: int, now: datetime) -> None:
    """Throw a draft away: grades can be changed again. Raises Changed, InvalidTransition, OwnProposal, Bound, Forbidden."""
    locked = lock(ranking, version=version)
    _require(actor, locked.panel, [row.request for row in _rows(locked)], now=now)
    next_state(rules.RANKING_TRANSITIONS, S(locked.state), A.PROPOSE)
    record(locked, action="ranking.discarded", actor=actor, now=now)
    locked.delete()


def step(ranking: Ranking, action: rules.RankingAction) -> None:
    """Move a locked list and raise its version; the caller saves. Raises InvalidTransition."""
    ranking.state = next_state(rules.RANKING_TRANSITIONS, S(ranking.state), action).value
    ranking.version += 1


def record(ranking: Ranking, *, action: str, actor: Actor, now: datetime, **data: object) -> None:
    """Record an act on a list, for the facility."""
    panel = ranking.panel
    audit.record(
        action=action,
        subject=f"panel:{panel.pk}",
        actor=actor,
        now=now,
        organisations=[panel.facility.owner_id],
        data={"panel": panel.name, "beamline": ranking.beamline.code, "ranking": ranking.pk, **data},
    )
