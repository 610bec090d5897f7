"""Receipts of a job's runs, for its owner: what was used at which price, as a page, JSON and PDF."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from portal.kernel.actors import Permission
from portal.pages import shell
from portal.pages.casework import language
from portal.pages.labels import label_of
from scheduler.jobs import access, holds
from scheduler.jobs import receipts as papers

__all__ = ["as_json", "as_pdf", "receipts"]


@shell.needs(Permission.JOB_SUBMIT)
def receipts(request: HttpRequest, number: str) -> HttpResponse:
    """Show every run of a job with its price, and what was held, taken and borne."""
    job = access.get_job(shell.actor_of(request), number)
    rows = papers.runs_of(job)
    charges = holds.charges_of(job) if job.charge_id else ()
    return shell.page(
        request,
        "jobs/receipts.html",
        {
            "job": job,
            "rows": rows,
            "total_fen": sum(line.amount_fen for _run, line in rows if line),
            "held_fen": sum(charge.price_fen for charge in charges),
            "taken_fen": sum(charge.refundable_fen for charge in charges),
        },
    )


def _receipt(request: HttpRequest, number: str, no: int) -> Mapping[str, Any]:
    job, run, line = papers.get_run(shell.actor_of(request), number, no)
    return papers.receipt(job, run, line)


@shell.needs(Permission.JOB_SUBMIT)
def as_json(request: HttpRequest, number: str, no: int) -> HttpResponse:
    """Hand over a run's receipt as JSON."""
    said = _receipt(request, number, no)
    text = json.dumps(said, ensure_ascii=False, indent=2, sort_keys=True)
    response = HttpResponse(text, content_type="application/json; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{number}-{no}.json"'
    return response


@shell.needs(Permission.JOB_SUBMIT)
def as_pdf(request: HttpRequest, number: str, no: int) -> HttpResponse:
    """Hand over a run's receipt as PDF."""
    said = _receipt(request, number, no)
    names = {
        "state": label_of("job", said["state"])[1],
        "unit": label_of("price_unit", said["price"]["unit"])[1] if said["price"] else "",
        "not_billed": label_of("not_billed", said["not_billed"])[1] if said["not_billed"] else "",
    }
    response = HttpResponse(papers.pdf(said, names=names, lang=language()[:2]), content_type="application/pdf")
    response["Content-Disposition"] = f'attachment; filename="{number}-{no}.pdf"'
    return response
