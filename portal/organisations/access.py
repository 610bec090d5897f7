"""Reach organisations, members and tokens; and turn a session or a token into an Actor."""

from __future__ import annotations

import hashlib
from typing import Final

from django.db import connection
from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.organisations import rules
from portal.organisations.models import ApiToken, Member, Organisation, User


def memberships(user: User) -> QuerySet[Member]:
    """Return the person's present memberships, oldest first."""
    return Member.objects.filter(user=user, left_at__isnull=True).select_related("organisation").order_by("pk")


def belongs(*, user_id: int, organisation_id: int) -> bool:
    """Say whether the person is a present member of the organisation, whichever they act for now."""
    return Member.objects.filter(user_id=user_id, organisation_id=organisation_id, left_at__isnull=True).exists()


MAX_LABEL = 140
"""Longest name of an actor: records of the trail and the ledger keep 160 characters, a signature adds a number."""


def _label(text: str) -> str:
    return text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 1]}…"


def actor_for(member: Member) -> Actor:
    """Return who a member is in that organisation."""
    return Actor(
        user_id=member.user_id,
        organisation_id=member.organisation_id,
        label=_label(f"{member.user} · {member.organisation.name}"),
        permissions=rules.permissions_of(
            rules.Kind(member.organisation.kind), frozenset(rules.Role(role) for role in member.roles)
        ),
    )


def digest(secret: str) -> str:
    """Return what is stored of a token. It has 256 bits of its own randomness, so no salt or stretching is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


BEARER: Final = """
    SELECT t.id, t.name, t.roles, t.created_by_id, t.organisation_id, o.name, o.kind
    FROM api_token t JOIN organisation o ON o.id = t.organisation_id JOIN user_account u ON u.id = t.created_by_id
    WHERE t.digest = %s AND t.revoked_at IS NULL AND u.is_active
"""
"""Every call of the API begins with it; composed by the ORM, it takes ten times its own time."""


def actor_for_token(secret: str) -> Actor | None:
    """Return who a token acts as, or None for an unknown or revoked one (the two are never told apart).

    The token of a person whose account is closed is as good as revoked.
    """
    with connection.cursor() as cursor:
        cursor.execute(BEARER, [digest(secret)])
        row = cursor.fetchone()
    if row is None:
        return None
    token_id, name, roles, user_id, organisation_id, organisation, kind = row
    return Actor(
        user_id=user_id,
        organisation_id=organisation_id,
        label=_label(f"API {name} · {organisation}"),
        permissions=rules.permissions_of(rules.Kind(kind), frozenset(rules.Role(role) for role in roles)),
        token_id=token_id,
    )


def get_own(actor: Actor) -> Organisation:
    """Return the organisation the actor acts for. Raises NotFound."""
    organisation = Organisation.objects.filter(pk=actor.acting_for).first()
    if organisation is None:
        raise NotFound
    return organisation


def get_member(actor: Actor, member_id: int) -> Member:
    """Return a present member of the actor's own organisation. Raises NotFound."""
    actor.require(Permission.MEMBERS_MANAGE)
    member = (
        Member.objects.select_related("user", "organisation")
        .filter(pk=member_id, organisation_id=actor.acting_for, left_at__isnull=True)
        .first()
    )
    if member is None:
        raise NotFound
    return member


def get_token(actor: Actor, token_id: int) -> ApiToken:
    """Return a token of the actor's own organisation. Raises NotFound."""
    actor.require(Permission.MEMBERS_MANAGE)
    token = ApiToken.objects.filter(pk=token_id, organisation_id=actor.acting_for).first()
    if token is None:
        raise NotFound
    return token


def by_credit_code(value: str) -> Organisation:
    """Return the organisation of a unified social credit code. Raises NotFound, BadCreditCode."""
    organisation = Organisation.objects.filter(credit_code=rules.check_credit_code(value)).first()
    if organisation is None:
        raise NotFound
    return organisation


def providers() -> QuerySet[Organisation]:
    """Return the organisations that offer resources: public knowledge."""
    return Organisation.objects.filter(kind=Organisation.Kind.PROVIDER)


def payees() -> QuerySet[Organisation]:
    """Return the organisations that can be paid: providers and enterprises."""
    return Organisation.objects.exclude(kind=Organisation.Kind.DEPARTMENT)


def by_name_or_code(text: str) -> Organisation | None:
    """Return the organisation whose full name or unified social credit code this is, as somebody typed it."""
    wanted = text.strip()
    return (
        Organisation.objects.filter(credit_code=wanted.upper()).first()
        or Organisation.objects.filter(name=wanted).order_by("pk").first()
    )


def enterprises_like(text: str, *, most: int) -> QuerySet[Organisation]:
    """Return at most `most` enterprises whose name holds the text or whose credit code begins with it, by name."""
    wanted = text.strip()
    like = Q(name__icontains=wanted) | Q(name_en__icontains=wanted) | Q(credit_code__startswith=wanted.upper())
    return Organisation.objects.filter(like, kind=Organisation.Kind.ENTERPRISE).order_by("name", "pk")[:most]
