"""Files for jobs: upload in pieces with progress, secrets, what one job was given and what it left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.pages import shell, slots
from portal.pages.booking_requests import arrived
from scheduler.jobfiles import access, queries, rules, services
from scheduler.jobfiles.models import JobUpload
from scheduler.jobs import access as jobs
from scheduler.jobs import outputs

__all__ = ["Attached", "again_of", "attachments_of", "choices_of", "job_file", "job_files", "job_uploads", "kinds_of"]

SORTS = {"name": ["name"], "size": ["size"], "created": ["pk"]}


class UploadForm(forms.Form):
    """One file, for a browser without scripts; with them it goes in pieces."""

    file = forms.FileField(
        label=_("文件"),
        allow_empty_file=True,
        help_text=_("单个文件不超过 2 GB；分块上传，断线后选择同一文件即可续传。"),
        error_messages={"required": _("请选择一个文件。")},
    )


class Unshown(forms.Textarea):
    """A text area that never shows what was sent."""

    def format_value(self, value: Any) -> str:  # noqa: ARG002
        return ""


class SecretForm(forms.Form):
    """A secret; what was typed is never put back into the page."""

    name = forms.CharField(label=_("文件名"), max_length=120, help_text=_("作业在自己的目录里读取这个文件。"))
    value = forms.CharField(
        label=_("内容"),
        widget=Unshown(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false", "class": "code"}),
        help_text=_("加密保存，仅供一个作业使用；作业结束后从平台删除，任何人都不能再看到。"),
    )


def choices_of(actor: Actor) -> list[tuple[str, str]]:
    """Return what may be attached to a job: whole files, then unused secrets, newest first. Two queries."""
    files = access.uploads_visible_to(actor).filter(state=JobUpload.State.COMPLETE)
    return [
        *((row.number, row.name) for row in files),
        *((row.number, gettext("%(name)s（密钥）") % {"name": row.name}) for row in access.secrets_visible_to(actor)),
    ]


def kinds_of(actor: Actor) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the whole files and the unused secrets that may be attached, apart."""
    files = access.uploads_visible_to(actor).filter(state=JobUpload.State.COMPLETE)
    secrets = access.secrets_visible_to(actor)
    return [(row.number, row.name) for row in files], [(row.number, row.name) for row in secrets]


class Attached(forms.MultipleChoiceField):
    """Files and secrets by number; ``NUMBER=PATH`` goes to that path instead of its own name."""

    known: Mapping[str, str] = MappingProxyType({})

    def valid_value(self, value: Any) -> bool:
        return str(value).partition("=")[0] in self.known

    def offer(self, choices: Iterable[tuple[str, str]], chosen: Iterable[str]) -> None:
        """Offer `choices`, those chosen with a path under it."""
        self.known = dict(choices)
        paths = {number: path for number, _equals, path in (value.partition("=") for value in chosen) if path}
        self.choices = [
            (f"{number}={paths[number]}", f"{name} → {paths[number]}") if number in paths else (number, name)
            for number, name in self.known.items()
        ]


def attachments_of(values: Iterable[str]) -> list[rules.Attachment]:
    """Return what a form attaches, as the domain takes it."""
    return [rules.Attachment(number, path) for number, _equals, path in (value.partition("=") for value in values)]


def again_of(request: HttpRequest, actor: Actor, job_id: int) -> list[str]:
    """Return what of an earlier job's files the form attaches anew, and say which are gone."""
    found = queries.carried(actor=actor, job_id=job_id)
    mark = gettext("、")
    if found.gone:
        text = gettext("上次作业的这些文件已不在平台，需要时请重新上传：%(paths)s。")
        messages.warning(request, text % {"paths": mark.join(found.gone)})
    if found.secrets:
        text = gettext("密钥只用于一个作业，请重新保存后附上：%(paths)s。")
        messages.warning(request, text % {"paths": mark.join(found.secrets)})
    return [f"{one.number}={one.path}" if one.path else one.number for one in found.attachments]


@shell.needs(Permission.JOB_SUBMIT)
def job_uploads(request: HttpRequest) -> HttpResponse:
    """List the own organisation's files and secrets for jobs; take in a file, keep a secret, delete either."""
    actor, now = shell.actor_of(request), timezone.now()
    posted = request.method == "POST"
    here = reverse("job_uploads")
    if posted and "remove" in request.POST:
        _remove(actor, request.POST.get("remove", ""), now)
        messages.success(request, gettext("已删除。"))
        return arrived(request, here)
    secret_posted = posted and "value" in request.POST
    upload = UploadForm(*((request.POST, request.FILES) if posted and not secret_posted else ()))
    secret = SecretForm(request.POST if secret_posted else None)
    error: Explained | None = None
    if posted and (secret if secret_posted else upload).is_valid():
        _done, error = shell.attempt(
            lambda: _keep(actor, secret, now) if secret_posted else _take(actor, upload.cleaned_data["file"], now)
        )
        if error is None:
            messages.success(request, gettext("已保存，提交作业时可选用。"))
            return arrived(request, here)
        error = slots.put_back(secret if secret_posted else upload, error)
    context = {
        "upload": upload,
        "secret": secret,
        "secret_posted": secret_posted,
        "error": error,
        "listing": shell.listing(request, access.uploads_visible_to(actor), sorts=SORTS, default="-created"),
        "secrets": access.secrets_visible_to(actor),
        "chunk_bytes": rules.CHUNK_BYTES,
    }
    return shell.page(request, "jobs/uploads.html", context, status=_status(error, upload, secret))


def _status(error: Explained | None, *given: forms.Form) -> int:
    return error.status if error else 422 if any(form.errors for form in given) else 200


def _remove(actor: Actor, number: str, now: datetime) -> None:
    if number.startswith("K"):
        services.erase_secret(actor=actor, secret=access.get_secret(actor, number), now=now)
    else:
        services.discard(actor=actor, upload=access.get_upload(actor, number), now=now)


def _keep(actor: Actor, form: SecretForm, now: datetime) -> None:
    values = form.cleaned_data
    services.keep_secret(actor=actor, name=values["name"], value=values["value"], now=now)


def _take(actor: Actor, file: UploadedFile[Any], now: datetime) -> JobUpload:
    """Take in a whole file as it came in one request."""
    size = file.size or 0
    key = f"page-{get_random_string(24)}"
    row = services.begin(actor=actor, name=file.name or "file", size=size, sha256="", key=key, now=now)
    for data in file.chunks(rules.CHUNK_BYTES):
        row = services.receive(actor=actor, upload=row, offset=row.received, data=data, now=now)
    return row


@shell.needs(Permission.JOB_SUBMIT)
def job_files(request: HttpRequest, number: str) -> HttpResponse:
    """Show what a job was given and what its directory holds."""
    found = jobs.get_job(shell.actor_of(request), number)
    entries, problem = shell.attempt(lambda: outputs.listed(found))
    context: dict[str, Any] = {
        "job": found,
        "given": found.files.select_related("upload", "secret").defer("secret__sealed"),
        "entries": entries,
        "problem": problem.text if problem else "",
    }
    return shell.page(request, "jobs/files.html", context)


@shell.needs(Permission.JOB_SUBMIT)
def job_file(request: HttpRequest, number: str) -> HttpResponse:
    """Hand out one file of a job's directory, named in `?path=`, as a download that can be resumed."""
    found = jobs.get_job(shell.actor_of(request), number)
    response = outputs.handed_out(
        found,
        request.GET.get("path", ""),
        asked=request.headers.get("Range", ""),
        unless=request.headers.get("If-Range", ""),
    )
    return cast("HttpResponse", response)  # a stream, which the guards around pages pass through as it is
