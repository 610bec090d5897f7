"""Write a programme section by section, without seeing its file: start, edit, check, read in words, finish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.pages.booking_requests import arrived
from portal.pages.casework import language
from portal.pages.draft_forms import PartForm, problem_text
from portal.pages.fields import YuanField
from portal.pages.programmes import address
from portal.pages.shell import actor_of, attempt, needs, page
from vouchers.programmes import access, documents, drafting, drafts, names, previews, sections
from vouchers.programmes.models import ProgrammeDraft
from vouchers.programmes.outline import Part
from vouchers.programmes.parsing import Problem

__all__ = ["discard", "finish", "overview", "part", "start"]

KEEPING = frozenset({"save", "keep", "shape", "next"})
"""Buttons that store what is typed and do nothing else to the document."""


@dataclass(frozen=True, slots=True)
class Step:
    """A section in the list of sections."""

    part: Part
    title: str
    problems: int
    is_said: bool
    is_now: bool = False
    number: int = 0


class FinishForm(forms.Form):
    """The money publishing will add."""

    budget = YuanField(label=_("发布时注入的预算（元）"), help_text=_("发布后计入该年度的资金池。"))
    fiscal_year = forms.IntegerField(label=_("预算年度"), min_value=2020, max_value=2100)


def _steps(document: Mapping[str, Any], problems: tuple[Problem, ...], now: str = "") -> list[Step]:
    wrong = [sections.part_of(problem.path).name for problem in problems]
    return [
        Step(
            part,
            part.title.say(language()),
            wrong.count(part.name),
            any(key in document for key in part.keys),
            part.name == now,
            number,
        )
        for number, part in enumerate(sections.PARTS, 1)
    ]


@require_POST
@needs(Permission.PROGRAMME_DRAFT)
def start(request: HttpRequest) -> HttpResponse:
    """Begin a programme, empty or from the version named in the form."""
    actor = actor_of(request)
    code, number = request.POST.get("code", ""), request.POST.get("version", "")
    origin = access.get_version(actor, code, int(number) if number.isdecimal() else None) if code else None
    draft = drafts.start(actor=actor, origin=origin, now=timezone.now())
    return redirect("programme_draft_part", draft.pk, sections.PARTS[0].name)


@needs(Permission.PROGRAMME_DRAFT)
def overview(request: HttpRequest, draft_id: int) -> HttpResponse:
    """Show the whole draft in words, what is still missing, and the way to finish it."""
    return _overview(request, access.get_draft(actor_of(request), draft_id))


def _overview(
    request: HttpRequest,
    draft: ProgrammeDraft,
    *,
    form: FinishForm | None = None,
    error: Explained | None = None,
    status: int = 200,
) -> HttpResponse:
    problems = previews.problems_of(draft.document)
    known = access.catalogue()
    year = timezone.localdate(timezone.now()).year
    told = [
        {
            "title": sections.part_of(problem.path).title.say(language()),
            "url": _place(draft, problem),
            "text": problem_text(problem),
        }
        for problem in problems
    ]
    context = {
        "draft": draft,
        "steps": _steps(draft.document, problems),
        "told": told,
        "previews": [
            (tongue, heading, previews.describe(draft.document, tongue, catalogue=known))
            for tongue, heading in (("zh-Hans", "中文"), ("en", "English"))
        ],
        "form": form or FinishForm(initial={"fiscal_year": year}),
        "error": error,
        "revision": draft.revision,
    }
    return page(request, "programmes/edit.html", context, status=status)


def _place(draft: ProgrammeDraft, problem: Problem) -> str:
    """Return the address of the field a problem is about."""
    url = reverse("programme_draft_part", args=[draft.pk, sections.part_of(problem.path).name])
    return f"{url}?check=1#id_{drafting.place_of(problem.path, draft.document)}"


@needs(Permission.PROGRAMME_DRAFT)
def part(request: HttpRequest, draft_id: int, name: str) -> HttpResponse:
    """Show or store one section. What is typed is kept, right or wrong; ``?check=1`` tells what is wrong."""
    draft = access.get_draft(actor_of(request), draft_id)
    found = sections.part(name)
    if found is None:
        raise NotFound
    with names.declared(previews.facts_of(draft.document)):
        if request.method == "POST":
            return _store(request, draft, found)
        told, open_row = "check" in request.GET, request.GET.get("open", "")
        return _part_page(request, draft, found, document=draft.document, told=told, open_row=open_row)


def _store(request: HttpRequest, draft: ProgrammeDraft, found: Part) -> HttpResponse:
    posted: QueryDict = request.POST
    act = posted.get("act", "save")
    fields = {key: [str(text) for text in texts] for key, texts in posted.lists()}
    document = drafting.document_of(found.items, fields, draft.document, language())
    open_row = posted.get("open", "")
    if act.startswith("open "):
        open_row = act.removeprefix("open ")
    elif act not in KEEPING:
        document = _acted(document, act, found)
    revision = posted.get("revision", "")
    saved, error = attempt(
        lambda: drafts.save(
            actor=actor_of(request),
            draft=draft,
            revision=int(revision) if revision.isdecimal() and len(revision) < 10 else 0,
            document=document,
            now=timezone.now(),
        )
    )
    if error is not None:
        fresh = access.get_draft(actor_of(request), draft.pk)
        return _part_page(request, fresh, found, document=document, error=error, kept=act == "keep")
    if act == "next":
        return arrived(request, _after(saved, found))
    if request.htmx:  # type: ignore[attr-defined]
        return _part_page(
            request, saved, found, document=document, told=act == "save", open_row=open_row, kept=act == "keep"
        )
    query = {"check": "1"} if act == "save" else {"open": open_row} if open_row else {}
    url = reverse("programme_draft_part", args=[saved.pk, found.name])
    return redirect(f"{url}?{urlencode(query)}" if query else url)


def _acted(document: dict[str, Any], act: str, found: Part) -> dict[str, Any]:
    """Do a button's act, if it is about something of this section."""
    place = drafting.tokens_of(act.partition(" ")[2])
    return drafting.act_on(document, act) if place and place[0] in found.keys else document


def _after(draft: ProgrammeDraft, found: Part) -> str:
    at = sections.PARTS.index(found) + 1
    if at == len(sections.PARTS):
        return reverse("programme_draft", args=[draft.pk])
    return reverse("programme_draft_part", args=[draft.pk, sections.PARTS[at].name])


def _part_page(
    request: HttpRequest,
    draft: ProgrammeDraft,
    found: Part,
    *,
    document: Mapping[str, Any],
    told: bool = False,
    open_row: str = "",
    kept: bool = False,
    error: Explained | None = None,
) -> HttpResponse:
    problems = previews.problems_of(document)
    here = [problem for problem in problems if sections.part_of(problem.path) is found]
    form = PartForm(found, document, problems=here if told else (), open_row=open_row)
    context = {
        "draft": draft,
        "part": found,
        "title": found.title.say(language()),
        "text": found.text.say(language()) if found.text else "",
        "form": form,
        "open": open_row,
        "steps": _steps(document, problems, found.name),
        "number": sections.PARTS.index(found) + 1,
        "parts": len(sections.PARTS),
        "preview": previews.describe(document, language(), catalogue=access.catalogue()),
        "error": error,
        "revision": draft.revision,
        "is_kept": request.method == "POST" and error is None,
        "is_clean": told and not here,
        "path": reverse("programme_draft_part", args=[draft.pk, found.name]),
    }
    status = error.status if error else 422 if told and here and request.method == "POST" else 200
    template = "programmes/edit_part.html"
    if request.htmx:  # type: ignore[attr-defined]
        template = "programmes/edit_kept.html" if kept else "programmes/edit_form.html"
        context["is_answer"] = True
    return page(request, template, context, status=status)


@require_POST
@needs(Permission.PROGRAMME_DRAFT)
def finish(request: HttpRequest, draft_id: int) -> HttpResponse:
    """Make the draft a version, by the rules by which a file is imported; a second person publishes it."""
    actor = actor_of(request)
    draft = access.get_draft(actor, draft_id)
    form = FinishForm(request.POST)
    if not form.is_valid():
        return _overview(request, draft, form=form, status=422)
    values = form.cleaned_data
    version, error = attempt(
        lambda: drafts.finish(
            actor=actor,
            draft=draft,
            revision=_revision(request),
            budget=values["budget"],
            fiscal_year=values["fiscal_year"],
            now=timezone.now(),
        )
    )
    if error is None:
        messages.success(
            request, gettext("已存为第 %(number)s 版草稿，请另一位同事复核并发布。") % {"number": version.number}
        )
        return redirect(address(version))
    if error.code == documents.BadProgramme.code:
        error = Explained(error.status, error.code, gettext("还有内容需要补充，见下面的清单。"), ())
    return _overview(request, access.get_draft(actor, draft_id), form=form, error=error, status=error.status)


def _revision(request: HttpRequest) -> int:
    said = request.POST.get("revision", "")
    return int(said) if said.isdecimal() and len(said) < 10 else 0


@require_POST
@needs(Permission.PROGRAMME_DRAFT)
def discard(request: HttpRequest, draft_id: int) -> HttpResponse:
    """Throw the draft away."""
    actor = actor_of(request)
    draft = access.get_draft(actor, draft_id)
    _done, error = attempt(
        lambda: drafts.discard(actor=actor, draft=draft, revision=_revision(request), now=timezone.now())
    )
    if error:
        return _overview(request, access.get_draft(actor, draft_id), error=error, status=error.status)
    messages.success(request, gettext("已放弃这份编制稿。"))
    return redirect("programmes")
