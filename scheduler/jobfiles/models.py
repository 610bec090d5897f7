"""Tables of uploaded files, of secrets and of what a job was given."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import pgettext_lazy

from scheduler.jobfiles import rules


class JobUpload(models.Model):
    """A file an organisation keeps for its jobs. The bytes lie in private storage under their SHA-256.

    `expected` is the SHA-256 its sender announced, "" for none; `sha256` the one found. `folder` names its bytes while they
    are incomplete.
    """

    class State(models.TextChoices):
        RECEIVING = rules.UploadState.RECEIVING.value, pgettext_lazy("job file", "上传中")
        COMPLETE = rules.UploadState.COMPLETE.value, pgettext_lazy("job file", "已传完")
        DISCARDED = rules.UploadState.DISCARDED.value, pgettext_lazy("job file", "已删除")

    number = models.CharField(max_length=20, unique=True)
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=State, default=State.RECEIVING)
    name = models.CharField(max_length=120)
    size = models.PositiveBigIntegerField()
    received = models.PositiveBigIntegerField(default=0)
    expected = models.CharField(max_length=64, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()
    touched_at = models.DateTimeField()
    """When a piece last arrived or a job last took it."""

    class Meta:
        db_table = "job_upload"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="job_upload_key_once", fields=["organisation", "key"]),
            models.CheckConstraint(
                name="job_upload_state_known", condition=Q(state__in=[s.value for s in rules.UploadState])
            ),
            models.CheckConstraint(
                name="job_upload_size", condition=Q(size__lte=rules.MAX_BYTES, received__lte=models.F("size"))
            ),
            models.CheckConstraint(
                name="job_upload_complete", condition=~Q(state=rules.UploadState.COMPLETE.value) | ~Q(sha256="")
            ),
        ]
        indexes = [models.Index(fields=["sha256"], name="job_upload_digest")]

    def __str__(self) -> str:
        return self.name


class JobSecret(models.Model):
    """A value one job gets as a file and nobody can read back. `sealed` is encrypted; empty once erased."""

    number = models.CharField(max_length=20, unique=True)
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    kept_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    name = models.CharField(max_length=120)
    sealed = models.BinaryField(blank=True)
    size = models.PositiveIntegerField()
    created_at = models.DateTimeField()
    erased_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "job_secret"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="job_secret_erased_is_empty", condition=Q(erased_at__isnull=True) | Q(sealed=b"")
            ),
        ]

    def __str__(self) -> str:
        return self.name


class JobFile(models.Model):
    """A file or secret of a job, and how much of it has reached the job's directory."""

    job = models.ForeignKey("scheduler.Job", on_delete=models.PROTECT, related_name="files")
    path = models.CharField(max_length=rules.MAX_PATH)
    upload = models.ForeignKey(JobUpload, null=True, blank=True, on_delete=models.PROTECT, related_name="uses")
    secret = models.OneToOneField(JobSecret, null=True, blank=True, on_delete=models.PROTECT, related_name="use")
    staged_bytes = models.PositiveBigIntegerField(default=0)
    staged_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)
    """When the copy of a secret was removed from the cluster, after the job's end."""

    class Meta:
        db_table = "job_file"
        ordering = ["path"]
        constraints = [
            models.UniqueConstraint(name="job_file_path_once", fields=["job", "path"]),
            models.CheckConstraint(
                name="job_file_is_one_thing", condition=Q(upload__isnull=True) ^ Q(secret__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return self.path
