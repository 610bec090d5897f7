"""The audit table."""

from __future__ import annotations

import pgtrigger
from django.contrib.postgres.indexes import GinIndex
from django.db import models


class Record(models.Model):
    """One action. Never changed and never deleted: the database refuses both.

    `subject` is ``kind:number`` such as ``booking:B20261125-0001``; `organisations` lists every organisation that may
    read the record.
    """

    at = models.DateTimeField()
    action = models.CharField(max_length=60)
    actor_user_id = models.BigIntegerField(null=True)
    actor_organisation_id = models.BigIntegerField(null=True)
    actor_label = models.CharField(max_length=160)
    subject = models.CharField(max_length=80)
    organisation_ids = models.JSONField(default=list)
    data = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        db_table = "audit_record"
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["subject", "-id"], name="audit_subject"),
            models.Index(fields=["action", "-id"], name="audit_action"),
            GinIndex(fields=["organisation_ids"], name="audit_organisations", opclasses=["jsonb_path_ops"]),
        ]
        triggers = [
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),
            pgtrigger.Trigger(
                name="no_truncate",
                level=pgtrigger.Statement,
                when=pgtrigger.Before,
                operation=pgtrigger.Truncate,
                func="RAISE EXCEPTION 'audit_record is append-only' USING ERRCODE = '42501';",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.action} {self.subject}"
