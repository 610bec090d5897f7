"""The pages by which a user office enters a facility, changes what it says of itself, and shows it to everybody."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from portal.kernel.actors import Permission
from portal.pages import shell
from portal.pages.beam import setup
from portal.pages.beam.setup_forms import ROWS, FacilityForm
from scheduler.facilities import access, seen, services

__all__ = ["facility_edit", "facility_new", "facility_show"]

P = Permission


@shell.needs(P.FACILITY_MANAGE)
def facility_new(request: HttpRequest) -> HttpResponse:
    """Enter a facility of one's organisation; nobody else sees it before it is shown."""
    actor = shell.actor_of(request)
    heading = gettext("登记装置")
    form = FacilityForm(request.POST if request.method == "POST" else None)
    if request.method != "POST" or request.POST.get("act") == "shifts" or not form.is_valid():
        return setup.setup_page(request, form, facility=None, heading=heading)
    code = form.cleaned_data["code"]
    made, error = setup.save(
        form,
        lambda: services.create_facility(actor=actor, code=code, said=form.said(), now=timezone.now()),
        ROWS,
    )
    if error is not None:
        return setup.setup_page(request, form, facility=None, heading=heading, error=error)
    messages.success(request, gettext("装置已登记，还没有公开。接着设定课题类别、线站和运行周期。"))
    return redirect("facility_board", made.code)


@shell.needs(P.FACILITY_MANAGE)
def facility_edit(request: HttpRequest, code: str) -> HttpResponse:
    """Change what a facility says of itself: names, shifts, grades, deadlines."""
    actor = shell.actor_of(request)
    row = access.get_own(actor, code, P.FACILITY_MANAGE)
    heading = gettext("装置资料")
    stands = FacilityForm(facility=row).initial
    about: dict[str, Any] = {"facility": row, "heading": heading, "opened_on": seen.of_facility(row), "stands": stands}
    if request.method != "POST":
        return setup.setup_page(request, FacilityForm(facility=row), **about)
    form = FacilityForm(request.POST, facility=row)
    if request.POST.get("act") == "shifts" or not form.is_valid():
        return setup.setup_page(request, form, **about)
    opened_on = request.POST.get("opened_on", "")
    _done, error = setup.save(
        form,
        lambda: services.change_facility(
            actor=actor, facility=row, said=form.said(), now=timezone.now(), opened_on=opened_on
        ),
        ROWS,
    )
    if error is not None:
        return setup.setup_page(request, form, error=error, **about)
    messages.success(request, gettext("装置资料已保存。"))
    return redirect("facility_board", code)


@require_POST
@shell.needs(P.FACILITY_MANAGE)
def facility_show(request: HttpRequest, code: str) -> HttpResponse:
    """Show a facility to everybody, or take it off the public pages."""
    actor = shell.actor_of(request)
    row = access.get_own(actor, code, P.FACILITY_MANAGE)
    shown = shell.act_of(request, "show", "hide") == "show"
    services.show(actor=actor, facility=row, shown=shown, now=timezone.now())
    messages.success(request, gettext("装置已公开。") if shown else gettext("装置不再公开，已有的申请和机时不受影响。"))
    return redirect("facility_board", code)
