"""How an API call says who it comes from: a token of its organisation, or the browser session of a member."""

from __future__ import annotations

from django.http import HttpRequest
from ninja.security import HttpBearer, SessionAuth

from portal.kernel.actors import Actor
from portal.organisations import access

__all__ = ["AUTH", "MemberAuth", "TokenAuth"]


class TokenAuth(HttpBearer):
    """``Authorization: Bearer gx_…``: an organisation's own token."""

    def authenticate(self, request: HttpRequest, token: str) -> Actor | None:
        actor = access.actor_for_token(token)
        if actor is not None:
            request.actor = actor  # type: ignore[attr-defined]
        return actor


class MemberAuth(SessionAuth):
    """The browser session of a signed-in member, with Django's CSRF token on writes."""

    def __call__(self, request: HttpRequest) -> Actor | None:
        """Judge a call that brings a token by its token alone, and ask strangers to sign in before asking for CSRF."""
        if "Authorization" in request.headers or getattr(request, "actor", None) is None:
            return None
        actor: Actor | None = super().__call__(request)
        return actor

    def authenticate(self, request: HttpRequest, key: str | None) -> Actor | None:  # noqa: ARG002  the session was read by the middleware
        actor: Actor | None = getattr(request, "actor", None)
        return actor


AUTH = [TokenAuth(), MemberAuth()]
