"""Endpoints of organisations."""

from __future__ import annotations

from ninja import Router, Schema

from portal.organisations import access
from portal.organisations.models import Organisation
from portal.wire import ActorRequest, problems

router = Router(tags=["organisations"])


class OrganisationOut(Schema):
    """The organisation a caller acts for, and what it may do there."""

    name: str
    name_en: str
    kind: str
    credit_code: str
    city: str
    permissions: list[str]


@router.get("/me", response={200: OrganisationOut, **problems(404)})
def me(request: ActorRequest) -> dict[str, object]:
    """Say who the token or session acts for."""
    organisation: Organisation = access.get_own(request.actor)
    return {
        "name": organisation.name,
        "name_en": organisation.name_en,
        "kind": organisation.kind,
        "credit_code": organisation.credit_code,
        "city": organisation.city,
        "permissions": sorted(permission.value for permission in request.actor.permissions),
    }
