"""How errors and values look on the wire: shared by the API and the pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import OperationalError
from django.utils.translation import get_language, gettext

from portal.kernel.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    PortalError,
    Reason,
    Refused,
    Rejected,
    Unavailable,
    noop,
)

__all__ = ["Busy", "Explained", "explain", "explain_reason", "is_lock_timeout", "sentences", "status_of"]

STATUS: Final[tuple[tuple[type[PortalError], int], ...]] = (
    (NotFound, 404),
    (Forbidden, 403),
    (Invalid, 422),
    (Conflict, 409),
    (Refused, 409),
    (Unavailable, 503),
    (Rejected, 502),
)
"""The only place where a domain error gets an HTTP status."""


class Busy(Unavailable):
    """Too many rivals for one lock: nothing happened, and trying again is right."""

    code = "busy"
    message = noop("操作的人太多，请几秒钟后再试。您的请求没有产生任何影响。")


def is_lock_timeout(error: OperationalError) -> bool:
    """Say whether a database error means "wait too long for a lock" (55P03) or a deadlock (40P01): safe to retry."""
    return getattr(error.__cause__, "sqlstate", "") in {"55P03", "40P01", "40001"}


def status_of(error: PortalError) -> int:
    """Return the HTTP status of an error."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 400)


def fill(template: str, params: Mapping[str, Any]) -> str:
    """Translate a message template and fill it in. Text among the values is translated too, a list is enumerated."""
    text = gettext(template)
    if not params:
        return text.replace("%%", "%")
    return text % {key: _zone(value) if key == "zone" else _said(value) for key, value in params.items()}


def _said(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return gettext("、").join(str(_said(item)) for item in value)
    return gettext(value) if isinstance(value, str) and value else value


def _zone(name: Any) -> Any:
    return gettext("北京时间") if name == "Asia/Shanghai" else name


def sentences(*said: str) -> str:
    """Put sentences one after the other as the reader's language does: English ones with a space between."""
    gap = " " if (get_language() or "").startswith("en") else ""
    return gap.join(text for text in said if text)


@dataclass(frozen=True, slots=True)
class Explained:
    """An error in the reader's language. `reasons` always holds at least one line; `fields` maps inputs to messages."""

    status: int
    code: str
    text: str
    reasons: tuple[dict[str, str], ...]
    fields: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)


def explain_reason(reason: Reason) -> dict[str, str]:
    """Return one reason in the reader's language."""
    return {
        "code": reason.code,
        "text": fill(reason.message, reason.params),
        "remedy": fill(reason.remedy, reason.params) if reason.remedy else "",
        "field": reason.field,
    }


def explain(error: PortalError) -> Explained:
    """Translate an error for the page or the API."""
    problems = getattr(error, "problems", ())
    if isinstance(error, Refused):
        reasons = tuple(explain_reason(reason) for reason in error.reasons)
        title = gettext(error.message)
    elif problems:
        title = fill(error.message, error.params)
        reasons = tuple(_document_problem(problem) for problem in problems)
    else:
        title = fill(error.message, error.params)
        reasons = ({"code": error.code, "text": title, "remedy": "", "field": error.field},)
    fields: dict[str, str] = {}
    for reason in reasons:
        if reason["field"]:
            text = sentences(reason["text"], reason["remedy"])
            fields[reason["field"]] = f"{fields[reason['field']]} {text}" if reason["field"] in fields else text
    data = getattr(error, "data", {})
    return Explained(status_of(error), error.code, title, reasons, fields, data)


def _document_problem(problem: Any) -> dict[str, str]:
    """Return one problem of a document: its path, what is wrong and what is allowed, in the reader's language."""
    language = "en" if (get_language() or "").startswith("en") else "zh"
    allowed = problem.allowed.say(language) if problem.allowed else ""
    remedy = gettext("允许：%(allowed)s") % {"allowed": allowed} if allowed else ""
    return {
        "code": "document",
        "text": f"{problem.path}: {problem.message.say(language)}" if problem.path else problem.message.say(language),
        "remedy": remedy,
        "field": "file",
    }
