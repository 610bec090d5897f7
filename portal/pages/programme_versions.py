"""Import a programme file, read it in plain words, publish it as a second person, suspend and resume it."""

from __future__ import annotations

import json
from dataclasses import replace

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from portal.http import Explained, explain_reason
from portal.kernel.actors import Permission
from portal.pages import pools
from portal.pages.acts import attempt_on
from portal.pages.casework import language
from portal.pages.fields import DayInput, YuanField
from portal.pages.programmes import address, grade_words, preparations
from portal.pages.shell import actor_of, needs, page
from vouchers.programmes import access, documents, fairness, queries, services, wording
from vouchers.programmes.conditions import sentence
from vouchers.programmes.models import FairReview, ProgrammeVersion
from vouchers.programmes.schemes import Programme
from vouchers.programmes.states import VersionAction, VersionState

MAX_BYTES = 256 * 1024
"""As much as the reader of programme files takes."""


class ReviewForm(forms.Form):
    """What a fair-competition review says."""

    reviewer = forms.CharField(label=_("审查单位"), max_length=120)
    reviewed_on = forms.DateField(label=_("审查日期"), widget=DayInput())
    document_number = forms.CharField(label=_("审查文号"), max_length=120)
    opinion = forms.CharField(
        label=_("审查结论"),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("请逐项回应上列条件：有何法律依据，或为何不影响公平竞争。"),
    )


class ImportForm(forms.Form):
    """A file or its text, and the money publishing will add."""

    file = forms.FileField(
        label=_("项目文件（.json）"),
        required=False,
        widget=forms.ClearableFileInput(attrs={"accept": ".json,application/json"}),
    )
    text = forms.CharField(
        label=_("或粘贴文件内容"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 14, "class": "code", "spellcheck": "false"}),
        help_text=_("选择了文件时以文件为准。出错后文件内容会留在此处，可直接修改。"),
    )
    budget = YuanField(label=_("发布时注入的预算（元）"), help_text=_("发布后计入该年度的资金池。"))
    fiscal_year = forms.IntegerField(label=_("预算年度"), min_value=2020, max_value=2100)

    def raw(self) -> bytes:
        """Return the file's bytes, else the pasted text's."""
        file = self.cleaned_data.get("file")
        if isinstance(file, UploadedFile):
            file.seek(0)
            return bytes(file.read(MAX_BYTES + 1))
        return str(self.cleaned_data.get("text", "")).encode()

    def clean(self) -> None:
        if not self.cleaned_data.get("file") and not str(self.cleaned_data.get("text", "")).strip():
            self.add_error("file", gettext("请选择项目文件，或粘贴其内容。"))


@needs(Permission.PROGRAMME_DRAFT)
def import_file(request: HttpRequest) -> HttpResponse:
    """Import a programme file as a draft; every problem is told with its place and what is allowed."""
    now = timezone.now()
    if request.method != "POST":
        form = ImportForm(initial={"fiscal_year": timezone.localdate(now).year})
        return page(request, "programmes/import.html", {"form": form})
    form = ImportForm(request.POST, request.FILES)
    error: Explained | None = None
    if form.is_valid():
        values = form.cleaned_data
        version, error = attempt_on(
            "programme",
            lambda: services.import_version(
                actor=actor_of(request),
                raw=form.raw(),
                budget=values["budget"],
                fiscal_year=values["fiscal_year"],
                now=now,
            ),
        )
        if error is None:
            messages.success(request, gettext("已导入为第 %(number)s 版草稿。") % {"number": version.number})
            return redirect(address(version))
    context = {"form": _with_text(form), "error": _counted(error) if error else None}
    return page(request, "programmes/import.html", context, status=error.status if error else 422)


def _counted(error: Explained) -> Explained:
    """Say of a bad file how many problems it has, above the list that names them; each leads to the text to mend."""
    if error.code != documents.BadProgramme.code:
        return error
    text = gettext("项目文件有 %(count)s 处问题，没有导入。") % {"count": len(error.reasons)}
    return replace(error, text=text, reasons=tuple({**reason, "field": "text"} for reason in error.reasons))


def _with_text(form: ImportForm) -> ImportForm:
    """Return the form with an uploaded file's content in the text box: a browser never sends a file twice."""
    data = {name: form.data.get(name, "") for name in form.fields if name != "file"}
    if isinstance(form.cleaned_data.get("file"), UploadedFile):
        data["text"] = form.raw()[:MAX_BYTES].decode("utf-8", errors="replace").lstrip("\ufeff")
    kept = ImportForm(data)
    kept.full_clean()
    for name, found in form.errors.items():
        if name not in kept.errors:
            kept.errors[name] = found
    return kept


def _shown(
    request: HttpRequest,
    version: ProgrammeVersion,
    *,
    error: Explained | None = None,
    status: int = 200,
    form: ReviewForm | None = None,
) -> HttpResponse:
    actor = actor_of(request)
    scheme = access.scheme_of(version)
    review = getattr(version, "fair_review", None)
    is_draft = version.state == VersionState.DRAFT.value
    obstacles = queries.missing_to_publish(version, now=timezone.now()) if is_draft else []
    return page(
        request,
        "programmes/version.html",
        {
            "version": version,
            "scheme": scheme,
            "sections": wording.describe(scheme, language(), catalogue=access.catalogue()),
            "prepare": preparations(scheme),
            "grade": grade_words(scheme.grade),
            "source": json.dumps(version.document, ensure_ascii=False, indent=2),
            "meter": pools.meters([version], now=timezone.now()).get(version.pk),
            "is_draft": is_draft,
            "review": review,
            "exposed": exposed_words(scheme, language()),
            "review_form": form or ReviewForm(initial=_kept(review)),
            "obstacles": [explain_reason(reason) for reason in obstacles],
            "may_draft": actor.may(Permission.PROGRAMME_DRAFT),
            "may_publish": actor.may(Permission.PROGRAMME_PUBLISH),
            "is_importer": actor.user_id == version.imported_by_id,
            "error": error,
        },
        status=status,
    )


@needs(Permission.PROGRAMME_DRAFT, Permission.PROGRAMME_PUBLISH)
def version(request: HttpRequest, code: str, number: int) -> HttpResponse:
    """Show one version to its department, with the button that puts it in force."""
    return _shown(request, access.get_version(actor_of(request), code, number))


def exposed_words(scheme: Programme, said: str) -> list[tuple[str, str]]:
    """Return the conditions a fair-competition review must answer, each with why it is exposed."""
    return [(sentence(one.condition).say(said), one.reason.say(said)) for one in fairness.exposed(scheme)]


def _kept(review: FairReview | None) -> dict[str, object]:
    if review is None:
        return {}
    return {name: getattr(review, name) for name in ("reviewer", "reviewed_on", "document_number", "opinion")}


@require_POST
@needs(Permission.PROGRAMME_PUBLISH)
def fair_review(request: HttpRequest, code: str, number: int) -> HttpResponse:
    """Record the fair-competition review of a draft as a second person."""
    actor = actor_of(request)
    draft = access.get_version(actor, code, number)
    form = ReviewForm(request.POST)
    if not form.is_valid():
        return _shown(request, draft, form=form, status=422)
    review = services.Review(**form.cleaned_data)
    _record, error = attempt_on(
        "programme",
        lambda: services.record_fair_review(actor=actor, version=draft, review=review, now=timezone.now()),
    )
    if error:
        return _shown(request, access.get_version(actor, code, number), error=error, status=error.status, form=form)
    messages.success(request, gettext("已登记公平竞争审查。"))
    return redirect(address(draft))


@require_POST
@needs(Permission.PROGRAMME_PUBLISH)
def publish(request: HttpRequest, code: str, number: int) -> HttpResponse:
    """Put a draft in force as a second person."""
    actor = actor_of(request)
    draft = access.get_version(actor, code, number)
    _version, error = attempt_on("programme", lambda: services.publish(actor=actor, version=draft, now=timezone.now()))
    if error:
        return _shown(request, access.get_version(actor, code, number), error=error, status=error.status)
    messages.success(request, gettext("已发布，预算已注入资金池，企业现在可以申请。"))
    return redirect("programme", code=code)


@require_POST
@needs(Permission.PROGRAMME_PUBLISH)
def change_state(request: HttpRequest, code: str) -> HttpResponse:
    """Suspend or resume the version in force."""
    actor = actor_of(request)
    current = access.get_version(actor, code)
    action = VersionAction.RESUME if request.POST.get("action") == "resume" else VersionAction.SUSPEND
    _version, error = attempt_on(
        "programme",
        lambda: services.change_state(actor=actor, version=current, action=action, now=timezone.now()),
    )
    if error:
        return _shown(request, access.get_version(actor, code), error=error, status=error.status)
    done = (
        gettext("已恢复接受申请。")
        if action is VersionAction.RESUME
        else gettext("已暂停接受申请，已提交的申请继续办理。")
    )
    messages.success(request, done)
    return redirect("programme", code=code)
