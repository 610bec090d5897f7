"""Read flags of cases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vouchers.flags.models import Flag
from vouchers.flags.rules import FlagState


def open_on(subject: str) -> Sequence[Flag]:
    """Return the flags of a case that nobody has decided yet."""
    return list(Flag.objects.filter(subject=subject, state=FlagState.OPEN.value).order_by("pk"))


def of_subjects(subjects: Iterable[str]) -> dict[str, list[Flag]]:
    """Return the flags of several cases, by case. One query."""
    found: dict[str, list[Flag]] = {}
    for flag in Flag.objects.filter(subject__in=list(subjects)).order_by("pk"):
        found.setdefault(flag.subject, []).append(flag)
    return found
