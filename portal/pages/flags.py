"""Flags: what the controls noticed, the facts side by side, and a person's decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import PortalError
from portal.organisations import access as people
from portal.organisations.models import Organisation
from portal.pages.actions import subject_link
from portal.pages.acts import attempt_on
from portal.pages.labels import LABELS, label_of
from portal.pages.shell import (
    EXPORT_LIMIT,
    act_of,
    actor_of,
    csv_response,
    listing,
    needs,
    page,
    wants_csv,
)
from portal.pages.templatetags.show import bilingual
from scheduler.bookings import access as bookings
from scheduler.jobs import access as jobs
from vouchers.claims import access as claims
from vouchers.flags import access, services
from vouchers.flags.models import Flag
from vouchers.flags.rules import FlagAction, FlagState
from vouchers.issuance import access as applications
from vouchers.offers import access as offers
from vouchers.wallets import access as vouchers

WORDED: Final = frozenset({"category", "service", "price_unit"})
"""Registers of words the facts of a flag may name codes of."""
SORTS = {"raised": ["raised_at"], "pattern": ["pattern"], "subject": ["subject"]}


class Filters(forms.Form):
    """What the list may be narrowed to."""

    state = forms.ChoiceField(label=_("状态"), required=False, choices=[("", _("全部")), *Flag.State.choices])
    pattern = forms.ChoiceField(label=_("类型"), required=False, choices=[("", _("全部")), *Flag.Pattern.choices])


class DecideForm(forms.Form):
    """The finding, and what it rests on."""

    reason = forms.CharField(
        label=_("核查结论和依据"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("写明查看了什么、结论是什么。会进入审计记录。"),
    )


def said(flag: Flag) -> str:
    """Return what was noticed, in the reader's language."""
    template = gettext(str(flag.facts.get("said", "")))
    params = {name: _worded(value) for name, value in flag.facts.get("params", {}).items()}
    return template % params if "%(" in template else template


def _worded(value: object) -> object:
    """Return a stored code with its register, such as ``category:analytical``, in words; anything else as it is."""
    register, _colon, code = str(value).partition(":")
    return label_of(register, code)[1] if register in WORDED and code in LABELS[register] else value


def may_read(actor: Actor) -> bool:
    """Say whether the actor may open flags: who is shown one beside a case may be there for the case alone."""
    return any(actor.may(permission) for permission in access.READERS)


def compared(flag: Flag) -> list[dict[str, str]]:
    """Return the facts side by side: what, expected, found."""
    return [
        {"what": f"{gettext(label)} {of}".strip(), "expected": expected, "found": found}
        for label, of, expected, found in flag.facts.get("rows", [])
    ]


OPENING: Final[Mapping[str, Callable[[Actor, str], object]]] = {
    "application": applications.get_application,
    "booking": bookings.get_booking,
    "claim": claims.get_claim,
    "job": jobs.get_job,
    "order": offers.get_order,
    "voucher": vouchers.get_registered,
}
"""Who reads of a flag may not always open what it is about: a booking is its lab's and its firm's alone."""


def _door(actor: Actor, subject: str) -> tuple[str, str]:
    """Return what a flag is about in words, and its address where the reader may go there."""
    label, url = subject_link(subject)
    kind, _colon, number = subject.partition(":")
    opening = OPENING.get(kind)
    if opening is not None:
        try:
            opening(actor, number)
        except PortalError:
            return label, ""
    return label, reverse("registered_voucher", args=[number]) if kind == "voucher" else url


@needs(*access.READERS)
def desk(request: HttpRequest) -> HttpResponse:
    """List what the controls noticed, the undecided first."""
    actor = actor_of(request)
    filters = Filters(request.GET or {"state": FlagState.OPEN.value})
    values = filters.cleaned_data if filters.is_valid() else {}
    rows = access.visible_to(actor)
    for name in ("state", "pattern"):
        if values.get(name):
            rows = rows.filter(**{name: values[name]})
    if wants_csv(request):
        return _csv(rows.order_by("-pk")[:EXPORT_LIMIT])
    found = listing(request, rows, sorts=SORTS, default="-raised")
    shown = [(flag, said(flag), *subject_link(flag.subject)) for flag in found.rows]
    return page(request, "flags/list.html", {"filters": filters, "listing": found, "rows": shown})


def _csv(rows: Any) -> HttpResponse:
    header = (_("时间"), _("类型"), _("状态"), _("对象"), _("说明"), _("核查结论和依据"))
    return csv_response(
        "flags",
        header,
        (
            [
                timezone.localtime(row.raised_at).isoformat(timespec="seconds"),
                label_of("pattern", row.pattern)[1],
                label_of("flag", row.state)[1],
                subject_link(row.subject)[0],
                said(row),
                row.reason,
            ]
            for row in rows
        ),
    )


@needs(*access.READERS)
def flag(request: HttpRequest, flag_id: int) -> HttpResponse:
    """Show one flag with its facts, and take the decision."""
    actor = actor_of(request)
    found = access.get_flag(actor, flag_id)
    form = DecideForm(request.POST if request.method == "POST" else None)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        action = FlagAction(act_of(request, *FlagAction))
        reason = form.cleaned_data["reason"]
        _flag, error = attempt_on(
            "flag",
            lambda: services.decide(actor=actor, flag=found, action=action, reason=reason, now=timezone.now()),
        )
        if error is None:
            messages.success(request, gettext("已记录核查结论。"))
            return redirect("flags")
        found = access.get_flag(actor, flag_id)
    return page(
        request,
        "flags/flag.html",
        {
            "flag": found,
            "said": said(found),
            "rows": compared(found),
            "about": _about(found.about),
            "link": _door(actor, found.subject),
            "form": form,
            "error": error,
            "may_decide": actor.may(Permission.FLAG_DECIDE) and found.department_id == actor.organisation_id,
            "is_involved": any(people.belongs(user_id=actor.person, organisation_id=pk) for pk in found.about),
        },
        status=error.status if error else 422 if form.is_bound and not form.is_valid() else 200,
    )


def _about(ids: Sequence[int]) -> list[str]:
    return [bilingual(each) for each in Organisation.objects.filter(pk__in=ids).order_by("name")]
