"""The department's notices and objections: draft, publish as a second person, decide what is held against an item."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.pages import noticepaper
from portal.pages.actions import events
from portal.pages.acts import attempt_on
from portal.pages.files import handed_out
from portal.pages.notices import table
from portal.pages.shell import act_of, actor_of, listing, needs, page
from vouchers.evidence import access as evidence
from vouchers.notices import access, objecting, queries, services
from vouchers.notices.models import Notice, Objection
from vouchers.notices.objecting import Verdict
from vouchers.notices.rules import TRANSITIONS, NoticeAction, NoticeState, ObjectionState
from vouchers.programmes.models import ProgrammeVersion
from vouchers.rounds import access as rounds
from vouchers.rounds.models import Round

SORTS = {"number": ["pk"], "ends": ["ends_at"], "state": ["state"]}
OBJECTION_SORTS = {"number": ["pk"], "filed": ["filed_at"], "state": ["state"]}


class VerdictForm(forms.Form):
    """The reason, read by whoever objected and by the applicant."""

    reason = forms.CharField(
        label=_("处理理由"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("写明核查了什么、结论是什么。提出异议的人凭回执号可以看到。"),
    )


def candidates(actor: Actor) -> list[tuple[ProgrammeVersion, Round | None, int]]:
    """Return what could be noticed now: each programme, or round, with the number of its decided cases. Three queries."""
    counts = queries.waiting_counts(actor.acting_for)
    versions = ProgrammeVersion.objects.in_bulk([version for version, _round, _count in counts])
    found = Round.objects.in_bulk([round_ for _version, round_, _count in counts if round_])
    return [(versions[version], found.get(round_ or 0), count) for version, round_, count in counts]


@needs(*access.OFFICERS)
def desk(request: HttpRequest) -> HttpResponse:
    """List the department's notices and what waits for one; a POST drafts one."""
    actor = actor_of(request)
    error: Explained | None = None
    if request.method == "POST":
        drafted, error = attempt_on("notice", lambda: _draft(request, actor))
        if error is None:
            messages.success(request, gettext("公示稿已拟好，请另一位同事核对后发布。"))
            return redirect("notice_desk", number=drafted.number)
    found = listing(request, access.own(actor), sorts=SORTS, default="-number")
    return page(
        request,
        "notices/desk.html",
        {
            "listing": found,
            "rows": [(row, noticepaper.title_of(row)) for row in found.rows],
            "candidates": candidates(actor),
            "may_draft": actor.may(Permission.APPLICATION_REVIEW),
            "may_notice_desk": True,
            "tab": "notices",
            "error": error,
        },
        status=error.status if error else 200,
    )


def _draft(request: HttpRequest, actor: Actor) -> Notice:
    asked, number = request.POST.get("version", ""), request.POST.get("round", "")
    version = ProgrammeVersion.objects.filter(pk=int(asked)).first() if asked.isdecimal() and len(asked) < 19 else None
    if version is None:
        raise NotFound
    target = rounds.get_own(actor, number) if number else None
    return services.draft(actor=actor, version=version, round_=target, now=timezone.now())


@needs(*access.OFFICERS)
def notice(request: HttpRequest, number: str) -> HttpResponse:
    """Show a notice as it will be printed, and publish or discard it."""
    actor = actor_of(request)
    found = access.get_own(actor, number)
    error: Explained | None = None
    if request.method == "POST":
        act, now = act_of(request, "publish", "discard"), timezone.now()
        service = services.publish if act == "publish" else services.discard
        _done, error = attempt_on("notice", lambda: service(actor=actor, notice=found, now=now))
        if error is None:
            done = gettext("公示已发布，公示期从明天起算。") if act == "publish" else gettext("公示稿已作废。")
            messages.success(request, done)
            return redirect("notice_desk", number=number)
        found = access.get_own(actor, number)
    return _notice_page(request, found, error)


def _notice_page(request: HttpRequest, found: Notice, error: Explained | None) -> HttpResponse:
    actor = actor_of(request)
    is_draft = found.state == NoticeState.DRAFT.value
    rows = found.items.select_related("application", "application__organisation", "application__version")
    items = listing(request, rows, sorts={"position": ["position"]}, default="position")
    if is_draft:
        for item in items.rows:
            item.printed = services.preview(notice=found, application=item.application)
    can_publish = (NoticeState(found.state), NoticeAction.PUBLISH) in TRANSITIONS
    return page(
        request,
        "notices/case.html",
        {
            "notice": found,
            "title": noticepaper.title_of(found),
            "heads": [(name, gettext(noticepaper.HEADS[name])) for name in found.fields],
            "rows": table(found, items.rows),
            "listing": items,
            "period": noticepaper.period_text(found),
            "is_draft": is_draft,
            "is_author": actor.user_id == found.drafted_by_id,
            "may_publish": can_publish and actor.may(Permission.APPLICATION_APPROVE),
            "may_discard": can_publish and actor.may(Permission.APPLICATION_REVIEW),
            "objections": access.objections(actor).filter(item__notice=found).order_by("pk"),
            "events": events(audit.trail(f"notice:{found.number}", actor=actor)),
            "error": error,
        },
        status=error.status if error else 200,
    )


@needs(*access.OFFICERS)
def objections(request: HttpRequest) -> HttpResponse:
    """List the objections to the department's notices, those to be decided first."""
    actor = actor_of(request)
    rows = access.objections(actor)
    tab = request.GET.get("state", ObjectionState.OPEN.value)
    rows = rows.filter(state=ObjectionState.OPEN.value) if tab == ObjectionState.OPEN.value else rows
    return page(
        request,
        "notices/objections.html",
        {
            "listing": listing(request, rows, sorts=OBJECTION_SORTS, default="filed"),
            "only_open": tab == ObjectionState.OPEN.value,
            "may_notice_desk": True,
            "tab": "objections",
        },
    )


@needs(*access.OFFICERS)
def objection(request: HttpRequest, number: str) -> HttpResponse:
    """Show an objection beside the item it is against, and decide it."""
    actor = actor_of(request)
    found = access.get_objection(actor, number)
    form = VerdictForm()
    if request.method != "POST":
        return _objection_page(request, found, form)
    act = act_of(request, *(verdict.value for verdict in Verdict))
    form = VerdictForm(request.POST)
    if not form.is_valid():
        return _objection_page(request, found, form, status=422)
    _done, error = attempt_on(
        "objection",
        lambda: objecting.decide(
            actor=actor,
            objection=found,
            verdict=Verdict(act),
            reason=form.cleaned_data["reason"],
            now=timezone.now(),
        ),
    )
    if error:
        return _objection_page(request, access.get_objection(actor, number), form, error=error, status=error.status)
    messages.success(request, gettext("异议已处理。"))
    return redirect("objection_desk", number=number)


def _objection_page(
    request: HttpRequest,
    found: Objection,
    form: VerdictForm,
    *,
    error: Explained | None = None,
    status: int = 200,
) -> HttpResponse:
    actor = actor_of(request)
    context: dict[str, Any] = {
        "objection": found,
        "item": found.item,
        "notice": found.item.notice,
        "title": noticepaper.title_of(found.item.notice),
        "cells": noticepaper.shown(found.item.notice, found.item),
        "files": list(evidence.files_of(f"objection:{found.number}")),
        "form": form,
        "error": error,
        "may_decide": found.state == ObjectionState.OPEN.value and actor.may(Permission.APPLICATION_APPROVE),
        "had_part": objecting.had_part(found.item.application, actor.person),
        "events": events(audit.trail(f"objection:{found.number}", actor=actor)),
    }
    return page(request, "notices/objection.html", context, status=status)


@needs(*access.OFFICERS)
def evidence_file(request: HttpRequest, number: str, file_id: int) -> HttpResponse:
    """Hand out a file brought with an objection to the department it went to."""
    found = access.get_objection(actor_of(request), number)
    return handed_out(request, evidence.get_file(f"objection:{found.number}", file_id))
