"""Rounds as everybody sees them: intake, order, the lottery's commitment and, once decided, how to recompute it."""

from __future__ import annotations

from dataclasses import dataclass

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from portal.pages import noticepaper
from portal.pages.shell import EXPORT_LIMIT, csv_response, guarded, listing, page, wants_csv
from vouchers.notices import access as notices
from vouchers.programmes.allocation import lot
from vouchers.rounds import access, queries
from vouchers.rounds.models import Round

SORTS = {"number": ["pk"], "closes": ["closes_at"]}


class Filters(forms.Form):
    """What the list may be narrowed to."""

    state = forms.ChoiceField(label=_("状态"), required=False, choices=[("", _("全部")), *Round.State.choices])


@dataclass(frozen=True, slots=True)
class Lot:
    """One lot as anybody can recompute it."""

    place: int
    number: str
    value: str


@guarded
def rounds(request: HttpRequest) -> HttpResponse:
    """List the rounds of every programme, newest first."""
    filters = Filters(request.GET or None)
    rows = access.public()
    state = filters.cleaned_data["state"] if filters.is_valid() else ""
    if state:
        rows = rows.filter(state=state)
    found = listing(request, rows, sorts=SORTS, default="-number")
    return page(request, "rounds/list.html", {"listing": found, "filters": filters, "filtered": bool(state)})


def lots_of(round_: Round) -> list[Lot]:
    """Return the lots of a decided lottery in their order; none before its secret is revealed."""
    seed = queries.seed(round_) if round_.seed_revealed_at else None
    if seed is None:
        return []
    drawn = round_.awards.order_by("place").values_list("place", "application__number")
    return [Lot(place, number, lot(seed, number)) for place, number in drawn[:EXPORT_LIMIT]]


@guarded
def round_page(request: HttpRequest, number: str) -> HttpResponse:
    """Show a round; a decided lottery with everything needed to draw it again, ``?format=csv`` as a file."""
    found = access.get_public(number)
    lots = lots_of(found)
    if wants_csv(request) and lots:
        header = (_("次序"), _("申请号"), _("签号"))
        return csv_response(found.number, header, ([row.place, row.number, row.value] for row in lots))
    is_decided = found.decided_at is not None
    return page(
        request,
        "rounds/round.html",
        {
            "round": found,
            "lots": lots,
            "secret": bytes(found.seed_secret or b"").hex() if lots else "",
            "coefficient": queries.coefficient(found),
            "by_region": sorted(found.by_region.items()),
            "is_decided": is_decided,
            "notices": [
                (row, noticepaper.title_of(row)) for row in notices.public().filter(round=found).order_by("pk")
            ],
        },
    )
