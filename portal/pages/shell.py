"""What every page shares: who may come in, how errors come back, how lists page, sort, filter and export."""

from __future__ import annotations

import csv
import functools
import io
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Page, Paginator
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from portal.http import Busy, Explained, explain, is_lock_timeout
from portal.kernel.actors import Actor, Permission
from portal.kernel.cells import inert
from portal.kernel.errors import Forbidden, Invalid, NotFound, PortalError, noop

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]

PAGE_SIZE = 25
EXPORT_LIMIT = 20_000


def actor_of(request: HttpRequest) -> Actor:
    """Return who asks. Only behind `needs`: there is always somebody."""
    actor = getattr(request, "actor", None)
    assert isinstance(actor, Actor)
    return actor


def stranger_or_actor(request: HttpRequest) -> Actor | None:
    """Return who asks, or None."""
    actor: Actor | None = getattr(request, "actor", None)
    return actor


def page(request: HttpRequest, template: str, context: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
    """Render a page."""
    return render(request, template, dict(context), status=status)


def no_nul(named: Mapping[str, object]) -> None:
    """Raises NotFound where an address names something by a NUL, which no name holds and the database cannot compare."""
    if any("\0" in str(value) for value in named.values()):
        raise NotFound


class Unstorable(Invalid):
    """What was typed holds a NUL, which no keyboard makes and the database cannot keep."""

    code = "text.nul"
    message = noop("提交的内容含有不能保存的字符（NUL）。请删去后再提交。")


JUDGED = {"script"}
"""Fields whose own rules answer for a NUL, beside all else that is wrong with them."""
JUDGED_AT = {"job_new": {"title", "array", "after", "environment"}}
"""The same by page: forms that say it at the field and give back everything that was typed."""


def storable(request: HttpRequest) -> None:
    """Raises Unstorable, naming the field, for a sent form with a NUL in it."""
    if request.method != "POST":
        return
    match = request.resolver_match
    judged = JUDGED | JUDGED_AT.get(str(match.url_name) if match else "", set())
    for name, texts in request.POST.lists():
        if name in judged:
            continue
        if "\0" in name or any("\0" in str(text) for text in texts):
            raise Unstorable(field=name.replace("\0", ""))


def guarded(
    view: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Turn errors nobody caught into a page that says what is wrong and how to go on."""

    @functools.wraps(view)
    def wrapped(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            no_nul(kwargs)
            storable(request)
            return view(request, *args, **kwargs)
        except PortalError as error:
            return problem_page(request, explain(error))
        except OperationalError as error:
            if is_lock_timeout(error):
                return problem_page(request, explain(Busy()))
            raise

    return wrapped


def problem_page(request: HttpRequest, problem: Explained) -> HttpResponse:
    """Render an error as a page of its own."""
    response = page(request, "problem.html", {"problem": problem}, status=problem.status)
    if problem.status == 503:
        response["Retry-After"] = "3"
    return response


def needs(
    *permissions: Permission,
) -> Callable[
    [Callable[Concatenate[HttpRequest, P], HttpResponse]], Callable[Concatenate[HttpRequest, P], HttpResponse]
]:
    """Let in who is signed in and holds any of `permissions` (none named: everybody signed in)."""

    def decorate(
        view: Callable[Concatenate[HttpRequest, P], HttpResponse],
    ) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
        @functools.wraps(view)
        def wrapped(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            actor = stranger_or_actor(request)
            if actor is None:
                return redirect_to_login(request.get_full_path())
            if permissions and not any(actor.may(permission) for permission in permissions):
                return problem_page(request, explain(Forbidden()))
            return view(request, *args, **kwargs)

        return guarded(wrapped)

    return decorate


def new_key() -> str:
    """Return a fresh idempotency key for a form: posting the form twice then does the act once."""
    return uuid.uuid4().hex


def key_of(request: HttpRequest) -> str:
    """Return the form's key; a form without one is expired or forged. Raises Invalid."""
    from portal.kernel.idempotency import check_key

    return check_key(request.POST.get("idempotency_key", ""))


class UnknownAct(Invalid):
    """A form was sent without one of the buttons it has."""

    code = "act.unknown"
    message = noop("没有这个操作，请刷新页面后再试。")


def act_of(request: HttpRequest, *known: str) -> str:
    """Return which of a form's buttons was pressed. Raises UnknownAct: nothing is done by default."""
    act = request.POST.get("act", "")
    if act not in known:
        raise UnknownAct
    return act


def attempt(act: Callable[[], Any]) -> tuple[Any, Explained | None]:
    """Do `act`; return its value, or what went wrong in the user's language so that the form can be shown again.

    NotFound passes through: a thing that is not there has no form to go back to.
    """
    try:
        return act(), None
    except NotFound as error:
        if not error.field:
            raise
        return None, explain(error)
    except PortalError as error:
        return None, explain(error)
    except OperationalError as error:
        if is_lock_timeout(error):
            return None, explain(Busy())
        raise


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list, with what its template needs to sort, page and say how many there are."""

    page: Page[Any]
    sort: str
    total: int

    @property
    def rows(self) -> Iterable[Any]:
        return self.page.object_list


def listing(request: HttpRequest, rows: QuerySet[Any], *, sorts: Mapping[str, Sequence[str]], default: str) -> Listing:
    """Sort and page `rows` as the address asks: ``?sort=-name&page=2``. Unknown values fall back, never fail.

    `sorts` maps a public name to the columns behind it; a leading minus turns all of them round.
    """
    asked = request.GET.get("sort", default)
    name = asked.removeprefix("-")
    if name not in sorts:
        asked, name = default, default.removeprefix("-")
    columns = [*sorts[name], "pk"]
    if asked.startswith("-"):
        columns = [column[1:] if column.startswith("-") else f"-{column}" for column in columns]
    paginator = Paginator(rows.order_by(*columns), PAGE_SIZE)
    return Listing(page=paginator.get_page(request.GET.get("page")), sort=asked, total=paginator.count)


def wants_csv(request: HttpRequest) -> bool:
    """Say whether the list is asked for as a file."""
    return request.GET.get("format") == "csv"


def csv_response(name: str, header: Sequence[object], rows: Iterable[Sequence[Any]]) -> HttpResponse:
    """Return a CSV file that a spreadsheet opens as text: UTF-8 with BOM, and no text that starts a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(header)
    for row in rows:
        writer.writerow([inert(cell) for cell in row])
    response = HttpResponse("\ufeff" + buffer.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


__all__ = [
    "EXPORT_LIMIT",
    "Listing",
    "act_of",
    "actor_of",
    "attempt",
    "csv_response",
    "guarded",
    "key_of",
    "listing",
    "needs",
    "new_key",
    "page",
    "problem_page",
    "stranger_or_actor",
    "wants_csv",
]
