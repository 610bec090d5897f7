"""Pay a payment over a rail from its page: the ways there are, what is to be done, and what became of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import segno
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from portal import links
from portal.http import explain_reason
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import PortalError
from portal.kernel.money import Money
from portal.pages.shell import actor_of, key_of, needs, new_key, page
from portal.wire import language
from vouchers.payments import access, attempting, failures, rail_access, rails
from vouchers.payments.models import Arrival, Payment
from vouchers.payments.ports import Method
from vouchers.payments.rail_models import PaymentAttempt
from vouchers.payments.rail_rules import AttemptState, NoSuchRail
from vouchers.payments.rules import PaymentState

__all__ = ["back", "context", "give_up", "live", "pay"]

READERS = (Permission.PAYMENT_DECLARE, Permission.PAYMENT_CONFIRM, Permission.VOUCHER_READ_OWN)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to pay: `value` is what its button sends."""

    value: str
    method: str
    sandbox: bool


def _ways() -> list[Way]:
    return [
        Way(f"{rail.code}/{method.value}", method.value, rail.capabilities.sandbox)
        for rail in rails.rails()
        for method in rail.capabilities.methods
    ]


def context(actor: Actor, found: Payment, *, now: datetime) -> dict[str, Any]:
    """Return what the page of a payment shows of rails. Eight queries at most."""
    attempts = list(rail_access.attempts_of(found).order_by("-pk")[:10])
    newest = attempts[0] if attempts else None
    is_payer = actor.organisation_id == found.payer_id and actor.may(Permission.PAYMENT_DECLARE)
    is_due = found.state == PaymentState.DUE.value and found.left_fen > 0
    in_time = found.due_until is None or now < found.due_until
    ways = _ways() if is_payer and is_due and in_time else []
    return {
        "attempts": attempts,
        "attempt": newest,
        "live": _live(newest, may_give_up=is_payer),
        "ways": ways,
        "too_late": is_payer and is_due and not in_time,
        "sandbox": any(way.sandbox for way in ways),
        "pay_key": new_key(),
        "taken_back": rail_access.taken_back_fen(found),
        "arrivals": _arrivals(found),
        "back_over_rails": list(rail_access.refunds_of(found).order_by("pk")),
    }


@dataclass(frozen=True, slots=True)
class Came:
    """Money that arrived, and in words which transfer or attempt it came by."""

    row: Arrival
    how: str

    @property
    def is_taken_back(self) -> bool:
        return hasattr(self.row, "reversal")


def _arrivals(found: Payment) -> list[Came]:
    """Return what has come of a payment, oldest first. Three queries, one where nothing has."""
    rows = found.arrivals.select_related("reversal").prefetch_related("bank_parts__match__line").order_by("pk")
    return [Came(row, _how(row)) for row in rows]


def _how(row: Arrival) -> str:
    """Say by which transfer or attempt money came; of a transfer that paid for several things, its whole amount, too."""
    kind, _colon, reference = row.source.partition(":")
    part = next(iter(row.bank_parts.all()), None)
    if part is None:
        return gettext("流水号 %(reference)s") % {"reference": reference} if kind == "manual" else reference
    line = part.match.line
    said = {"reference": line.reference, "day": f"{line.booked_on:%Y-%m-%d}", "whole": Money(line.amount_fen)}
    if line.amount_fen == row.amount_fen:
        return gettext("流水号 %(reference)s，%(day)s 到账") % said
    return gettext("流水号 %(reference)s，%(day)s 到账，整笔 %(whole)s") % said


def _live(attempt: PaymentAttempt | None, *, may_give_up: bool) -> dict[str, Any]:
    """Return what the part of the page shows that asks for itself again while an attempt is open."""
    if attempt is None:
        return {}
    is_open = attempt.state in attempting.OPEN
    failed = attempt.state == AttemptState.FAILED.value
    return {
        "attempt": attempt,
        "is_open": is_open,
        "may_give_up": may_give_up and is_open,
        "qr": _picture(attempt) if is_open and attempt.next_kind == "qr" else "",
        "sandbox": _is_sandbox(attempt.rail),
        "failure": explain_reason(failures.explained(attempt.failure_code, attempt.failure_text)) if failed else None,
        "path": f"{reverse('payment_live', args=[attempt.payment.number])}?was={attempt.number}.{attempt.state}",
    }


def _picture(attempt: PaymentAttempt) -> str:
    return str(segno.make(attempt.next_url, error="m").svg_data_uri(scale=4, border=2)) if attempt.next_url else ""


def _is_sandbox(rail: str) -> bool:
    try:
        return rails.rail(rail).capabilities.sandbox
    except NoSuchRail:
        return False


def pay(request: HttpRequest, found: Payment, *, now: datetime) -> PaymentAttempt:
    """Start to pay the way whose button was pressed. Raises what `attempting.start` does."""
    rail, _slash, method = request.POST.get("way", "").partition("/")
    if method not in {each.value for each in Method}:
        raise NoSuchRail(field="rail")
    wanted = attempting.Wanted(
        rail, Method(method), links.absolute(request, reverse("payment_back", args=[found.number])), language()
    )
    return attempting.start(actor=actor_of(request), payment=found, wanted=wanted, key=key_of(request), now=now)


def give_up(request: HttpRequest, found: Payment, *, now: datetime) -> PaymentAttempt | None:
    """Give the open attempt up. Raises what `attempting.cancel` does."""
    attempt = rail_access.attempts_of(found).filter(state__in=attempting.OPEN).first()
    return attempting.cancel(actor=actor_of(request), attempt=attempt, now=now) if attempt else None


@needs(*READERS)
def live(request: HttpRequest, number: str) -> HttpResponse:
    """Return how the newest attempt stands; where it has moved on since ``?was=``, have the whole page shown again."""
    actor = actor_of(request)
    found = access.get_payment(actor, number)
    newest = rail_access.attempts_of(found).order_by("-pk").first()
    now_is = f"{newest.number}.{newest.state}" if newest else ""
    if request.GET.get("was", now_is) != now_is:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    is_payer = actor.organisation_id == found.payer_id and actor.may(Permission.PAYMENT_DECLARE)
    return page(request, "payments/live.html", {"live": _live(newest, may_give_up=is_payer)})


@needs(*READERS)
def back(request: HttpRequest, number: str) -> HttpResponse:
    """Come back from the gateway: ask it once what became of the open attempt, and show the payment."""
    found = access.get_payment(actor_of(request), number)
    attempt = rail_access.attempts_of(found).filter(state__in=attempting.OPEN).first()
    if attempt is not None:
        with suppress(PortalError):  # the page shows that it is open, and the janitor looks again
            attempting.look(attempt=attempt, now=timezone.now())
    return redirect("payment", number=number)
