"""Keep away from all of an organisation's cases, see what one keeps away from, and end it where it no longer holds."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.organisations import access as people
from portal.organisations.models import Organisation
from portal.pages.acts import attempt_on
from portal.pages.booking_requests import arrived
from portal.pages.shell import actor_of, listing, needs, page
from portal.pages.templatetags.show import bilingual
from vouchers.issuance import access, assigning

__all__ = ["recusal_lift", "recusals"]

SORTS = {"at": ["at"], "person": ["person__display_name"]}


class RecusalForm(forms.Form):
    """The organisation, and why one keeps away from it."""

    organisation = forms.CharField(
        label=_("单位全称或统一社会信用代码"), max_length=120, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    reason = forms.CharField(
        label=_("回避原因"),
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("例如亲属任职、曾任职、持股。只有本单位审批人员能看到。"),
    )

    def clean_organisation(self) -> Organisation:
        """Return the organisation named."""
        found = people.by_name_or_code(self.cleaned_data["organisation"])
        if found is None:
            raise forms.ValidationError(_("没有登记过这个单位。请填写营业执照上的全称，或 18 位统一社会信用代码。"))
        return found


class LiftForm(forms.Form):
    """Why somebody need no longer keep away."""

    reason = forms.CharField(
        label=_("解除原因"),
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("例如利害关系已消除、登记有误。会进入审计记录。"),
    )


@needs(*access.DECIDERS)
def recusals(request: HttpRequest) -> HttpResponse:
    """List the recusals one may see, and declare one from all of an organisation's cases."""
    actor = actor_of(request)
    form = RecusalForm(request.POST if request.method == "POST" else None)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        values: dict[str, Any] = form.cleaned_data
        _made, error = attempt_on(
            "application",
            lambda: assigning.recuse(
                actor=actor,
                application=None,
                organisation=values["organisation"],
                reason=values["reason"],
                now=timezone.now(),
            ),
        )
        if error is None:
            name = bilingual(values["organisation"])
            messages.success(request, gettext("已登记回避。%(name)s 的申请将由其他同事办理。") % {"name": name})
            return redirect("recusals")
    return page(
        request,
        "applications/recusals.html",
        {
            "form": form,
            "error": error,
            "listing": listing(request, access.recusals(actor), sorts=SORTS, default="-at"),
            "may_lift": actor.may(Permission.APPLICATION_APPROVE),
        },
        status=error.status if error else 422 if form.errors else 200,
    )


@needs(Permission.APPLICATION_APPROVE)
def recusal_lift(request: HttpRequest, recusal_id: int) -> HttpResponse:
    """End a recusal of one of the department's people, with a reason."""
    actor = actor_of(request)
    found = access.get_recusal(actor, recusal_id)
    form = LiftForm(request.POST if request.method == "POST" else None)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        reason = form.cleaned_data["reason"]
        _lifted, error = attempt_on(
            "application", lambda: assigning.lift(actor=actor, recusal=found, reason=reason, now=timezone.now())
        )
        if error is None:
            messages.success(request, gettext("已解除回避。"))
            return arrived(request, reverse("recusals"))
    return page(
        request,
        "applications/recusal_lift.html",
        {"recusal": found, "form": form, "error": error},
        status=error.status if error else 422 if form.errors else 200,
    )
