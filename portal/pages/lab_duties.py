"""Instruments that must be published and are not: a lab's own, or for the department everybody's."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext

from portal.kernel.actors import Permission
from portal.pages import shell
from portal.pages.templatetags.show import bilingual, label
from scheduler.catalogue import duties, queries
from scheduler.resources import access

__all__ = ["OVERSEERS", "instrument_duties"]

OVERSEERS = (Permission.APPLICATION_REVIEW, Permission.APPLICATION_APPROVE, Permission.AUDIT_READ)
"""Roles of the department that may look into every lab's list."""


@shell.needs(Permission.INSTRUMENT_MANAGE, *OVERSEERS)
def instrument_duties(request: HttpRequest) -> HttpResponse:
    """List what must be published and is not, the dearest first."""
    actor = shell.actor_of(request)
    owned = actor.may(Permission.INSTRUMENT_MANAGE)
    found = queries.missing(access.own_instruments(actor) if owned else access.every_instrument(actor, *OVERSEERS))
    if shell.wants_csv(request):
        return _csv(found)
    context = {
        "owned": owned,
        "page": Paginator(found, shell.PAGE_SIZE).get_page(request.GET.get("page")),
        "total": len(found),
        "nation": duties.thresholds().nation,
    }
    return shell.page(request, "lab/duties.html", context)


def _csv(found: list[queries.Missing]) -> HttpResponse:
    head = (
        gettext("编号"),
        gettext("名称"),
        gettext("单位"),
        gettext("所在城市"),
        gettext("原值"),
        gettext("应入网原值"),
        gettext("依据"),
        gettext("状态"),
    )
    return shell.csv_response(
        "instruments-to-publish",
        head,
        (
            (
                line.resource.number,
                bilingual(line.resource),
                bilingual(line.resource.owner),
                line.resource.city,
                line.value.yuan(),
                line.threshold.value.yuan(),
                line.threshold.source,
                label(line.resource.state, "resource"),
            )
            for line in found
        ),
    )
