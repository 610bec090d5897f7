"""The portal's addresses, and the reference view beside them in the same server."""

from __future__ import annotations

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from portal import throttling
from portal.urls import urlpatterns as portal_addresses
from scheduler.feeds import rules as feeds

throttling.WRITES_PER_MINUTE = 10**9
feeds.HOURLY = 10**9


@csrf_exempt
def bare_insert(request: HttpRequest) -> JsonResponse:
    """Insert one row: no session, no checks, no ledger. What HTTP, Django and one commit cost here."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO bench_row (body) VALUES (%s) RETURNING id", [request.body.decode()[:200]])
        (row,) = cursor.fetchone()
    return JsonResponse({"id": row}, status=201)


urlpatterns = [path("bench/insert", bare_insert), *portal_addresses]
