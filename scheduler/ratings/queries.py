"""How an instrument stands with those who used it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from django.db.models import Count, Sum

from scheduler.ratings.models import Rating


@dataclass(frozen=True, slots=True)
class Standing:
    """`average` of 1 to 5 stars, exact; None while nobody has said anything."""

    count: int
    average: Fraction | None

    @property
    def text(self) -> str:
        """Return the average with one decimal, rounded half up."""
        if self.average is None:
            return ""
        tenths = (self.average * 20 + 1) // 2
        return f"{tenths // 10}.{tenths % 10}"


def standing(resource_id: int) -> Standing:
    """Return an instrument's average and number of ratings. One query."""
    found = Rating.objects.filter(resource_id=resource_id).aggregate(count=Count("pk"), total=Sum("stars"))
    return Standing(found["count"], Fraction(found["total"], found["count"]) if found["count"] else None)
