"""Days on which the portal departs from the State Council's calendar."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class CalendarDay(models.Model):
    """One day that counts otherwise than the calendar in the portal says, or of a year it does not know yet."""

    date = models.DateField(_("日期"), unique=True)
    is_working = models.BooleanField(_("是否工作日"))
    works_as = models.PositiveSmallIntegerField(_("按星期几"), null=True, blank=True)
    """The weekday (ISO, Monday 1) whose opening hours a make-up working day keeps; NULL: as the calendar pairs them."""
    name = models.CharField(_("名称"), max_length=60, blank=True)
    source = models.CharField(_("依据"), max_length=120)
    """The document that says so, e.g. ``国办发明电〔2026〕7 号``."""

    class Meta:
        db_table = "calendar_day"
        ordering = ["date"]
        constraints = [
            models.CheckConstraint(name="calendar_day_has_source", condition=~Q(source="")),
            models.CheckConstraint(
                name="calendar_day_works_as_a_weekday",
                condition=Q(works_as__isnull=True) | Q(is_working=True, works_as__gte=1, works_as__lte=7),
            ),
        ]

    def __str__(self) -> str:
        return self.date.isoformat()
