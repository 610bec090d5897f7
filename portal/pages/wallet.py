"""Vouchers of an organisation: what each may buy, how much is left, and every movement of its value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from django.db.models import F, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import links
from portal.audit import queries as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages.actions import events, subject_link
from portal.pages.casework import capital, language, listed
from portal.pages.labels import label_of
from portal.pages.shell import EXPORT_LIMIT, actor_of, attempt, csv_response, needs, page, wants_csv
from portal.pages.templatetags.show import bilingual, percent
from vouchers.charges import access as charges
from vouchers.charges.models import Charge, ChargePart
from vouchers.charges.rules import ChargeState
from vouchers.ledger import queries as ledger
from vouchers.ledger.chart import JournalKind
from vouchers.programmes import names
from vouchers.wallets import access, certificates, redeeming
from vouchers.wallets.models import Voucher, VoucherCode
from vouchers.wallets.rules import VoucherState

HOLDS_SHOWN = 100
TOLD = {JournalKind.REFUND, JournalKind.CLAW_UNUSED, JournalKind.CLAW_SPENT}
"""Journals whose reason was written for the holder; others carry codes of the program."""
ENDED = (VoucherState.EXPIRED.value, VoucherState.RECOVERED.value)
SOON = timedelta(days=60)
"""How long before the end a voucher is said to end soon."""


@dataclass(frozen=True, slots=True)
class Purse:
    """A voucher with its value in fen: granted = `used_fen` + `held_fen` + `left_fen` + `gone_fen`."""

    voucher: Voucher
    used_fen: int
    held_fen: int
    left_fen: int
    now: datetime

    @property
    def gone_fen(self) -> int:
        return self.voucher.face_fen - self.used_fen - self.held_fen - self.left_fen

    @property
    def unused_fen(self) -> int:
        """What was never used and is not set aside for something: gone once the voucher has ended."""
        return self.voucher.face_fen - self.used_fen - self.held_fen

    @property
    def is_ended(self) -> bool:
        return self.voucher.state in ENDED or self.voucher.valid_until <= self.now

    @property
    def state(self) -> str:
        """The state as it stands now: a voucher past its end is over even before the clock's task has booked it."""
        over = self.is_ended and self.voucher.state not in ENDED
        return VoucherState.EXPIRED.value if over else self.voucher.state

    @property
    def ends_soon(self) -> bool:
        return not self.is_ended and self.left_fen > 0 and self.voucher.valid_until - self.now <= SOON

    @property
    def last_moment(self) -> datetime:
        """The last day of validity: `valid_until` itself is no longer valid."""
        return self.voucher.valid_until - timedelta(seconds=1)

    @property
    def last_grace(self) -> datetime:
        """The last day on which what was ordered in time may still be delivered and claimed."""
        return self.voucher.grace_until - timedelta(seconds=1)

    @property
    def share(self) -> Fraction:
        return Fraction(self.voucher.share_num, self.voucher.share_den)

    @property
    def share_words(self) -> str:
        if not self.voucher.deducts:
            return gettext("先付后补：先全部自付，再凭发票申领，最多补 %(share)s。") % {"share": percent(self.share)}
        if self.share == 1:
            return gettext("每笔账单可全额由券支付。")
        return gettext("每笔账单最多由券支付 %(share)s，其余自付。") % {"share": percent(self.share)}

    @property
    def services(self) -> str:
        said = listed(names.kind(code).say(language()) for code in self.voucher.services)
        return capital(said) or gettext("各类服务")


def purses_of(vouchers: Iterable[Voucher], *, now: datetime) -> list[Purse]:
    """Return vouchers with their value; `used_fen` must have been annotated. One query."""
    vouchers = list(vouchers)
    balances = ledger.balances(account_ids=[voucher.account_id for voucher in vouchers])
    return [
        Purse(
            voucher,
            used_fen=getattr(voucher, "used_fen", 0),
            held_fen=balances[voucher.account_id].held_fen,
            left_fen=balances[voucher.account_id].available_fen,
            now=now,
        )
        for voucher in vouchers
    ]


def _with_use(actor: Actor) -> QuerySet[Voucher]:
    return access.vouchers_of(actor).annotate(
        used_fen=Coalesce(Sum(F("parts__captured_fen") - F("parts__refunded_fen")), 0)
    )


@needs(Permission.VOUCHER_READ_OWN)
def purses(request: HttpRequest) -> HttpResponse:
    """Show all vouchers of the organisation, first to end first, and their sum."""
    now = timezone.now()
    found = purses_of(_with_use(actor_of(request)).order_by("valid_until", "pk")[:EXPORT_LIMIT], now=now)
    if wants_csv(request):
        return _csv(found)
    live = [purse for purse in found if not purse.is_ended]
    return page(
        request,
        "wallet/purses.html",
        {
            "purses": live,
            "ended": [purse for purse in found if purse.is_ended],
            "granted_fen": sum(purse.voucher.face_fen for purse in live),
            "used_fen": sum(purse.used_fen for purse in live),
            "held_fen": sum(purse.held_fen for purse in live),
            "left_fen": sum(purse.left_fen for purse in live),
            "soon": [purse for purse in live if purse.ends_soon],
        },
    )


def _csv(found: Iterable[Purse]) -> HttpResponse:
    texts = (
        _("券号"),
        _("政策项目"),
        _("状态"),
        _("面额（元）"),
        _("已用（元）"),
        _("已冻结（元）"),
        _("可用（元）"),
        _("已过期（元）"),
        _("最后有效日"),
    )
    return csv_response(
        "vouchers",
        texts,
        (
            [
                purse.voucher.number,
                bilingual(purse.voucher.application.version),
                label_of("voucher", purse.state)[1],
                *(
                    Money(fen)
                    for fen in (
                        purse.voucher.face_fen,
                        purse.used_fen,
                        purse.held_fen,
                        0 if purse.is_ended else purse.left_fen,
                        purse.unused_fen if purse.is_ended else purse.gone_fen,
                    )
                ),
                timezone.localtime(purse.last_moment).date().isoformat(),
            ]
            for purse in found
        ),
    )


@dataclass(frozen=True, slots=True)
class Movement:
    """One line of a voucher's statement in words."""

    at: datetime
    what: str
    about: str
    url: str
    amount_fen: int
    held_fen: int
    balance_fen: int
    available_fen: int
    reason: str


DOORS = {"claim": Permission.CLAIM_FILE, "recovery": Permission.CLAIM_FILE}
"""Who may open what a movement is about, where not everybody who reads the wallet may."""


def _movements(lines: Iterable[ledger.HistoryLine], bills: dict[str, Charge], actor: Actor) -> list[Movement]:
    found = []
    for line in lines:
        bill = bills.get(line.source_id)
        subject = bill.subject if bill else f"{line.source_type}:{line.source_id}"
        about, url = subject_link(subject)
        needed = DOORS.get(subject.partition(":")[0])
        found.append(
            Movement(
                line.recorded_at,
                label_of("journal", line.kind)[1],
                about,
                url if needed is None or actor.may(needed) else "",
                line.amount_fen,
                line.held_fen,
                line.balance_fen,
                line.available_fen,
                line.reason if line.kind in TOLD else "",
            )
        )
    return found


@needs(Permission.VOUCHER_READ_OWN)
def voucher(request: HttpRequest, number: str) -> HttpResponse:
    """Show one voucher: its terms, what is held now, and its statement, newest first."""
    actor = actor_of(request)
    access.get_voucher(actor, number)
    [purse] = purses_of(_with_use(actor).filter(number=number), now=timezone.now())
    before = request.GET.get("before", "")
    cursor = int(before) if before.isdecimal() and len(before) < 19 else None
    statement = ledger.history(
        account_id=purse.voucher.account_id, before=cursor, limit=EXPORT_LIMIT if wants_csv(request) else 50
    )
    sources = {line.source_id for line in statement.lines if line.source_type == "charge"}
    bills = {charge.number: charge for charge in charges.visible_to(actor).filter(number__in=sources)}
    movements = _movements(statement.lines, bills, actor_of(request))
    if wants_csv(request):
        return _statement_csv(purse.voucher, movements)
    return page(
        request,
        "wallet/voucher.html",
        {
            "purse": purse,
            "voucher": purse.voucher,
            "movements": movements,
            "next_before": statement.next_before,
            "holds": [_hold(part) for part in _open_parts(purse.voucher)],
            "events": events(audit.trail(f"voucher:{number}", actor=actor)),
            "code": VoucherCode.objects.filter(voucher=purse.voucher).first(),
            "may_code": purse.voucher.deducts
            and actor.may(Permission.APPLICATION_SUBMIT)
            and purse.state == VoucherState.ACTIVE.value,
        },
    )


def _open_parts(owner: Voucher) -> QuerySet[ChargePart]:
    held = owner.parts.filter(charge__state=ChargeState.HELD.value)
    return held.select_related("charge", "charge__provider").order_by("-pk")[:HOLDS_SHOWN]


def _hold(part: ChargePart) -> dict[str, Any]:
    about, url = subject_link(part.charge.subject)
    return {"about": about, "url": url, "charge": part.charge, "held_fen": part.held_fen}


@needs(Permission.VOUCHER_READ_OWN)
def certificate(request: HttpRequest, number: str) -> HttpResponse:
    """Hand out the certificate of a voucher as PDF, in the language of the page."""
    actor = actor_of(request)
    made = certificates.certificate_of(actor=actor, voucher=access.get_voucher(actor, number), now=timezone.now())
    url = links.absolute(request, reverse("verify", args=[certificates.token_of(made)]))
    content = certificates.pdf(certificate=made, url=url, lang=language())
    response = HttpResponse(content, content_type="application/pdf")
    response["Content-Disposition"] = f'attachment; filename="{number}.pdf"'
    response["Cache-Control"] = "private, no-store"
    return response


@needs(Permission.APPLICATION_SUBMIT)
def code(request: HttpRequest, number: str) -> HttpResponse:
    """Ask before a code is made, then show it, this once."""
    actor = actor_of(request)
    found = access.get_voucher(actor, number)
    made = error = None
    if request.method == "POST":
        made, error = attempt(lambda: redeeming.make_code(actor=actor, voucher=found, now=timezone.now()))
    context = {"voucher": found, "code": made, "error": error}
    response = page(request, "wallet/code.html", context, status=error.status if error else 200)
    response["Cache-Control"] = "no-store"
    return response


def _statement_csv(owner: Voucher, movements: Iterable[Movement]) -> HttpResponse:
    header = (_("时间"), _("事项"), _("对象"), _("金额（元）"), _("冻结变动（元）"), _("余额（元）"), _("可用（元）"))
    return csv_response(
        f"voucher-{owner.number}",
        header,
        (
            [
                timezone.localtime(line.at).isoformat(timespec="seconds"),
                line.what,
                line.about,
                Money(line.amount_fen),
                Money(line.held_fen),
                Money(line.balance_fen),
                Money(line.available_fen),
            ]
            for line in movements
        ),
    )
