"""What every booking of an instrument needs besides it, and what giving one up late costs: for its lab."""

from __future__ import annotations

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
from portal.pages import shell, slots
from portal.pages.templatetags.show import bilingual
from scheduler.bookings import terms
from scheduler.bookings.models import BookingTerms
from scheduler.bookings.rules import SelfUse
from scheduler.resources import access
from scheduler.resources.models import Resource

__all__ = ["instrument_terms"]

SELF_USE = [
    (SelfUse.OPEN.value, _("可以")),
    (SelfUse.QUALIFIED.value, _("经本单位认可的单位可以")),
    (SelfUse.NEVER.value, _("不可以，每次由本单位人员操作")),
]


class TermsForm(forms.Form):
    """The terms in the units people think in."""

    self_use = forms.ChoiceField(
        label=_("企业人员可以自己操作"), help_text=_("不可以时，每次预约同时占用一名有资格的操作人员。")
    )
    bench = forms.ChoiceField(label=_("制样台"), required=False, help_text=_("使用前需要先占用的工位；不需要则留空。"))
    bench_minutes = forms.IntegerField(label=_("制样时间"), required=False, min_value=0, max_value=1440)
    bench_places = forms.IntegerField(label=_("占用名额"), required=False, min_value=1, max_value=1000)
    free_cancel_hours = forms.IntegerField(
        label=_("免费取消截止"), min_value=0, max_value=720, help_text=_("使用开始前多少小时以前取消不收费。")
    )
    late_cancel_percent = forms.IntegerField(
        label=_("之后取消或未到场收取"),
        min_value=0,
        max_value=100,
        help_text=_("占费用的百分比；时间被他人重新预约的部分不收。"),
    )

    def __init__(self, benches: list[Resource], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.benches = {bench.number: bench for bench in benches}
        for name, choices in (
            ("self_use", SELF_USE),
            ("bench", [("", gettext("不需要")), *((number, bilingual(row)) for number, row in self.benches.items())]),
        ):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = choices

    def terms(self) -> terms.Terms:
        """Return what was said as the service's value."""
        said: dict[str, Any] = self.cleaned_data
        return terms.Terms(
            self_use=SelfUse(said["self_use"]),
            bench=self.benches.get(said["bench"]),
            bench_s=(said["bench_minutes"] or 0) * 60,
            bench_units=said["bench_places"] or 1,
            free_cancel_s=said["free_cancel_hours"] * 3600,
            late_percent=said["late_cancel_percent"],
        )


def _initial(row: BookingTerms) -> dict[str, Any]:
    return {
        "self_use": row.self_use,
        "bench": row.bench.number if row.bench else "",
        "bench_minutes": row.bench_s // 60 or "",
        "bench_places": row.bench_units,
        "free_cancel_hours": row.free_cancel_s // 3600,
        "late_cancel_percent": row.late_percent,
    }


def _benches(actor: Actor, resource: Resource) -> list[Resource]:
    return list(access.own_instruments(actor).exclude(pk=resource.pk).order_by("name", "pk"))


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_terms(request: HttpRequest, number: str) -> HttpResponse:
    """Show and set what new bookings of an instrument agree to."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = access.get_own_instrument(actor, number)
    row = BookingTerms.objects.filter(resource=resource).select_related("bench").first() or BookingTerms()
    posted = request.method == "POST"
    form = TermsForm(_benches(actor, resource), request.POST if posted else None, initial=_initial(row))
    error: Explained | None = None
    if posted and form.is_valid():
        _done, error = shell.attempt(
            lambda: terms.set_terms(actor=actor, resource=resource, terms=form.terms(), now=now)
        )
        if error is None:
            messages.success(request, gettext("已保存，对新预约生效；已有预约保持原来的条件。"))
            return redirect("instrument", number)
        error = slots.put_back(form, error)
    context = {"resource": resource, "form": form, "error": error}
    return shell.page(request, "lab/terms.html", context, status=error.status if error else 422 if form.errors else 200)
