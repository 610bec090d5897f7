"""The catalogue of applications: choose one, fill it in, see its script, submit it; import and publish one's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import Invalid, noop
from portal.pages import shell
from portal.pages.job_desk import Desk
from portal.pages.jobfiles import kinds_of
from portal.pages.slots import put_back
from portal.pages.templatetags.show import is_english
from scheduler.templates import access, rules, services
from scheduler.templates.models import JobTemplateVersion

__all__ = ["job_template", "job_template_version", "job_templates"]

MAX_DOCUMENT = 512 * 1024


class NotJson(Invalid):
    code = "template.not_json"
    message = noop("这不是 JSON 文件，或超过 512 KB。请选择模板的 JSON 文件。")


class ImportForm(forms.Form):
    """A template's document as a file."""

    file = forms.FileField(
        label=_("模板文件"),
        help_text=_("JSON，UTF-8。导入后先是草稿，核对脚本后再发布。"),
        widget=forms.FileInput(attrs={"accept": ".json,application/json"}),
        error_messages={"required": _("请选择模板文件。")},
    )


ATTACH = "attach_"
Choices = Sequence[tuple[str, str]]


class ValuesForm(forms.Form):
    """A template's parameters. The template's own rules judge what is typed; here it only gets its field."""

    def __init__(
        self, data: Mapping[str, Any] | None, *, template: rules.Template, offered: Mapping[rules.Kind, Choices]
    ) -> None:
        super().__init__(data)
        self.parameters, self.offered = template.parameters, offered
        for parameter in template.parameters:
            self.fields[parameter.name] = _field(parameter)
            if choices := offered.get(parameter.kind):
                label = gettext("附上的密钥") if parameter.kind is rules.Kind.SECRET else gettext("附上的文件")
                self.fields[ATTACH + parameter.name] = forms.ChoiceField(
                    label=f"{words(parameter.label) or parameter.name} · {label}",
                    required=False,
                    choices=[("", gettext("不附")), *choices],
                    help_text=gettext("放到上面填写的路径；路径留空则用它自己的名称。"),
                    error_messages={"invalid_choice": gettext("文件已删除或已用过，请重新选择。")},
                )

    @property
    def chosen(self) -> dict[str, str]:
        """Return which file or secret is attached, by parameter."""
        found = {one.name: str(self.data.get(ATTACH + one.name, "")) for one in self.parameters}
        return {name: number for name, number in found.items() if number and not self.has_error(ATTACH + name)}

    @property
    def typed(self) -> dict[str, str]:
        """Return what was typed, by parameter; the path of what is attached is its own name where none was typed."""
        values = {one.name: str(self.data.get(one.name, "")) for one in self.parameters}
        for one in self.parameters:
            number = self.chosen.get(one.name)
            if number and not values[one.name].strip():
                name = dict(self.offered[one.kind]).get(number, "")
                values[one.name] = name if rules.PATH.fullmatch(name) else one.name.lower()
        return values

    @property
    def attached(self) -> list[str]:
        """Return what the job gets, as its form attaches it: number and path."""
        return [f"{number}={self.typed[name].strip()}" for name, number in self.chosen.items()]

    @property
    def is_attached_well(self) -> bool:
        return not any(name.startswith(ATTACH) for name in self.errors)


def words(said: rules.Words) -> str:
    """Return a template's words in the reader's language."""
    return (is_english() and said.en) or said.zh


def _field(parameter: rules.Parameter) -> forms.Field:
    widget: forms.Widget = forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    if parameter.kind is rules.Kind.INTEGER:
        widget = forms.NumberInput(attrs={"min": parameter.least, "max": parameter.most, "step": 1})
    elif parameter.kind is rules.Kind.CHOICE:
        widget = forms.Select(choices=[(value, words(label)) for value, label in parameter.choices])
    hint = words(parameter.help)
    if parameter.kind is rules.Kind.SECRET:
        hint = gettext("%(hint)s密钥请作为文件上传，这里只填文件名，内容不会写进脚本。") % {"hint": hint and f"{hint} "}
    return forms.CharField(
        label=words(parameter.label) or parameter.name,
        required=parameter.required,
        initial=parameter.default,
        widget=widget,
        help_text=hint,
    )


@shell.needs(Permission.JOB_SUBMIT, Permission.TEMPLATE_PUBLISH)
def job_templates(request: HttpRequest) -> HttpResponse:
    """List the templates one may use and the versions of one's own, and take a new document."""
    actor = shell.actor_of(request)
    form = ImportForm(request.POST or None, request.FILES or None)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        made, error = shell.attempt(
            lambda: services.import_document(actor=actor, document=_document(form), now=timezone.now())
        )
        if error is None:
            return redirect("job_template_version", code=made.template.code, number=made.number)
    rows = [(version, rules.read(version.document)) for version in access.published_for(actor)]
    context = {
        "rows": [(version, one, words(one.name), words(one.summary)) for version, one in rows],
        "own": list(access.owned_by(actor)[:200]),
        "form": form,
        "error": error,
        "may_submit": actor.may(Permission.JOB_SUBMIT),
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "jobs/templates.html", context, status=status)


def _document(form: ImportForm) -> Any:
    """Return the uploaded document. Raises NotJson."""
    upload = form.cleaned_data["file"]
    raw = upload.read(MAX_DOCUMENT + 1)
    if len(raw) > MAX_DOCUMENT:
        raise NotJson(field="file")
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise NotJson(field="file") from error


@shell.needs(Permission.JOB_SUBMIT)
def job_template(request: HttpRequest, code: str) -> HttpResponse:
    """Fill a template in; show the script it makes, or go on to partition, price and payment."""
    actor = shell.actor_of(request)
    version = access.get_published(actor, code)
    template = rules.read(version.document)
    files, secrets = kinds_of(actor)
    form = ValuesForm(
        request.POST if request.method == "POST" else None,
        template=template,
        offered={rules.Kind.FILE: files, rules.Kind.SECRET: secrets},
    )
    script, error = "", None
    if form.is_bound and form.is_attached_well:
        made, error = shell.attempt(lambda: rules.rendered(template, form.typed, version=version.number))
        script = made or ""
        if error is not None:
            error = put_back(form, error)
        elif request.POST.get("act") == "use":
            return _use(request, template, script, attached=form.attached)
    context = {
        "version": version,
        "template": template,
        "name": words(template.name),
        "summary": words(template.summary),
        "form": form,
        "script": script,
        "error": error,
    }
    status = error.status if error else 200 if not form.is_bound or form.is_attached_well else 422
    return shell.page(request, "jobs/template.html", context, status=status)


def _use(request: HttpRequest, template: rules.Template, script: str, *, attached: Sequence[str]) -> HttpResponse:
    """Show the job's form filled in from a template: partition, price and payment are still to be chosen."""
    desk = Desk(request)
    asked = template.resources
    values = {
        "partition": desk.first_that_takes(asked.cards),
        "title": words(template.name),
        "cards": asked.cards,
        "cpus": asked.cpus,
        "memory_mb": asked.memory_mb,
        "time_limit_min": asked.time_limit_min,
        "script": script,
        "attached": list(attached),
    }
    return desk.show(desk.form(None, initial={**values, "voucher": desk.first_that_pays(values)}))


@shell.needs(Permission.JOB_SUBMIT, Permission.TEMPLATE_PUBLISH)
def job_template_version(request: HttpRequest, code: str, number: int) -> HttpResponse:
    """Show one version of an own template as people will see it, and publish or withdraw it."""
    actor = shell.actor_of(request)
    version = access.get_own_version(actor, code, number)
    error: Explained | None = None
    if request.method == "POST":
        act = shell.act_of(request, "publish", "withdraw")
        verb = services.publish if act == "publish" else services.withdraw
        _made, error = shell.attempt(lambda: verb(actor=actor, version=version, now=timezone.now()))
        if error is None:
            done = gettext("模板已发布。") if act == "publish" else gettext("模板已停用。")
            messages.success(request, done)
            return redirect("job_template_version", code=code, number=number)
    template = rules.read(version.document)
    context = {
        "version": version,
        "template": template,
        "name": words(template.name),
        "summary": words(template.summary),
        "parameters": [(parameter, words(parameter.label)) for parameter in template.parameters],
        "script": _sample(version, template),
        "error": error,
    }
    return shell.page(request, "jobs/template_version.html", context, status=error.status if error else 200)


def _sample(version: JobTemplateVersion, template: rules.Template) -> str:
    """Return the script the defaults make; the bare body where a parameter has none."""
    try:
        return rules.rendered(template, {}, version=version.number)
    except rules.BadValues:
        return template.script
