"""What the pages of judging share: one form for one act, and a proposal as those read it who judge it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.errors import NotFound
from portal.pages import acts, shell, slots
from portal.pages.booking_requests import arrived
from portal.pages.files import handed_out
from scheduler.beamtime import past
from scheduler.panels import access, queries, rounds
from scheduler.proposals import files
from scheduler.proposals.models import BeamProposal

__all__ = ["Act", "NoteForm", "beam_file", "beam_paper", "content_of", "perform", "show"]


class NoteForm(forms.Form):
    """A text that says why."""

    note = forms.CharField(label=_("理由"), max_length=rounds.NOTE, widget=forms.Textarea(attrs={"rows": 4}))


@dataclass(frozen=True, slots=True)
class Act:
    """A form page: its heading, what its button says, where it goes back to, what follows, what is said when it is done."""

    heading: str
    press: str
    back: str
    done: str
    follows: str = ""
    kind: str = "ranking"
    facts: Sequence[tuple[str, str]] = ()
    danger: bool = False


def show(request: HttpRequest, act: Act, form: forms.Form, error: Explained | None = None, **more: Any) -> HttpResponse:
    """Show the form of an act, with what was typed and everything that is wrong with it."""
    status = error.status if error else 422 if form.errors else 200
    template = more.pop("template", "beam/judging_form.html")
    context = {"act": act, "form": form, "error": error, "path": request.path, **more}
    return shell.page(request, template, context, status=status)


def perform(
    request: HttpRequest, act: Act, form: forms.Form, verb: Callable[[dict[str, Any]], object], **more: Any
) -> HttpResponse:
    """Do the act of a posted form and go back, or show the form again: nothing typed is lost."""
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        _done, error = acts.attempt_on(act.kind, lambda: verb(form.cleaned_data))
        if error is None:
            messages.success(request, act.done)
            return arrived(request, act.back)
        error = slots.put_back(form, error)
    return show(request, act, form, error, **more)


def content_of(proposal: BeamProposal, *, titles: bool) -> dict[str, Any]:
    """Return what those read of a proposal who judge it. Five queries.

    `titles`: those of earlier visits are shown, too; the facility's own staff know them, reviewers from elsewhere do not.
    """
    answers = proposal.answers.select_related("form").order_by("form__place", "pk")
    return {
        "proposal": proposal,
        "wishes": list(proposal.requests.select_related("beamline__resource", "cycle")),
        "samples": list(proposal.samples.all()),
        "answers": list(answers),
        "papers": [
            {"paper": one, "title": one.visit.allocation.request.proposal.title if titles else "", "is_told": True}
            for one in past.papers(proposal, now=timezone.now())
        ],
        "paper_view": "judged_paper",
    }


@shell.needs()
def beam_file(request: HttpRequest, number: str, code: str) -> HttpResponse:
    """Hand a proposal's file to who judges it."""
    return handed_out(request, files.stored(_judged(request, number), code))


@shell.needs()
def beam_paper(request: HttpRequest, number: str, visit: str) -> HttpResponse:
    """Hand the report of a team's earlier visit to who judges its new proposal."""
    return handed_out(request, past.paper_file(_judged(request, number), visit))


def _judged(request: HttpRequest, number: str) -> BeamProposal:
    """Return a proposal to staff of its facility, or to a reviewer who was asked and need not step back. Raises NotFound."""
    actor = shell.actor_of(request)
    found = access.proposals_of(actor).filter(number=number).first()
    if found is None:
        review = access.reviews_of(actor).filter(proposal__number=number).exclude(state="recused").first()
        if review is None or queries.team_conflicts(review, now=timezone.now()):
            raise NotFound
        found = review.proposal
    return found
