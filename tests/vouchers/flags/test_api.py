"""Flags over HTTP."""

import pytest

from tests.calling import Caller
from tests.vouchers.flags.test_services import raised

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def test_walks_from_open_to_cleared(w):
    flag, reviewer = raised(w), Caller(w.reviewer)
    listed = reviewer.get("/flags?state=open")
    assert [item["pattern"] for item in listed.body["items"]] == ["backdated"]
    assert reviewer.post(f"/flags/{flag.pk}/decide", {"action": "clear", "reason": " "}).code == "flag.reason"
    assert reviewer.post(f"/flags/{flag.pk}/decide", {"action": "clear", "reason": "\0"}).status == 422
    decided = reviewer.post(f"/flags/{flag.pk}/decide", {"action": "clear", "reason": "已核对"})
    assert (decided.status, decided.body["state"], decided.body["reason"]) == (200, "cleared", "已核对")
    assert reviewer.get("/flags?state=open").body["items"] == []


def test_is_nothing_the_flagged_can_find(w):
    flag = raised(w)
    assert Caller(w.owner).get(f"/flags/{flag.pk}").status == 404
    assert Caller(w.owner).get("/flags").status == 403
