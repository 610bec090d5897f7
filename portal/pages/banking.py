"""Bank statements: take one after a look at it, list its lines, say what each is, confirm and reverse by a second person."""

from __future__ import annotations

import secrets
from typing import Any

from django import forms
from django.contrib import messages
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.http import Explained, explain_reason
from portal.kernel.actors import Permission
from portal.kernel.money import Money
from portal.pages import exports, shell
from portal.pages.actions import events
from portal.pages.acts import attempt_on
from portal.pages.labels import label_of
from portal.pages.slots import DayField, put_back
from vouchers.banking import access, importing, layouts, queries, services, suggesting, tasks, undoing, wanting
from vouchers.banking.models import MatchPart, StatementLine
from vouchers.banking.rules import INCOMING, LineState, NothingChosen, PartKind
from vouchers.evidence.rules import Upload

__all__ = ["bank_import", "bank_line", "bank_lines"]

SORTS = {"day": ["booked_on"], "amount": ["amount_fen"], "name": ["name_key"]}
KEPT_S = 1800
SHOWN = 50
ROWS = 4
"""Parts a line may be split into on its page; more over the API."""


class LineFilters(forms.Form):
    """What the list of lines may be narrowed to."""

    state = forms.ChoiceField(label=_("状态"), required=False, choices=[("", _("全部")), *StatementLine.State.choices])
    direction = forms.ChoiceField(
        label=_("收支"), required=False, choices=[("", _("全部")), ("in", _("收入")), ("out", _("支出"))]
    )
    since = DayField(label=_("从"), required=False)
    until = DayField(label=_("到"), required=False)
    q = forms.CharField(label=_("流水号、户名、账号或附言"), required=False, max_length=60)


class StatementForm(forms.Form):
    """A bank's export."""

    file = forms.FileField(
        label=_("对账单文件"),
        help_text=_("网银导出的 xlsx 或 CSV，不超过 10 MB、2 万行。先检查，确认无误再导入。"),
        allow_empty_file=True,
        error_messages={"required": _("请选择一个文件。")},
        widget=forms.ClearableFileInput(attrs={"accept": ".xlsx,.csv"}),
    )
    layout = forms.ChoiceField(
        label=_("银行格式"),
        required=False,
        choices=[("", _("自动识别")), *((layout.code, _(layout.title)) for layout in layouts.LAYOUTS)],
    )


@shell.needs(*access.FINANCE)
def bank_lines(request: HttpRequest) -> HttpResponse:
    """List statement lines, those nobody has placed first to be found."""
    filters = LineFilters(request.GET or None)
    values = filters.cleaned_data if filters.is_valid() else {}
    by = queries.Narrowing(
        state=values.get("state", ""),
        direction=values.get("direction", ""),
        since=values.get("since"),
        until=values.get("until"),
        text=values.get("q", ""),
    )
    rows = queries.narrowed(access.lines(shell.actor_of(request)), by)
    if (wanted := request.GET.get("format")) in exports.FORMATS:
        return _exported(str(wanted), rows.order_by("booked_on", "pk")[: shell.EXPORT_LIMIT])
    listing = shell.listing(request, queries.with_matches(rows), sorts=SORTS, default="-day")
    context = {
        "listing": listing,
        "filters": filters,
        "filtered": any(values.values()),
        "sums": queries.sums(),
        "may_match": shell.actor_of(request).may(Permission.BANK_MATCH),
    }
    return shell.page(request, "banking/lines.html", context)


def _exported(wanted: str, rows: Any) -> HttpResponse:
    head = (_("交易日期"), _("流水号"), _("金额（元）"), _("余额"), _("对方户名"), _("对方账号"), _("附言"), _("状态"))
    return exports.exported(
        "bank-lines",
        wanted,
        head,
        (
            (
                row.booked_on.isoformat(),
                row.reference,
                Money(row.amount_fen),
                "" if row.balance_fen is None else Money(row.balance_fen),
                row.name,
                row.counter_account,
                row.memo,
                label_of("bank_line", row.state)[1],
            )
            for row in rows
        ),
    )


def _kept(request: HttpRequest, token: str) -> str:
    return f"statement:{shell.actor_of(request).user_id}:{token}"


@shell.needs(*access.FINANCE)
def bank_import(request: HttpRequest) -> HttpResponse:
    """Take a statement in two steps: look at what it would do, then import it."""
    if request.method != "POST":
        return _import_page(request, StatementForm())
    shell.actor_of(request).require(Permission.BANK_MATCH)
    if token := request.POST.get("token"):
        return _take(request, token)
    form = StatementForm(request.POST, request.FILES)
    if not form.is_valid():
        return _import_page(request, form)
    sent, layout = form.cleaned_data["file"], form.cleaned_data["layout"]
    upload = Upload(sent.name or "file", sent.read(importing.LIMITS.size + 1))
    account = importing.main_account(now=timezone.now())
    found, error = shell.attempt(lambda: importing.preview(account=account, upload=upload, layout=layout))
    if error is not None:
        return _import_page(request, form, error=put_back(form, error))
    token = secrets.token_urlsafe(16)
    cache.set(_kept(request, token), {"name": upload.name, "content": upload.content, "layout": layout}, KEPT_S)
    reasons = [reason for row in found.rows for reason in row.reasons] + [gap.reason for gap in found.gaps]
    context = {
        "file": upload.name,
        "found": found,
        "layout": gettext(layouts.BY_CODE[found.statement.layout].title),
        "rows": sorted(found.rows, key=lambda row: row.verdict in {"new", "known"})[:SHOWN],
        "reasons": [explain_reason(reason) for reason in reasons[:SHOWN]],
        "problems": len(reasons),
        "token": token,
    }
    return shell.page(request, "banking/check.html", context, status=200 if found.is_clean else 422)


def _take(request: HttpRequest, token: str) -> HttpResponse:
    kept = cache.get(_kept(request, token))
    if kept is None:
        text = gettext("检查结果已过期或已导入，请重新选择文件。")
        return _import_page(request, StatementForm(), error=Explained(409, "statement.expired", text, ()))
    now = timezone.now()
    done, error = shell.attempt(
        lambda: importing.import_file(
            actor=shell.actor_of(request),
            account=importing.main_account(now=now),
            upload=Upload(kept["name"], kept["content"]),
            layout=kept["layout"],
            accept=request.POST.get("accept") == "on",
            now=now,
            wake=tasks.wake,
        )
    )
    if error is not None:
        return _import_page(request, StatementForm(), error=error)
    cache.delete(_kept(request, token))
    said = gettext("已导入 %(new)s 条新流水，%(known)s 条以前导入过。") % {
        "new": done.lines_new,
        "known": done.lines_known,
    }
    messages.success(request, said)
    return redirect("bank_import")


def _import_page(request: HttpRequest, form: forms.Form, *, error: Explained | None = None) -> HttpResponse:
    imports = list(access.imports(shell.actor_of(request)).order_by("-pk")[:30])
    context = {
        "form": form,
        "error": error,
        "account": importing.main_account(now=timezone.now()),
        "imports": imports,
        "busy": any(row.finished_at is None for row in imports),
        "path": request.path,
        "may_match": shell.actor_of(request).may(Permission.BANK_MATCH),
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "banking/import.html", context, status=status)


@shell.needs(*access.FINANCE)
def bank_line(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a line, what it may be and why, and take it one step further."""
    line = access.get_line(shell.actor_of(request), pk)
    if request.method != "POST":
        return _line_page(request, line)
    done, error = _do(request, line)
    if error is not None:
        again = access.get_line(shell.actor_of(request), pk)
        return _line_page(request, again, error=error, status=error.status)
    messages.success(request, done)
    return redirect("bank_line", pk=pk)


def _do(request: HttpRequest, line: StatementLine) -> tuple[str, Explained | None]:
    actor, now = shell.actor_of(request), timezone.now()
    act = shell.act_of(request, "match", "park", "confirm", "refuse", "doubt", "stand", "reverse")
    note = request.POST.get("note", "")
    if act == "match":
        found, error = attempt_on(
            "bank_line",
            lambda: services.match(
                actor=actor, line=line, parts=wanting.parts_of(line, _wanted(request)), reasons=("person",), now=now
            ),
        )
        waits = found is not None and found.state == "proposed"
        return (gettext("已提出，等待另一位同事复核。") if waits else gettext("已核销并记账。")), error
    if act == "park":
        _done, error = attempt_on("bank_line", lambda: services.park(actor=actor, line=line, now=now))
        return gettext("已暂挂：这笔钱记在本条流水名下，待查明后核销或退回。"), error
    text = request.POST.get("match", "")
    found = access.get_match(actor, int(text) if text.isdecimal() and len(text) < 19 else 0)
    acts: dict[str, Any] = {
        "confirm": lambda: services.confirm(actor=actor, match=found, now=now),
        "refuse": lambda: services.refuse(actor=actor, match=found, note=note, now=now),
        "doubt": lambda: undoing.doubt(actor=actor, match=found, reason=note, now=now),
        "stand": lambda: undoing.stand(actor=actor, match=found, now=now),
        "reverse": lambda: undoing.reverse(actor=actor, match=found, now=now),
    }
    _done, error = attempt_on("bank_match", acts[act])
    return gettext("已办理。"), error


def _wanted(request: HttpRequest) -> list[wanting.Wanted]:
    """Read the parts a form names: those with a kind; an empty amount is the whole line. Raises NothingChosen, BadAmount."""
    rows = zip(*(request.POST.getlist(name) for name in ("kind", "target", "amount")), strict=False)
    wanted = []
    for kind, target, amount in rows:
        if kind not in set(PartKind):
            continue
        text = amount.strip().replace(",", "")
        fen = Money.from_yuan(text).fen if text else None
        wanted.append(wanting.Wanted(PartKind(kind), target.strip()[:60], fen))
    if not wanted:
        raise NothingChosen(field="parts")
    return wanted


def _line_page(
    request: HttpRequest, line: StatementLine, *, error: Explained | None = None, status: int = 200
) -> HttpResponse:
    actor = shell.actor_of(request)
    is_open = line.state in {LineState.OPEN.value, LineState.PARKED.value}
    found = suggesting.suggestions(line, suggesting.load([line])) if is_open else []
    side = [kind for kind in PartKind if (kind in INCOMING) == (line.amount_fen > 0)]
    claim = access.claims(actor).filter(reference=line.reference, released_at=None).first()
    labels = dict(MatchPart.Kind.choices)
    typed = list(zip(*(request.POST.getlist(name) for name in ("kind", "target", "amount")), strict=False))
    context = {
        "line": line,
        "is_open": is_open,
        "claim": claim,
        "claim_number": claim.subject.partition(":")[2] if claim else "",
        "suggestions": found,
        "matches": queries.matches_of(line),
        "kinds": [(kind.value, labels[kind.value]) for kind in side],
        "rows": [*typed, *([("", "", "")] * ROWS)][: max(ROWS, len(typed))],
        "events": events(audit.trail(f"bank_line:{line.pk}", actor=actor)),
        "may_match": actor.may(Permission.BANK_MATCH),
        "may_park": is_open and line.state == LineState.OPEN.value and line.amount_fen > 0,
        "me": actor.user_id,
        "error": error,
    }
    return shell.page(request, "banking/line.html", context, status=status)
