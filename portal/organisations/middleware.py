"""Attach the acting organisation to the request: ``request.actor``, or None for strangers."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from portal.kernel.actors import Actor
from portal.organisations import access
from portal.organisations.models import Member, User

SESSION_KEY = "acting_for"


class ActorMiddleware:
    """Resolve the actor lazily-free and once: one query for a signed-in person, none for anybody else.

    What an actor is shown is kept by no cache: neither a proxy's nor the browser's after signing out.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.actor = None  # type: ignore[attr-defined]
        request.memberships = []  # type: ignore[attr-defined]
        if request.user.is_authenticated:
            assert isinstance(request.user, User)
            members = list(access.memberships(request.user))
            request.memberships = members  # type: ignore[attr-defined]
            request.actor = self._actor(request, members)  # type: ignore[attr-defined]
        response = self.get_response(request)
        # Also behind a token, which the API turns into an actor later. RFC 9111 §5.2.2.5, §5.2.2.7.
        if getattr(request, "actor", None) is not None and not response.has_header("Cache-Control"):
            response["Cache-Control"] = "private, no-store"
        return response

    def _actor(self, request: HttpRequest, members: list[Member]) -> Actor:
        chosen = request.session.get(SESSION_KEY)
        for member in members:
            if member.organisation_id == chosen or chosen is None:
                member.user = request.user  # type: ignore[assignment]
                return access.actor_for(member)
        if members:
            members[0].user = request.user  # type: ignore[assignment]
            return access.actor_for(members[0])
        assert isinstance(request.user, User)
        return Actor(user_id=request.user.pk, organisation_id=None, label=str(request.user))
