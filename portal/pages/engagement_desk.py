"""The lab's projects of technical service by what is to be done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext

from portal.kernel.actors import Permission
from portal.kernel.errors import noop
from portal.pages import shell
from portal.pages.engagements import SORTS, EngagementFilter, engagements_csv, priced
from scheduler.engagements import access, rules

__all__ = ["engagement_desk"]

S = rules.EngagementState
TABS: Final[Mapping[str, tuple[str, tuple[S, ...]]]] = {
    "quote": (noop("待报价"), (S.REQUESTED,)),
    "quoted": (noop("待接受"), (S.QUOTED,)),
    "running": (noop("进行中"), (S.RUNNING,)),
    "all": (noop("全部"), ()),
}


@shell.needs(Permission.BOOKING_DECIDE)
def engagement_desk(request: HttpRequest) -> HttpResponse:
    """List the projects the lab serves by what is to be done with them."""
    served = access.served_engagements(shell.actor_of(request))
    chosen = request.GET.get("tab", "")
    chosen = chosen if chosen in TABS else "quote"
    filters = EngagementFilter(request.GET)
    found = filters.narrow(served)
    if states := TABS[chosen][1]:
        found = found.filter(state__in=[state.value for state in states])
    if shell.wants_csv(request):
        return engagements_csv(found)
    counts = served.select_related(None).aggregate(
        **{
            key: Count("pk", filter=Q(state__in=[state.value for state in states]))
            for key, (_name, states) in TABS.items()
            if states
        }
    )
    default = "-changed" if chosen == "all" else "changed"
    context = {
        "tabs": [
            {"key": key, "name": gettext(name), "count": counts.get(key), "chosen": key == chosen}
            for key, (name, _states) in TABS.items()
        ],
        "filters": filters,
        "listing": shell.listing(request, priced(found), sorts=SORTS, default=default),
    }
    return shell.page(request, "engagements/desk.html", context)
