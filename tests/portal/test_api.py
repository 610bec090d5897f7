"""What holds for every endpoint: who is let in, how errors look, how much a caller may ask."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache.backends.redis import RedisCache
from django.test import Client
from ninja.openapi.schema import OpenAPISchema

from portal import throttling
from portal.api import api
from portal.organisations.models import Member, Organisation
from portal.organisations.rules import Kind
from tests import make
from tests.calling import Caller, token_of, zoned

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

REGISTRATION = {"name": "宁波海纳材料有限公司", "name_en": "Haina Materials", "city": "宁波"}


@pytest.fixture
def visitor(db: None) -> Client:
    """A signed-in person of no organisation, in a browser that checks CSRF."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(make.user("newcomer"))
    return client


def with_csrf(client: Client, path: str, body: object) -> object:
    client.cookies["csrftoken"] = "a" * 32
    return client.post(path, body, content_type="application/json", headers={"X-CSRFToken": "a" * 32})


class TestLettingIn:
    def test_asks_strangers_to_identify_themselves(self, client):
        answer = client.get("/api/v1/vouchers")
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"

    def test_asks_strangers_who_write_too(self):
        answer = Client(enforce_csrf_checks=True).post("/api/v1/bookings", {}, content_type="application/json")
        assert answer.status_code == 401

    def test_knows_whose_token_it_is(self, w):
        answer = Caller(w.researcher).get("/organisations/me")
        assert answer.status == 200
        assert answer.body["credit_code"] == w.enterprise.credit_code
        assert answer.body["kind_label"] == "企业"
        assert answer.body["permissions"] == [
            "booking:request",
            "job:submit",
            "order:place",
            "proposal:submit",
            "voucher:read_own",
        ]

    def test_refuses_a_revoked_token(self, w, client):
        token, secret = token_of(w.researcher)
        headers = {"Authorization": f"Bearer {secret}"}
        assert client.get("/api/v1/organisations/me", headers=headers).status_code == 200
        token.revoked_at = make.NOW
        token.save()
        assert client.get("/api/v1/organisations/me", headers=headers).status_code == 401

    @pytest.mark.parametrize("header", ["Bearer gx_wrong", "Bearer ", "Basic abc", "gx_", "Bearer \xff"])
    def test_judges_a_call_with_a_token_by_the_token_alone(self, w, client, header):
        client.force_login(make.user_of(w.researcher))
        assert client.get("/api/v1/organisations/me", headers={"Authorization": header}).status_code == 401

    def test_lets_a_signed_in_member_read(self, w, client):
        client.force_login(make.user_of(w.keeper))
        assert client.get("/api/v1/organisations/me").json()["name"] == w.lab.name

    def test_asks_a_browser_that_writes_for_its_csrf_token(self, w):
        client = Client(enforce_csrf_checks=True)
        client.force_login(make.user_of(w.researcher))
        answer = client.post("/api/v1/bookings/quote", {}, content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (403, "http.403")
        assert "X-CSRFToken" in answer.json()["detail"]
        assert with_csrf(client, "/api/v1/bookings/quote", {}).status_code == 422

    def test_gives_a_person_without_organisation_nothing(self, visitor):
        assert visitor.get("/api/v1/organisations/me").status_code == 403
        assert visitor.get("/api/v1/vouchers").status_code == 403


class TestRegistering:
    def test_makes_an_enterprise_and_its_owner(self, visitor):
        answer = with_csrf(visitor, "/api/v1/organisations", {**REGISTRATION, "credit_code": make.credit_code()})
        assert answer.status_code == 201, answer.content
        assert answer.json()["kind"] == Kind.ENTERPRISE.value
        assert "application:submit" in answer.json()["permissions"]
        assert Member.objects.get(organisation__name=REGISTRATION["name"]).roles == ["owner"]

    def test_refuses_a_wrong_credit_code(self, visitor):
        answer = with_csrf(visitor, "/api/v1/organisations", {**REGISTRATION, "credit_code": "91330100MA27X00000"})
        assert (answer.status_code, answer.json()["code"]) == (422, "organisation.credit_code")
        assert "credit_code" in answer.json()["fields"]
        assert not Organisation.objects.exists()

    def test_refuses_a_second_organisation_with_the_same_code(self, w, visitor):
        answer = with_csrf(visitor, "/api/v1/organisations", {**REGISTRATION, "credit_code": w.lab.credit_code})
        assert (answer.status_code, answer.json()["code"]) == (409, "organisation.credit_code_taken")

    def test_is_not_for_tokens(self, w):
        answer = Caller(w.owner).post("/organisations", {**REGISTRATION, "credit_code": make.credit_code()})
        assert answer.status == 401

    def test_enters_nothing_but_enterprises(self, visitor):
        body = {**REGISTRATION, "credit_code": make.credit_code(), "kind": "department"}
        answer = with_csrf(visitor, "/api/v1/organisations", body)
        assert (answer.status_code, list(answer.json()["fields"])) == (422, ["kind"])


@pytest.fixture
def booking_of(w):
    """Return a function that asks for a booking, with anything in its body replaced."""
    caller, resource = Caller(w.researcher), make.instrument(w)
    period = make.slot()

    def ask(**changes: object):
        body = {
            "instrument": resource.number,
            "title": "观察",
            "starts_at": zoned(period.start),
            "ends_at": zoned(period.end),
        }
        return caller.post("/bookings", {**body, **changes}, key="key-of-the-call")

    return ask


class TestMalformedPayloads:
    @pytest.mark.parametrize(
        ("changes", "field", "code"),
        [
            ({"title": "a\0b"}, "title", "text_control"),
            ({"title": "\ud800"}, "title", "text_encoding"),
            ({"title": "长" * 121}, "title", "too_long"),
            ({"title": 7}, "title", "string_type"),
            ({"instrument": "\0"}, "instrument", "text_control"),
            ({"voucher": {"number": "V"}}, "voucher", "string_type"),
            ({"starts_at": "0001-01-01T00:00:00+14:00"}, "starts_at", "year"),
            ({"ends_at": "9999-12-31T23:59:59-12:00"}, "ends_at", "year"),
            ({"starts_at": "2026-11-26T09:00:00"}, "starts_at", "timezone_aware"),
            ({"starts_at": "2026-02-30T09:00:00+08:00"}, "starts_at", "datetime_from_date_parsing"),
            ({"starts_at": 1795000000}, "starts_at", "time_text"),
            ({"starts_at": None}, "starts_at", "time_text"),
            ({"price": "0.01"}, "price", "extra_forbidden"),
            ({"\ud800": 1}, "", "string_unicode"),
        ],
    )
    def test_are_refused_naming_the_field(self, booking_of, changes, field, code):
        answer = booking_of(**changes)
        assert (answer.status, answer.code) == (422, "invalid.payload")
        assert [(reason["field"], reason["code"]) for reason in answer.body["reasons"]] == [(field, code)]
        text = answer.body["reasons"][0]["text"]
        assert not re.search(r"[A-Za-z]{4,} [a-z]{2,} [a-z]{2,}", text), "the parser's English"

    @pytest.mark.parametrize(
        ("yuan", "text", "remedy"),
        [
            ("1234.505", "小数超过 2 位。", "请四舍五入到 2 位小数。"),
            (
                "1,234.50",
                "不是可以接受的数：整数至多 13 位，小数至多 2 位。",
                "请写成不带单位、千分位和空格的文本，例如 1234.5。",
            ),
            (
                "１２",
                "不是可以接受的数：整数至多 13 位，小数至多 2 位。",
                "请写成不带单位、千分位和空格的文本，例如 1234.5。",
            ),
            (
                "1.5\n",
                "不是可以接受的数：整数至多 13 位，小数至多 2 位。",
                "请写成不带单位、千分位和空格的文本，例如 1234.5。",
            ),
            (
                "12345678901234",
                "不是可以接受的数：整数至多 13 位，小数至多 2 位。",
                "请写成不带单位、千分位和空格的文本，例如 1234.5。",
            ),
        ],
    )
    def test_tell_how_to_write_an_amount(self, w, yuan, text, remedy):
        charge = make.measured(w, make.booking(w, make.instrument(w))).charge
        answer = Caller(w.keeper).post(
            f"/charges/{charge.number}/refund", {"amount": {"yuan": yuan}, "reason": "少测一半"}, key="refund-1234"
        )
        assert (answer.status, answer.code) == (422, "invalid.payload")
        assert answer.body["reasons"] == [
            {"code": "decimal_text", "text": text, "remedy": remedy, "field": "amount.yuan"}
        ]

    def test_name_every_field_at_once(self, booking_of):
        answer = booking_of(title=7, starts_at="soon", colour="red")
        assert set(answer.body["fields"]) == {"title", "starts_at", "colour"}

    def test_name_the_end_that_is_not_after_the_start(self, booking_of):
        answer = booking_of(ends_at=zoned(make.slot().start))
        assert (answer.status, answer.code, list(answer.body["fields"])) == (422, "invalid.period", ["ends_at"])

    @pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b'{"a": 1e', b"[" * 100_000, b"9" * 5000, b""])
    def test_that_are_not_json_are_400(self, w, raw):
        answer = Caller(w.researcher)._call("post", "/bookings", "key-12345", data=raw, content_type="application/json")
        assert answer.status in {400, 422}
        assert set(answer.body) == {"code", "detail", "reasons", "fields", "data"}

    def test_of_the_wrong_shape_are_422(self, w):
        for body in ([], [1], "x", 5, None):
            answer = Caller(w.researcher)._call(
                "post", "/bookings", "key-12345", data=json.dumps(body), content_type="application/json"
            )
            assert answer.status == 422, body

    def test_do_not_reach_the_database_through_the_address(self, w):
        caller = Caller(w.owner)
        for path in ("/vouchers/%00", "/bookings/%00x", "/programmes/%0a", "/instruments/%ff", f"/jobs/{'9' * 200}"):
            assert caller.get(path).status in {404, 422}, path
        for query in ("q=%00", "city=%00", "limit=0", "limit=101", "before=-1", "before=99999999999999999999"):
            assert caller.get(f"/instruments?{query}").status == 422, query

    @pytest.mark.parametrize("key", ["", "short", "spaces in it", "é" * 10, "x" * 81])
    def test_with_a_bad_idempotency_key_say_what_one_looks_like(self, w, key):
        body = {"instrument": "R", "title": "t", "starts_at": zoned(make.NOW), "ends_at": zoned(make.slot().end)}
        caller = Caller(w.researcher)
        headers = {"Authorization": f"Bearer {caller.secret}", "Idempotency-Key": key.encode().decode("latin-1")}
        resource = make.instrument(w)
        answer = caller.client.post(
            "/api/v1/bookings",
            {**body, "instrument": resource.number},
            content_type="application/json",
            headers=headers,
        )
        assert (answer.status_code, list(answer.json()["fields"])) == (422, ["Idempotency-Key"])


class TestErrors:
    def test_have_one_shape_at_addresses_that_do_not_exist(self, w):
        answer = Caller(w.owner).post("/nowhere/at/all", {})
        assert (answer.status, answer.code) == (404, "not_found")

    def test_speak_the_callers_language_and_change_nothing_else(self, w):
        resource = make.instrument(w)
        period = make.slot(start="05:00", end="07:00")
        body = {"instrument": resource.number, "starts_at": zoned(period.start), "ends_at": zoned(period.end)}
        chinese = Caller(w.researcher).post("/bookings/quote", body).body
        english = Caller(w.researcher, language="en").post("/bookings/quote", body).body
        for told in (chinese, english):
            for reason in told["reasons"]:
                assert reason.pop("text")
                reason.pop("remedy")
        assert chinese == english

    def test_are_documented_with_every_operation(self):
        for path, methods in api.get_openapi_schema()["paths"].items():
            for method, operation in methods.items():
                documented = set(map(int, operation["responses"]))
                assert {401, 403, 422, 429, 503} <= documented, (method, path)
                if "{" in path:
                    assert 404 in documented, (method, path)
                assert operation["security"], (method, path)
                assert operation["description"], (method, path)


class TestThrottling:
    def test_stops_a_caller_who_writes_too_much_and_nobody_else(self, w, monkeypatch):
        monkeypatch.setattr(throttling, "WRITES_PER_MINUTE", 3)
        monkeypatch.setattr("portal.throttling.time.time", lambda: 1_800_000_015.0)
        caller, other = Caller(w.researcher), Caller(w.owner)
        assert [caller.post("/bookings/quote", {}).status for _ in range(5)] == [422, 422, 422, 429, 429]
        stopped = caller.post("/bookings/quote", {})
        assert (stopped.code, stopped.headers["Retry-After"]) == ("throttled", "45")
        assert caller.get("/bookings").status == 200
        assert other.post("/bookings/quote", {}).status == 422

    def test_counts_anew_in_the_next_minute(self, w, monkeypatch):
        monkeypatch.setattr(throttling, "WRITES_PER_MINUTE", 1)
        caller = Caller(w.researcher)
        monkeypatch.setattr("portal.throttling.time.time", lambda: 1_800_000_015.0)
        assert [caller.post("/jobs/quote", {}).status for _ in range(2)] == [422, 429]
        monkeypatch.setattr("portal.throttling.time.time", lambda: 1_800_000_075.0)
        assert caller.post("/jobs/quote", {}).status == 422

    def test_lets_everybody_through_while_the_cache_is_away(self, w, monkeypatch):
        monkeypatch.setattr(throttling, "cache", RedisCache("redis://127.0.0.1:1/0", {}))
        assert Caller(w.researcher).post("/bookings/quote", {}).status == 422


def test_all_threads_share_one_pool_of_connections_to_the_cache():
    made = {"pool_class": "portal.caching.SharedPool"}
    one, other = (RedisCache("redis://127.0.0.1:1/0", {"OPTIONS": made}) for _ in range(2))
    elsewhere = RedisCache("redis://127.0.0.1:1/1", {"OPTIONS": made})
    pools = [cache._cache._get_connection_pool(write=True) for cache in (one, other, elsewhere)]
    assert pools[0] is pools[1]
    assert pools[0] is not pools[2]


class TestDocumentation:
    def test_is_served_from_here_and_runs_no_inline_script(self, client):
        page = client.get("/api/v1/docs")
        html = page.content.decode()
        assert page.status_code == 200
        assert re.findall(r'(?:src|href)="(?!/|data:)([^"]*)"', html) == []
        assert [tag for tag in re.findall(r"<script[^>]*>", html) if "src=" not in tag] == [
            '<script type="application/json" id="swagger-settings">'
        ]
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        assert "unsafe" not in page.headers["Content-Security-Policy"]

    def test_is_the_whole_api(self, client):
        schema = client.get("/api/v1/openapi.json").json()
        assert schema["openapi"].startswith("3.1")
        assert len(schema["paths"]) > 50
        assert set(schema["components"]["securitySchemes"]) == {"TokenAuth", "MemberAuth"}

    def test_is_made_once(self, client, monkeypatch):
        first = client.get("/api/v1/openapi.json").content
        monkeypatch.delattr("portal.api.Description")
        assert client.get("/api/v1/openapi.json").content == first

    def test_each_answer_is_described_as_the_framework_itself_would(self):
        ours, theirs = api.get_openapi_schema(), OpenAPISchema(api, api.get_root_path({}))
        assert json.dumps(ours, sort_keys=True, default=str) == json.dumps(theirs, sort_keys=True, default=str)


def test_guide_names_only_addresses_that_exist():
    """Every call shown in docs/api.md is an operation of the schema."""
    guide = (Path(settings.BASE_DIR) / "docs" / "api.md").read_text()
    known = [re.sub(r"\{[^}]+\}", "[^/?]+", path) for path in api.get_openapi_schema()["paths"]]
    shown = re.findall(r"\$API(/[^\s\"'?\\`]*)", guide)
    assert shown
    for address in shown:
        assert any(re.fullmatch(path, f"/api/v1{address}") for path in known), address
