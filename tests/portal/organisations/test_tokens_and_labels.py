"""What a person leaves behind: tokens end with their makers; and names of any length fit the records."""

from __future__ import annotations

import pytest
from django.urls import reverse

from portal.audit.models import Record
from portal.kernel.actors import Actor
from portal.organisations import access, services
from portal.organisations.models import ApiToken, Member
from portal.organisations.rules import Role
from tests import make


def token(maker: Actor, *roles: Role, name: str = "对接") -> str:
    _row, secret = services.create_token(actor=maker, name=name, roles=[role.value for role in roles], now=make.NOW)
    return secret


@pytest.fixture
def second(w: make.World) -> Actor:
    return make.actor(w.enterprise, Role.OWNER, Role.RESEARCHER)


def membership(someone: Actor) -> Member:
    return Member.objects.get(user_id=someone.user_id, organisation_id=someone.organisation_id)


class TestTokensOfAMemberWhoGoes:
    def test_end_with_the_membership_and_the_trail_says_so(self, w, second):
        kept, lost = token(w.owner, Role.RESEARCHER), token(second, Role.RESEARCHER)

        services.change_member(actor=w.owner, member_id=membership(second).pk, roles=[], now=make.NOW)

        assert access.actor_for_token(lost) is None
        assert access.actor_for_token(kept) is not None
        assert ApiToken.objects.get(created_by_id=second.user_id).revoked_at == make.NOW
        assert Record.objects.filter(action="token.revoked", actor_user_id=w.owner.user_id).count() == 1

    def test_end_when_they_allow_more_than_their_maker_may_from_now_on(self, w, second):
        wide, narrow = token(second, Role.OWNER), token(second, Role.RESEARCHER)

        services.change_member(
            actor=w.owner, member_id=membership(second).pk, roles=[Role.RESEARCHER.value], now=make.NOW
        )

        assert access.actor_for_token(wide) is None
        assert access.actor_for_token(narrow) is not None

    def test_are_refused_while_their_makers_account_is_closed(self, w, second):
        secret = token(second, Role.OWNER)
        person = make.user_of(second)
        person.is_active = False
        person.save()
        assert access.actor_for_token(secret) is None


def test_the_longest_names_fit_every_record(db):
    person = make.user()
    person.display_name, person.username = "", "u" * 150
    person.save()
    own = services.register(
        user=person,
        kind=make.roles.Kind.ENTERPRISE,
        names={"zh": "名" * 120},
        credit_code=make.credit_code(),
        city="杭州",
        now=make.NOW,
    )
    owner = access.actor_for(Member.objects.select_related("user", "organisation").get(organisation=own))
    caller = access.actor_for_token(token(owner, Role.OWNER, name="令" * 60))
    assert caller is not None
    for someone in (owner, caller):
        assert len(someone.signature) <= 160
        assert someone.label.endswith("…")


class TestCaches:
    def test_keep_nothing_an_actor_is_shown(self, w, client):
        assert "Cache-Control" not in client.get(reverse("instruments"))
        secret = token(w.owner, Role.OWNER)
        called = client.get("/api/v1/organisations/me", headers={"Authorization": f"Bearer {secret}"})
        assert called["Cache-Control"] == "private, no-store"
        client.force_login(make.user_of(w.owner))
        for name in ("organisation", "wallet", "payments"):
            assert client.get(reverse(name))["Cache-Control"] == "private, no-store"
