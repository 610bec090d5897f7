"""The user office's calls: written with their forms, published, and proposals brought in by a table."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.core.cache import cache
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained, explain_reason
from portal.kernel.actors import Permission
from portal.kernel.period import Period
from portal.pages import shell, slots
from portal.pages.beam.calls import CALL_STATES
from portal.pages.exports import exported
from portal.pages.labels import label_of
from portal.pages.templatetags.show import bilingual
from scheduler.facilities.courses import ProposalKind
from scheduler.facilities.models import Facility, FacilityCourse, RunCycle
from scheduler.proposals import access, calls, importing, rules
from scheduler.proposals.models import ProposalCall

__all__ = ["call_desk", "call_edit", "call_import", "call_import_template", "call_new", "call_publish"]

KEPT_S = 1800
FORM = ("code", "name", "name_en", "kind", "required", "pages", "megabytes", "letters")
SORTS = {"call": ["name"], "facility": ["facility__name"], "closes": ["during__endswith"], "count": ["count"]}


class MomentField(forms.DateTimeField):
    """A wall time between 2000 and 2100."""

    def to_python(self, value: Any) -> datetime | None:
        try:
            found = super().to_python(value)
        except OverflowError:
            found = None
            value = "?"
        if found is None and not value:
            return None
        if found is None or not slots.FIRST_DAY <= found.date() < slots.LAST_DAY:
            raise forms.ValidationError(gettext("请填写有效的日期。"), code="invalid")
        return found


class CallForm(forms.Form):
    """A call and its forms, row by row; times are wall times of the facility's zone. Rows left empty count for nothing."""

    cycle = forms.ChoiceField(label=_("运行周期"))
    name = forms.CharField(label=_("名称"), max_length=120)
    name_en = forms.CharField(label=_("英文名称"), max_length=160, required=False)
    notice = forms.CharField(label=_("说明"), max_length=3000, required=False, widget=forms.Textarea(attrs={"rows": 5}))
    opens_at = MomentField(label=_("开始时间"))
    closes_at = MomentField(label=_("截止时间"), help_text=_("到这一秒为止；这一秒提交的算迟到。"))
    kinds = forms.MultipleChoiceField(label=_("课题类别"), widget=forms.CheckboxSelectMultiple)
    least_shifts = forms.IntegerField(label=_("每项机时最少班次"), min_value=1, max_value=999, initial=1)
    most_shifts = forms.IntegerField(
        label=_("每项机时最多班次"), min_value=0, max_value=999, initial=0, help_text=_("0 表示不限。")
    )

    def __init__(self, data: Any = None, *, facilities: list[Facility], rows: int, **more: Any) -> None:
        super().__init__(data, **more)
        self.rows = rows
        cycles = RunCycle.objects.filter(facility__in=facilities).select_related("facility").order_by("-during")
        self.cycles = {str(one.pk): one for one in cycles}
        kinds = FacilityCourse.objects.filter(facility__in=facilities, peer_review=True).values_list("kind", flat=True)
        known = [kind.value for kind in ProposalKind if kind.value in set(kinds)]
        choices: dict[str, list[tuple[str, str]]] = {
            "cycle": [(pk, f"{bilingual(one.facility)} {one.code}") for pk, one in self.cycles.items()],
            "kinds": [(kind, label_of("beam_kind", kind)[1]) for kind in known],
        }
        for name, offered in choices.items():
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = offered
        for name in ("opens_at", "closes_at"):
            widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S")
            self.fields[name].widget = widget
        for at in range(rows):
            self._row(f"f{at}_")

    def _row(self, at: str) -> None:
        self.fields[f"{at}name"] = forms.CharField(label=_("表格名称"), max_length=80, required=False)
        self.fields[f"{at}name_en"] = forms.CharField(label=_("英文名称"), max_length=120, required=False)
        self.fields[f"{at}code"] = forms.SlugField(label=_("代码"), max_length=24, required=False)
        kinds = [(one.value, label_of("form_kind", one.value)[1]) for one in rules.FormKind]
        self.fields[f"{at}kind"] = forms.ChoiceField(label=_("形式"), choices=kinds, required=False)
        self.fields[f"{at}required"] = forms.BooleanField(label=_("必须提供"), required=False)
        for name, label, most in (
            ("pages", _("最多页数"), calls.MOST_PAGES),
            ("megabytes", _("最大 MB"), calls.MOST_BYTES // 1_000_000),
            ("letters", _("最多字数"), calls.MOST_LETTERS),
        ):
            self.fields[f"{at}{name}"] = forms.IntegerField(label=label, min_value=1, max_value=most, required=False)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [{"no": at + 1, **{name: self[f"f{at}_{name}"] for name in FORM}} for at in range(self.rows)]

    def wanted(self, zone: str) -> calls.CallWanted:
        """Return the call as it was filled in. Raises BadPeriod."""
        said = self.cleaned_data
        return calls.CallWanted(
            name=said["name"],
            name_en=said["name_en"],
            notice=said["notice"],
            during=Period(*(_in_zone(said[name], zone) for name in ("opens_at", "closes_at"))),
            kinds=[ProposalKind(kind) for kind in said["kinds"]],
            least_shifts=said["least_shifts"],
            most_shifts=said["most_shifts"],
            forms=[self._form(at) for at in range(self.rows) if said.get(f"f{at}_name") or said.get(f"f{at}_code")],
        )

    def _form(self, at: int) -> calls.FormWanted:
        said = {name: self.cleaned_data.get(f"f{at}_{name}") for name in FORM}
        return calls.FormWanted(
            code=said["code"] or f"form{at + 1}",
            name=said["name"] or "",
            name_en=said["name_en"] or "",
            kind=rules.FormKind(said["kind"] or "pdf"),
            required=bool(said["required"]),
            pages=said["pages"] or 2,
            size=(said["megabytes"] or 5) * 1_000_000,
            letters=said["letters"] or 2000,
        )


def _in_zone(moment: datetime, zone: str) -> datetime:
    """Return the instant of a wall time in a facility's zone."""
    return timezone.make_naive(moment).replace(tzinfo=ZoneInfo(zone))


def _rows(data: Any, kept: int) -> int:
    said = str(data.get("rows", ""))
    rows = int(said) if said.isascii() and said.isdigit() and len(said) < 4 else kept + 2
    return max(1, min(rows + (2 if data.get("act") == "more" else 0), calls.MOST_FORMS))


@shell.needs(Permission.FACILITY_MANAGE)
def call_desk(request: HttpRequest) -> HttpResponse:
    """List the calls of one's facilities with how many proposals they have."""
    actor, now = shell.actor_of(request), timezone.now()
    found = ProposalCall.objects.filter(facility__in=access.managed_facilities(actor))
    found = found.select_related("facility", "cycle").annotate(count=Count("proposals"))
    listing = shell.listing(request, found, sorts=SORTS, default="-closes")
    rows = [{"call": one, "state": CALL_STATES[access.state_of(one, now=now)]} for one in listing.rows]
    return shell.page(request, "beam/proposals/call_desk.html", {"listing": listing, "rows": rows})


@shell.needs(Permission.FACILITY_MANAGE)
def call_new(request: HttpRequest) -> HttpResponse:
    """Write a call with its forms."""
    actor = shell.actor_of(request)
    facilities = list(access.managed_facilities(actor))
    if request.method != "POST":
        return _page(request, CallForm(facilities=facilities, rows=_rows({}, 0)), None)
    form = CallForm(request.POST, facilities=facilities, rows=_rows(request.POST, 0))
    if request.POST.get("act") == "more" or not form.is_valid():
        return _page(request, form, None)
    cycle = form.cycles[form.cleaned_data["cycle"]]
    made, error = shell.attempt(
        lambda: calls.announce(
            actor=actor,
            facility=cycle.facility,
            cycle=cycle,
            wanted=form.wanted(cycle.facility.zone),
            now=timezone.now(),
        )
    )
    if error is not None:
        return _page(request, form, None, error=slots.put_back(form, error, {"ends_at": "closes_at"}))
    messages.success(request, gettext("征集已保存，发布后申请人才能看到。"))
    return redirect(reverse("call_edit", args=[made.number]))


@shell.needs(Permission.FACILITY_MANAGE)
def call_edit(request: HttpRequest, number: str) -> HttpResponse:
    """Change a call and its forms."""
    actor = shell.actor_of(request)
    found = access.get_call_to_manage(actor, number)
    facilities = [found.facility]
    if request.method != "POST":
        initial = _initial(found)
        form = CallForm(facilities=facilities, rows=_rows({}, found.forms.count()), initial=initial)
        return _page(request, form, found)
    form = CallForm(request.POST, facilities=facilities, rows=_rows(request.POST, 0))
    if request.POST.get("act") == "more" or not form.is_valid():
        return _page(request, form, found)
    _made, error = shell.attempt(
        lambda: calls.change(
            actor=actor,
            call=found,
            wanted=form.wanted(found.facility.zone),
            seen=request.POST.get("stamp", ""),
            now=timezone.now(),
        )
    )
    if error is not None:
        return _page(request, form, found, error=slots.put_back(form, error, {"ends_at": "closes_at"}))
    messages.success(request, gettext("已保存。"))
    return redirect(reverse("call_edit", args=[number]))


def _initial(found: ProposalCall) -> dict[str, Any]:
    zone = ZoneInfo(found.facility.zone)
    said: dict[str, Any] = {
        **{
            name: getattr(found, name) for name in ("name", "name_en", "notice", "kinds", "least_shifts", "most_shifts")
        },
        "cycle": str(found.cycle_id),
        "opens_at": found.during.lower.astimezone(zone).replace(tzinfo=None),
        "closes_at": found.during.upper.astimezone(zone).replace(tzinfo=None),
    }
    for at, form in enumerate(found.forms.all()):
        names = ("code", "name", "name_en", "kind", "required", "pages", "letters")
        said |= {f"f{at}_{name}": getattr(form, name) for name in names}
        said[f"f{at}_megabytes"] = max(1, form.size // 1_000_000)
    return said


def _page(
    request: HttpRequest, form: CallForm, found: ProposalCall | None, *, error: Explained | None = None
) -> HttpResponse:
    state = CALL_STATES[access.state_of(found, now=timezone.now())] if found else ""
    status = error.status if error else 422 if form.is_bound and form.errors else 200
    if request.POST.get("act") == "more":
        form.errors.clear()
        status = 200
    # What was read at first, also where it comes back with a fault: somebody's change since is not overwritten.
    stamp = request.POST.get("stamp") or (calls.stamp(found) if found else "")
    context = {"form": form, "call": found, "state": state, "error": error, "stamp": stamp}
    return shell.page(request, "beam/proposals/call_edit.html", context, status=status)


@shell.needs(Permission.FACILITY_MANAGE)
def call_publish(request: HttpRequest, number: str) -> HttpResponse:
    """Show a call to everybody."""
    actor = shell.actor_of(request)
    found = access.get_call_to_manage(actor, number)
    if request.method == "POST":
        calls.publish(actor=actor, call=found, now=timezone.now())
        messages.success(request, gettext("征集已发布。"))
    return redirect(reverse("call_edit", args=[number]))


class TableForm(forms.Form):
    """A table of proposals."""

    file = forms.FileField(
        label=_("申请清单"),
        help_text=_("xlsx 或 CSV，不超过 5 MB、500 行。先检查，确认无误再导入。"),
        allow_empty_file=True,
        error_messages={"required": _("请选择一个文件。")},
        widget=forms.FileInput(attrs={"accept": ".xlsx,.csv"}),
    )


@shell.needs(Permission.FACILITY_MANAGE)
def call_import(request: HttpRequest, number: str) -> HttpResponse:
    """Bring proposals in by a table in two steps: look at every line, then take in those without a fault."""
    actor, now = shell.actor_of(request), timezone.now()
    found = access.get_call_to_manage(actor, number)
    if request.method != "POST":
        return _import_page(request, found, TableForm())
    kept = cache.get(_kept(actor.user_id, request.POST["token"])) if request.POST.get("token") else None
    form = TableForm(request.POST, request.FILES)
    if request.POST.get("token"):
        if kept is None or kept["call"] != number:
            text = gettext("检查结果已过期或已导入，请重新选择文件。")
            return _import_page(request, found, TableForm(), error=Explained(409, "list.expired", text, ()))
    elif not form.is_valid():
        return _import_page(request, found, form)
    else:
        sent = form.cleaned_data["file"]
        kept = {"call": number, "name": (sent.name or "file")[:80], "content": sent.read(importing.LIMITS.size + 1)}
    do = importing.take if request.POST.get("token") else importing.look
    lines, error = shell.attempt(
        lambda: do(actor=actor, call=found, content=kept["content"], name=kept["name"], now=now)
    )
    if error is not None:
        return _import_page(request, found, form, error=slots.put_back(form, error))
    token = ""
    if do is importing.take:
        cache.delete(_kept(actor.user_id, request.POST["token"]))
    else:
        token = secrets.token_urlsafe(16)
        cache.set(_kept(actor.user_id, token), kept, KEPT_S)
    return _result_page(request, found, lines, name=kept["name"], token=token)


def _kept(user_id: int | None, token: str) -> str:
    return f"proposals:{user_id}:{token[:40]}"


def _result_page(
    request: HttpRequest, found: ProposalCall, lines: list[importing.Line], *, name: str, token: str
) -> HttpResponse:
    rows = [{"line": one, "reasons": [explain_reason(reason) for reason in one.reasons]} for one in lines]
    context = {
        "call": found,
        "file": name,
        "rows": rows,
        "good": sum(not one.reasons and not one.is_same for one in lines),
        "same": sum(one.is_same for one in lines),
        "bad": sum(bool(one.reasons) for one in lines),
        "token": token,
    }
    return shell.page(request, "beam/proposals/import_result.html", context)


def _import_page(
    request: HttpRequest, found: ProposalCall, form: TableForm, *, error: Explained | None = None
) -> HttpResponse:
    columns = [{"title": gettext(column.title), "required": column.required} for column in importing.COLUMNS]
    context = {"call": found, "form": form, "columns": columns, "error": error}
    status = error.status if error else 422 if form.is_bound and form.errors else 200
    return shell.page(request, "beam/proposals/import.html", context, status=status)


@shell.needs(Permission.FACILITY_MANAGE)
def call_import_template(request: HttpRequest) -> HttpResponse:
    """Hand out an empty table with one example."""
    example = {
        "title": "正极材料的原位衍射",
        "summary": "充放电中的结构变化。",
        "kind": "普通课题",
        "shifts": 6,
        "organisation": "91330100MA0000001X",
        "leader": "yanfa",
        "beamline": "BL01",
        "good": "2027-01-10 2027-01-11",
        "sample": "电池",
        "amount": "3 片",
        "hazards": "易燃",
        "handling": "手套箱",
        "afterwards": "带回",
    }
    head = [gettext(column.title) for column in importing.COLUMNS]
    wanted = "csv" if request.GET.get("format") == "csv" else "xlsx"
    return exported("proposals", wanted, head, [[example.get(column.key, "") for column in importing.COLUMNS]])
