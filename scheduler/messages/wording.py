"""Put a message into the words of the language that is active."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.translation import get_language

from portal.http import explain_reason, fill, sentences
from portal.kernel.errors import Reason
from portal.kernel.period import Period
from scheduler.messages import rules
from scheduler.messages.models import Message

__all__ = ["Worded", "span", "worded"]


@dataclass(frozen=True, slots=True)
class Worded:
    """A message as it is read. `path` leads to where one can act on it."""

    headline: str
    text: str
    reasons: tuple[str, ...]
    path: str


def worded(message: Message) -> Worded:
    """Return a message in the language that is active."""
    wording = rules.WORDINGS[rules.MessageKind(message.kind)]
    english = (get_language() or "").startswith("en") and message.instrument_en
    params = {**message.params, "instrument": english or message.instrument}
    explained = [explain_reason(Reason(**kept)) for kept in message.reasons]
    return Worded(
        fill(wording.headline, params),
        fill(wording.text, params),
        tuple(sentences(reason["text"], reason["remedy"]) for reason in explained),
        reverse(wording.page, args=[message.about] if wording.by_number else []),
    )


def span(period: Period, zone: str) -> str:
    """Return a span in local wall time, the same in every language: ``2026-03-02 09:00–11:00``."""
    start, end = (moment.astimezone(ZoneInfo(zone)) for moment in (period.start, period.end))
    return f"{moment(start)}–{end:%H:%M}" if start.date() == end.date() else f"{moment(start)} – {moment(end)}"


def moment(local: datetime) -> str:
    return f"{local:%Y-%m-%d %H:%M}"
