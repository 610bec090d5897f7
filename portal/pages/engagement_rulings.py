"""The department's rulings on disputed milestones: what is to be ruled on, and one with its files and the form."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.pages import acts, shell, slots
from portal.pages.booking_requests import arrived
from portal.pages.fields import YuanField
from scheduler.engagements import access, delivering
from scheduler.engagements.models import Milestone

__all__ = ["milestone_ruling", "milestone_rulings"]

SORTS = {"number": ["engagement__number", "position"], "disputed": ["disputed_at"], "state": ["state"]}


class RulingForm(forms.Form):
    """How much of the price counts, and why."""

    amount = YuanField(
        label=_("认可的价款（元）"), least_fen=0, required=False, help_text=_("不填为全部认可，填 0 为不认可。")
    )
    note = forms.CharField(
        label=_("理由"), max_length=400, help_text=_("双方都会看到。"), widget=forms.Textarea(attrs={"rows": 4})
    )


@shell.needs(Permission.ORDER_RULE)
def milestone_rulings(request: HttpRequest) -> HttpResponse:
    """List the milestones the department rules on, and those it ruled on."""
    found = access.disputed(shell.actor_of(request))
    listing = shell.listing(request, found, sorts=SORTS, default="-disputed")
    return shell.page(request, "engagements/rulings.html", {"listing": listing})


@shell.needs(Permission.ORDER_RULE)
def milestone_ruling(request: HttpRequest, number: str, position: int) -> HttpResponse:
    """Show one disputed milestone, and rule on it."""
    actor, now = shell.actor_of(request), timezone.now()
    found = access.get_disputed(actor, number, position)
    form = RulingForm(request.POST if request.method == "POST" else None)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        _done, error = acts.attempt_on(
            "milestone",
            lambda: delivering.rule(actor=actor, milestone=found, counted=said["amount"], note=said["note"], now=now),
        )
        if error is None:
            messages.success(request, gettext("已裁定，双方会看到理由。"))
            return arrived(request, reverse("milestone_ruling", args=[number, position]))
        error = slots.put_back(form, error)
    context = {
        "milestone": found,
        "engagement": found.engagement,
        "files": access.files_of_all([found]).get(found.subject, []),
        "open": found.state == Milestone.State.DISPUTED.value,
        "form": form,
        "error": error,
        "path": request.path,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "engagements/ruling.html", context, status=status)
