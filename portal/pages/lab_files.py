"""Pictures and documents beside an instrument: its lab adds, orders and removes them, who sees it sees them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.pages import files, shell, slots
from portal.pages.booking_requests import arrived
from scheduler.catalogue import access, rules
from scheduler.catalogue import files as kept
from scheduler.catalogue.models import InstrumentFile
from scheduler.resources import access as resources
from scheduler.resources.models import Resource

__all__ = ["instrument_file", "instrument_file_edit", "instrument_files"]


class WordsForm(forms.Form):
    """What a file says of itself."""

    words = forms.CharField(
        label=_("文字说明"), max_length=120, help_text=_("图片写它显示的内容，文件写标题；看到仪器的人都能看到。")
    )
    words_en = forms.CharField(label=_("英文说明"), max_length=200, required=False)
    valid_until = slots.DayField(label=_("有效期至"), required=False, help_text=_("仅校准证书填写。"))

    def about(self, purpose: str) -> rules.About:
        """Return what was said as the service's value."""
        said: dict[str, Any] = self.cleaned_data
        return rules.About(rules.FilePurpose(purpose), said["words"], said["words_en"], said["valid_until"])


class FileForm(WordsForm):
    """A picture or a document."""

    purpose = forms.ChoiceField(label=_("用途"), choices=InstrumentFile.Purpose.choices)
    file = forms.FileField(
        label=_("文件"),
        help_text=_("图片：JPEG、PNG 或 WebP，不超过 10 MB。文件：PDF 等，不超过 20 MB。"),
        allow_empty_file=True,
        error_messages={"required": _("请选择一个文件。")},
    )


@shell.guarded
def instrument_file(request: HttpRequest, number: str, file_id: int) -> HttpResponse:
    """Hand out a file of an instrument the reader may see: pictures in a page (`?small=1` in a list), all else to keep."""
    resource = resources.get_instrument(shell.stranger_or_actor(request), number)
    file = access.get_file(resource, file_id)
    if file.small is None:
        return files.handed_out(request, file.kept, may_show=False)
    return files.picture(file.small if request.GET.get("small") == "1" else file.kept)


def _number_in(request: HttpRequest, name: str) -> int:
    text = request.POST.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _act(request: HttpRequest, actor: Actor, resource: Resource) -> bool:
    """Remove a file or set it one place forward, where a button says so; return whether one did."""
    now = timezone.now()
    if "remove" in request.POST:
        kept.remove(actor=actor, resource=resource, file_id=_number_in(request, "remove"), now=now)
        messages.success(request, gettext("已删除。"))
        return True
    if "forward" in request.POST:
        file = access.get_file(resource, _number_in(request, "forward"))
        order = [other.pk for other in access.files_of(resource).filter(purpose=file.purpose)]
        at = order.index(file.pk)
        order[max(at - 1, 0) : at + 1] = reversed(order[max(at - 1, 0) : at + 1])
        purpose = rules.FilePurpose(file.purpose)
        kept.arrange(actor=actor, resource=resource, purpose=purpose, file_ids=order, now=now)
        messages.success(request, gettext("顺序已调整。"))
        return True
    return False


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_files(request: HttpRequest, number: str) -> HttpResponse:
    """Show an instrument's files, add one, remove one (``remove``), set one a place forward (``forward``)."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = resources.get_own_instrument(actor, number)
    here = reverse("instrument_files", args=[number])
    posted = request.method == "POST"
    if posted and _act(request, actor, resource):
        return arrived(request, here)
    form = FileForm(*((request.POST, request.FILES) if posted else ()))
    error: Explained | None = None
    if posted and form.is_valid():
        upload = files.upload_of(request)
        assert upload is not None
        about = form.about(form.cleaned_data["purpose"])
        _made, error = shell.attempt(
            lambda: kept.add(actor=actor, resource=resource, about=about, upload=upload, now=now)
        )
        if error is None:
            messages.success(request, gettext("已保存，在仪器页面显示。"))
            return arrived(request, here)
        error = slots.put_back(form, error)
    found = list(access.files_of(resource))
    picture = InstrumentFile.Purpose.PICTURE.value
    context = {
        "resource": resource,
        "form": form,
        "error": error,
        "pictures": [file for file in found if file.purpose == picture],
        "documents": [file for file in found if file.purpose != picture],
        "today": timezone.localdate(now),
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "lab/files.html", context, status=status)


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_file_edit(request: HttpRequest, number: str, file_id: int) -> HttpResponse:
    """Change what a file says of itself."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = resources.get_own_instrument(actor, number)
    file = access.get_file(resource, file_id)
    posted = request.method == "POST"
    said = {"words": file.words, "words_en": file.words_en, "valid_until": file.valid_until}
    form = WordsForm(request.POST if posted else None, initial=said)
    if file.purpose != InstrumentFile.Purpose.CALIBRATION.value:
        del form.fields["valid_until"]
    error: Explained | None = None
    if posted and form.is_valid():
        form.cleaned_data.setdefault("valid_until", None)
        about = form.about(file.purpose)
        _done, error = shell.attempt(
            lambda: kept.describe(actor=actor, resource=resource, file_id=file_id, about=about, now=now)
        )
        if error is None:
            messages.success(request, gettext("已保存。"))
            return arrived(request, reverse("instrument_files", args=[number]))
        error = slots.put_back(form, error)
    context = {"resource": resource, "file": file, "form": form, "error": error}
    return shell.page(
        request, "lab/file_edit.html", context, status=error.status if error else 422 if form.errors else 200
    )
