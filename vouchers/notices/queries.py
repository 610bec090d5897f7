"""Read what a notice may carry."""

from __future__ import annotations

from django.db.models import Count, FilteredRelation, Q, QuerySet

from vouchers.issuance.models import Application
from vouchers.issuance.rules import ApplicationState
from vouchers.notices import rules
from vouchers.programmes.models import ProgrammeVersion
from vouchers.rounds.models import Round

__all__ = ["RUNNING", "waiting", "waiting_counts"]

RUNNING = (rules.ItemState.NOTICED.value, rules.ItemState.OBJECTED.value)


def waiting(version: ProgrammeVersion, round_: Round | None = None) -> QuerySet[Application]:
    """Return the decided cases of a version, or of one of its rounds, that no notice carries yet."""
    rows = Application.objects.filter(version=version, state=ApplicationState.DECIDED.value).exclude(
        notice_items__state__in=RUNNING
    )
    return rows.filter(awards__round=round_, awards__is_final=True) if round_ else rows


def waiting_counts(department_id: int) -> list[tuple[int, int | None, int]]:
    """Return (version, round or None, number of decided cases no notice carries) of a department. One query."""
    rows = (
        Application.objects.filter(
            version__programme__department_id=department_id, state=ApplicationState.DECIDED.value
        )
        .exclude(notice_items__state__in=RUNNING)
        .annotate(final=FilteredRelation("awards", condition=Q(awards__is_final=True)))
        .order_by()
        .values_list("version_id", "final__round_id")
        .annotate(number=Count("pk"))
    )
    return sorted(rows, key=lambda row: (row[0], row[1] or 0))
