"""The pages by which a user office says what its facility has: kinds of proposals, beamlines, devices, partners."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.organisations.models import Organisation
from portal.pages import shell
from portal.pages.beam import setup
from portal.pages.beam.thing_forms import BeamlineForm, CoursesForm, DeviceForm, PartnerForm
from portal.pages.templatetags.show import bilingual
from scheduler.facilities import access, beamlines, queries, seen, services
from scheduler.facilities.models import Facility
from scheduler.proposals.models import BeamProposal
from scheduler.resources.facility_things import ThingValues

__all__ = [
    "beamline_edit",
    "beamline_new",
    "device_edit",
    "device_new",
    "facility_courses",
    "partner_edit",
    "partner_new",
    "partners",
]

P = Permission
OVER = ("draft", "withdrawn", "refused", "not_feasible", "closed")


@shell.needs(P.FACILITY_MANAGE)
def facility_courses(request: HttpRequest, code: str) -> HttpResponse:
    """Say which kinds of proposals are taken and how each goes; how many of each are under way stands beside it."""
    actor = shell.actor_of(request)
    row = access.get_own(actor, code, P.FACILITY_MANAGE)
    stands = CoursesForm(courses=queries.courses_of(row))
    intro = gettext("不再受理的类别不影响已提交的申请。%(said)s") % {"said": _under_way(row)}
    heading = gettext("受理的课题类别")
    about: dict[str, Any] = {"facility": row, "heading": heading, "intro": intro, "stands": stands.initial}
    about["opened_on"] = seen.of_courses(row)
    if request.method != "POST":
        return setup.setup_page(request, stands, **about)
    form = CoursesForm(request.POST, courses=queries.courses_of(row))
    if not form.is_valid():
        return setup.setup_page(request, form, **about)
    opened_on, said = request.POST.get("opened_on", ""), form.courses()
    _done, error = setup.save(
        form,
        lambda: services.set_courses(actor=actor, facility=row, courses=said, now=timezone.now(), opened_on=opened_on),
    )
    if error is not None:
        return setup.setup_page(request, form, error=error, **about)
    text = ngettext("课题类别已保存：受理 %(number)s 类。", "课题类别已保存：受理 %(number)s 类。", len(said))
    messages.success(request, text % {"number": len(said)})
    return redirect("facility_board", code)


def _under_way(row: Facility) -> str:
    rows = BeamProposal.objects.filter(facility=row).exclude(state__in=OVER)
    found = dict(rows.values_list("kind").annotate(number=Count("pk")).order_by("kind"))
    if not found:
        return gettext("目前没有在办的申请。")
    names = dict(BeamProposal.Kind.choices)
    said = gettext("、").join(f"{names.get(kind, kind)} {number}" for kind, number in found.items())
    return gettext("在办的申请：%(kinds)s。") % {"kinds": said}


def _thing(row: Facility, said: dict[str, Any]) -> ThingValues:
    names = ("name", "name_en", "functions", "functions_en", "contact", "phone")
    return ThingValues(city=row.city, **{name: said[name] for name in names if name in said})


def _terms(said: dict[str, Any]) -> beamlines.LineTerms:
    return beamlines.LineTerms(said["techniques"], said["changeover_shifts"], said["needs_operator"])


@shell.needs(P.FACILITY_MANAGE)
def beamline_new(request: HttpRequest, code: str) -> HttpResponse:
    """Enter a beamline; it is found and booked once it has a price and is shown."""
    actor = shell.actor_of(request)
    row = access.get_own(actor, code, P.FACILITY_MANAGE)
    heading = gettext("登记线站")
    form = BeamlineForm(request.POST if request.method == "POST" else None, is_new=True)
    if request.method != "POST" or not form.is_valid():
        return setup.setup_page(request, form, facility=row, heading=heading)
    said = form.cleaned_data
    made, error = setup.save(
        form,
        lambda: beamlines.enter_beamline(
            actor=actor,
            facility=row,
            code=said["code"],
            said=_thing(row, said),
            terms=_terms(said),
            now=timezone.now(),
        ),
    )
    if error is not None:
        return setup.setup_page(request, form, facility=row, heading=heading, error=error)
    messages.success(request, gettext("线站已登记。定价并公开后，企业才能看到和预订。"))
    return redirect("facility_line", code, made.code)


@shell.needs(P.FACILITY_MANAGE)
def beamline_edit(request: HttpRequest, code: str, line: str) -> HttpResponse:
    """Change what is said of a beamline and how it is planned."""
    actor = shell.actor_of(request)
    row = access.get_own(actor, code, P.FACILITY_MANAGE)
    found = access.get_beamline(row, line)
    heading, stands = gettext("线站 %(code)s 的资料") % {"code": found.code}, BeamlineForm.stands(found)
    about: dict[str, Any] = {"facility": row, "heading": heading, "stands": stands}
    about["opened_on"] = seen.of_beamline(found)
    form = BeamlineForm(request.POST if request.method == "POST" else None, is_new=False, initial=stands)
    if request.method != "POST" or not form.is_valid():
        return setup.setup_page(request, form, **about)
    said, opened_on = form.cleaned_data, request.POST.get("opened_on", "")
    _done, error = setup.save(
        form,
        lambda: beamlines.change_beamline(
            actor=actor,
            beamline=found,
            said=_thing(row, said),
            terms=_terms(said),
            now=timezone.now(),
            opened_on=opened_on,
        ),
    )
    if error is not None:
        return setup.setup_page(request, form, error=error, **about)
    messages.success(request, gettext("线站资料已保存。"))
    return redirect("facility_board", code)


def _device_form(row: Facility, data: Any, **more: Any) -> DeviceForm:
    device = more.pop("device", None)
    lines = row.beamlines.select_related("resource").order_by("code")
    others = row.devices.select_related("resource").order_by("code")
    return DeviceForm(
        data, lines=list(lines), others=[one for one in others if one != device], is_new=device is None, **more
    )


def _fits(row: Facility, said: dict[str, Any]) -> beamlines.DeviceFits:
    return beamlines.DeviceFits(
        tuple(row.beamlines.filter(code__in=said["fits"]).order_by("code")),
        tuple(row.devices.filter(code__in=said["clashes"]).order_by("code")),
    )


@shell.needs(P.FACILITY_MANAGE)
def device_new(request: HttpRequest, code: str) -> HttpResponse:
    """Enter a device or sample environment, and say where it fits."""
    actor, now = shell.actor_of(request), timezone.now()
    row = access.get_own(actor, code, P.FACILITY_MANAGE)
    heading = gettext("登记样品环境")
    form = _device_form(row, request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        return setup.setup_page(request, form, facility=row, heading=heading)
    said = form.cleaned_data
    _made, error = setup.save(
        form,
        lambda: beamlines.enter_fitting(
            actor=actor, facility=row, code=said["code"], said=_thing(row, said), fits=_fits(row, said), now=now
        ),
    )
    if error is not None:
        return setup.setup_page(request, form, facility=row, heading=heading, error=error)
    messages.success(request, gettext("样品环境已登记，申请人可以选用。"))
    return redirect("facility_board", code)


@shell.needs(P.FACILITY_MANAGE)
def device_edit(request: HttpRequest, code: str, device: str) -> HttpResponse:
    """Change what is said of a device, where it fits and what it cannot be with."""
    actor = shell.actor_of(request)
    row = access.get_own(actor, code, P.FACILITY_MANAGE)
    found = access.get_device(row, device)
    stands = {
        "name": found.resource.name,
        "name_en": found.resource.name_en,
        "fits": sorted(found.fits.values_list("beamline__code", flat=True)),
        "clashes": seen.clashes_of(found),
    }
    heading = gettext("样品环境 %(code)s") % {"code": found.code}
    about: dict[str, Any] = {"facility": row, "heading": heading, "stands": stands, "opened_on": seen.of_device(found)}
    form = _device_form(row, request.POST if request.method == "POST" else None, device=found, initial=stands)
    if request.method != "POST" or not form.is_valid():
        return setup.setup_page(request, form, **about)
    said, opened_on = form.cleaned_data, request.POST.get("opened_on", "")
    _done, error = setup.save(
        form,
        lambda: beamlines.change_device(
            actor=actor,
            device=found,
            said=_thing(row, said),
            fits=_fits(row, said),
            now=timezone.now(),
            opened_on=opened_on,
        ),
    )
    if error is not None:
        return setup.setup_page(request, form, error=error, **about)
    messages.success(request, gettext("样品环境已保存。"))
    return redirect("facility_board", code)


@shell.needs(*access.STAFF)
def partners(request: HttpRequest, code: str, line: str) -> HttpResponse:
    """List who has a partner's share of a beamline, with its uses."""
    actor = shell.actor_of(request)
    row = access.get_own(actor, code)
    found = access.get_beamline(row, line)
    context = {
        "facility": row,
        "line": found,
        "partners": [_partner(one) for one in access.partners_of(found)],
        "may_share": actor.may(P.FACILITY_MANAGE) or actor.may(P.FACILITY_DECIDE),
    }
    return shell.page(request, "beam/partners.html", context)


def _partner(one: Any) -> dict[str, Any]:
    said = PartnerForm.stands(one)
    uses = [{"name": bilingual(part), "most": said[f"u{at}_most"]} for at, part in enumerate(one.parts.all())]
    return {"row": one, "share": said["share"], "since": said["since"], "until": said["until"], "uses": uses}


@shell.needs(P.FACILITY_MANAGE, P.FACILITY_DECIDE)
def partner_new(request: HttpRequest, code: str, line: str) -> HttpResponse:
    """Give an organisation a partner's share of a beamline."""
    actor = shell.actor_of(request)
    row = access.get_own(actor, code, P.FACILITY_MANAGE, P.FACILITY_DECIDE)
    found = access.get_beamline(row, line)
    heading = gettext("线站 %(code)s 的新合作方") % {"code": found.code}
    form = PartnerForm(request.POST if request.method == "POST" else None)
    if request.method != "POST" or request.POST.get("act") == "more" or not form.is_valid():
        return setup.setup_page(request, form, facility=row, heading=heading)

    def act() -> None:
        organisation = Organisation.objects.filter(credit_code=form.cleaned_data["organisation"].upper()).first()
        if organisation is None:
            raise NotFound(field="organisation")
        services.set_partner(
            actor=actor, beamline=found, organisation=organisation, terms=form.terms(), now=timezone.now()
        )

    _done, error = setup.save(form, act)
    if error is not None:
        return setup.setup_page(request, form, facility=row, heading=heading, error=error)
    messages.success(request, gettext("合作份额已保存。"))
    return redirect("facility_partners", code, line)


@shell.needs(P.FACILITY_MANAGE, P.FACILITY_DECIDE)
def partner_edit(request: HttpRequest, code: str, line: str, partner_id: int) -> HttpResponse:
    """Change what a partner keeps of a beamline; its last day ends it."""
    actor = shell.actor_of(request)
    row = access.get_own(actor, code, P.FACILITY_MANAGE, P.FACILITY_DECIDE)
    found = access.get_beamline(row, line)
    partner = access.get_partner(found, partner_id)
    names = {"code": found.code, "name": bilingual(partner.organisation)}
    heading = gettext("线站 %(code)s 的合作方：%(name)s") % names
    about: dict[str, Any] = {"facility": row, "heading": heading, "stands": PartnerForm.stands(partner)}
    about["opened_on"] = seen.of_partner(partner)
    form = PartnerForm(request.POST if request.method == "POST" else None, partner=partner)
    if request.method != "POST" or request.POST.get("act") == "more" or not form.is_valid():
        return setup.setup_page(request, form, **about)
    opened_on = request.POST.get("opened_on", "")
    _done, error = setup.save(
        form,
        lambda: services.set_partner(
            actor=actor,
            beamline=found,
            organisation=partner.organisation,
            terms=form.terms(),
            now=timezone.now(),
            partner=partner,
            opened_on=opened_on,
        ),
    )
    if error is not None:
        return setup.setup_page(request, form, error=error, **about)
    messages.success(request, gettext("合作份额已保存。"))
    return redirect("facility_partners", code, line)
