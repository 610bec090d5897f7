"""Which state a record of the audit trail names, and from which it came, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from django.utils.translation import gettext

from portal.audit.models import Record
from portal.pages.labels import LABELS, label_of

__all__ = ["state_words"]

STATES_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "payment.attempt": "attempt",
        "payment.refund": "rail_refund",
        "payment.dispute": "rail_dispute",
        "reconciliation.explanation": "explanation",
        "reconciliation.explained": "explanation",
    }
)
"""Whose states a record names that is about a part of its subject, by how its action begins."""


def state_words(record: Record) -> Iterator[str]:
    """Yield the state a record says something came to and, where it says so, from which; nothing for states unknown."""
    kind = STATES_OF.get(record.action.partition("_")[0], record.subject.partition(":")[0])
    known = LABELS.get(kind, {})
    state, was = record.data.get("state"), record.data.get("was")
    if not state or state not in known:
        return
    if was and was != state and was in known:
        states = {"was": label_of(kind, was)[1], "state": label_of(kind, state)[1]}
        yield gettext("状态：%(was)s → %(state)s") % states
    else:
        yield gettext("状态：%(state)s") % {"state": label_of(kind, state)[1]}
