"""A panel's list: each place with its reason, changed by chair or office, decided by the director."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.pages import acts, shell
from portal.pages.beam import judging
from portal.pages.beam import judging_lists as lists
from portal.pages.beam_words import TIES
from portal.pages.booking_requests import arrived
from scheduler.beamtime import granting
from scheduler.facilities.shares import Pool
from scheduler.panels import access, authors, pools, queries, ranking, rounds
from scheduler.panels.models import RankedRequest, Ranking

__all__ = ["ranking_act", "ranking_page"]


class StepForm(forms.Form):
    """The version that was read, and a note."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    note = forms.CharField(
        label=_("说明"), max_length=rounds.NOTE, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )


def _can(actor: Actor, row: Ranking) -> list[str]:
    """Return which acts the list's state and the actor's part allow."""
    found: list[str] = []
    if row.state == "draft" and ranking.may_rank(actor, row.panel):
        found += ["arrange", "propose", "discard"]
    decides = actor.may(Permission.FACILITY_DECIDE) and row.panel.facility.owner_id == actor.organisation_id
    if row.state == "proposed" and decides:
        found += ["send_back"] + (["decide"] if actor.user_id not in authors.authors([row])[row.pk] else [])
    return found


@shell.needs()
def ranking_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a list; a draft is arranged on the page itself, and what was typed stays where it is refused."""
    actor = shell.actor_of(request)
    row = access.get_ranking(actor, pk)
    if wanted := lists.wanted(request):
        listed = queries.listed(row, reader=actor, now=timezone.now())[0]
        return lists.rankings_table(row.pk, listed, _why, wanted)
    error: Explained | None = None
    if request.method == "POST":
        shell.act_of(request, "arrange")
        said = _posted(request.POST, row)
        _done, error = acts.attempt_on(
            "ranking",
            lambda: ranking.arrange(
                actor=actor,
                ranking=row,
                rows=said,
                version=_whole(request.POST.get("version", "")),
                now=timezone.now(),
            ),
        )
        if error is None:
            messages.success(request, gettext("排序已保存。"))
            return arrived(request, reverse("ranking", args=[pk]))
        error = replace(error, reasons=tuple({**reason, "field": ""} for reason in error.reasons))
    return _page(request, row, error)


def _whole(text: str) -> int:
    with contextlib.suppress(ValueError):
        return int(text[:9])
    return -1


def _posted(data: Mapping[str, str], row: Ranking) -> list[ranking.Row]:
    """Return the rows as they were typed, in the order of the places given; equal places keep their old order."""
    rows = list(row.rows.select_related("request__proposal").order_by("place"))
    placed = sorted(rows, key=lambda one: (_whole(data.get(f"place-{one.pk}", "")), one.place))
    return [
        ranking.Row(
            one.request.proposal.number,
            _whole(data.get(f"shifts-{one.pk}", "")),
            on_reserve=data.get(f"then-{one.pk}", "reserve") == "reserve",
            moved_note=data.get(f"moved-{one.pk}", ""),
            to_team=data.get(f"team-{one.pk}", ""),
        )
        for one in placed
    ]


def _shown(one: RankedRequest, data: Mapping[str, str]) -> dict[str, Any]:
    """Return a row with what was typed of it, or with what is kept."""
    kept = {
        "place": str(one.place),
        "shifts": str(one.shifts),
        "then": "reserve" if one.on_reserve or one.shifts else "refuse",
        "moved": one.moved_note,
        "team": one.to_team,
    }
    typed = {name: data.get(f"{name}-{one.pk}", value) for name, value in kept.items()}
    return {"row": one, "typed": typed, "why": _why(one)}


def _why(one: RankedRequest) -> str:
    """Say what decided the place."""
    said = gettext(TIES[one.by])
    if one.by == "balance":
        said += " · " + gettext("该组此前已得 %(had)s 个班次") % {"had": one.has_had}
    return said


def _page(request: HttpRequest, row: Ranking, error: Explained | None = None) -> HttpResponse:
    actor = shell.actor_of(request)
    data: Mapping[str, str] = request.POST.dict() if error else {}
    rows, hidden = queries.listed(row, reader=actor, now=timezone.now())
    cycle = row.panel.call.cycle
    parts, given = pools.parts(row.beamline, cycle), pools.given(row.beamline, cycle)
    total = sum(row.rows.values_list("shifts", flat=True))
    can = [] if hidden else _can(actor, row)
    context = {
        "ranking": row,
        "rows": [_shown(one, data) for one in rows],
        "hidden": hidden,
        "can": can,
        "editable": "arrange" in can,
        "reads": actor.organisation_id == row.panel.facility.owner_id,
        "total": total,
        "pool": parts.get(Pool.OPEN, 0),
        "given": given.get(Pool.OPEN, 0),
        "left": row.shifts - total,
        "targets": _balance(row, rows),
        "waits_for_another": row.state == "proposed" and actor.user_id in authors.authors([row])[row.pk],
        "version": request.POST.get("version", row.version) if error else row.version,
        "error": error,
    }
    return shell.page(request, "beam/ranking.html", context, status=error.status if error else 200)


def _balance(row: Ranking, rows: list[RankedRequest]) -> list[dict[str, Any]]:
    """Return for each group what it should have and gets of the shifts this list gives."""
    total = sum(one.shifts for one in rows)
    had: dict[str, int] = {}
    for one in rows:
        had[one.request.proposal.group] = had.get(one.request.proposal.group, 0) + one.shifts
    return [
        {
            "group": group,
            "target": part,
            "shifts": had.get(group, 0),
            "share": had.get(group, 0) / total if total else 0,
        }
        for group, part in ranking.targets_of(row).items()
    ]


def _acts() -> dict[str, tuple[str, str, str, bool]]:
    """Return each act's name, what follows, what is said when it is done, and whether it destroys something."""
    return {
        "propose": (gettext("提交主任批准"), gettext("提交后由未提出排序的主任决定。"), gettext("已提交主任。"), False),
        "discard": (
            gettext("撤销草案"),
            gettext("草案及其调整将删除，评分可以再改。"),
            gettext("草案已撤销。"),
            True,
        ),
        "send_back": (gettext("退回评审组"), gettext("请说明理由，评审组会看到。"), gettext("已退回评审组。"), True),
        "decide": (
            gettext("批准并分配"),
            gettext("批准后立即分配机时，各课题组可以看到结果和理由。"),
            gettext("已批准，机时已分配。"),
            False,
        ),
    }


@shell.needs()
def ranking_act(request: HttpRequest, pk: int, act: str) -> HttpResponse:
    """Propose, discard, send back or decide, after saying what follows."""
    actor, now = shell.actor_of(request), timezone.now()
    row = access.get_ranking(actor, pk)
    known = _acts().get(act)
    if known is None:
        raise NotFound
    name, follows, done, danger = known
    form = StepForm(request.POST if request.method == "POST" else None, initial={"version": row.version})
    if act in {"decide", "discard"}:
        del form.fields["note"]
    form.fields.get("note", forms.CharField()).required = act == "send_back"
    gone = act == "discard"
    page = judging.Act(
        heading=f"{name} · {row.beamline.code}",
        press=name,
        back=reverse("panel", args=[row.panel_id]) if gone else reverse("ranking", args=[pk]),
        done=done,
        follows=follows,
        danger=danger,
        facts=[(gettext("评审组"), row.panel.name), (gettext("可分配班次"), str(row.shifts))],
    )

    def verb(said: dict[str, Any]) -> object:
        more: dict[str, Any] = {"actor": actor, "ranking": row, "version": said["version"], "now": now}
        if act == "decide":
            return granting.decide_list(**more)
        if act == "discard":
            return ranking.discard(**more)
        step = ranking.propose if act == "propose" else ranking.send_back
        return step(note=said["note"], **more)

    return judging.perform(request, page, form, verb)
