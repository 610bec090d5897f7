"""Do one act from a form, and tell the person what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest

from portal.http import Explained
from portal.kernel.errors import Conflict, InvalidTransition, noop
from portal.pages.labels import label_of
from portal.pages.shell import attempt, key_of

__all__ = ["Stale", "attempt_on", "remember", "was_sent"]

_ = noop

SESSION_KEY = "sent_forms"
REMEMBERED = 20


class Stale(Conflict):
    """The record has moved on since the page was shown: somebody else, or the same person's first click."""

    code = "conflict.stale"
    message = _("该记录现在是“%(state)s”，这一步已不适用。本页显示的是最新状态，您的操作没有产生影响。")


def attempt_on(kind: str, act: Callable[[], Any]) -> tuple[Any, Explained | None]:
    """Do `act` as `shell.attempt` does; a state that does not allow it is told in the words of `kind`."""

    def worded() -> Any:
        try:
            return act()
        except InvalidTransition as error:
            raise Stale(state=label_of(kind, error.params["state"])[1]) from error

    return attempt(worded)


def was_sent(request: HttpRequest) -> bool:
    """Say whether this very form was sent before in this session. Raises BadKey for a form without a key."""
    return key_of(request) in request.session.get(SESSION_KEY, [])


def remember(request: HttpRequest) -> None:
    """Remember that this form has done its act; for acts whose service has no key of its own."""
    request.session[SESSION_KEY] = [*request.session.get(SESSION_KEY, []), key_of(request)][-REMEMBERED:]
