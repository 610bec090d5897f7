"""Who may run an instrument themselves, and by which certificates it measures: for its lab."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.organisations import access as people
from portal.organisations.models import Organisation
from portal.pages import shell, slots
from portal.pages.templatetags.show import zone_of
from scheduler.bookings.models import BookingTerms
from scheduler.qualifications import granting
from scheduler.qualifications.models import Calibration, Qualification
from scheduler.qualifications.services import Days
from scheduler.resources import access
from scheduler.resources.models import Resource

__all__ = ["instrument_standing"]

DAY = timedelta(days=1)
YEAR = timedelta(days=365)


class QualifyForm(forms.Form):
    """Which organisation, from which day to which."""

    organisation = forms.CharField(
        label=_("单位全称或统一社会信用代码"), max_length=120, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    since = slots.DayField(label=_("从"))
    until = slots.DayField(label=_("到（含）"))

    def clean_organisation(self) -> Organisation:
        """Return the organisation named."""
        found = people.by_name_or_code(self.cleaned_data["organisation"])
        if found is None:
            raise forms.ValidationError(_("没有登记过这个单位。请填写营业执照上的全称，或 18 位统一社会信用代码。"))
        return found


class CertificateForm(forms.Form):
    """A certificate's number, and from which day to which it holds."""

    certificate = forms.CharField(label=_("证书编号"), max_length=80)
    valid_from = slots.DayField(label=_("从"))
    valid_until = slots.DayField(label=_("到（含）"))


class SuspendForm(forms.Form):
    """Why an organisation may run the instrument no more."""

    note = forms.CharField(label=_("暂停原因"), max_length=200, help_text=_("该单位会看到。"))


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_standing(request: HttpRequest, number: str) -> HttpResponse:
    """Qualify an organisation (``qualify``), suspend that (``suspend``), enter a certificate (``certify``)."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = access.get_own_instrument(actor, number)
    today = now.astimezone(zone_of(resource.zone)).date()
    act = shell.act_of(request, "qualify", "suspend", "certify") if request.method == "POST" else ""
    qualify = QualifyForm(request.POST if act == "qualify" else None, initial={"since": today, "until": today + YEAR})
    certify = CertificateForm(
        request.POST if act == "certify" else None, initial={"valid_from": today, "valid_until": today + YEAR}
    )
    suspending = SuspendForm(request.POST if act == "suspend" else None)
    form = {"qualify": qualify, "certify": certify, "suspend": suspending}.get(act)
    error: Explained | None = None
    if form is not None and form.is_valid():
        acts = {"qualify": _qualify, "certify": _certify, "suspend": _suspend}
        said, error = shell.attempt(lambda: acts[act](request, actor, resource, form.cleaned_data, now))
        if error is None:
            messages.success(request, said)
            return redirect("instrument_standing", number)
        names = {"until": "valid_until"} if act == "certify" else {}
        error = slots.put_back(form, error, names)
    terms = BookingTerms.objects.filter(resource=resource).first()
    context = {
        "resource": resource,
        "self_use": terms.self_use if terms else "open",
        "qualified": _qualified(resource, today),
        "certificates": [
            {"certificate": row.certificate, "since": row.valid.lower, "until": row.valid.upper - DAY}
            for row in Calibration.objects.filter(resource=resource).order_by("-valid", "pk")
        ],
        "today": today,
        "qualify": qualify,
        "certify": certify,
        "suspending": suspending,
        "act": act,
        "error": error,
    }
    status = error.status if error else 422 if form is not None and form.errors else 200
    return shell.page(request, "lab/standing.html", context, status=status)


def _qualified(resource: Resource, today: date) -> list[dict[str, Any]]:
    rows = Qualification.objects.filter(resource=resource).select_related("organisation")
    return [
        {
            "organisation": row.organisation,
            "since": row.valid.lower,
            "until": row.valid.upper - DAY,
            "suspended": row.suspended_at,
            "note": row.note,
            "over": row.valid.upper <= today,
        }
        for row in rows.order_by("organisation__name", "pk")
    ]


def _qualify(_request: HttpRequest, actor: Actor, resource: Resource, said: dict[str, Any], now: datetime) -> str:
    days = Days(said["since"], said["until"] + DAY)
    granting.qualify(actor=actor, resource=resource, organisation=said["organisation"], days=days, now=now)
    return gettext("已认可，该单位的人员可以自主上机。")


def _suspend(request: HttpRequest, actor: Actor, resource: Resource, said: dict[str, Any], now: datetime) -> str:
    known = Qualification.objects.filter(resource=resource).select_related("organisation")
    found = known.filter(organisation__credit_code=request.POST.get("organisation", "")).first()
    if found is None:
        raise NotFound
    granting.suspend(actor=actor, resource=resource, organisation=found.organisation, note=said["note"], now=now)
    return gettext("已暂停，该单位不能再自主上机；已有预约不受影响。")


def _certify(_request: HttpRequest, actor: Actor, resource: Resource, said: dict[str, Any], now: datetime) -> str:
    days = Days(said["valid_from"], said["valid_until"] + DAY)
    granting.enter_certificate(actor=actor, resource=resource, certificate=said["certificate"], days=days, now=now)
    return gettext("证书已登记，有效期以外的时间不能预约。")
