"""Register organisations, keep members and tokens."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from django.db import IntegrityError, transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Invalid, noop
from portal.organisations import access, rules
from portal.organisations.models import ApiToken, Member, Organisation, User

_ = noop


class NameMissing(Invalid):
    code = "organisation.name"
    message = _("请填写单位全称（与营业执照一致）。")


class UnknownUser(Invalid):
    code = "member.unknown_user"
    message = _("没有用户名为“%(value)s”的用户。请对方先注册账号，再由您加入本单位。")


class AlreadyMember(Conflict):
    code = "member.already"
    message = _("“%(value)s”已是本单位成员，可直接修改其角色。")


class BadRole(Invalid):
    code = "member.role"
    message = _("角色“%(value)s”不适用于本单位。")


class LastOwner(Conflict):
    code = "member.last_owner"
    message = _("这是本单位最后一位管理员。请先指定另一位管理员。")


@transaction.atomic
def register(
    *,
    user: User,
    kind: rules.Kind,
    names: Mapping[str, str],
    credit_code: str,
    city: str,
    now: datetime,
    facts: Mapping[str, Any] | None = None,
) -> Organisation:
    """Register an organisation and make `user` its owner.

    `names` holds ``zh`` and optionally ``en``; `facts` are verified ones only, never what an applicant says of
    itself. Raises BadCreditCode (GB 32100), CreditCodeTaken, NameMissing.
    """
    code = rules.check_credit_code(credit_code)
    name = names.get("zh", "").strip()
    if not name:
        raise NameMissing(field="name")
    try:
        with transaction.atomic():
            organisation = Organisation.objects.create(
                kind=kind.value,
                name=name,
                name_en=names.get("en", "").strip(),
                credit_code=code,
                city=city.strip(),
                facts=dict(facts or {}),
            )
    except IntegrityError as error:
        raise rules.CreditCodeTaken(field="credit_code", value=code) from error
    member = Member.objects.create(user=user, organisation=organisation, roles=[rules.Role.OWNER.value])
    audit.record(
        action="organisation.registered",
        subject=f"organisation:{organisation.pk}",
        actor=access.actor_for(member),
        now=now,
        organisations=[organisation.pk],
        data={"name": name, "credit_code": code},
    )
    return organisation


def _checked_roles(organisation: Organisation, roles: Sequence[str]) -> list[str]:
    allowed = {role.value for role in rules.ROLES_OF_KIND[rules.Kind(organisation.kind)]}
    for role in roles:
        if role not in allowed:
            raise BadRole(field="roles", value=role)
    if not roles:
        raise BadRole(field="roles", value="")
    return sorted(set(roles))


@transaction.atomic
def add_member(*, actor: Actor, username: str, roles: Sequence[str], now: datetime) -> Member:
    """Add a registered person to the actor's organisation. Raises UnknownUser, AlreadyMember, BadRole, Forbidden."""
    actor.require(Permission.MEMBERS_MANAGE)
    organisation = access.get_own(actor)
    user = User.objects.filter(username=username.strip(), is_active=True).first()
    if user is None:
        raise UnknownUser(field="username", value=username.strip())
    try:
        with transaction.atomic():
            member = Member.objects.create(
                user=user, organisation=organisation, roles=_checked_roles(organisation, roles)
            )
    except IntegrityError as error:
        raise AlreadyMember(field="username", value=username.strip()) from error
    audit.record(
        action="member.added",
        subject=f"organisation:{organisation.pk}",
        actor=actor,
        now=now,
        data={"username": user.username, "roles": member.roles},
    )
    return member


@transaction.atomic
def change_member(*, actor: Actor, member_id: int, roles: Sequence[str], now: datetime) -> Member | None:
    """Set a member's roles; no roles = the person leaves. Raises LastOwner, BadRole, NotFound, Forbidden.

    Tokens the person made end with what they allow: whoever leaves keeps no way in.
    """
    member = access.get_member(actor, member_id)
    organisation = Organisation.objects.select_for_update(no_key=True).order_by("pk").get(pk=member.organisation_id)
    owners = Member.objects.filter(
        organisation=organisation, left_at__isnull=True, roles__contains=[rules.Role.OWNER.value]
    ).exclude(pk=member.pk)
    if rules.Role.OWNER.value not in roles and not owners.exists():
        raise LastOwner(field="roles")
    if roles:
        member.roles = _checked_roles(organisation, roles)
    else:
        member.left_at = now
    member.save(update_fields=["roles", "left_at"])
    audit.record(
        action="member.changed" if roles else "member.left",
        subject=f"organisation:{organisation.pk}",
        actor=actor,
        now=now,
        data={"username": member.user.username, "roles": list(roles)},
    )
    _end_tokens(member, actor=actor, now=now)
    return member if roles else None


def _end_tokens(member: Member, *, actor: Actor, now: datetime) -> None:
    """Revoke the tokens a member made that allow more than the member now may."""
    held = frozenset() if member.left_at else access.actor_for(member).permissions
    kind = rules.Kind(member.organisation.kind)
    made = ApiToken.objects.filter(
        organisation_id=member.organisation_id, created_by_id=member.user_id, revoked_at__isnull=True
    )
    for token in made.order_by("pk"):
        granted = rules.permissions_of(kind, frozenset(rules.Role(role) for role in token.roles))
        if member.left_at or not granted <= held:
            _revoke(token, actor=actor, now=now)


@transaction.atomic
def create_token(*, actor: Actor, name: str, roles: Sequence[str], now: datetime) -> tuple[ApiToken, str]:
    """Make an API token of the actor's organisation; returns the row and the secret, which is shown this once.

    A token can never do more than the person who makes it.
    """
    actor.require(Permission.MEMBERS_MANAGE)
    organisation = access.get_own(actor)
    checked = _checked_roles(organisation, roles)
    granted = rules.permissions_of(rules.Kind(organisation.kind), frozenset(rules.Role(r) for r in checked))
    if not granted <= actor.permissions:
        raise BadRole(field="roles", value=", ".join(checked))
    if not name.strip():
        raise NameMissing(field="name")
    secret = f"gx_{secrets.token_urlsafe(32)}"
    token = ApiToken.objects.create(
        organisation=organisation,
        name=name.strip(),
        prefix=secret[:9],
        digest=access.digest(secret),
        roles=checked,
        created_by_id=actor.person,
        created_at=now,
    )
    audit.record(
        action="token.created",
        subject=f"organisation:{organisation.pk}",
        actor=actor,
        now=now,
        data={"name": token.name, "prefix": token.prefix, "roles": checked},
    )
    return token, secret


@transaction.atomic
def revoke_token(*, actor: Actor, token_id: int, now: datetime) -> ApiToken:
    """End a token at once. Idempotent."""
    token = access.get_token(actor, token_id)
    if token.revoked_at is None:
        _revoke(token, actor=actor, now=now)
    return token


def _revoke(token: ApiToken, *, actor: Actor, now: datetime) -> None:
    token.revoked_at = now
    token.save(update_fields=["revoked_at"])
    audit.record(
        action="token.revoked",
        subject=f"organisation:{token.organisation_id}",
        actor=actor,
        now=now,
        data={"name": token.name, "prefix": token.prefix},
    )


@transaction.atomic
def bar(*, organisation_id: int, until: date, actor: Actor, now: datetime) -> Organisation:
    """Write into the registered facts until when an organisation may not apply; a later day stands, never an earlier one.

    The rule engine reads it as ``applicant.barred_until``. The caller has checked who may decide it.
    """
    organisation = Organisation.objects.select_for_update(no_key=True).order_by("pk").get(pk=organisation_id)
    known = str(organisation.facts.get("barred_until", ""))
    organisation.facts = {**organisation.facts, "barred_until": max(known, until.isoformat())}
    organisation.save(update_fields=["facts"])
    audit.record(
        action="organisation.barred",
        subject=f"organisation:{organisation.pk}",
        actor=actor,
        now=now,
        organisations=[organisation.pk],
        data={"until": until.isoformat()},
    )
    return organisation
