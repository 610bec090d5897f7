"""A gateway's day line by line: what matches, what does not, and what persons say of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.pages import exports
from portal.pages.acts import attempt_on
from portal.pages.labels import label_of
from portal.pages.shell import act_of, actor_of, needs, page
from vouchers.reconciliation import access, explaining, queries, rules
from vouchers.reconciliation.models import EntryExplanation

__all__ = ["day"]


def _day(text: str) -> date:
    try:
        which = date.fromisoformat(text)
    except ValueError as error:
        raise NotFound from error
    if not 2000 <= which.year <= 2099:
        raise NotFound
    return which


@needs(Permission.LEDGER_READ)
def day(request: HttpRequest, rail: str, day: str) -> HttpResponse:
    """Show a day line by line: what matches, what only one side has, what to do; say what a difference is, or undo that."""
    actor, now, which = actor_of(request), timezone.now(), _day(day)
    code = access.get_rail(actor, rail, configured=settings.PAYMENT_RAILS)
    error: Explained | None = None
    if request.method == "POST":
        error = _acted(request, code, which)
        if error is None:
            return redirect("reconciliation_day", code, which.isoformat())
    found = queries.entries(code, during=rules.day_period(which), now=now)
    said = queries.explanations(code, found)
    if (wanted := request.GET.get("format")) in exports.FORMATS:
        return _exported(code, which, found, said, wanted)
    ordered = sorted(found, key=lambda entry: not entry.is_open)
    context = {
        "code": code,
        "day": which,
        "sums": queries.summed(which, found, queries.accounted(said)),
        "entries": [_row(entry, said.get(entry.key), request) for entry in ordered],
        "kinds": EntryExplanation.Kind.choices,
        "may_explain": actor.may(Permission.PAYMENT_CONFIRM),
        "before": which - timedelta(days=1),
        "after": which + timedelta(days=1),
        "error": error,
    }
    return page(request, "reconciliation/day.html", context, status=error.status if error else 200)


def _row(entry: rules.Entry, said: EntryExplanation | None, request: HttpRequest) -> dict[str, object]:
    actor, tried = actor_of(request), request.POST.get("entry", "") == entry.key
    is_own = said is not None and said.proposed_by_id == actor.user_id
    waits = said is not None and said.state == rules.ExplanationState.PROPOSED.value
    return {
        "entry": entry,
        "age": entry.age_days(timezone.now()),
        "said": said,
        "waits": waits,
        "needs_second": explaining.needs_second(entry),
        "may_accept": said is not None and explaining.may_accept(actor, said),
        "may_return": waits and (is_own or actor.may(Permission.SETTLEMENT_APPROVE)),
        "may_undo": said is not None
        and not waits
        and (actor.may(Permission.PAYMENT_CONFIRM) or actor.may(Permission.SETTLEMENT_APPROVE)),
        "kind": request.POST.get("kind", "") if tried else "",
        "reason": request.POST.get("reason", "") if tried else "",
        "note": request.POST.get("note", "") if tried else "",
        "tried": tried,
    }


def _acted(request: HttpRequest, rail: str, day: date) -> Explained | None:
    actor, now = actor_of(request), timezone.now()
    act = act_of(request, "explain", "accept", "return", "undo")

    def do() -> object:
        if act == "explain":
            return explaining.explain(
                actor=actor,
                rail=rail,
                day=day,
                entry=request.POST.get("entry", ""),
                kind=_kind(request.POST.get("kind", "")),
                reason=request.POST.get("reason", ""),
                now=now,
            )
        number = request.POST.get("explanation", "")
        found = access.get_explanation(actor, int(number) if number.isdecimal() and len(number) < 19 else 0)
        if act == "accept":
            return explaining.accept(actor=actor, explanation=found, now=now)
        verb = explaining.send_back if act == "return" else explaining.undo
        return verb(actor=actor, explanation=found, note=request.POST.get("note", ""), now=now)

    _done, error = attempt_on("explanation", do)
    if error is None:
        said = {
            "explain": gettext("已记录说明。"),
            "accept": gettext("已复核通过。"),
            "return": gettext("已退回说明。"),
            "undo": gettext("已撤销说明。"),
        }
        messages.success(request, said[act])
    return error


def _kind(code: str) -> rules.ExplanationKind:
    """Return the kind a form says; what is no kind is another."""
    known = {each.value: each for each in rules.ExplanationKind}
    return known.get(code, rules.ExplanationKind.OTHER)


def _exported(
    code: str, which: date, found: Sequence[rules.Entry], said: Mapping[str, EntryExplanation], wanted: str
) -> HttpResponse:
    head = (
        *(_("时间（北京时间）"), _("种类"), _("结果"), _("支付机构编号"), _("本平台编号"), _("账单行")),
        *(_("支付机构（元）"), _("本平台（元）"), _("差额（元）"), _("可能的原因"), _("怎么办")),
        *(_("说明状态"), _("说明种类"), _("说明"), _("说明人")),
    )
    rows = (
        [
            timezone.localtime(entry.at).isoformat(timespec="seconds"),
            label_of("gateway_line", entry.kind.value)[1],
            label_of("bucket", entry.bucket.value)[1],
            entry.source,
            entry.number,
            " ".join(entry.lines),
            Money(entry.theirs_fen),
            Money(entry.ours_fen),
            Money(entry.difference_fen),
            label_of("cause", entry.cause.value)[1],
            label_of("cause_remedy", entry.cause.value)[1],
            *_said(said.get(entry.key)),
        ]
        for entry in found
    )
    return exports.exported(f"reconciliation-{code}-{which.isoformat()}", wanted, head, rows)


def _said(row: EntryExplanation | None) -> list[str]:
    if row is None:
        return ["", "", "", ""]
    return [
        label_of("explanation", row.state)[1],
        label_of("explanation_kind", row.kind)[1],
        row.reason,
        row.signature,
    ]
