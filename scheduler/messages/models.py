"""Table of what people are told."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from scheduler.messages import rules


class Message(models.Model):
    """One thing one person was told. The row is the notice on the page, the mail's outbox and the record."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    """For which it matters: who has left it is told no more."""
    kind = models.CharField(max_length=24)
    about = models.CharField(max_length=24, blank=True)
    """Number of the thing it is about, where that has a page of its own."""
    instrument = models.CharField(max_length=200)
    instrument_en = models.CharField(max_length=200, blank=True)
    params = models.JSONField(default=dict)
    reasons = models.JSONField(default=list)
    """Each a reason's code, message, remedy and params."""
    key = models.CharField(max_length=160)
    """What makes it the same message: a person is told it once."""
    created_at = models.DateTimeField()
    seen_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True, blank=True)
    """When its mail is due, or given up for lost by the worker that has it; null: no mail is to be sent any more."""
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "message"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="message_once", fields=["user", "key"]),
            models.CheckConstraint(
                name="message_kind_known", condition=Q(kind__in=[kind.value for kind in rules.MessageKind])
            ),
        ]
        indexes = [
            models.Index(fields=["user", "organisation", "-id"], name="message_of_person"),
            models.Index(fields=["next_at", "id"], name="message_to_send", condition=Q(next_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"
