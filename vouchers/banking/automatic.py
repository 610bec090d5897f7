"""Look through the lines of a statement: what is certain is matched, the best suggestion of the rest is noted."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import F

from portal.kernel.actors import Actor
from portal.kernel.errors import PortalError
from vouchers.banking import services
from vouchers.banking.models import StatementImport, StatementLine
from vouchers.banking.parts import Suggestion
from vouchers.banking.rules import LineState, PartKind
from vouchers.banking.suggesting import Book, load, suggestions

__all__ = ["look_again", "look_again_at_old", "look_through"]

logger = structlog.get_logger("banking")

CHUNK = 500
MATCHER = Actor.system("bank-matching")


def look_through(*, import_id: int, now: datetime, limit: int | None = None) -> int:
    """Look at the lines of an import nobody has looked at yet, `limit` of them at most; return how many were matched.

    Each line is decided in a transaction of its own, so that a long file shows its progress, may be stopped anywhere and is
    taken up where it stopped. Two workers at once share the lines: each is decided once.
    """
    matched = done = 0
    while limit is None or done < limit:
        rows = StatementLine.objects.filter(upload_id=import_id, looked_at__isnull=True)
        chunk = list(
            rows.select_related("account").order_by("pk")[: CHUNK if limit is None else min(CHUNK, limit - done)]
        )
        if not chunk:
            StatementImport.objects.filter(pk=import_id, finished_at__isnull=True).update(finished_at=now)
            break
        book = load(chunk)
        for line in chunk:
            matched += _look(line, book, now=now)
        done += len(chunk)
    return matched


def look_again(*, line: StatementLine, now: datetime) -> bool:
    """Look at one open line anew, for what has become due since; return whether it was matched."""
    matched, hint = _decide(line, suggestions(line, load([line])), now=now)
    StatementLine.objects.filter(pk=line.pk).update(looked_at=now, hint=hint)
    return bool(matched)


def look_again_at_old(*, now: datetime, limit: int = CHUNK) -> int:
    """Look anew at lines nobody has placed that were last looked at more than a day ago; return how many were matched.

    Those looked at longest ago first, `limit` of them at most. What has become due since, or was recorded by hand, is found.
    """
    waiting = StatementLine.objects.filter(
        state__in=[LineState.OPEN.value, LineState.PARKED.value], looked_at__lt=now - timedelta(days=1)
    )
    lines = list(waiting.select_related("account").order_by("looked_at", "pk")[:limit])
    book = load(lines)
    matched = 0
    for line in lines:
        found = suggestions(line, book)
        done, hint = _decide(line, found, now=now)
        if done:
            _reread(found[0], book)
        matched += done
        StatementLine.objects.filter(pk=line.pk).update(looked_at=now, hint=hint)
    return matched


def _look(line: StatementLine, book: Book, *, now: datetime) -> int:
    """Look at one line and count it as looked at, once; return 1 if it was matched or proposed."""
    found = suggestions(line, book)
    matched, hint = _decide(line, found, now=now)
    if matched:
        _reread(found[0], book)
    with transaction.atomic():
        counted = StatementLine.objects.filter(pk=line.pk, looked_at__isnull=True).update(looked_at=now, hint=hint)
        if counted:
            StatementImport.objects.filter(pk=line.upload_id).update(
                looked=F("looked") + 1, matched=F("matched") + matched
            )
    return matched


def _reread(matched: Suggestion, book: Book) -> None:
    """Read anew what payments lack that a line was matched with; those a second person has to confirm are spent."""
    for part in matched.parts:
        if part.payment is not None:
            before = part.payment.paid_fen
            part.payment.refresh_from_db(fields=["amount_fen", "paid_fen", "state"])
            if part.payment.paid_fen == before:
                book.spent.add(part.payment.pk)


def _decide(line: StatementLine, found: list[Suggestion], *, now: datetime) -> tuple[int, str]:
    """Match a line where that is certain; return 1 if so, and the best suggestion's first reason otherwise."""
    best: Suggestion | None = found[0] if found else None
    if best is None:
        return 0, ""
    if not best.certain or line.state not in {LineState.OPEN.value, LineState.PARKED.value}:
        return 0, best.reasons[0][:20]
    if line.state == LineState.PARKED.value and any(part.kind is not PartKind.PAYMENT for part in best.parts):
        return 0, best.reasons[0][:20]
    try:
        services.match(actor=MATCHER, line=line, parts=best.parts, reasons=best.reasons, now=now)
    except PortalError as error:
        # Somebody was quicker, or the thing has changed: a person looks at it.
        logger.info("banking.not_matched", line=line.pk, code=error.code)
        return 0, best.reasons[0][:20]
    except (OperationalError, IntegrityError) as error:
        # One line never stops the others of its file.
        logger.warning("banking.busy", line=line.pk, error=str(error)[:200])
        return 0, best.reasons[0][:20]
    return 1, ""
