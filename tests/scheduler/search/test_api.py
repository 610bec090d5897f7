"""The search endpoint: open to everybody, with voucher shares for those who hold vouchers."""

from __future__ import annotations

import pytest
from django.test import Client

from tests import make
from tests.calling import Caller

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

URL = "/api/v1/instruments/search"


def test_strangers_find_what_is_free_and_what_it_costs(w, client):
    resource = make.instrument(w)
    body = client.get(URL, {"q": "sem", "duration_s": 7200, "city": ["杭州", "宁波"]}).json()
    assert body["total"] == 1
    (item,) = body["items"]
    assert (item["number"], item["zone"], item["paid"]) == (resource.number, "Asia/Shanghai", None)
    assert item["slot"] == {"starts_at": "2026-11-25T02:00:00Z", "ends_at": "2026-11-25T04:00:00Z"}
    assert (item["hourly"]["yuan"], item["price"]["yuan"], item["own"]["yuan"]) == ("480.00", "960.00", "960.00")
    assert body["facets"] == {"city": {"杭州": 1}, "category": {"analytical": 1}, "kind": {"instrument": 1}}


def test_a_firm_learns_what_its_voucher_would_pay(w):
    make.instrument(w)
    voucher = make.voucher(w)
    (item,) = Caller(w.researcher).get("/instruments/search?duration_s=7200").body["items"]
    assert item["paid"] == {"voucher": voucher.number, "amount": {"fen": 48000, "yuan": "480.00"}}
    assert item["own"]["fen"] == 48000


def test_nothing_found_says_what_would_help(w, client):
    make.instrument(w)
    body = client.get(URL, {"duration_s": 7200, "max_hourly": "100"}).json()
    assert (body["items"], body["would_help"]) == ([], {"price": 1})


@pytest.mark.parametrize(
    "query",
    [
        {"duration_s": "0"},
        {"max_hourly": "x"},
        {"category": "x"},
        {"until": "2026-11-24T00:00:00Z"},
        {"since": "2026-11-26T09:00:00"},
        {"q": "a\0"},
        {"limit": "101"},
    ],
)
def test_what_cannot_be_asked_is_said(client, query):
    assert client.get(URL, query).status_code == 422


def test_a_token_that_is_none_is_refused(client):
    assert Client(headers={"Authorization": "Bearer gx_none"}).get(URL).status_code == 401


@pytest.mark.parametrize("count", [1, 6])
def test_asks_a_constant_number_of_questions(w, client, django_assert_num_queries, count):
    for _turn in range(count):
        make.instrument(w)
    with django_assert_num_queries(3):
        assert len(client.get(URL, {"duration_s": 3600}).json()["items"]) == count
