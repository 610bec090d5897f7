"""What a supervisor or a load balancer asks: is the process alive, may it be sent requests.

``healthz`` touches nothing outside the process. ``readyz`` asks PostgreSQL, its migrations and Redis on connections of
its own, each with a deadline, so that an exhausted pool or a hanging server can delay the answer by at most 3 s.
"""

from functools import cache
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

__all__ = ["healthz", "readyz"]

CONNECT_S = 2  # libpq knows no shorter deadline
ANSWER_S = 1


@never_cache
@require_safe
async def healthz(_request: HttpRequest) -> JsonResponse:
    """Answer 200 as long as the process serves requests."""
    return JsonResponse({"status": "alive"})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """Answer 200 when requests can be served, else 503 with the names of what is missing.

    ``missing`` holds ``postgresql``, ``redis`` and ``migrations``; the last comes with the names in ``unapplied``.
    """
    missing: list[str] = []
    unapplied: list[str] = []
    try:
        unapplied = unapplied_migrations()
    except psycopg.Error:
        missing.append("postgresql")
    if unapplied:
        missing.append("migrations")
    if not redis_answers():
        missing.append("redis")
    if not missing:
        return JsonResponse({"status": "ready"})
    body: dict[str, Any] = {"status": "unavailable", "missing": missing}
    if unapplied:
        body["unapplied"] = unapplied
    return JsonResponse(body, status=503)


def unapplied_migrations() -> list[str]:
    """Name the migrations of this release that the database has not seen, as ``app.name``, sorted.

    Raises `psycopg.Error` where PostgreSQL does not answer within the deadlines.
    """
    parameters = {
        **connection.get_connection_params(),
        "connect_timeout": CONNECT_S,
        "options": f"-c statement_timeout={ANSWER_S * 1000}",
        "autocommit": True,
    }
    with psycopg.connect(**parameters) as database, database.cursor() as cursor:
        cursor.execute("SELECT to_regclass('django_migrations') IS NOT NULL")
        applied: set[tuple[str, str]] = set()
        if cursor.fetchone() == (True,):
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = set(cursor.fetchall())
    return sorted(f"{app}.{name}" for app, name in shipped_migrations() - applied)


@cache
def shipped_migrations() -> frozenset[tuple[str, str]]:
    """List the migrations this release ships as (app, name); they cannot change while the process runs."""
    return frozenset(MigrationLoader(None).graph.nodes)


def redis_answers() -> bool:
    """Ask Redis for a sign of life, with a deadline."""
    client = redis.Redis.from_url(
        settings.CACHES["default"]["LOCATION"], socket_connect_timeout=ANSWER_S, socket_timeout=ANSWER_S
    )
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
