"""A job's log: live, polled, raw."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from portal.kernel.actors import Permission
from portal.pages import shell
from scheduler.jobs import access, queries


@shell.needs(Permission.JOB_SUBMIT)
def job_log_raw(request: HttpRequest, number: str) -> HttpResponse:
    """Return the log as a file."""
    chunk = queries.log(access.get_job(shell.actor_of(request), number), offset=0)
    return HttpResponse(chunk.data, content_type="text/plain")


job_log = job_stream = job_log_raw
