"""Calls for beam time, as everybody reads them, and the beginning of a proposal."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.pages import acts, shell, slots
from portal.pages.booking_requests import arrived, signing_in_first
from portal.pages.labels import label_of
from scheduler.facilities.courses import ProposalKind
from scheduler.facilities.models import Facility, FacilityCourse, PartnerPart
from scheduler.proposals import access, drafting
from scheduler.proposals.models import ProposalCall

__all__ = ["CALL_STATES", "call", "calls", "proposal_new"]

SORTS = {"call": ["name"], "facility": ["facility__name"], "opens": ["during"], "closes": ["during__endswith"]}
CALL_STATES: Any = {
    "draft": pgettext_lazy("call", "未发布"),
    "coming": pgettext_lazy("call", "即将开始"),
    "open": pgettext_lazy("call", "征集中"),
    "closed": pgettext_lazy("call", "已截止"),
}


class CallFilter(forms.Form):
    """What the list of calls may be narrowed to."""

    q = forms.CharField(label=_("关键词"), max_length=80, required=False)
    state = forms.ChoiceField(
        label=_("状态"),
        required=False,
        choices=[("", _("全部")), *((code, CALL_STATES[code]) for code in ("open", "coming", "closed"))],
    )

    def narrow(self, found: Any, *, now: Any) -> Any:
        """Return what the filter leaves; a value not on offer narrows nothing."""
        self.full_clean()
        state = self.cleaned_data.get("state")
        if state == "open":
            found = found.filter(during__contains=now)
        elif state:
            found = found.filter(**{"during__startswith__gt" if state == "coming" else "during__endswith__lte": now})
        for word in (self.cleaned_data.get("q") or "").split():
            names = ("name", "name_en", "number", "facility__name", "facility__name_en")
            either = Q()
            for name in names:
                either |= Q(**{f"{name}__icontains": word})
            found = found.filter(either)
        return found


@shell.guarded
def calls(request: HttpRequest) -> HttpResponse:
    """List the published calls."""
    now = timezone.now()
    filters = CallFilter(request.GET, auto_id="filter_%s")
    found = filters.narrow(access.published_calls(), now=now)
    if shell.wants_csv(request):
        return _csv(found, now)
    listing = shell.listing(request, found, sorts=SORTS, default="-closes")
    rows = [{"call": one, "state": CALL_STATES[access.state_of(one, now=now)]} for one in listing.rows]
    context = {
        "filters": filters,
        "listing": listing,
        "rows": rows,
        "kinds": _free_kinds() if _may_propose(shell.stranger_or_actor(request)) else [],
    }
    return shell.page(request, "beam/proposals/calls.html", context)


def _free_kinds() -> list[Facility]:
    """Return the facilities that take proposals without a call."""
    free = FacilityCourse.objects.filter(peer_review=False, facility__is_published=True)
    return list(Facility.objects.filter(pk__in=free.values("facility_id")))


def _csv(found: Any, now: Any) -> HttpResponse:
    head = (
        gettext("编号"),
        gettext("名称"),
        gettext("装置"),
        gettext("周期"),
        gettext("开始"),
        gettext("截止"),
        gettext("状态"),
    )
    rows = (
        (
            *(one.number, one.name, one.facility.name, one.cycle.code),
            *(f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S}" for at in (one.during.lower, one.during.upper)),
            CALL_STATES[access.state_of(one, now=now)],
        )
        for one in found[: shell.EXPORT_LIMIT]
    )
    return shell.csv_response("calls", head, rows)


def _may_propose(actor: Actor | None) -> bool:
    """Say whether to offer a new proposal: to strangers, who are asked to sign in first, and to whoever may propose."""
    return actor is None or actor.may(Permission.PROPOSAL_SUBMIT)


@shell.guarded
def call(request: HttpRequest, number: str) -> HttpResponse:
    """Show one call with what it asks for."""
    actor, now = shell.stranger_or_actor(request), timezone.now()
    found = access.readable_call(actor, number) if actor else access.get_call(number)
    state = access.state_of(found, now=now)
    context = {
        "call": found,
        "state": CALL_STATES[state],
        "is_open": state == "open",
        "may_propose": _may_propose(actor),
        "forms": list(found.forms.all()),
        "kinds": [label_of("beam_kind", kind)[1] for kind in found.kinds],
        "office": bool(
            actor and actor.may(Permission.FACILITY_MANAGE) and actor.organisation_id == found.facility.owner_id
        ),
    }
    return shell.page(request, "beam/proposals/call.html", context)


class BeginForm(forms.Form):
    """Which kind, and a title to begin with."""

    kind = forms.ChoiceField(label=_("课题类别"))
    title = forms.CharField(label=_("题目"), max_length=200, help_text=_("提交前都可以修改。"))
    partner_part = forms.ChoiceField(label=_("合作方机时的用途"), required=False)

    def __init__(self, data: Any, *, kinds: list[str], parts: list[PartnerPart]) -> None:
        super().__init__(data)
        choices = [(kind, label_of("beam_kind", kind)[1]) for kind in kinds]
        kind_field = self.fields["kind"]
        assert isinstance(kind_field, forms.ChoiceField)
        kind_field.choices = choices
        part_field = self.fields["partner_part"]
        assert isinstance(part_field, forms.ChoiceField)
        part_field.choices = [("", gettext("请选择")), *((one.code, one.name) for one in parts)]
        if not parts:
            del self.fields["partner_part"]


@signing_in_first
@shell.needs(Permission.PROPOSAL_SUBMIT)
def proposal_new(request: HttpRequest) -> HttpResponse:
    """Begin a proposal: under a call (``?call=``), or of a kind that needs none at a facility (``?facility=``)."""
    actor, now = shell.actor_of(request), timezone.now()
    under = access.get_call(request.GET["call"]) if request.GET.get("call") else None
    facility = under.facility if under else access.get_facility(request.GET.get("facility", ""))
    kinds = _kinds(facility, under)
    parts = PartnerPart.objects.filter(partner__organisation_id=actor.acting_for, partner__beamline__facility=facility)
    held = list(parts) if "partner" in kinds else []
    form = BeginForm(request.POST if request.method == "POST" else None, kinds=kinds, parts=held)
    error = None
    if request.method == "POST" and form.is_valid():
        wanted = drafting.Begun(
            facility=facility,
            kind=ProposalKind(form.cleaned_data["kind"]),
            title=form.cleaned_data["title"],
            call=under,
            partner_part=form.cleaned_data.get("partner_part", ""),
        )
        made, error = acts.attempt_on(
            "beam_proposal",
            lambda: drafting.begin(actor=actor, wanted=wanted, now=now, key=shell.key_of(request)),
        )
        if error is None:
            messages.success(request, gettext("已新建草稿，填写的内容会自动保存。"))
            return arrived(request, reverse("proposal_edit", args=[made.number]))
        error = slots.put_back(form, error)
    return _begin_page(request, form, under, facility, error)


def _kinds(facility: Facility, under: ProposalCall | None) -> list[str]:
    if under is not None:
        return list(under.kinds)
    rows = FacilityCourse.objects.filter(facility=facility, peer_review=False)
    return [kind.value for kind in ProposalKind if kind.value in set(rows.values_list("kind", flat=True))]


def _begin_page(
    request: HttpRequest, form: BeginForm, under: ProposalCall | None, facility: Facility, error: Explained | None
) -> HttpResponse:
    context = {
        "form": form,
        "call": under,
        "facility": facility,
        "error": error,
        "key": request.POST.get("idempotency_key", "") or shell.new_key(),
        "path": request.get_full_path(),
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "beam/proposals/new.html", context, status=status)
