"""Make, end and count the use of subscription addresses; the only writer of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import F

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Invalid, NotFound, noop
from scheduler.feeds import access, rules
from scheduler.feeds.models import FeedReader, FeedToken
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

_ = noop

KEPT: Final = timedelta(days=90)
"""How long a reader that came no more is remembered (个人信息保护法 §19: no longer than the purpose needs)."""
PREFIX: Final = 6
"""Letters of the secret people see again: 36 of its 192 bits."""


class LabelMissing(Invalid):
    code = "feed.label"
    message = _("请给订阅地址起个名字（60 字以内），例如“手机日历”。")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which document under which name; `resource` None asks for the actor's own bookings."""

    label: str
    kind: rules.FeedKind
    privacy: rules.FeedPrivacy = rules.FeedPrivacy.BUSY
    resource: Resource | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """Who fetches: the network address and what the program calls itself."""

    address: str
    program: str


@transaction.atomic
def issue(*, actor: Actor, wanted: Wanted, now: datetime) -> tuple[FeedToken, str]:
    """Make an address; returns it with its secret, which is told this once.

    What an organisation's API token asks for tells of bookings for that organisation alone, whatever others the person
    books for. Raises LabelMissing, KindNotOffered, PrivacyNotOffered, FeedsTooMany, Forbidden (another's instrument; no
    person).
    """
    label = wanted.label.strip()
    if not label or len(label) > 60:
        raise LabelMissing(field="label")
    rules.offer_refusal(wanted.kind, wanted.privacy, of_instrument=wanted.resource is not None)
    if wanted.resource is None:
        actor.require(Permission.BOOKING_REQUEST)
        subject = {"user_id": actor.person}
        told = {"organisation_id": access.speaks_for(actor)}
    else:
        actor.require(Permission.INSTRUMENT_MANAGE)
        if wanted.resource.owner_id != actor.organisation_id:
            raise Forbidden
        resources.lock(resource_ids=[wanted.resource.pk])
        subject, told = {"resource_id": wanted.resource.pk}, {}
    if FeedToken.objects.filter(**subject, revoked_at__isnull=True).count() >= rules.MAX_LIVE:
        raise rules.FeedsTooMany
    secret = rules.new_secret()
    token = FeedToken.objects.create(
        **subject,
        **told,
        label=label,
        kind=wanted.kind.value,
        privacy=wanted.privacy.value,
        prefix=secret[:PREFIX],
        digest=rules.digest_of(secret),
        created_by_id=actor.user_id,
        created_at=now,
    )
    _record(token, action="feed.issued", actor=actor, now=now)
    return token, secret


@transaction.atomic
def revoke(*, actor: Actor, token: FeedToken, now: datetime) -> FeedToken:
    """End an address at once; it answers 410 from now on. Idempotent. Raises Forbidden for others' addresses."""
    locked = FeedToken.objects.select_for_update(no_key=True, of=("self",)).order_by("pk").get(pk=token.pk)
    if locked.resource is not None:
        actor.require(Permission.INSTRUMENT_MANAGE)
        if locked.resource.owner_id != actor.organisation_id:
            raise Forbidden
    elif not access.visible_to(actor).filter(pk=locked.pk).exists():
        raise Forbidden
    if locked.revoked_at is None:
        locked.revoked_at = now
        locked.save(update_fields=["revoked_at"])
        _record(locked, action="feed.revoked", actor=actor, now=now)
    return locked


@transaction.atomic
def record_fetch(*, secret: str, kind: rules.FeedKind, reader: Reader, now: datetime) -> FeedToken:
    """Count a fetch of the address and who came; returns the address with its subject.

    Raises NotFound, FeedRevoked (also where the person it speaks of may sign in no more), FeedTooOften.
    """
    token = (
        FeedToken.objects.select_for_update(no_key=True, of=("self",))
        .select_related("resource", "user")
        .order_by("pk")
        .filter(digest=rules.digest_of(secret), kind=kind.value)
        .first()
    )
    if token is None:
        raise NotFound
    if token.revoked_at is not None or (token.user is not None and not token.user.is_active):
        raise rules.FeedRevoked
    use = rules.fetched(rules.Use(token.hour_since, token.hour_count), now=now)
    token.hour_since, token.hour_count = use.since, use.count
    token.last_fetched_at = now
    token.fetches += 1
    token.save(update_fields=["hour_since", "hour_count", "last_fetched_at", "fetches"])
    seen = FeedReader.objects.filter(token=token, address=reader.address, program=reader.program[:160])
    if not seen.update(last_at=now, fetches=F("fetches") + 1):
        FeedReader.objects.filter(token=token, last_at__lt=now - KEPT).delete()
        FeedReader.objects.create(
            token=token, address=reader.address, program=reader.program[:160], first_at=now, last_at=now
        )
    return token


@transaction.atomic
def note_version(*, token: FeedToken, version: str, now: datetime) -> datetime:
    """Return since when the address tells this version (an ETag); a new one is told from now on."""
    locked = FeedToken.objects.select_for_update(no_key=True, of=("self",)).order_by("pk").get(pk=token.pk)
    if locked.version != version or locked.version_since is None:
        locked.version_since = rules.since(locked.version_since, now=now)
        locked.version = version
        locked.save(update_fields=["version", "version_since"])
    return locked.version_since


def _record(token: FeedToken, *, action: str, actor: Actor, now: datetime) -> None:
    subject = f"instrument:{token.resource.number}" if token.resource is not None else f"user:{token.user_id}"
    audit.record(
        action=action,
        subject=subject,
        actor=actor,
        now=now,
        data={"feed": token.pk, "label": token.label, "kind": token.kind, "privacy": token.privacy},
    )
