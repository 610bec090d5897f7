"""Read what a notice may carry."""

from __future__ import annotations

from django.db.models import QuerySet

from vouchers.issuance.models import Application
from vouchers.issuance.rules import ApplicationState
from vouchers.notices import rules
from vouchers.programmes.models import ProgrammeVersion
from vouchers.rounds.models import Round

__all__ = ["RUNNING", "waiting"]

RUNNING = (rules.ItemState.NOTICED.value, rules.ItemState.OBJECTED.value)


def waiting(version: ProgrammeVersion, round_: Round | None = None) -> QuerySet[Application]:
    """Return the decided cases of a version, or of one of its rounds, that no notice carries yet."""
    rows = Application.objects.filter(version=version, state=ApplicationState.DECIDED.value).exclude(
        notice_items__state__in=RUNNING
    )
    return rows.filter(awards__round=round_, awards__is_final=True) if round_ else rows
