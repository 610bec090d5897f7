"""A team's beam time: what it was offered, to accept or decline, and what became of it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.kernel.actors import Permission
from portal.pages import acts, shell
from portal.pages.actions import events
from portal.pages.exports import FORMATS, exported
from portal.pages.labels import label_of
from scheduler.availability.queries import period_of
from scheduler.beamtime import answering, planning_access
from scheduler.beamtime.models import BeamVisit
from scheduler.beamtime.rules import TRANSITIONS, VisitAction, VisitState

__all__ = ["beam_offer", "beam_offers"]

SORTS = {
    "number": ["number"],
    "proposal": ["allocation__request__proposal__number"],
    "during": ["during"],
    "state": ["state"],
    "answer": ["answer_by"],
}


class OfferFilter(forms.Form):
    """Which of them are shown."""

    state = forms.ChoiceField(label=_("状态"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["state"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", gettext("全部")), *BeamVisit.State.choices]


class AnswerForm(forms.Form):
    """What the team says with its answer."""

    note = forms.CharField(
        label=_("给装置的说明"), max_length=500, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )


@shell.needs(Permission.PROPOSAL_SUBMIT)
def beam_offers(request: HttpRequest) -> HttpResponse:
    """List the beam time of the actor's teams."""
    found = planning_access.offers_of(shell.actor_of(request))
    filters = OfferFilter(request.GET or None)
    if filters.is_valid() and filters.cleaned_data["state"]:
        found = found.filter(state=filters.cleaned_data["state"])
    if (wanted := request.GET.get("format", "")) in FORMATS:
        head = [gettext("编号"), gettext("课题"), gettext("线站"), gettext("开始"), gettext("结束"), gettext("状态")]
        rows = [
            [
                one.number,
                one.allocation.request.proposal.number,
                one.beamline.code,
                one.during.lower,
                one.during.upper,
                label_of("visit", one.state)[1],
            ]
            for one in found[: shell.EXPORT_LIMIT]
        ]
        return exported("beam-time", wanted, head, rows)
    listing = shell.listing(request, found, sorts=SORTS, default="-during")
    shown = [{"visit": one, "period": period_of(one.during)} for one in listing.rows]
    return shell.page(request, "beam/offers.html", {"listing": listing, "rows": shown, "filters": filters})


@shell.needs(Permission.PROPOSAL_SUBMIT)
def beam_offer(request: HttpRequest, number: str) -> HttpResponse:
    """Show one visit of a team; accept or decline it."""
    actor, now = shell.actor_of(request), timezone.now()
    found = planning_access.get_offer(actor, number)
    form = AnswerForm(request.POST if request.method == "POST" else None)
    error = None
    if request.method == "POST":
        act = shell.act_of(request, "accept", "decline")
        note = form.cleaned_data["note"] if form.is_valid() else request.POST.get("note", "")
        do = answering.accept if act == "accept" else answering.decline
        _done, error = acts.attempt_on("visit", lambda: do(actor=actor, visit=found, note=note, now=now))
        if error is None:
            said = gettext("已接受，机时已排定。") if act == "accept" else gettext("已谢绝，机时转给候补课题。")
            messages.success(request, said)
            return redirect("beam_offer", number=number)
        found = planning_access.get_offer(actor, number)
    is_due = found.state == BeamVisit.State.OFFERED.value and found.answer_by <= now
    state = VisitState(found.state)
    context = {
        "visit": found,
        "proposal": found.allocation.request.proposal,
        "facility": found.beamline.facility,
        "period": period_of(found.during),
        "is_due": is_due,
        "can_accept": (state, VisitAction.ACCEPT) in TRANSITIONS and not is_due,
        "can_decline": (state, VisitAction.DECLINE) in TRANSITIONS and not is_due,
        "form": form,
        "error": error,
        "path": request.path,
        "trail": events(audit.trail(f"beam_visit:{found.number}", actor=actor)),
    }
    return shell.page(request, "beam/offer.html", context, status=error.status if error is not None else 200)
