"""The lab's sample orders by what is to be done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext

from portal.kernel.actors import Permission
from portal.kernel.errors import noop
from portal.pages import shell
from portal.pages.samples import SORTS, SampleFilter, samples_csv
from scheduler.samples import access, rules

__all__ = ["sample_queue"]

S = rules.SampleOrderState
TABS: Final[Mapping[str, tuple[str, tuple[S, ...]]]] = {
    "answer": (noop("待答复"), (S.REQUESTED, S.NEEDS_METHOD, S.FEASIBLE)),
    "coming": (noop("待收样"), (S.ACCEPTED,)),
    "work": (noop("检测"), (S.RECEIVED, S.QUEUED, S.TESTING)),
    "review": (noop("待复核"), (S.DRAFTED, S.REVIEWED)),
    "all": (noop("全部"), ()),
}


@shell.needs(Permission.BOOKING_DECIDE)
def sample_queue(request: HttpRequest) -> HttpResponse:
    """List the sample orders on the lab's instruments by what is to be done with them."""
    served = access.served_orders(shell.actor_of(request))
    chosen = request.GET.get("tab", "")
    chosen = chosen if chosen in TABS else "answer"
    filters = SampleFilter(request.GET)
    found = filters.narrow(served)
    if states := TABS[chosen][1]:
        found = found.filter(state__in=[state.value for state in states])
    if shell.wants_csv(request):
        return samples_csv(found)
    counts = served.select_related(None).aggregate(
        **{
            key: Count("pk", filter=Q(state__in=[state.value for state in states]))
            for key, (_name, states) in TABS.items()
            if states
        }
    )
    context = {
        "tabs": [
            {"key": key, "name": gettext(name), "count": counts.get(key), "chosen": key == chosen}
            for key, (name, _states) in TABS.items()
        ],
        "filters": filters,
        "listing": shell.listing(request, found, sorts=SORTS, default="-changed" if chosen == "all" else "changed"),
    }
    return shell.page(request, "samples/queue.html", context)
