"""The user office's panels: who sits on them, who grades what, which conflicts were found out, which lists there are."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained, explain_reason
from portal.kernel.actors import Permission
from portal.kernel.errors import Invalid, NotFound, noop
from portal.pages import acts, shell
from portal.pages.beam import judging
from portal.pages.beam import judging_lists as lists
from portal.pages.booking_requests import arrived
from scheduler.facilities.models import Beamline
from scheduler.facilities.shares import Pool
from scheduler.panels import access, grading, pools, queries, ranking, seating
from scheduler.panels.models import Panel
from scheduler.proposals.models import ProposalCall

__all__ = ["panel", "panel_act", "panel_new", "panel_rank", "panels"]

P = Permission
SORTS = {"name": ["name"], "call": ["call__number"]}


class BadTargets(Invalid):
    code = "panel.target_text"
    message = noop("每行写一组及其比例，例如：能源 40%。")


class PanelForm(forms.Form):
    """A panel of a call and which balance counts among equals."""

    call = forms.ChoiceField(label=_("征集"))
    name = forms.CharField(label=_("名称"), max_length=80)
    name_en = forms.CharField(label=_("英文名称"), max_length=120, required=False)
    targets = forms.CharField(
        label=_("同分时的平衡要求"),
        required=False,
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("每行一组及其比例，例如：能源 40%。不填则同分按提交先后。"),
    )


class SeatForm(forms.Form):
    """A registered person."""

    person = forms.CharField(label=_("用户名或电子邮箱"), max_length=160)
    name = forms.CharField(label=_("姓名"), max_length=160)
    is_chair = forms.BooleanField(label=_("担任组长"), required=False)


class RankForm(forms.Form):
    """How many shifts to give, and what is left for a later list."""

    shifts = forms.IntegerField(label=_("可分配班次"), min_value=0, max_value=999)
    without = forms.CharField(
        label=_("暂不列入的申请"),
        required=False,
        max_length=4000,
        help_text=_("申请号，以空格分隔；审查或评分未完成的申请须写在这里，才能先为其他申请排序。"),
    )


def targets_in(text: str) -> dict[str, Fraction]:
    """Read lines such as ``能源 40%``. Raises BadTargets."""
    found: dict[str, Fraction] = {}
    for line in filter(None, (each.strip() for each in text.splitlines())):
        group, _space, part = line.replace("：", " ").replace("%", "").rpartition(" ")
        if not group.strip() or not part.isdecimal() or len(part) > 3:
            raise BadTargets(field="targets")
        found[group.strip()] = Fraction(int(part), 100)
    return found


def _may_manage(request: HttpRequest) -> bool:
    return shell.actor_of(request).may(P.FACILITY_MANAGE)


@shell.needs()
def panels(request: HttpRequest) -> HttpResponse:
    """List the panels one runs, decides on or chairs, with their lists."""
    actor = shell.actor_of(request)
    names = ("name", "name_en", "call__number", "call__name", "call__name_en", "call__cycle__code", "facility__name")
    filters = lists.ListFilter(request.GET, names=names, hint=gettext("名称、征集或运行周期"))
    found = filters.narrow(access.panels_of(actor)).prefetch_related("panelists", "rankings__beamline__resource")
    if wanted := lists.wanted(request):
        return lists.panels_table(found, wanted)
    context = {
        "filters": filters,
        "keeps": [(name, request.GET.get(name, "")) for name in ("sort",)],
        "listing": shell.listing(request, found, sorts=SORTS, default="-call"),
        "may_manage": _may_manage(request),
        "may_decide": actor.may(P.FACILITY_DECIDE),
    }
    return shell.page(request, "beam/panels.html", context)


@shell.needs(P.FACILITY_MANAGE)
def panel_new(request: HttpRequest) -> HttpResponse:
    """Set up a panel."""
    actor = shell.actor_of(request)
    calls = ProposalCall.objects.filter(facility__owner_id=actor.organisation_id, is_published=True)
    form = PanelForm(request.POST if request.method == "POST" else None)
    choice = form.fields["call"]
    assert isinstance(choice, forms.ChoiceField)
    choice.choices = [(call.number, f"{call.number} · {call.name}") for call in calls]
    page = judging.Act(
        heading=gettext("设立评审组"),
        press=gettext("设立"),
        back=reverse("panels"),
        done=gettext("评审组已设立，请聘请评审人。"),
    )

    def verb(said: dict[str, Any]) -> object:
        wanted = seating.PanelWanted(said["name"], said["name_en"], targets_in(said["targets"]))
        call = access.get_call(actor, said["call"])
        return seating.open_panel(actor=actor, call=call, wanted=wanted, now=timezone.now())

    return judging.perform(request, page, form, verb)


@shell.needs()
def panel(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a panel: reviewers, proposals with who was asked and what conflicts were found, its lists."""
    return _page(request, access.get_panel(shell.actor_of(request), pk))


def _page(request: HttpRequest, row: Panel, error: Explained | None = None) -> HttpResponse:
    seats, judged = queries.judged(row, reader=shell.actor_of(request), now=timezone.now())
    lists = {one.beamline_id: one for one in row.rankings.select_related("beamline").order_by("pk")}
    lines = Beamline.objects.filter(facility=row.facility).select_related("resource")
    context = {
        "panel": row,
        "seats": seats,
        "rows": [_judged(one, seats) for one in judged],
        "lines": [(line, lists.get(line.pk)) for line in lines],
        "targets": [(group, Fraction(*part)) for group, part in row.targets.items()],
        "may_manage": _may_manage(request),
        "reads": shell.actor_of(request).organisation_id == row.facility.owner_id,
        "may_rank": ranking.may_rank(shell.actor_of(request), row),
        "error": error,
        "typed": request.POST if error else {},
    }
    return shell.page(request, "beam/panel.html", context, status=error.status if error else 200)


def _judged(one: queries.Judged, seats: Any) -> dict[str, Any]:
    asked = {row.panelist_id for row in one.gradings}
    conflicts = {pk: [explain_reason(reason)["text"] for reason in why] for pk, why in one.conflicts.items()}
    return {
        "proposal": one.proposal,
        "round_no": one.round_no,
        "gradings": one.gradings,
        "blocked": [(seat, conflicts[seat.pk]) for seat in seats if seat.pk in conflicts],
        "free": [seat for seat in seats if seat.pk not in asked and seat.pk not in conflicts],
        "is_open": one.proposal.state in grading.JUDGED and not one.is_hidden,
        "is_hidden": one.is_hidden,
    }


@shell.needs(P.FACILITY_MANAGE)
def panel_act(request: HttpRequest, pk: int) -> HttpResponse:
    """Seat or let go a reviewer, ask her or take the question back: one button each on the panel's page."""
    actor, now = shell.actor_of(request), timezone.now()
    row = access.get_panel(actor, pk)
    if request.method != "POST":
        return _page(request, row)
    act = shell.act_of(request, "seat", "unseat", "ask", "take_back")

    def verb() -> object:
        if act == "seat":
            form = SeatForm(request.POST)
            said = form.cleaned_data if form.is_valid() else {"person": "", "name": "", "is_chair": False}
            return seating.seat(actor=actor, panel=row, **said, now=now)
        if act == "take_back":
            asked = [one for one in _gradings(row) if str(one.pk) == request.POST.get("grading")]
            return grading.take_back(actor=actor, panel=row, grading=_one(asked), now=now)
        seat = _one(
            [one for one in row.panelists.select_related("user") if str(one.pk) == request.POST.get("panelist")]
        )
        if act == "unseat":
            return seating.unseat(actor=actor, panel=row, panelist=seat, now=now)
        proposal = _one(list(row.call.proposals.filter(number=request.POST.get("proposal", ""))))
        return grading.assign(actor=actor, panel=row, proposal=proposal, panelist=seat, now=now)

    _done, error = acts.attempt_on("grading", verb)
    if error:
        return _page(request, row, error)
    said = {
        "seat": gettext("评审人已聘请。"),
        "unseat": gettext("评审人已离开评审组。"),
        "ask": gettext("已请评审人评分。"),
        "take_back": gettext("已撤回评分请求。"),
    }
    messages.success(request, said[act])
    return arrived(request, reverse("panel", args=[pk]))


def _gradings(row: Panel) -> list[Any]:
    from scheduler.panels.models import Grading

    return list(Grading.objects.filter(panelist__panel=row).select_related("panelist"))


def _one(found: list[Any]) -> Any:
    if len(found) != 1:
        raise NotFound
    return found[0]


@shell.needs()
def panel_rank(request: HttpRequest, pk: int, beamline: str) -> HttpResponse:
    """Draft the panel's list for a beamline."""
    actor = shell.actor_of(request)
    row = access.get_panel(actor, pk)
    line = Beamline.objects.filter(facility=row.facility, code=beamline).select_related("resource").first()
    if line is None or not ranking.may_rank(actor, row):
        raise NotFound
    parts, given = pools.parts(line, row.call.cycle), pools.given(line, row.call.cycle)
    left = max(0, parts.get(Pool.OPEN, 0) - given.get(Pool.OPEN, 0))
    form = RankForm(request.POST if request.method == "POST" else None, initial={"shifts": left})
    page = judging.Act(
        heading=gettext("为 %(line)s 排序") % {"line": line.code},
        press=pgettext("act", "排序"),
        back=reverse("panel", args=[pk]),
        done=gettext("排序草案在评审组页面的线站一栏。"),
        facts=[
            (gettext("运行周期"), row.call.cycle.code),
            (
                gettext("开放机时"),
                gettext("共 %(all)s 个班次，剩余 %(left)s 个") % {"all": parts.get(Pool.OPEN, 0), "left": left},
            ),
        ],
        follows=gettext("排序后评分不能再改；撤销草案后可以。"),
    )

    def verb(said: dict[str, Any]) -> object:
        without = said["without"].replace("，", " ").replace(",", " ").split()
        return ranking.draft(
            actor=actor, panel=row, beamline=line, shifts=said["shifts"], without=without, now=timezone.now()
        )

    return judging.perform(request, page, form, verb)
