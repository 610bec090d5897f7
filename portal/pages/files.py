"""Hand evidence out: as a download, or beside a case when it is a picture or a PDF. Never as a page."""

from __future__ import annotations

from urllib.parse import quote

from django.http import HttpRequest, HttpResponse

from vouchers.evidence import rules, services
from vouchers.evidence.models import EvidenceFile

__all__ = ["handed_out", "picture", "upload_of"]


def picture(file: EvidenceFile) -> HttpResponse:
    """Return a picture the portal made itself, to stand in a page; its address never shows another one."""
    response = HttpResponse(services.read(file=file), content_type=file.media_type)
    response["Content-Disposition"] = "inline"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, max-age=86400"
    response._csp_replace = {"sandbox": [""]}  # type: ignore[attr-defined]  # django-csp's own name
    return response


def handed_out(request: HttpRequest, file: EvidenceFile, *, may_show: bool = True) -> HttpResponse:
    """Return the file. `?inline=1` shows pictures and PDFs in the reader's page where `may_show`; all else is a download.

    The browser is told the kind recognised at upload and forbidden to guess; a sandbox keeps whatever is inside from
    running. Whoever calls has checked that the reader may see the case.
    """
    inline = may_show and request.GET.get("inline") == "1" and file.media_type in rules.INLINE
    response = HttpResponse(services.read(file=file), content_type=file.media_type)
    shown = "inline" if inline else "attachment"
    response["Content-Disposition"] = f"{shown}; filename*=UTF-8''{quote(file.name, safe='')}"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    if inline:
        response["X-Frame-Options"] = "SAMEORIGIN"
        response._csp_replace = {"frame-ancestors": ["'self'"]}  # type: ignore[attr-defined]  # django-csp's own name
    else:
        response._csp_replace = {"sandbox": [""]}  # type: ignore[attr-defined]
    return response


def upload_of(request: HttpRequest, name: str = "file") -> services.Upload | None:
    """Return the uploaded file of that field, or None. Reads one byte more than allowed, never the whole of a flood."""
    sent = request.FILES.get(name)
    if sent is None:
        return None
    return services.Upload(sent.name or "file", sent.read(rules.MAX_BYTES + 1))
