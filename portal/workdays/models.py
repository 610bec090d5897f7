"""Days on which the portal departs from the State Council's calendar."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class CalendarDay(models.Model):
    """One day that counts otherwise than the calendar in the portal says, or of a year it does not know yet."""

    date = models.DateField(_("日期"), unique=True)
    is_working = models.BooleanField(_("是否工作日"))
    name = models.CharField(_("名称"), max_length=60, blank=True)
    source = models.CharField(_("依据"), max_length=120)
    """The document that says so, e.g. ``国办发明电〔2026〕7 号``."""

    class Meta:
        db_table = "calendar_day"
        ordering = ["date"]
        constraints = [models.CheckConstraint(name="calendar_day_has_source", condition=~Q(source=""))]

    def __str__(self) -> str:
        return self.date.isoformat()
