"""The table of signs at benches."""

from __future__ import annotations

from django.db import models


class BenchSign(models.Model):
    """The sign by an instrument: which of its codes holds. A new one ends the old at once; without a row there is none."""

    resource = models.OneToOneField("scheduler.Resource", on_delete=models.PROTECT, related_name="bench_sign")
    serial = models.PositiveIntegerField(default=1)
    made_at = models.DateTimeField()

    class Meta:
        db_table = "bench_sign"

    def __str__(self) -> str:
        return f"{self.resource} {self.serial}"
