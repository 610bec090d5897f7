"""Measure the portal over HTTP against a bare one-INSERT view in the same server, in one run.

    python -m portal.launch engines --exec python bench/web.py

Rounds of the reference and of each candidate alternate, so a noisy machine hurts all alike; the table gives the median
round and its ratio to the reference. Data: 60 instruments, 1,200 bookings.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["DJANGO_SETTINGS_MODULE"] = "bench.serving"

PORT = int(os.environ.get("BENCH_PORT", "8765"))
URL = f"http://127.0.0.1:{PORT}"
ROUNDS, CALLS = 3, 40


def prepare() -> tuple[list[str], str, str, dict[str, str]]:
    """Make the world; return instruments' numbers, an API token, a signed-in session of the enterprise, and feeds."""
    import django

    django.setup()
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command
    from django.db import connection

    from portal.organisations import services as organisations
    from tests import make

    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_row (id bigserial PRIMARY KEY, body text)")
    now = datetime.now(UTC).replace(microsecond=0)
    w = make.world()
    resources = [make.instrument(w, opens=(0, 1440), now=now, horizon_s=399 * 86400) for _ in range(60)]
    version = make.programme(w, now=now)
    for number in range(12):
        make.voucher(
            w, version, now=now, number=f"HT-{number}", items={"instrument_use": make.Money.from_yuan("20000")}
        )
    for number in range(1200):
        start = (now + timedelta(days=1 + number // 60 % 14)).replace(hour=0, minute=0, second=0) + timedelta(
            hours=2 * (number // 840)
        )
        make.booking(w, resources[number % 60], period=make.Period(start, start + timedelta(hours=2)), now=now)
    _row, token = organisations.create_token(actor=w.owner, name="bench", roles=["owner"], now=now)
    person = make.user_of(w.owner)
    session = SessionStore()
    session.update(
        {
            "_auth_user_id": str(person.pk),
            "_auth_user_backend": "allauth.account.auth_backends.AuthenticationBackend",
            "_auth_user_hash": person.get_session_auth_hash(),
        }
    )
    session.create()
    feeds = {
        "20 bookings of an instrument": make.feed(w.keeper, resources[0], privacy="title", now=now)[1],
        "1,200 bookings of a person": make.feed(w.researcher, None, privacy="title", now=now)[1],
    }
    # The first is not booked any more, so that its feed stays as it is.
    return [resource.number for resource in resources[1:]], token, str(session.session_key), feeds


def slots(numbers: list[str]) -> Iterator[dict[str, str]]:
    """Yield bookings that never meet each other or the prepared ones."""
    base = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=20)
    for hour in range(24 * 300):
        for number in numbers:
            start = base + timedelta(hours=hour)
            yield {
                "instrument": number,
                "starts_at": start.isoformat(),
                "ends_at": (start + timedelta(hours=1)).isoformat(),
                "title": "bench",
            }


def timed(act: Callable[[int], None], *, clients: int) -> float:
    """Return calls per second of `CALLS` calls by `clients` closed loops."""
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(act, range(CALLS)))
    return CALLS / (time.perf_counter() - began)


def main() -> None:
    import httpx

    numbers, token, session, feeds = prepare()
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "portal.asgi:application", "--port", str(PORT), "--log-level", "error"],
        env={**os.environ, "GONGXIANG_LOG_LEVEL": "ERROR"},
    )
    try:
        api = httpx.Client(base_url=URL, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        page = httpx.Client(base_url=URL, cookies={"sessionid": session}, timeout=30)
        while True:
            try:
                if api.get("/healthz").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        wanted = slots(numbers)

        def insert(number: int) -> None:
            assert api.post("/bench/insert", content=f"row {number}").status_code == 201

        def book(number: int) -> None:
            key = f"bench-{time.perf_counter_ns()}-{number}"
            answer = api.post("/api/v1/bookings", json=next(wanted), headers={"Idempotency-Key": key})
            assert answer.status_code == 201, answer.text

        taken = next(wanted)
        assert api.post("/api/v1/bookings", json=taken, headers={"Idempotency-Key": "bench-taken"}).status_code == 201

        def lose(number: int) -> None:
            key = f"bench-{time.perf_counter_ns()}-{number}"
            answer = api.post("/api/v1/bookings", json=taken, headers={"Idempotency-Key": key})
            assert answer.status_code == 409, answer.text
            assert len(answer.json()["data"]["alternatives"]) == 3

        def subscribe(secret: str, *, known: bool) -> Callable[[int], None]:
            path = f"/feeds/{secret}/events.ics"
            first = page.get(path)
            assert first.status_code == 200, first.text
            asked = {"If-None-Match": first.headers["etag"]} if known else {}

            def act(number: int) -> None:
                # Another address is another document: rendered anew, not taken from the cache.
                where = path if known else f"{path}?{time.perf_counter_ns()}-{number}"
                assert page.get(where, headers=asked).status_code == (304 if known else 200)

            return act

        def get(path: str) -> Callable[[int], None]:
            def act(_number: int) -> None:
                assert page.get(path).status_code == 200

            return act

        candidates = {
            "bare INSERT view": insert,
            "booking create (API)": book,
            "booking refused, 3 alternatives (API)": lose,
            "search page, 20 of 60 instruments": get("/instruments/?length=2"),
            "week grid page, 20 of 60 instruments": get("/instruments/?view=week"),
            "wallet page, 12 vouchers": get("/wallet/"),
            "bookings list, 25 of 1,200": get("/bookings/"),
            **{f"feed, {name}": subscribe(secret, known=False) for name, secret in feeds.items()},
            **{f"feed unchanged (304), {name}": subscribe(secret, known=True) for name, secret in feeds.items()},
        }
        for act in candidates.values():
            act(0)
        for clients in (1, 8):
            measured: dict[str, list[float]] = {name: [] for name in candidates}
            for _round in range(ROUNDS):
                for name, act in candidates.items():
                    measured[name].append(timed(act, clients=clients))
            reference = statistics.median(measured["bare INSERT view"])
            print(f"\n{clients} client(s) | calls/s | bare ÷ this")
            for name, rates in measured.items():
                rate = statistics.median(rates)
                print(f"{name:<52} | {rate:7.1f} | {reference / rate:5.1f}")
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main()
