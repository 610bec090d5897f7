"""Absolute links to pages, for whatever leaves the portal: mails, calendars, printed codes, exported lists.

They begin with the public address the operator set (``GONGXIANG_PUBLIC_URL``), never with what a stranger's request
names in its Host header: a mail somebody else set off leads nowhere but here.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

__all__ = ["absolute", "line", "to"]


def to(name: str, *args: str | int) -> str:
    """Return the absolute address of a page by its name; "" where the portal was not told its public address."""
    return settings.PUBLIC_URL + reverse(name, args=args) if settings.PUBLIC_URL else ""


def absolute(request: HttpRequest, path: str) -> str:
    """Return a path under the public address; where none is set, under the one this reader came by (an allowed host)."""
    return settings.PUBLIC_URL + path if settings.PUBLIC_URL else request.build_absolute_uri(path)


def line(name: str, *args: str | int) -> list[str]:
    """Return the line of a mail that leads to a page, in the language that is active; none without a public address."""
    url = to(name, *args)
    return [gettext("查看和办理：%(url)s") % {"url": url}] if url else []
