"""The table of ratings."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class Rating(models.Model):
    """One enterprise's word on one finished service, once; with the lab's answer, once.

    `stars` 1 (worst) to 5. Shown publicly without the enterprise's name. Source: evaluation by users closes a service
    (浙江省 2025 创新券与共享政策 item 12) and is a field of the national service record (国发〔2014〕70号 network platform).
    """

    booking = models.OneToOneField(
        "scheduler.Booking", null=True, blank=True, on_delete=models.PROTECT, related_name="rating"
    )
    sample_order = models.OneToOneField(
        "scheduler.SampleOrder", null=True, blank=True, on_delete=models.PROTECT, related_name="rating"
    )
    engagement = models.OneToOneField(
        "scheduler.Engagement", null=True, blank=True, on_delete=models.PROTECT, related_name="rating"
    )
    resource = models.ForeignKey("scheduler.Resource", on_delete=models.PROTECT, related_name="ratings")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    stars = models.PositiveSmallIntegerField()
    comment = models.CharField(max_length=400, blank=True)
    rated_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    rated_at = models.DateTimeField()
    answer = models.CharField(max_length=400, blank=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "rating"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(name="rating_stars", condition=Q(stars__gte=1, stars__lte=5)),
            models.CheckConstraint(
                name="rating_of_one_thing",
                condition=Q(booking__isnull=False, sample_order__isnull=True, engagement__isnull=True)
                | Q(booking__isnull=True, sample_order__isnull=False, engagement__isnull=True)
                | Q(booking__isnull=True, sample_order__isnull=True, engagement__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["resource", "-id"], name="rating_of_resource")]

    def __str__(self) -> str:
        return f"{self.resource} {self.stars}"
