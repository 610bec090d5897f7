"""The user office's desk: what was sent to its facilities, to filter, sort, take away and check."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from portal.pages import shell
from portal.pages.beam.proposals import SORTS, ProposalFilter, exported_proposals
from portal.pages.exports import FORMATS
from scheduler.proposals import access, services

__all__ = ["proposal_desk"]

MOST = 100
"""Admitted at once at most."""


@shell.needs(*access.STAFF)
def proposal_desk(request: HttpRequest) -> HttpResponse:
    """List what was sent to the facilities one serves; the office admits those it has ticked."""
    actor = shell.actor_of(request)
    if request.method == "POST":
        return _admit(request)
    filters = ProposalFilter(request.GET)
    found = filters.narrow(access.served_proposals(actor))
    if request.GET.get("format") in FORMATS:
        return exported_proposals(found, request.GET["format"])
    listing = shell.listing(request, access.with_shifts(found), sorts=SORTS, default="-sent")
    office = actor.may(access.STAFF[0])
    context = {"filters": filters, "listing": listing, "office": office, "serving": True}
    return shell.page(request, "beam/proposals/desk.html", context)


def _admit(request: HttpRequest) -> HttpResponse:
    """Pass on every ticked proposal by itself; those that cannot be are named with the reason."""
    actor, now = shell.actor_of(request), timezone.now()
    done = 0
    for number in request.POST.getlist("number")[:MOST]:

        def admit(number: str = number) -> None:
            services.admit(actor=actor, proposal=access.get_checked(actor, number), now=now)

        _made, error = shell.attempt(admit)
        if error is None:
            done += 1
        else:
            messages.error(request, f"{number[:24]}: {error.text}")
    if done:
        said = ngettext("%(count)s 项申请通过形式审查。", "%(count)s 项申请通过形式审查。", done)
        messages.success(request, said % {"count": done})
    elif not request.POST.getlist("number"):
        messages.info(request, gettext("没有选择申请。"))
    return redirect(request.get_full_path())
