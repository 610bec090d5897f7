"""Tell by mail who is offered time. The row is the outbox: sent outside any transaction."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from django.core.mail import EmailMessage
from django.utils.translation import gettext

from portal import links
from portal.mails import handed_in
from portal.organisations import access as people
from scheduler.waitlist import rules
from scheduler.waitlist.models import WaitlistOffer

__all__ = ["send_due"]


def send_due(*, now: datetime) -> int:
    """Send what has not been sent; returns how many are done with. A message sent twice has the same Message-ID.

    Who has left the organisation is told nothing of it any more.
    """
    waiting = WaitlistOffer.objects.filter(sent_at__isnull=True, state=rules.TimeOfferState.OPEN.value)
    sent = 0
    for offer in waiting.select_related("entry__created_by", "resource").order_by("pk")[:50]:
        message = _message(offer)
        if message is None or handed_in(message, since=offer.offered_at, now=now):
            WaitlistOffer.objects.filter(pk=offer.pk, sent_at__isnull=True).update(sent_at=now)
            sent += 1
    return sent


def _message(offer: WaitlistOffer) -> EmailMessage | None:
    """Return the mail, None where there is nobody to tell."""
    entry, person = offer.entry, offer.entry.created_by
    if person is None or not person.email or not person.is_active:
        return None
    if not people.belongs(user_id=person.pk, organisation_id=entry.organisation_id):
        return None
    return EmailMessage(
        subject=gettext("候补有空位：%(instrument)s") % {"instrument": offer.resource.name},
        body=_text(offer),
        to=[person.email],
        headers={"Message-ID": f"<waitlist.{offer.pk}@offers.gongxiang>"},
    )


def _text(offer: WaitlistOffer) -> str:
    zone = ZoneInfo(offer.resource.zone)
    times = {
        name: f"{getattr(offer, name).astimezone(zone):%Y-%m-%d %H:%M}"
        for name in ("starts_at", "ends_at", "answer_by")
    }
    told = gettext(
        "%(instrument)s 有空位：%(starts_at)s – %(ends_at)s（%(zone)s）。"
        "已为贵单位保留到 %(answer_by)s。请登录平台，在“我的候补”中接受或谢绝；逾期未答复的，时段转给下一位。"
    ) % {"instrument": offer.resource.name, "zone": offer.resource.zone, **times}
    return "\n".join([told, *links.line("waitlist")])
