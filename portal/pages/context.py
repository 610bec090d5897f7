"""The shell every page shares: names, languages, and the navigation this actor may use."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse, translate_url
from django.utils.translation import get_language

from portal.kernel.actors import Actor
from portal.pages.navigation import NAVIGATION, SUBJECTS, Entry
from portal.pages.templatetags.show import bilingual

__all__ = ["Link", "shell"]


@dataclass(frozen=True, slots=True)
class Link:
    label: str
    url: str
    current: str
    """``page`` (this very page), ``true`` (a page below it) or empty: the value of ``aria-current``."""
    below: tuple[Link, ...] = ()
    """The places of a subject, whose link leads to the first of them."""


FEW = 8
"""So many places of work are shown in one row; more are shown by subject."""


def _may(entry: Entry, actor: Actor | None, request: HttpRequest) -> bool:
    if entry.group != "open" and actor is None:
        return False
    if entry.flag and not getattr(request, "session", {}).get(entry.flag):
        return False
    return not entry.needs or (actor is not None and bool(entry.needs & actor.permissions))


def _link(entry: Entry, path: str) -> Link:
    url = reverse(entry.url_name)
    return Link(str(entry.label), url, "page" if path == url else "true" if path.startswith(url) else "")


def _links(group: str, entries: Iterable[Entry], path: str) -> list[Link]:
    return [_link(entry, path) for entry in entries if entry.group == group]


def _work(entries: Sequence[Entry], path: str) -> list[Link]:
    """Return the second row: places, and subjects with their places below. Few places are one row, as is a subject's only one."""
    places = [entry for entry in entries if entry.group == "work" or entry.group in SUBJECTS]
    if len(places) <= FEW:
        return [_link(entry, path) for entry in places]
    row: list[Link] = []
    for group, found in itertools.groupby(places, key=lambda entry: entry.group):
        links = [_link(entry, path) for entry in found]
        if group not in SUBJECTS or len(links) == 1:
            row += links
            continue
        current = "true" if any(link.current for link in links) else ""
        row.append(Link(str(SUBJECTS[group]), links[0].url, current, tuple(links)))
    return row


def _acting(request: HttpRequest, actor: Actor | None) -> str:
    """Say who acts for whom in the reader's language; the actor's own label is what records keep."""
    if actor is None:
        return ""
    for member in getattr(request, "memberships", ()):
        if member.organisation_id == actor.organisation_id:
            return f"{request.user} · {bilingual(member.organisation)}"
    return actor.label


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return ``shell``: what ``base.html`` needs and every page may use.

    ``request.actor`` is absent on error pages raised before the middleware ran and None for an anonymous visitor;
    both see the open navigation only. ``shell.base`` is what a form page extends: the bare dialog when htmx fetched
    it into ``#dialog``, the whole page otherwise.
    """
    actor: Actor | None = getattr(request, "actor", None)
    language = get_language() or settings.LANGUAGE_CODE
    other = "en" if language == "zh-hans" else "zh-hans"
    in_dialog = request.headers.get("HX-Target") == "dialog"
    here = request.get_full_path() if request.method in {"GET", "HEAD"} else request.path
    entries = [entry for entry in NAVIGATION if _may(entry, actor, request)]
    return {
        "shell": {
            "site": settings.SITE_NAME[language],
            "department": settings.DEPARTMENT[language],
            "phone": settings.CONTACT_PHONE,
            "demo": settings.DEMO,
            "lang": "zh-Hans" if language == "zh-hans" else "en",
            "other_lang": "en" if language == "zh-hans" else "zh-Hans",
            "other_name": "English" if other == "en" else "中文",
            "other_url": translate_url(here, other),
            "base": "parts/dialog.html" if in_dialog else "base.html",
            "actor": actor,
            "acting": _acting(request, actor),
            "open": _links("open", entries, request.path),
            "work": _work(entries, request.path),
            "self": _links("self", entries, request.path),
        }
    }
