"""What of an earlier job's files and secrets another job can have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portal.kernel.actors import Actor
from scheduler.jobfiles import access
from scheduler.jobfiles.models import JobFile, JobUpload
from scheduler.jobfiles.rules import Attachment

__all__ = ["Carried", "carried"]


@dataclass(frozen=True, slots=True)
class Carried:
    """`attachments` are still there, at the paths they had; `gone` are the paths of files, `secrets` of secrets to send anew."""

    attachments: Sequence[Attachment]
    gone: Sequence[str]
    secrets: Sequence[str]


def carried(*, actor: Actor, job_id: int) -> Carried:
    """Say what of a job's files can be given to the next one: uploads still kept, by reference. Two queries.

    A secret serves one job; an unused one of the same name that the person has kept since takes its place.
    """
    given = list(JobFile.objects.filter(job_id=job_id).select_related("upload", "secret").defer("secret__sealed"))
    kept = set(
        access.uploads_visible_to(actor).filter(state=JobUpload.State.COMPLETE).values_list("number", flat=True)
        if given
        else ()
    )
    fresh = {secret.name: secret.number for secret in access.secrets_visible_to(actor).order_by("pk")} if given else {}
    found, gone, secrets = [], [], []
    for file in given:
        if file.upload is not None and file.upload.number in kept:
            found.append(Attachment(file.upload.number, file.path))
        elif file.upload is not None:
            gone.append(file.path)
        elif file.secret is not None and file.secret.name in fresh:
            found.append(Attachment(fresh.pop(file.secret.name), file.path))
        else:
            secrets.append(file.path)
    return Carried(found, gone, secrets)
