"""The provider's desk of tax invoices: numbers back from its tax software, looked at before they count; tax rates."""

from __future__ import annotations

import secrets

from django import forms
from django.contrib import messages
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained, explain, explain_reason
from portal.kernel.actors import Permission
from portal.pages import shell, slots
from portal.pages.casework import language
from portal.tables.values import LIMITS
from vouchers.invoices import access, importing, services, taxes
from vouchers.invoices.models import SalesTax
from vouchers.programmes import names

__all__ = ["bulk", "tax"]

KEPT_S = 1800
"""How long a checked file waits for the word to register it, in seconds."""
SERVICES = (
    *("compute", "instrument_use", "rd_service", "corpus", "data_product"),
    *("model_api", "model_private", "agent_service"),
)


class TableForm(forms.Form):
    """A table of issued tax invoices."""

    file = forms.FileField(
        label=_("开票结果文件"),
        help_text=_("xlsx 或 CSV（UTF-8 或 GB18030），不超过 10 MB。先检查，确认后再登记。"),
        allow_empty_file=True,
        error_messages={"required": _("请选择一个文件。")},
    )


class TaxForm(forms.Form):
    """The tax of one class of services."""

    service = forms.ChoiceField(label=_("服务类别"), required=False)
    rate = forms.ChoiceField(label=_("税率"), choices=SalesTax.Rate.choices)
    goods = forms.CharField(label=_("项目名称"), max_length=60, required=False, help_text=_("发票上的品名。"))
    category = forms.CharField(
        label=_("税收分类编码"), max_length=30, required=False, help_text=_("19 位数字，可留空。")
    )

    def __init__(self, *args: object, **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        chosen = self.fields["service"]
        assert isinstance(chosen, forms.ChoiceField)
        chosen.choices = [("", gettext("其他各类")), *((code, names.kind(code).say(language())) for code in SERVICES)]


def _place(user_id: int | None, token: str) -> str:
    return f"fapiao:{user_id}:{token}"


@shell.needs(Permission.INVOICE_ISSUE)
def bulk(request: HttpRequest) -> HttpResponse:
    """Take a table of issued tax invoices in two steps: look row by row, then register what is right."""
    actor, now = shell.actor_of(request), timezone.now()
    if request.method != "POST":
        return _form(request, TableForm())
    if token := request.POST.get("token"):
        return _register(request, token)
    form = TableForm(request.POST, request.FILES)
    if not form.is_valid():
        return _form(request, form, status=422)
    sent = form.cleaned_data["file"]
    name, content = sent.name or "file", sent.read(LIMITS.size + 1)
    found, error = shell.attempt(lambda: importing.check(actor=actor, content=content, name=name, now=now))
    if error is not None:
        return _form(request, form, error=slots.put_back(form, error), status=error.status)
    token = secrets.token_urlsafe(16)
    cache.set(_place(actor.user_id, token), {"name": name, "content": content}, KEPT_S)
    context = {
        "file": name,
        "rows": [(one, [explain_reason(reason) for reason in one.reasons]) for one in found],
        "ready": sum(one.is_ready for one in found),
        "same": sum(one.is_same for one in found),
        "bad": sum(bool(one.reasons) for one in found),
        "token": token,
    }
    return shell.page(request, "fapiao/check.html", context)


def _register(request: HttpRequest, token: str) -> HttpResponse:
    actor, now = shell.actor_of(request), timezone.now()
    kept = cache.get(_place(actor.user_id, token))
    if kept is None:
        text = gettext("检查结果已过期，或已登记。请重新选择文件。")
        return _form(request, TableForm(), error=Explained(409, "fapiao.expired", text, ()), status=409)
    found = importing.check(actor=actor, content=kept["content"], name=kept["name"], now=now)
    done = importing.register(actor=actor, rows=found, now=now)
    cache.delete(_place(actor.user_id, token))
    added = [one for one in done if one.found.is_ready and one.error is None]
    refused = [(one.found, explain(one.error)) for one in done if one.error is not None]
    if not refused:
        text = ngettext("已登记 %(n)s 张发票。", "已登记 %(n)s 张发票。", len(added)) % {"n": len(added)}
        messages.success(request, text)
        return redirect("fapiaos")
    return shell.page(request, "fapiao/done.html", {"file": kept["name"], "added": added, "refused": refused})


def _form(request: HttpRequest, form: TableForm, *, error: Explained | None = None, status: int = 200) -> HttpResponse:
    columns = [{"title": gettext(column.title), "required": column.required} for column in importing.COLUMNS]
    return shell.page(request, "fapiao/import.html", {"form": form, "error": error, "columns": columns}, status=status)


@shell.needs(Permission.INVOICE_ISSUE)
def tax(request: HttpRequest) -> HttpResponse:
    """Show and state the tax of the provider's sales."""
    actor = shell.actor_of(request)
    form = TaxForm(request.POST if request.method == "POST" else None)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        _done, error = shell.attempt(
            lambda: services.state_tax(
                actor=actor,
                service=said["service"],
                rate=taxes.TaxRate(said["rate"]),
                category=said["category"],
                goods=said["goods"],
                now=timezone.now(),
            )
        )
        if error is None:
            messages.success(request, gettext("已登记税率，此后的单据和开票申请按此计算。"))
            return redirect("fapiao_tax")
        error = slots.put_back(form, error)
    rows = [
        (row, names.kind(row.service).say(language()) if row.service else gettext("其他各类"))
        for row in access.taxes_of(actor)
    ]
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "fapiao/tax.html", {"rows": rows, "form": form, "error": error}, status=status)
