"""Pages of programmes: which are open, what one says in plain words, and its file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.kernel.actors import Actor, Permission
from portal.pages import casework, pools, questions
from portal.pages.casework import language
from portal.pages.shell import guarded, listing, page, stranger_or_actor
from vouchers.programmes import access, schemes, wording
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.states import VersionState
from vouchers.programmes.terms import Automation

IN_FORCE = (VersionState.PUBLISHED.value, VersionState.SUSPENDED.value)
SORTS = {"name": ["name"], "year": ["fiscal_year"], "published": ["published_at"]}


class Filters(forms.Form):
    """What the list of programmes may be narrowed to."""

    q = forms.CharField(label=_("名称"), required=False, max_length=60)
    state = forms.ChoiceField(
        label=_("状态"),
        required=False,
        choices=[("", _("全部")), ("published", _("正在接受申请")), ("suspended", _("已暂停"))],
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """One programme of the list."""

    version: ProgrammeVersion
    scheme: schemes.Programme
    meter: pools.Meter | None

    @property
    def last_day(self) -> Any:
        return self.scheme.in_force[1] if self.scheme.in_force else None


def entries(versions: list[ProgrammeVersion]) -> list[Entry]:
    """Return programmes with their money. Three queries, whatever the number."""
    found = pools.meters(versions, now=timezone.now())
    return [Entry(version, access.scheme_of(version), found.get(version.pk)) for version in versions]


def _filtered(filters: Filters) -> QuerySet[ProgrammeVersion]:
    rows = access.visible_to(None).filter(state__in=IN_FORCE)
    values = filters.cleaned_data if filters.is_valid() else {}
    if text := values.get("q"):
        rows = rows.filter(Q(name__icontains=text) | Q(name_en__icontains=text) | Q(programme__code__icontains=text))
    if state := values.get("state"):
        rows = rows.filter(state=state)
    return rows


@guarded
def catalogue(request: HttpRequest) -> HttpResponse:
    """List the programmes in force; the department also sees its drafts."""
    actor = stranger_or_actor(request)
    filters = Filters(request.GET or None)
    found = listing(request, _filtered(filters), sorts=SORTS, default="-published")
    return page(
        request,
        "programmes/list.html",
        {
            "filters": filters,
            "listing": found,
            "entries": entries(list(found.rows)),
            "drafts": _drafts(actor),
            "writing": list(access.drafts_of(actor)) if actor is not None else [],
            "may_import": actor is not None and actor.may(Permission.PROGRAMME_DRAFT),
            "may_apply": actor is None or actor.may(Permission.APPLICATION_SUBMIT),
        },
    )


def _drafts(actor: Actor | None) -> list[ProgrammeVersion]:
    if actor is None or not (actor.may(Permission.PROGRAMME_DRAFT) or actor.may(Permission.PROGRAMME_PUBLISH)):
        return []
    return list(access.visible_to(actor).filter(state=VersionState.DRAFT.value).order_by("-imported_at"))


@guarded
def programme(request: HttpRequest, code: str) -> HttpResponse:
    """Show a programme in plain words, its pool, what to prepare, and its versions."""
    actor = stranger_or_actor(request)
    version = access.get_version(actor, code)
    scheme = access.scheme_of(version)
    is_own = actor is not None and version.programme.department_id == actor.organisation_id
    return page(
        request,
        "programmes/programme.html",
        {
            "version": version,
            "scheme": scheme,
            "sections": wording.describe(scheme, language(), catalogue=access.catalogue()),
            "meter": pools.meters([version], now=timezone.now()).get(version.pk),
            "prepare": preparations(scheme),
            "versions": access.visible_to(actor).filter(programme=version.programme).order_by("-number"),
            "is_open": version.state == VersionState.PUBLISHED.value,
            "closed": casework.closed_words(version, now=timezone.now()),
            "may_apply": actor is None or actor.may(Permission.APPLICATION_SUBMIT),
            "may_grant": is_own
            and actor is not None
            and actor.may(Permission.APPLICATION_REVIEW)
            and scheme.terms.automation is Automation.NO_APPLICATION,
            "may_switch": is_own and actor is not None and actor.may(Permission.PROGRAMME_PUBLISH),
            "may_open_versions": is_own
            and actor is not None
            and (actor.may(Permission.PROGRAMME_DRAFT) or actor.may(Permission.PROGRAMME_PUBLISH)),
            "grade": grade_words(scheme.grade),
        },
    )


def preparations(scheme: schemes.Programme) -> list[str]:
    """Return what an applicant should have at hand, in words."""
    have = [
        gettext("合同编号、服务单位、签订日期、合同期限"),
        gettext("合同各项费用的金额"),
        gettext("合同双方是否为关联方"),
    ]
    asked = questions.vocabulary(scheme).values()
    have += [casework.capital(question.name.say(language())) for question in asked]
    have += [item.doc for item in scheme.terms.evidence]
    return list(dict.fromkeys(have))


def grade_words(grade: str) -> str:
    """Say how reliable a programme's source is; other grades are shown as they are written."""
    words = {
        "A": gettext("甲级：官方发布的全文"),
        "B": gettext("乙级：官方解读或部分原文"),
        "C": gettext("丙级：公开报道"),
    }
    return words.get(grade, grade)


@guarded
def download(request: HttpRequest, code: str) -> HttpResponse:
    """Send a version's file as it was imported: ``?version=2``, without it the one in force."""
    asked = request.GET.get("version", "")
    version = access.get_version(stranger_or_actor(request), code, int(asked) if asked.isdecimal() else None)
    text = json.dumps(version.document, ensure_ascii=False, indent=2)
    response = HttpResponse(text + "\n", content_type="application/json; charset=utf-8")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", version.programme.code) or "programme"
    response["Content-Disposition"] = f'attachment; filename="{name}-v{version.number}.json"'
    return response


def address(version: ProgrammeVersion) -> str:
    """Return the address of one version."""
    return reverse("programme_version", args=[version.programme.code, version.number])
