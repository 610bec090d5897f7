"""Reach programmes: published ones are public, drafts belong to their department."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from vouchers.programmes import documents, schemes
from vouchers.programmes.models import ProgrammeDraft, ProgrammeVersion
from vouchers.programmes.states import VersionState

PUBLIC = (VersionState.PUBLISHED.value, VersionState.SUSPENDED.value, VersionState.SUPERSEDED.value)


def visible_to(actor: Actor | None) -> QuerySet[ProgrammeVersion]:
    """Return published versions, and drafts of the actor's own department where it drafts or publishes."""
    seen = Q(state__in=PUBLIC)
    if actor is not None and (actor.may(Permission.PROGRAMME_DRAFT) or actor.may(Permission.PROGRAMME_PUBLISH)):
        seen |= Q(programme__department_id=actor.organisation_id)
    return ProgrammeVersion.objects.filter(seen).select_related(
        "programme", "programme__department", "imported_by", "published_by", "fair_review", "fair_review__recorded_by"
    )


def in_force() -> QuerySet[ProgrammeVersion]:
    """Return the versions that take applications now."""
    return visible_to(None).filter(state=VersionState.PUBLISHED.value)


def get_version(actor: Actor | None, code: str, number: int | None = None) -> ProgrammeVersion:
    """Return a version the actor may see; without `number` the one in force, else the newest. Raises NotFound."""
    versions = visible_to(actor).filter(programme__code=code)
    if number is not None:
        version = versions.filter(number=number).first()
    else:
        current = (VersionState.PUBLISHED.value, VersionState.SUSPENDED.value)
        version = versions.filter(state__in=current).first() or versions.order_by("-number").first()
    if version is None:
        raise NotFound
    return version


@dataclass(frozen=True, slots=True)
class _Stored:
    """A version's document, known by its digest: it never changes once stored."""

    digest: str
    document: Mapping[str, Any] = field(compare=False)


@lru_cache(maxsize=256)
def _read(stored: _Stored) -> schemes.Programme:
    return documents.load(stored.document)


def scheme_of(version: ProgrammeVersion) -> schemes.Programme:
    """Return the version's rules as values, read once in a process: a case in review asks thirty times."""
    return _read(_Stored(version.digest, version.document))


def catalogue() -> Mapping[str, schemes.Programme]:
    """Return every programme in force by code: what derived and combined benefits refer to."""
    return documents.catalogue(scheme_of(version) for version in in_force())


def drafts_of(actor: Actor) -> QuerySet[ProgrammeDraft]:
    """Return what the actor's department is writing; nothing for those who do not write programmes."""
    drafts = ProgrammeDraft.objects.select_related("origin__programme", "edited_by", "started_by")
    if not actor.may(Permission.PROGRAMME_DRAFT):
        return drafts.none()
    return drafts.filter(department_id=actor.organisation_id)


def get_draft(actor: Actor, draft_id: int) -> ProgrammeDraft:
    """Return a programme the actor's department is writing. Raises NotFound."""
    draft = drafts_of(actor).filter(pk=draft_id).first()
    if draft is None:
        raise NotFound
    return draft
