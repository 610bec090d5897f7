"""Do one act from a form, and tell the person what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest

from portal.http import Explained
from portal.kernel.errors import Conflict, Invalid, InvalidTransition, noop
from portal.kernel.idempotency import BadKey, KeyReused
from portal.pages.labels import label_of
from portal.pages.shell import attempt, key_of

__all__ = ["Expired", "SentBefore", "Stale", "attempt_on", "remember", "was_sent"]

_ = noop

SESSION_KEY = "sent_forms"
REMEMBERED = 20


class Stale(Conflict):
    """The record has moved on since the page was shown: somebody else, or the same person's first click."""

    code = "conflict.stale"
    message = _("该记录现在是“%(state)s”，这一步已不适用。本页显示的是最新状态，您的操作没有产生影响。")


class Expired(Invalid):
    """The form has no key, or not one of ours: an old page, or one that was tampered with."""

    code = "form.expired"
    message = _("页面已过期，什么都没有提交。请核对下面的内容，再提交一次。")


class SentBefore(Conflict):
    """The same page was sent before with other content: somebody went back and changed it."""

    code = "form.sent_before"
    message = _("这一页之前已经提交过，内容与现在不同。之前的那份已生效；如要再提交一份，请核对后再点一次提交。")


def attempt_on(kind: str, act: Callable[[], Any]) -> tuple[Any, Explained | None]:
    """Do `act` as `shell.attempt` does; a state that does not allow it is told in the words of `kind`.

    What the API says of its idempotency keys is said here of the page that carried one.
    """

    def worded() -> Any:
        try:
            return act()
        except InvalidTransition as error:
            raise Stale(state=label_of(kind, error.params["state"])[1]) from error
        except BadKey as error:
            raise Expired from error
        except KeyReused as error:
            raise SentBefore from error

    return attempt(worded)


def was_sent(request: HttpRequest) -> bool:
    """Say whether this very form was sent before in this session. Raises Expired for a form without a key."""
    try:
        key = key_of(request)
    except BadKey as error:
        raise Expired from error
    return key in request.session.get(SESSION_KEY, [])


def remember(request: HttpRequest) -> None:
    """Remember that this form has done its act; for acts whose service has no key of its own."""
    request.session[SESSION_KEY] = [*request.session.get(SESSION_KEY, []), key_of(request)][-REMEMBERED:]
