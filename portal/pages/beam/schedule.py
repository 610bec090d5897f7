"""The planner's board: a cycle's draft and visits, arranged with the mouse, the keyboard or plain forms."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.db.models import Count, Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import explain, explain_reason
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import PortalError
from portal.pages import acts, shell
from portal.pages.beam import schedule_grid
from portal.pages.exports import FORMATS, exported
from portal.pages.labels import label_of
from scheduler.beamtime import (
    adopting,
    arranging,
    drafts,
    gathering,
    moving,
    planning,
    planning_access,
    returning,
    tasks,
)
from scheduler.beamtime.models import BeamVisit, ScheduleDraft
from scheduler.beamtime.planning_access import READS
from scheduler.facilities.models import RunCycle
from scheduler.messages import access as told

__all__ = ["schedule", "schedule_look", "schedule_progress", "schedules"]


class SecondsForm(forms.Form):
    """How long the planner looks, per beamline."""

    seconds = forms.IntegerField(label=_("每条线站计算时间（秒）"), min_value=1, max_value=600, initial=40)


class SpotForm(forms.Form):
    """Where something goes: a beamline and the start of a shift, as the board's choices name it."""

    line = forms.CharField(label=_("线站"))
    at = forms.CharField(label=_("开始班次"))
    seen = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    make_way = forms.BooleanField(label=_("占用处未固定的安排让位（回到待排）"), required=False)
    reason = forms.CharField(label=_("改期原因"), max_length=500, required=False)


def _moment(text: str) -> datetime:
    """Return a time with its offset. Raises NoShiftThere for what is none."""
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise arranging.NoShiftThere(field="at")
    return found


@shell.needs(*READS)
def schedules(request: HttpRequest) -> HttpResponse:
    """List the run cycles of the actor's facilities with how far their schedules are."""
    actor = shell.actor_of(request)
    is_told = actor.user_id is not None and any(actor.may(one) for one in told.READERS)
    had = BeamVisit.objects.filter(allocation=OuterRef("requests__allocations")).exclude(state__in=gathering.NOT_HAD)
    rows = (
        planning_access.planned_cycles(actor)
        .annotate(
            waiting=Count(
                "requests__allocations",
                filter=Q(
                    ~Exists(had), requests__allocations__isnull=False, requests__allocations__ended_at__isnull=True
                ),
                distinct=True,
            ),
            open_drafts=Count("drafts", filter=Q(drafts__state__in=drafts.OPEN), distinct=True),
        )
        .order_by()
    )
    sorts = {"facility": ["facility__name", "-during"], "cycle": ["code"], "during": ["during"]}
    context = {
        "listing": shell.listing(request, rows, sorts=sorts, default="-during"),
        "is_told": is_told,
        "unseen": told.unseen(actor) if is_told else 0,
    }
    return shell.page(request, "beam/schedules.html", context)


@shell.needs(*READS)
def schedule(request: HttpRequest, facility: str, cycle: str) -> HttpResponse:
    """Show a cycle's board and do what its forms ask."""
    actor, now = shell.actor_of(request), timezone.now()
    row = planning_access.get_cycle(actor, facility, cycle)
    error = None
    if request.method == "POST":
        done, error = acts.attempt_on("schedule_draft", lambda: _do(request, actor, row, now=now))
        if error is None:
            messages.success(request, done)
            return redirect(reverse("schedule", args=[facility, cycle]) + _kept(request))
    board = planning.board(row, now=now)
    if (wanted := request.GET.get("format", "")) in FORMATS:
        return _table(board, wanted)
    picked = request.POST.get("number") or request.GET.get("pick", "")
    context = {
        "cycle": row,
        "board": board,
        "draft": board.draft,
        "gap": planning.gap(board.draft.value, board.bound) if board.draft is not None else 0,
        "can_plan": actor.may(Permission.BEAMTIME_PLAN),
        "can_return": any(actor.may(one) for one in returning.RETURNS),
        "is_busy": board.draft is not None and board.draft.state in {"queued", "solving"},
        "can_order": board.draft is None or board.draft.state not in drafts.OPEN,
        "days": schedule_grid.days_of(board),
        "today": timezone.localdate(timezone=ZoneInfo(row.facility.zone)),
        "lines": schedule_grid.lines_of(board, picked=picked),
        "shift_names": row.facility.shift_names,
        "waiting": _waiting(board, picked),
        "picked": _picked(board, picked, request),
        "reasons": [explain_reason(one) for one in board.reasons],
        "progress": _progress(board.draft),
        "seconds": SecondsForm(initial={"seconds": board.draft.seconds if board.draft is not None else 40}),
        "error": error,
        "key": shell.new_key(),
        "path": request.path,
        "zone": row.facility.zone,
        "shift_starts": [{"at": one.period.start.isoformat(), "zone": row.facility.zone} for one in board.cycle.shifts],
    }
    return shell.page(request, "beam/schedule.html", context, status=error.status if error is not None else 200)


def _kept(request: HttpRequest) -> str:
    pick = request.POST.get("number", "")
    return f"?pick={pick}#pick" if pick and request.POST.get("act") in {"fix", "unfix", "put"} else ""


def _do(request: HttpRequest, actor: Actor, cycle: RunCycle, *, now: datetime) -> str:
    """Do one act of the board and return what to say of it."""
    known = {
        "order": _order,
        "resolve": _resolve,
        "discard": _discard,
        "adopt": _adopt,
        "put": _put,
        "take_out": _take_out,
        "fix": _fix,
        "unfix": _fix,
        "move": _move,
        "give_back": _give_back,
    }
    act: Callable[..., str] = known[shell.act_of(request, *known)]
    return act(request, actor, cycle, now=now)


def _draft(actor: Actor, request: HttpRequest) -> ScheduleDraft:
    return planning_access.get_draft(actor, _whole(request, "draft"))


def _whole(request: HttpRequest, name: str) -> int:
    text = request.POST.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _seconds(request: HttpRequest) -> int:
    return _whole(request, "seconds")


def _order(request: HttpRequest, actor: Actor, cycle: RunCycle, *, now: datetime) -> str:
    drafts.order(
        actor=actor, cycle=cycle, seconds=_seconds(request), wake=tasks.wake, key=shell.key_of(request), now=now
    )
    return gettext("已开始计算，完成后会显示在这里。")


def _resolve(request: HttpRequest, actor: Actor, _cycle: RunCycle, *, now: datetime) -> str:
    draft, seen = _draft(actor, request), _whole(request, "version")
    drafts.resolve(actor=actor, draft=draft, version=seen, seconds=_seconds(request), wake=tasks.wake, now=now)
    return gettext("固定的安排不变，其余正在重新计算。")


def _discard(request: HttpRequest, actor: Actor, _cycle: RunCycle, *, now: datetime) -> str:
    drafts.discard(actor=actor, draft=_draft(actor, request), now=now)
    return gettext("草案已放弃。")


def _adopt(request: HttpRequest, actor: Actor, _cycle: RunCycle, *, now: datetime) -> str:
    draft, seen = _draft(actor, request), _whole(request, "version")
    made = adopting.adopt(actor=actor, draft=draft, version=seen, now=now)
    return gettext("已采用草案，%(count)s 项机时已发给课题组答复。") % {"count": len(made)}


def _id_of(number: str) -> int:
    """Return the id of an allocation by its number on the board; 0: nothing has it."""
    return int(number[1:]) if number[:1] == "A" and number[1:].isdecimal() and len(number) < 11 else 0


def _allocation(request: HttpRequest) -> int:
    return _id_of(request.POST.get("number", ""))


def _spot(request: HttpRequest) -> SpotForm:
    form = SpotForm(request.POST)
    if not form.is_valid():
        raise arranging.NoShiftThere(field="at")
    return form


def _put(request: HttpRequest, actor: Actor, _cycle: RunCycle, *, now: datetime) -> str:
    form = _spot(request)
    arranging.put(
        actor=actor,
        draft=_draft(actor, request),
        allocation_id=_allocation(request),
        spot=arranging.Spot(form.cleaned_data["line"], _moment(form.cleaned_data["at"])),
        seen=form.cleaned_data["seen"],
        make_way=form.cleaned_data["make_way"],
        now=now,
    )
    return gettext("已移动并固定。")


def _take_out(request: HttpRequest, actor: Actor, _cycle: RunCycle, *, now: datetime) -> str:
    draft, seen = _draft(actor, request), _whole(request, "seen")
    arranging.take_out(actor=actor, draft=draft, allocation_id=_allocation(request), seen=seen, now=now)
    return gettext("已取下，列在待排中。")


def _fix(request: HttpRequest, actor: Actor, _cycle: RunCycle, *, now: datetime) -> str:
    is_fixed = request.POST.get("act") == "fix"
    draft, seen = _draft(actor, request), _whole(request, "seen")
    arranging.fix(actor=actor, draft=draft, allocation_id=_allocation(request), seen=seen, is_fixed=is_fixed, now=now)
    return gettext("已固定。") if is_fixed else gettext("已解开，重新计算时可以移动。")


def _move(request: HttpRequest, actor: Actor, _cycle: RunCycle, *, now: datetime) -> str:
    form = _spot(request)
    moving.move(
        actor=actor,
        visit=planning_access.get_planned(actor, request.POST.get("visit", "")),
        starts_at=_moment(form.cleaned_data["at"]),
        seen=form.cleaned_data["seen"],
        reason=form.cleaned_data["reason"],
        now=now,
    )
    return gettext("已改期，课题组会重新答复。")


def _give_back(request: HttpRequest, actor: Actor, cycle: RunCycle, *, now: datetime) -> str:
    found = returning.get_allocation(actor, cycle, _allocation(request))
    returning.give_back(actor=actor, allocation=found, reason=request.POST.get("reason", ""), now=now)
    return gettext("已退回：班次回到份额，申请列入候补，课题组会看到理由。")


def _waiting(board: planning.Board, picked: str) -> list[dict[str, Any]]:
    words = {
        "nowhere": gettext("没有可用的时间：日期、装置、人员或线站都不合"),
        "crowded": gettext("让给了价值更高的课题"),
    }
    found = []
    for one in board.waiting:
        number = f"A{one.pk}"
        asked = board.requests[number]
        found.append(
            {
                "number": number,
                "row": one,
                "line": one.request.beamline.code,
                "why": words.get(board.why.get(one.pk, ""), ""),
                "bad": schedule_grid.ranges(asked.bad),
                "good": schedule_grid.ranges(asked.good),
                "is_picked": number == picked,
            }
        )
    return found


def _picked(board: planning.Board, number: str, request: HttpRequest) -> dict[str, Any] | None:
    """Return what is picked, with the starts it can be moved to: those of open shifts, in words."""
    blocks = [(row, one) for row in board.rows for one in row.blocks]
    row, block = next(((row, one) for row, one in blocks if one.number == number), (None, None))
    waiting = next((one for one in board.waiting if f"A{one.pk}" == number), None)
    if block is None and waiting is None:
        return None
    allocation = block.allocation if block is not None else waiting
    assert allocation is not None
    # None: its allocation has ended meanwhile, or it is a visit beside user beam; only a visit can still go elsewhere.
    asked = board.requests.get(number)
    shifts = asked.shifts if asked is not None else block.shifts if block is not None and block.visit is not None else 0
    code = row.code if row is not None else allocation.request.beamline.code
    own = set(range(block.start, block.start + block.shifts)) if block is not None else set()
    open_here = next((set(one.open) for one in board.rows if one.code == code), set()) | own
    zone, names = board.cycle.row.facility.zone, board.cycle.row.facility.shift_names
    chosen = request.POST.get("at", "")
    starts = [
        {
            "value": one.period.start.isoformat(),
            "day": one.period.start,
            "name": names[one.turn] if one.turn < len(names) else "",
            "is_bad": asked is not None and bool(asked.bad & set(range(at, at + shifts))),
            "is_chosen": one.period.start.isoformat() == chosen if chosen else block is not None and at == block.start,
        }
        for at, one in enumerate(board.cycle.shifts)
        if shifts and open_here.issuperset(range(at, at + shifts))
    ]
    return {
        "number": number,
        "block": block,
        "allocation": allocation,
        "line": code,
        "starts": starts,
        "zone": zone,
        "seen": block.place.version if block is not None and block.place is not None else 0,
        "faults": [explain_reason(one) for one in block.faults] if block is not None else [],
    }


def _progress(draft: ScheduleDraft | None) -> list[dict[str, Any]]:
    """Return the proof by beamline: what was reached of at most what, and how far from it that is."""
    if draft is None:
        return []
    found = []
    for code, one in sorted(draft.lines.items()):
        value, bound = one.get("value", 0), one.get("bound", 0)
        found.append({**one, "code": code, "gap": planning.gap(value, bound), "seconds": one.get("spent_ms", 0) / 1000})
    return found


@shell.needs(*READS)
def schedule_progress(request: HttpRequest, draft_id: int) -> HttpResponse:
    """Tell how far the computing is; once it has ended the whole page is asked for anew."""
    draft = planning_access.get_draft(shell.actor_of(request), draft_id)
    if draft.state not in {"queued", "solving"}:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return shell.page(request, "beam/progress.html", {"draft": draft, "progress": _progress(draft)})


@shell.needs(*READS)
def schedule_look(request: HttpRequest, draft_id: int) -> HttpResponse:
    """Say what a move would break, for the board's script; nothing is written."""
    draft = planning_access.get_draft(shell.actor_of(request), draft_id)
    number = request.GET.get("number", "")
    try:
        spot = arranging.Spot(request.GET.get("line", ""), _moment(request.GET.get("at", "")))
        found = arranging.look(draft=draft, allocation_id=_id_of(number), spot=spot, now=timezone.now())
    except PortalError as error:
        return JsonResponse({"faults": [explain(error).text]})
    return JsonResponse({"faults": [explain_reason(one)["text"] for one in found]})


def _table(board: planning.Board, wanted: str) -> HttpResponse:
    header = [
        *(gettext("线站"), gettext("课题"), gettext("开始"), gettext("结束"), gettext("班次数")),
        *(gettext("状态"), gettext("固定"), gettext("值班人员"), gettext("冲突")),
    ]
    rows = []
    for row in board.rows:
        for one in row.blocks:
            state = label_of("visit", one.visit.state)[1] if one.visit is not None else gettext("草案")
            operator = one.visit.operator if one.visit is not None else one.place.operator if one.place else None
            rows.append(
                [
                    row.code,
                    one.allocation.request.proposal.number,
                    one.period.start,
                    one.period.end,
                    one.shifts,
                    state,
                    gettext("是") if one.place is not None and one.place.is_fixed else "",
                    operator.name if operator is not None else "",
                    "；".join(explain_reason(fault)["text"] for fault in one.faults),
                ]
            )
    return exported(f"schedule-{board.cycle.row.pk}", wanted, header, rows)
