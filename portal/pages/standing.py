"""Where an application stands in its round and in a public notice, as its applicant reads it."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext

from portal.kernel.money import Money
from portal.pages.labels import label_of
from portal.pages.templatetags.show import day_text
from vouchers.issuance.models import Application
from vouchers.notices.models import NoticeItem
from vouchers.notices.rules import NoticeState
from vouchers.rounds.models import RoundAward

__all__ = ["Standing", "standing"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One sentence, the page that shows more, and what that page is."""

    text: str
    url: str
    which: str


def standing(application: Application) -> list[Standing]:
    """Say what a decided round gave the application and why, and which notice shows it. Two queries."""
    found = []
    award = RoundAward.objects.filter(application=application, is_final=True).select_related("round").first()
    if award is not None:
        text = gettext("第 %(serial)s 批，次序 %(place)s：%(outcome)s %(amount)s。%(why)s。") % {
            "serial": award.round.serial,
            "place": award.place,
            "outcome": label_of("award", award.outcome)[1],
            "amount": Money(award.amount_fen),
            "why": label_of("award_why", award.why)[1],
        }
        found.append(Standing(text, reverse("round", args=[award.round.number]), award.round.number))
    shown = (NoticeState.PUBLISHED.value, NoticeState.CLOSED.value)
    item = NoticeItem.objects.filter(application=application, notice__state__in=shown).select_related("notice").last()
    if item is not None and item.notice.last_day is not None:
        text = gettext("公示至 %(day)s：%(state)s。") % {
            "day": day_text(item.notice.last_day),
            "state": label_of("notice_item", item.state)[1],
        }
        found.append(Standing(text, reverse("notice", args=[item.notice.number]), item.notice.number))
    return found
