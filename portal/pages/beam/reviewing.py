"""A reviewer's list, her grade with its reasons, and stepping back. She needs no permission: a seat lets her in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import explain_reason
from portal.kernel.errors import NotFound
from portal.pages import shell
from portal.pages.beam import judging
from portal.pages.beam import judging_lists as lists
from scheduler.facilities.grades import Direction
from scheduler.panels import access, grading, queries, rounds
from scheduler.panels.models import Grading

__all__ = ["review", "review_recuse", "reviews"]

SORTS = {"number": ["proposal__number"], "state": ["state"], "panel": ["panelist__panel__name"]}


class GradeForm(forms.Form):
    """A grade on the facility's scale and what it rests on."""

    grade = forms.DecimalField(label=_("评分"), max_digits=6, decimal_places=2)
    to_panel = forms.CharField(
        label=_("给评审组的意见"),
        max_length=rounds.TEXT,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("只有评审组和用户办公室会看到。"),
    )
    to_team = forms.CharField(
        label=_("给课题组的意见"),
        max_length=rounds.TEXT,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("决定后课题组会看到，不显示您的姓名。"),
    )

    def __init__(self, *args: Any, row: Grading, **more: Any) -> None:
        super().__init__(*args, **more)
        scale = grading.scale_of(row.proposal.facility)
        best = scale.highest if scale.best is Direction.HIGH else scale.lowest
        said = {
            "low": f"{scale.lowest:f}",
            "high": f"{scale.highest:f}",
            "step": f"{scale.step:f}",
            "best": f"{best:f}",
        }
        grade = self.fields["grade"]
        grade.help_text = gettext("从 %(low)s 到 %(high)s，步长 %(step)s；%(best)s 为最好。") % said
        grade.widget.attrs |= {"step": "any", "inputmode": "decimal"}


class RecuseForm(forms.Form):
    """Why one steps back."""

    note = forms.CharField(label=_("回避理由"), max_length=300, widget=forms.Textarea(attrs={"rows": 3}))


@shell.needs()
def reviews(request: HttpRequest) -> HttpResponse:
    """List what one was asked to grade."""
    actor = shell.actor_of(request)
    if access.is_panelist(actor.user_id) and not request.session.get("is_panelist"):
        request.session["is_panelist"] = True
    tab = "done" if request.GET.get("tab") == "done" else "open"
    names = ("proposal__number", "proposal__facility__name", "panelist__panel__name", "panelist__panel__name_en")
    filters = lists.ListFilter(
        request.GET,
        names=names,
        hint=gettext("编号、装置或评审组"),
        column="state" if tab == "done" else "",
        choices=[(value, name) for value, name in Grading.State.choices if value != "asked"],
    )
    found = filters.narrow(access.reviews_of(actor))
    chosen = found.filter(state="asked") if tab == "open" else found.exclude(state="asked")
    if wanted := lists.wanted(request):
        return lists.reviews_table(chosen, wanted)
    tabs = [("open", gettext("待评分")), ("done", gettext("处理完毕"))]
    listing = shell.listing(request, chosen, sorts=SORTS, default="number")
    conflicts = queries.conflicts_of(list(listing.rows), now=timezone.now())
    context = {
        "listing": listing,
        # Who has to step back, or did, is not told what it is about.
        "told": {row.pk for row in listing.rows if row.state != "recused" and not conflicts[row.pk]},
        "filters": filters,
        "keeps": [(name, request.GET.get(name, "")) for name in ("sort", "tab")],
        "tabs": [{"key": key, "name": name, "chosen": key == tab} for key, name in tabs],
    }
    return shell.page(request, "beam/reviews.html", context)


@shell.needs()
def review(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what was asked and take the grade; who has to step back is told why and shown nothing of the proposal."""
    actor, now = shell.actor_of(request), timezone.now()
    row = access.get_review(actor, pk)
    conflicts = [explain_reason(one) for one in queries.team_conflicts(row, now=now)] if row.state != "recused" else []
    is_hidden = bool(conflicts) or row.state == "recused"
    initial = {"to_panel": row.to_panel, "to_team": row.to_team}
    if row.grade_c is not None:
        initial["grade"] = f"{Decimal(row.grade_c) / 100:.2f}"
    form = GradeForm(request.POST if request.method == "POST" else None, row=row, initial=initial)
    page = judging.Act(
        heading=gettext("评审 %(number)s") % {"number": row.proposal.number},
        press=gettext("保存评分"),
        back=reverse("beam_reviews"),
        done=gettext("评分已保存；评审组排序之前可以修改。"),
        kind="grading",
    )

    def verb(said: dict[str, Any]) -> object:
        given = grading.GradeGiven(said["grade"], said["to_panel"], said["to_team"])
        return grading.grade(actor=actor, grading=row, given=given, now=now)

    more = {"row": row, "conflicts": conflicts, "is_hidden": is_hidden, "template": "beam/review.html"}
    if not is_hidden:
        more |= judging.content_of(row.proposal, titles=False)
    return judging.perform(request, page, form, verb, **more)


@shell.needs()
def review_recuse(request: HttpRequest, pk: int) -> HttpResponse:
    """Step back, saying why."""
    actor = shell.actor_of(request)
    row = access.get_review(actor, pk)
    if row.state == "recused":
        raise NotFound
    page = judging.Act(
        heading=gettext("回避 %(number)s") % {"number": row.proposal.number},
        press=gettext("确认回避"),
        back=reverse("beam_reviews"),
        done=gettext("您已回避，用户办公室会另请他人。"),
        follows=gettext("回避后不能再为这项申请评分。"),
        kind="grading",
        danger=True,
    )
    form = RecuseForm(request.POST if request.method == "POST" else None)
    return judging.perform(
        request,
        page,
        form,
        lambda said: grading.recuse(actor=actor, grading=row, note=said["note"], now=timezone.now()),
    )
