"""Reach files for jobs, the organisation's own only, and secrets, the person's own only."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from scheduler.jobfiles.models import JobSecret, JobUpload

__all__ = ["get_secret", "get_upload", "secrets_visible_to", "takes_files", "uploads_visible_to"]


def uploads_visible_to(actor: Actor) -> QuerySet[JobUpload]:
    """Return the files the actor's organisation keeps, newest first. Raises Forbidden."""
    actor.require(Permission.JOB_SUBMIT)
    return (
        JobUpload.objects.filter(organisation_id=actor.acting_for)
        .exclude(state=JobUpload.State.DISCARDED)
        .select_related("uploaded_by")
    )


def get_upload(actor: Actor, number: str) -> JobUpload:
    """Return one of them. Raises NotFound, Forbidden."""
    found = uploads_visible_to(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def secrets_visible_to(actor: Actor) -> QuerySet[JobSecret]:
    """Return the secrets the actor has kept and nobody has used, never their values. Raises Forbidden.

    Not those of colleagues: whoever gives a secret to a job of theirs can have the job print it.
    """
    actor.require(Permission.JOB_SUBMIT)
    own = JobSecret.objects.filter(organisation_id=actor.acting_for, kept_by_id=actor.user_id)
    return own.filter(erased_at__isnull=True, use__isnull=True).defer("sealed").select_related("kept_by")


def get_secret(actor: Actor, number: str) -> JobSecret:
    """Return one of them. Raises NotFound, Forbidden."""
    found = secrets_visible_to(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def takes_files(*, adapter: str, config: dict[str, object]) -> bool:
    """Say whether a cluster's adapter can put files on it: the local runner, or one whose operator set up staging."""
    return adapter == "local" or bool(config.get("files") or config.get("agent"))
