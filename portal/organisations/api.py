"""Endpoints of organisations."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import Field

from portal.organisations import access, rules, services
from portal.organisations.auth import MemberAuth
from portal.organisations.models import Organisation, User
from portal.wire import ActorRequest, Line, StrictIn, problems

router = Router(tags=["organisations"])


class OrganisationOut(Schema):
    """The organisation a caller acts for, and what it may do there."""

    name: str
    name_en: str
    kind: str
    kind_label: str
    credit_code: str
    city: str
    permissions: list[str]


class OrganisationIn(StrictIn):
    """An enterprise as its business licence names it."""

    name: Annotated[Line, Field(min_length=1, max_length=120)]
    name_en: Annotated[Line, Field(max_length=160)] = ""
    credit_code: Annotated[Line, Field(min_length=1, max_length=40)]
    city: Annotated[Line, Field(min_length=1, max_length=40)]


def _shown(organisation: Organisation, permissions: list[str]) -> dict[str, Any]:
    return {
        "name": organisation.name,
        "name_en": organisation.name_en,
        "kind": organisation.kind,
        "kind_label": organisation.get_kind_display(),
        "credit_code": organisation.credit_code,
        "city": organisation.city,
        "permissions": permissions,
    }


@router.get("/me", response={200: OrganisationOut, **problems()})
def me(request: ActorRequest) -> dict[str, Any]:
    """Say who the token or session acts for. 403 for a person who belongs to no organisation yet."""
    permissions = sorted(permission.value for permission in request.actor.permissions)
    return _shown(access.get_own(request.actor), permissions)


@router.post("", auth=MemberAuth(), response={201: OrganisationOut, **problems(409)})
def register(request: HttpRequest, payload: OrganisationIn) -> Status[dict[str, Any]]:
    """Register an enterprise and become its owner. Only for a signed-in person: a token already has an organisation.

    Providers and departments are entered by the portal's operator.
    """
    assert isinstance(request.user, User), "MemberAuth lets nobody else in"
    organisation = services.register(
        user=request.user,
        kind=rules.Kind.ENTERPRISE,
        names={"zh": payload.name, "en": payload.name_en},
        credit_code=payload.credit_code,
        city=payload.city,
        now=timezone.now(),
    )
    held = rules.permissions_of(rules.Kind.ENTERPRISE, frozenset({rules.Role.OWNER}))
    return Status(201, _shown(organisation, sorted(permission.value for permission in held)))
