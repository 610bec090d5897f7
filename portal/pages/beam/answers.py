"""What a team is told of its proposal, its appeal, and who answers it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.kernel.actors import Permission
from portal.pages import shell
from portal.pages.beam import judging
from scheduler.panels import access, appeals, queries, rounds

__all__ = ["answer", "appeal_answer", "appeal_list", "appeal_new"]

SORTS = {"number": ["proposal__number"], "at": ["at"], "state": ["state"]}
HEADS = (Permission.FACILITY_DECIDE, Permission.FACILITY_MANAGE)


class AppealForm(forms.Form):
    """Why the decision is wrong."""

    text = forms.CharField(label=_("申诉理由"), max_length=rounds.TEXT, widget=forms.Textarea(attrs={"rows": 6}))


class AnswerForm(forms.Form):
    """Whether the appeal is right, and why."""

    uphold = forms.TypedChoiceField(
        label=_("结论"),
        choices=[("yes", _("申诉成立，重新评审")), ("no", _("申诉不成立，维持原决定"))],
        coerce=lambda text: text == "yes",
        widget=forms.RadioSelect,
    )
    text = forms.CharField(
        label=_("理由"),
        max_length=rounds.TEXT,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=_("课题组会看到。"),
    )


@shell.needs()
def answer(request: HttpRequest, number: str) -> HttpResponse:
    """Show a team what became of its proposal and why; no reviewer is named."""
    found = access.get_own(shell.actor_of(request), number)
    said = queries.answer_of(found, now=timezone.now())
    context = {"answer": said, "proposal": found, "appeals": list(found.appeals.all())}
    return shell.page(request, "beam/answer.html", context)


@shell.needs()
def appeal_new(request: HttpRequest, number: str) -> HttpResponse:
    """Appeal against a refusal."""
    actor = shell.actor_of(request)
    found = access.get_own(actor, number)
    page = judging.Act(
        heading=gettext("申诉 %(number)s") % {"number": number},
        press=gettext("提交申诉"),
        back=reverse("beam_answer", args=[number]),
        done=gettext("申诉已提交，由未参与此前决定的人答复。"),
        facts=[(gettext("原决定"), found.decision_note or "—")],
        kind="beam_proposal",
    )
    form = AppealForm(request.POST if request.method == "POST" else None)
    return judging.perform(
        request,
        page,
        form,
        lambda said: appeals.appeal(actor=actor, proposal=found, text=said["text"], now=timezone.now()),
    )


@shell.needs(*HEADS)
def appeal_list(request: HttpRequest) -> HttpResponse:
    """List the appeals to one's facilities."""
    actor = shell.actor_of(request)
    tab = "done" if request.GET.get("tab") == "done" else "open"
    found = access.appeals_of(actor).filter(proposal__facility__owner_id=actor.organisation_id)
    chosen = found.filter(state="open") if tab == "open" else found.exclude(state="open")
    tabs = [("open", gettext("待答复")), ("done", gettext("处理完毕"))]
    context = {
        "listing": shell.listing(request, chosen, sorts=SORTS, default="at"),
        "tabs": [{"key": key, "name": name, "chosen": key == tab} for key, name in tabs],
    }
    return shell.page(request, "beam/appeals.html", context)


@shell.needs(*HEADS)
def appeal_answer(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer an appeal with reasons."""
    actor = shell.actor_of(request)
    row = access.get_appeal(actor, pk)
    page = judging.Act(
        heading=gettext("答复 %(number)s 的申诉") % {"number": row.proposal.number},
        press=gettext("答复申诉"),
        back=reverse("appeals"),
        done=gettext("申诉已答复。"),
        follows=gettext("申诉成立的：未获机时的回到评审组，不可行的回到审查；由此前未参与的人作出。"),
        kind="appeal",
        facts=[(gettext("原决定"), row.proposal.decision_note or "—"), (gettext("申诉理由"), row.text)],
    )
    form = AnswerForm(request.POST if request.method == "POST" else None)

    def verb(said: dict[str, Any]) -> object:
        return appeals.answer(actor=actor, appeal=row, uphold=said["uphold"], text=said["text"], now=timezone.now())

    return judging.perform(request, page, form, verb)
