"""What the pages by which an office sets up its facility share: how a form is shown, saved and kept from overwriting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.forms import BoundField
from django.http import HttpRequest, HttpResponse
from django.utils.datastructures import MultiValueDict
from django.utils.functional import Promise
from django.utils.translation import gettext

from portal.http import Explained
from portal.pages import shell, slots
from portal.pages.beam.setup_forms import SetupForm
from scheduler.facilities.models import Facility
from scheduler.facilities.seen import Moved

__all__ = ["differences", "save", "setup_page"]


def save(
    form: SetupForm, act: Callable[[], Any], names: Mapping[str, str] | None = None
) -> tuple[Any, Explained | None]:
    """Do `act` with what a valid form says; what is wrong is told at its field, and nothing typed is lost."""
    done, error = shell.attempt(act)
    return done, slots.put_back(form, error, names) if error else None


def setup_page(
    request: HttpRequest,
    form: SetupForm,
    *,
    facility: Facility | None,
    heading: str | Promise,
    error: Explained | None = None,
    **more: Any,
) -> HttpResponse:
    """Show a form of the desk. Give `opened_on` (the fingerprint that stands) and `stands` (what stands) for a change.

    Where somebody else saved meanwhile, what stands and what was typed are shown beside each other; saving again is then
    the office's own decision.
    """
    is_again = request.POST.get("act", "") not in {"", "save"}
    status = error.status if error else 422 if form.is_bound and form.errors and not is_again else 200
    if is_again:
        form.errors.clear()
    moved = error is not None and error.code == Moved.code
    context = {
        "facility": facility,
        "form": form,
        "heading": heading,
        "error": error,
        "differences": differences(form, more.get("stands") or {}) if moved else [],
        "opened_on": "",
        **more,
    }
    if request.method == "POST" and not moved:
        context["opened_on"] = request.POST.get("opened_on", "")
    return shell.page(request, "beam/setup.html", context, status=status)


def differences(form: forms.Form, stands: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return where what was typed differs from what stands: label, what stands, what was typed."""
    found = []
    for bound in form:
        now_is, typed = _words(bound, stands.get(bound.name)), _words(bound, bound.data)
        if now_is != typed:
            found.append({"label": bound.label, "stands": now_is or "—", "typed": typed or "—"})
    return found


def _words(bound: BoundField, value: Any) -> str:
    field = bound.field
    if isinstance(field, forms.BooleanField):
        return gettext("是") if value not in (None, "", False) else gettext("否")
    if isinstance(field, forms.ChoiceField):
        chosen = {str(one) for one in (value if isinstance(value, list | tuple) else [value])}
        choices: Any = field.choices
        return gettext("、").join(str(name) for code, name in choices if str(code) in chosen)
    if isinstance(value, MultiValueDict):
        return ""
    shown = field.prepare_value(field.widget.format_value(value) if value not in (None, "") else "")
    return str(shown if shown is not None else "").strip()
