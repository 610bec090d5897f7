"""Jobs of the own organisation: list, submit, follow, cancel."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from portal.kernel.actors import Permission
from portal.pages import shell
from scheduler.jobs import access


@shell.needs(Permission.JOB_SUBMIT)
def jobs(request: HttpRequest) -> HttpResponse:
    """List the own organisation's jobs."""
    rows = access.visible_to(shell.actor_of(request)).defer("script")
    return shell.page(
        request,
        "jobs/jobs.html",
        {"listing": shell.listing(request, rows, sorts={"number": ["pk"]}, default="-number")},
    )


@shell.needs(Permission.JOB_SUBMIT)
def job_new(request: HttpRequest) -> HttpResponse:
    """Show the form of a new job."""
    return shell.page(request, "jobs/new.html", {})


@shell.needs(Permission.JOB_SUBMIT)
def job_quote(request: HttpRequest) -> HttpResponse:
    """Show what the form's job would cost."""
    return shell.page(request, "jobs/quote.html", {})


@shell.needs(Permission.JOB_SUBMIT)
def job(request: HttpRequest, number: str) -> HttpResponse:
    """Show one job."""
    return shell.page(
        request, "jobs/job.html", {"job": access.get_job(shell.actor_of(request), number), "now": timezone.now()}
    )


@shell.needs(Permission.JOB_SUBMIT)
def job_cancel(request: HttpRequest, number: str) -> HttpResponse:
    """Cancel a job."""
    return job(request, number)


@shell.needs(Permission.JOB_SUBMIT)
def job_status(request: HttpRequest, number: str) -> HttpResponse:
    """Show a job's state."""
    return job(request, number)


@shell.needs(Permission.JOB_SUBMIT)
def job_script(request: HttpRequest, number: str) -> HttpResponse:
    """Return the script as a file."""
    return HttpResponse(access.get_job(shell.actor_of(request), number).script, content_type="text/plain")
