"""Notices of payment gateways arrive: verified by the rail they name, stored as they came, and only then answered.

No session, no CSRF token, no language: the signature over the raw body is all that counts. What is not verified leaves one
line in the log and nothing in the database. What could not be stored is answered with an error, so that it comes again.
"""

from __future__ import annotations

from typing import Final

import structlog
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from portal.throttling import within
from vouchers.payments import inbox, rails
from vouchers.payments.ports import BadEvent
from vouchers.payments.rail_rules import NoSuchRail

__all__ = ["MAX_BODY", "PER_MINUTE", "payment_notice"]

logger = structlog.get_logger(__name__)

MAX_BODY: Final = 256 * 1024
PER_MINUTE: Final = 1200
"""Of one address; what comes above is told to come again, and does."""


@csrf_exempt
@never_cache
@require_POST
def payment_notice(request: HttpRequest, code: str) -> HttpResponse:
    """Take one notice in: 200 stored (once), 400 not from the gateway or not for us, 404, 413, 429, 503."""
    try:
        rail = rails.rail(code)
    except NoSuchRail:
        return _said("no such rail", 404)
    except rails.NotStarted:
        return _said("come again", 503)
    sender = request.META.get("REMOTE_ADDR", "")
    if not within(f"hooks:{sender}", most=PER_MINUTE):
        answer = _said("come again", 429)
        answer["Retry-After"] = "60"
        return answer
    if _size(request) > MAX_BODY or len(body := request.body) > MAX_BODY:
        return _said("too large", 413)
    now = timezone.now()
    try:
        event = rail.read_event(body, request.headers, now=now)
    except BadEvent:
        logger.warning("payment.bad_notice", rail=code, sender=sender, size=len(body))
        return _said("not accepted", 400)
    inbox.store(rail=code, event=event, body=body, now=now)
    return _said("stored", 200)


def _size(request: HttpRequest) -> int:
    """Return the size a request says it has, before any of it is read."""
    said = str(request.META.get("CONTENT_LENGTH") or 0)
    return int(said) if said.isdecimal() else 0


def _said(word: str, status: int) -> HttpResponse:
    return HttpResponse(word, content_type="text/plain", status=status)
