"""Call the API as an organisation's own system would: over HTTP, with a token."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal.kernel.actors import Actor
from portal.organisations import access as people
from portal.organisations.models import ApiToken, Member
from tests import make


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: Any

    @property
    def code(self) -> str:
        return self.body["code"]

    @property
    def reasons(self) -> list[str]:
        return [reason["code"] for reason in self.body["reasons"]]


def token_of(someone: Actor) -> tuple[ApiToken, str]:
    """Return a token with all roles of a member. (`services.create_token` lets only an owner make one, with no more
    roles than its own; what a token may do once it exists is the same table.)"""
    secret = f"gx_{secrets.token_urlsafe(32)}"
    member = Member.objects.get(user_id=someone.user_id, organisation_id=someone.organisation_id)
    token = ApiToken.objects.create(
        organisation_id=someone.organisation_id,
        name="LIMS",
        prefix=secret[:9],
        digest=people.digest(secret),
        roles=member.roles,
        created_by_id=someone.user_id,
        created_at=make.NOW,
    )
    return token, secret


class Caller:
    """A system with a token; paths are below ``/api/v1``."""

    def __init__(self, someone: Actor, *, language: str = "zh-hans") -> None:
        _row, self.secret = token_of(someone)
        self.language = language
        self.client = Client()

    def _call(self, method: str, path: str, key: str | None = None, **more: Any) -> Answer:
        headers = {"Authorization": f"Bearer {self.secret}", "Accept-Language": self.language}
        if key:
            headers["Idempotency-Key"] = key
        response = getattr(self.client, method)(f"/api/v1{path}", headers=headers, **more)
        is_json = response.content and response.headers["Content-Type"].startswith("application/json")
        return Answer(response.status_code, response.json() if is_json else response.content, response.headers)

    def get(self, path: str, **params: Any) -> Answer:
        return self._call("get", path, data=params)

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        return self._call("post", path, key, data=body if body is not None else {}, content_type="application/json")

    def put(self, path: str, body: Any) -> Answer:
        return self._call("put", path, data=body, content_type="application/json")

    def delete(self, path: str) -> Answer:
        return self._call("delete", path)

    def upload(self, path: str, **form: Any) -> Answer:
        return self._call("post", path, data=form)


CONTRACT = {
    "number": "HT-2026-001",
    "provider": "之江分析测试中心",
    "signed": "2026-11-01",
    "months": 12,
    "items": {"compute": {"yuan": "100000"}, "instrument_use": {"yuan": "100000"}},
}
"""Half of it is granted by the programme of `make.programme`."""


def queries_of(act: Callable[[], Answer]) -> int:
    """Return how many queries a successful call takes."""
    with CaptureQueriesContext(connection) as captured:
        answer = act()
    assert answer.status == 200, answer
    return len(captured)


def zoned(moment: datetime) -> str:
    """Return a moment as people in Beijing write it."""
    return moment.astimezone(make.BEIJING).isoformat()


@dataclass(frozen=True)
class Write:
    """One operation with a body that is well-formed, and the roles of `make.World` that may do it."""

    operation: str
    allowed: str
    body: Any = None

    @property
    def roles(self) -> set[str]:
        return set(self.allowed.split())
