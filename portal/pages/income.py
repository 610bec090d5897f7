"""A provider's income: what is due, in batches and paid, month by month, and the statement of a month."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext

from portal import charts, papers
from portal.kernel.actors import Permission
from portal.kernel.money import Money
from portal.numbers.services import PORTAL_ZONE
from portal.organisations import access as people
from portal.organisations.models import Organisation
from portal.pages import exports, shell
from portal.pages.actions import subject_link
from portal.pages.casework import language
from portal.pages.labels import label_of
from portal.pages.templatetags.show import bilingual
from vouchers.settlements import access, queries, statements
from vouchers.settlements.rules import OPEN, PAID
from vouchers.settlements.statements import Movement, PayeeStatement

__all__ = ["income", "month"]

READERS = (Permission.SETTLEMENT_READ_OWN, Permission.CLAIM_FILE)


@shell.needs(*READERS)
def income(request: HttpRequest) -> HttpResponse:
    """Show what is due, on its way and paid, with a chart of the last twelve months and the way to each statement."""
    actor, now = shell.actor_of(request), timezone.now()
    months = statements.monthly(actor.acting_for, now=now)
    sums = queries.own_standing(actor.acting_for)
    due = queries.due_to(actor.acting_for, now=now)
    return shell.page(
        request,
        "settlements/income.html",
        {
            "months": list(reversed(months)),
            "chart": _chart(months) if any(each.earned_fen or each.paid_fen for each in months) else "",
            "due_fen": sum(row.amount_fen for row in due),
            "due_count": len(due),
            "batched_fen": sum(sums.get(state, 0) for state in OPEN),
            "paid_fen": sum(sums.get(state, 0) for state in PAID),
            "batches": access.visible_to(actor).order_by("-pk")[:5],
        },
    )


def _chart(months: list[statements.Month]) -> str:
    words = (
        (gettext("收入"), "earned_fen", charts.Tone.ACCENT),
        (gettext("已付款"), "paid_fen", charts.Tone.OK),
    )
    points = tuple(
        charts.Point(
            f"{each.year % 100:02d}-{each.month:02d}",
            getattr(each, name) / 100,
            str(Money(getattr(each, name))),
            word,
        )
        for each in months
        for word, name, _tone in words
    )
    return charts.cached(
        charts.Chart(
            kind=charts.Kind.GROUPED,
            title=gettext("每月收入与付款"),
            description=charts.text_of(points),
            points=points,
            amounts=gettext("元"),
            tones=tuple((word, tone) for word, _name, tone in words),
            language=language(),
        )
    )


@shell.needs(*READERS)
def month(request: HttpRequest, year: int, month: int) -> HttpResponse:
    """Show the statement of one month, or hand it out as PDF, xlsx or CSV; all hold the same lines."""
    actor = shell.actor_of(request)
    found = statements.statement(actor.acting_for, statements.month_of(year, month, now=timezone.now()))
    own = people.get_own(actor)
    wanted = request.GET.get("as", "")
    if wanted in ("pdf", *exports.FORMATS):
        return _file(found, own, f"{year}-{month:02d}", wanted)
    return shell.page(
        request,
        "settlements/statement.html",
        {
            "statement": found,
            "lines": [(line, *subject_link(line.subject)) for line in found.lines],
            "totals": [(kind, fen) for kind, fen in found.totals.items() if fen],
            "year": year,
            "month": month,
            "payee": own,
        },
    )


def _heads() -> list[str]:
    return [gettext("时间"), gettext("事项"), gettext("订单或批次"), gettext("单号"), gettext("金额（元）")]


def _cells(line: Movement) -> list[Any]:
    at = f"{line.at.astimezone(PORTAL_ZONE):%Y-%m-%d %H:%M}"
    return [
        at,
        label_of("movement", line.kind.value)[1],
        subject_link(line.subject)[0],
        line.source,
        Money(line.amount_fen),
    ]


def _file(found: PayeeStatement, own: Organisation, name: str, wanted: str) -> HttpResponse:
    """Return the statement as xlsx or CSV, or as PDF/A in the reader's language, to be kept."""
    rows = [
        ["", gettext("期初"), "", "", Money(found.opening_fen)],
        *(_cells(line) for line in found.lines),
        ["", gettext("期末"), "", "", Money(found.closing_fen)],
    ]
    if wanted in exports.FORMATS:
        return exports.exported(f"statement-{name}", wanted, _heads(), rows)
    sheet = papers.Sheet(
        title=gettext("对账单 %(month)s") % {"month": name},
        heads=_heads(),
        rows=[[*row[:-1], row[-1].yuan()] for row in rows],
        lines=[bilingual(own), own.credit_code, gettext("时间为北京时间，金额为人民币元。"), *_cut(len(rows))],
        closing=[f"{label_of('movement', code)[1]} {Money(fen).yuan()}" for code, fen in found.totals.items() if fen],
        numbers=[4],
        lang=language(),
    )
    content = papers.pdf(sheet, made_at=min(timezone.now(), found.period.end))
    response = HttpResponse(content, content_type="application/pdf")
    response["Content-Disposition"] = f'attachment; filename="statement-{name}.pdf"'
    return response


def _cut(rows: int) -> list[str]:
    """Say above the table where it holds less than the statement."""
    if rows <= papers.MOST_ROWS:
        return []
    words = gettext("本表只列前 %(most)s 行，共 %(rows)s 行；全部明细见同月的表格文件。")
    return [words % {"most": papers.MOST_ROWS, "rows": rows}]
