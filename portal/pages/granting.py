"""Grant without application (免申即享): choose enterprises, look at each, put those that qualify forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained, explain
from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.organisations import access as people
from portal.organisations.models import Organisation
from portal.pages.acts import attempt_on
from portal.pages.applying import ContractForm
from portal.pages.casework import language
from portal.pages.shell import act_of, actor_of, key_of, needs, new_key, page
from vouchers.issuance import queries, services, unasked
from vouchers.issuance.unasked import Common, Line, Look, Result
from vouchers.programmes import access, names, wording
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.schemes import Programme

__all__ = ["grants"]

FOUND = 20
MAX_BYTES = 1024 * 1024


class ListForm(ContractForm):
    """Whom to grant to: a list typed, pasted or uploaded; and what their contracts have in common."""

    q = forms.CharField(label=_("搜索企业"), max_length=60, required=False)
    table = forms.CharField(
        label=_("名单"),
        max_length=30_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "class": "code", "spellcheck": "false"}),
        help_text=_("每行一个统一社会信用代码；也可粘贴带表头的表格。"),
    )
    file = forms.FileField(
        label=_("或上传名单文件"), required=False, help_text=_("xlsx 或 CSV，不超过 1 MB。上传后以文件为准。")
    )

    def __init__(self, scheme: Programme, data: Any = None, files: Any = None) -> None:
        super().__init__(scheme, data)
        self.files = files or MultiValueDict()
        for field in self.fields.values():
            field.required = False

    def clean_file(self) -> Any:
        """Return the file, not larger than a list is."""
        file = self.cleaned_data["file"]
        if file and file.size > MAX_BYTES:
            raise forms.ValidationError(_("文件超过 1 MB。名单一次至多 50 家单位，请分几次办理。"))
        return file

    def common(self) -> Common:
        """Return what holds for every line. Only after `is_valid`."""
        values = self.cleaned_data
        amounts = {kind: values.get(name) for name, kind in self.kinds.items()}
        return Common(
            number=values["contract_number"],
            provider=values["provider"],
            signed=values["signed"],
            months=values["months"],
            related={"yes": True, "no": False}.get(values["related"]),
            items={kind: amount for kind, amount in amounts.items() if isinstance(amount, Money) and amount},
        )

    def lines(self, scheme: Programme) -> list[Line]:
        """Return the list's lines. Only after `is_valid`. Raises as `unasked.read`."""
        file = self.cleaned_data["file"]
        content = file.read() if file else self.cleaned_data["table"].encode()
        return unasked.read(content, name=file.name if file else "", scheme=scheme, common=self.common())


@dataclass(frozen=True, slots=True)
class Told:
    """One line as the page tells it: `number` is the one it is ticked by."""

    number: int
    look: Look
    grounds: Sequence[Any]
    missing: Sequence[str]
    problem: Explained | None


@needs(Permission.APPLICATION_REVIEW)
def grants(request: HttpRequest, code: str) -> HttpResponse:
    """Lead through it: the list, what the rules say of each line, the reason, and what became of each."""
    actor = actor_of(request)
    version = access.get_version(actor, code)
    services.check_unasked(actor=actor, version=version)
    scheme = access.scheme_of(version)
    if request.method != "POST":
        return _list_page(request, version, ListForm(scheme))
    act = act_of(request, "find", "add", "check", "edit", "grant")
    if act == "grant":
        return _grant(request, actor, version)
    form = ListForm(scheme, _with_picked(request), request.FILES)
    if act in {"find", "add", "edit"}:
        form.is_valid()
        form.errors.clear()
        return _list_page(request, version, form)
    if not form.is_valid():
        return _list_page(request, version, form, status=422)
    lines, error = attempt_on("application", lambda: form.lines(scheme))
    if error:
        return _list_page(request, version, form, error=error)
    return _check_page(request, actor, version, lines)


def _with_picked(request: HttpRequest) -> Any:
    """Return what was sent, with the enterprises ticked among those found added to the list."""
    data = request.POST.copy()
    table = data.get("table", "").rstrip()
    for code in request.POST.getlist("pick")[:FOUND]:
        if code.isalnum() and code not in table:
            table = f"{table}\n{code}" if table else code
    data["table"] = table
    return data


def _list_page(
    request: HttpRequest,
    version: ProgrammeVersion,
    form: ListForm,
    *,
    error: Explained | None = None,
    status: int = 200,
) -> HttpResponse:
    sought = request.POST.get("q", "").strip() if request.POST.get("act") == "find" else ""
    listed = form["table"].value() or ""
    found = list(people.enterprises_like(sought, most=FOUND)) if sought else []
    return page(
        request,
        "programmes/grants.html",
        {
            "version": version,
            "form": form,
            "error": error,
            "sought": sought,
            "found": [(each, each.credit_code in listed) for each in found],
            "columns": _columns(access.scheme_of(version)),
            "providers": people.providers().order_by("name").values_list("name", flat=True),
            "most": unasked.MOST,
        },
        status=error.status if error else status,
    )


def _told(number: int, look: Look) -> Told:
    said = language()
    decision = look.decision
    return Told(
        number,
        look,
        wording.reasons(decision, said) if decision else (),
        [fact.name.say(said) for fact in decision.missing] if decision else (),
        explain(look.error) if look.error else None,
    )


def _check_page(
    request: HttpRequest,
    actor: Actor,
    version: ProgrammeVersion,
    lines: Sequence[Line],
    *,
    error: Explained | None = None,
) -> HttpResponse:
    """Show what the rules say of every line; those that qualify travel along as a table, ticked."""
    looks = unasked.look(actor=actor, version=version, lines=lines, now=timezone.now())
    ready = [look for look in looks if look.ready]
    told = [_told(at, look) for at, look in enumerate(ready, 2)]
    told += [_told(0, look) for look in looks if not look.ready]
    total = sum((look.amount for look in ready), Money(0))
    pool = queries.pool_of(version)
    context = {
        "version": version,
        "told": told,
        "ready": len(ready),
        "total": total,
        "pool": pool,
        "is_short": total > pool and not queries.is_batch(version),
        "table": unasked.as_table([look.line for look in ready], access.scheme_of(version)),
        "carried": [(name, value) for name, value in request.POST.items() if name not in NOT_CARRIED],
        "ticked": request.POST.getlist("take") if error else None,
        "reason": request.POST.get("reason", ""),
        "error": error,
        "key": request.POST.get("idempotency_key") or new_key(),
    }
    return page(request, "programmes/grants_check.html", context, status=error.status if error else 200)


NOT_CARRIED = frozenset({"csrfmiddlewaretoken", "act", "pick", "q", "take", "reason", "ready", "idempotency_key"})


def _grant(request: HttpRequest, actor: Actor, version: ProgrammeVersion) -> HttpResponse:
    scheme = access.scheme_of(version)
    lines, error = attempt_on(
        "application",
        lambda: unasked.read(request.POST.get("ready", "").encode(), name="", scheme=scheme, common=Common()),
    )
    if error:
        return _list_page(request, version, ListForm(scheme), error=error)
    taken = set(request.POST.getlist("take"))

    def act() -> list[Result]:
        chosen = [line for line in lines if str(line.row) in taken]
        if not chosen:
            raise unasked.NoLines(field="take")
        return unasked.grant_each(
            actor=actor,
            version=version,
            lines=chosen,
            reason=request.POST.get("reason", ""),
            now=timezone.now(),
            key=key_of(request),
        )

    results, error = attempt_on("application", act)
    if error:
        return _check_page(request, actor, version, lines, error=error)
    return page(
        request,
        "programmes/grants_done.html",
        {
            "version": version,
            "done": [result for result in results if result.application],
            "failed": [(_named(result), explain(result.error)) for result in results if result.error],
            "sum": Money(sum(result.application.amount_fen for result in results if result.application)),
        },
    )


def _named(result: Result) -> Organisation | dict[str, str]:
    return result.organisation or {"name": result.line.credit_code}


def _columns(scheme: Programme) -> list[tuple[str, bool]]:
    """Return what a list's columns are called in the reader's language, and which must be there."""
    kinds = scheme.cost.include or tuple(names.KINDS)
    return [
        (names.kind(column.key).say(language()) if column.key in kinds else gettext(column.title), column.required)
        for column in unasked.columns(scheme)
    ]
