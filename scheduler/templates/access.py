"""Reach templates: those published for everybody, and one's own organisation's."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from scheduler.templates import rules
from scheduler.templates.models import JobTemplateVersion

__all__ = ["get_own_version", "get_published", "owned_by", "published_for", "require_author"]


def require_author(actor: Actor) -> None:
    """Raises Forbidden for whoever neither submits jobs nor publishes templates."""
    if not (actor.may(Permission.JOB_SUBMIT) or actor.may(Permission.TEMPLATE_PUBLISH)):
        raise Forbidden


def published_for(actor: Actor) -> QuerySet[JobTemplateVersion]:
    """Return the published versions the actor may use. Raises Forbidden."""
    require_author(actor)
    seen = Q(template__is_public=True) | Q(template__owner_id=actor.acting_for)
    return (
        JobTemplateVersion.objects.filter(seen, state=rules.TemplateState.PUBLISHED.value)
        .select_related("template", "template__owner")
        .order_by("template__code")
    )


def get_published(actor: Actor, code: str) -> JobTemplateVersion:
    """Return a template's published version. Raises NotFound, Forbidden."""
    found = published_for(actor).filter(template__code=code).first()
    if found is None:
        raise NotFound
    return found


def owned_by(actor: Actor) -> QuerySet[JobTemplateVersion]:
    """Return every version of the actor's own organisation's templates, newest first. Raises Forbidden."""
    require_author(actor)
    return (
        JobTemplateVersion.objects.filter(template__owner_id=actor.acting_for)
        .select_related("template", "imported_by", "published_by")
        .order_by("template__code", "-number")
    )


def get_own_version(actor: Actor, code: str, number: int) -> JobTemplateVersion:
    """Return one version of an own template. Raises NotFound, Forbidden."""
    found = owned_by(actor).filter(template__code=code, number=number).first()
    if found is None:
        raise NotFound
    return found
