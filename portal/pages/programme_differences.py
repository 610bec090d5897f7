"""What changed between two versions of a programme, or between a version and what is being written from it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from portal.kernel.actors import Permission
from portal.pages.casework import language
from portal.pages.shell import actor_of, needs, page, stranger_or_actor
from portal.pages.shell import guarded as open_to_all
from vouchers.programmes import access, differences, documents, previews
from vouchers.programmes.longhand import opened
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.schemes import Programme

__all__ = ["draft", "versions"]


class ChoiceForm(forms.Form):
    """With which version to compare."""

    against = forms.ChoiceField(label=_("与哪一版比较"))

    def __init__(self, choices: list[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["against"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices


def _full(document: Mapping[str, Any]) -> Programme:
    """Return a document as a programme, written out in full: another notation is no change."""
    return documents.load(opened(document))


def _sections(before: Programme, after: Programme) -> list[tuple[str, list[differences.Difference]]]:
    found = differences.differences(before, after, language())
    return [(title, list(rows)) for title, rows in groupby(found, key=lambda row: row.section)]


def _wanted(others: list[ProgrammeVersion], asked: str) -> ProgrammeVersion | None:
    return next((one for one in others if str(one.number) == asked), others[0] if others else None)


@open_to_all
def versions(request: HttpRequest, code: str, number: int) -> HttpResponse:
    """Compare a version with another one the reader may see; without a choice with the one before it."""
    actor = stranger_or_actor(request)
    version = access.get_version(actor, code, number)
    others = list(
        access.visible_to(actor).filter(programme=version.programme).exclude(pk=version.pk).order_by("-number")
    )
    older = [one for one in others if one.number < number]
    other = _wanted(others, request.GET.get("against", str(older[0].number) if older else ""))
    form = ChoiceForm([(str(one.number), str(one)) for one in others], {"against": other.number if other else ""})
    sections = _sections(_full(other.document), _full(version.document)) if other else []
    context = {"version": version, "other": other, "form": form, "sections": sections}
    return page(request, "programmes/differences.html", context)


@needs(Permission.PROGRAMME_DRAFT)
def draft(request: HttpRequest, draft_id: int) -> HttpResponse:
    """Compare a draft, as far as it can be read, with the version it was begun from."""
    found = access.get_draft(actor_of(request), draft_id)
    now = previews.readable(found.document)
    origin = found.origin
    sections = _sections(_full(origin.document), now) if origin is not None and now is not None else []
    return page(request, "programmes/differences.html", {"draft": found, "other": origin, "sections": sections})
