"""Import, publish and withdraw templates; the only writer of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.states import next_state
from scheduler.templates import access, rules
from scheduler.templates.models import JobTemplate, JobTemplateVersion

__all__ = ["import_document", "publish", "withdraw"]


@transaction.atomic
def import_document(*, actor: Actor, document: Mapping[str, Any], now: datetime) -> JobTemplateVersion:
    """Keep a document as the next version of its template, a draft. The same document again is the same version.

    Whoever publishes templates makes them for everybody, an enterprise for its own people. Raises BadDocument with
    everything that is wrong, CodeTaken, Forbidden.
    """
    access.require_author(actor)
    read = rules.read(document)
    template, _created = JobTemplate.objects.get_or_create(
        code=read.code,
        defaults={
            "owner_id": actor.acting_for,
            "is_public": actor.may(Permission.TEMPLATE_PUBLISH),
            "created_at": now,
        },
    )
    if template.owner_id != actor.acting_for:
        raise rules.CodeTaken(field="file", code=read.code)
    JobTemplate.objects.select_for_update(no_key=True).order_by("pk").get(pk=template.pk)
    last = template.versions.order_by("-number").first()
    if last is not None and last.document == document:
        return last
    version = JobTemplateVersion.objects.create(
        template=template,
        number=last.number + 1 if last else 1,
        document=dict(document),
        imported_by_id=actor.user_id,
        imported_at=now,
    )
    _record(version, action="template.imported", actor=actor, now=now)
    return version


@transaction.atomic
def publish(*, actor: Actor, version: JobTemplateVersion, now: datetime) -> JobTemplateVersion:
    """Offer a version; the one offered so far is withdrawn. Idempotent. Raises Forbidden, InvalidTransition."""
    locked = _lock(actor, version)
    if locked.state == rules.TemplateState.PUBLISHED.value:
        return locked
    for before in JobTemplateVersion.objects.filter(
        template=locked.template, state=rules.TemplateState.PUBLISHED.value
    ):
        _move(before, rules.TemplateAction.WITHDRAW)
        before.save(update_fields=["state"])
    _move(locked, rules.TemplateAction.PUBLISH)
    locked.published_by_id, locked.published_at = actor.user_id, now
    locked.save(update_fields=["state", "published_by", "published_at"])
    _record(locked, action="template.published", actor=actor, now=now)
    return locked


@transaction.atomic
def withdraw(*, actor: Actor, version: JobTemplateVersion, now: datetime) -> JobTemplateVersion:
    """Offer a version no longer; jobs made of it keep their scripts. Idempotent. Raises Forbidden."""
    locked = _lock(actor, version)
    if locked.state == rules.TemplateState.WITHDRAWN.value:
        return locked
    _move(locked, rules.TemplateAction.WITHDRAW)
    locked.save(update_fields=["state"])
    _record(locked, action="template.withdrawn", actor=actor, now=now)
    return locked


def _lock(actor: Actor, version: JobTemplateVersion) -> JobTemplateVersion:
    """Return an own version under its template's lock. Raises NotFound, Forbidden."""
    JobTemplate.objects.select_for_update(no_key=True).order_by("pk").get(pk=version.template_id)
    return access.get_own_version(actor, version.template.code, version.number)


def _move(version: JobTemplateVersion, action: rules.TemplateAction) -> None:
    version.state = next_state(rules.TRANSITIONS, rules.TemplateState(version.state), action).value


def _record(version: JobTemplateVersion, *, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject=f"template:{version.template.code}",
        actor=actor,
        now=now,
        organisations=[version.template.owner_id],
        data={"version": version.number},
    )
