"""The pages and endpoints by which two persons release a bank reference that was mistyped."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests import make
from tests.calling import Caller
from tests.portal.pages.reading import enter, text_of
from tests.vouchers.banking.sheets import row
from tests.vouchers.banking.test_releasing import claim, confirmed
from tests.vouchers.banking.test_services import bring, line
from tests.vouchers.settlements.ordered import approved, exported
from vouchers.settlements import services as settlements

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def test_one_says_what_is_wrong_and_another_releases_it(client, w):
    payment = confirmed(w, "A1")
    bring(w, row("A1", "50.00", name="某公司"))
    enter(client, w.finance)
    said = text_of(client.get(reverse("bank_line", args=[line("A1").pk])))
    assert f"这个流水号已人工登记为 {payment.number}" in said
    address = reverse("bank_claim", args=[claim("A1").pk])
    assert "流水号填错了" in text_of(client.get(address))
    again = client.post(address, {"act": "doubt", "reason": "", "right": "A2"})
    assert (again.status_code, 'value="A2"' in again.content.decode()) == (422, True)
    assert "由另一位同事复核" in text_of(
        client.post(address, {"act": "doubt", "reason": "抄错", "right": "A2"}, follow=True)
    )
    assert client.post(address, {"act": "release"}).status_code == 403
    assert "A1" in text_of(client.get(reverse("bank_claims"), {"state": "doubted"}))
    enter(client, w.finance_approver)
    done = text_of(client.post(address, {"act": "release"}, follow=True))
    assert "已撤销登记" in done
    for word in ("抄错", "A2", payment.number, "撤销登记的流水号"):
        assert word in done
    assert "没有符合条件" in text_of(client.get(reverse("bank_claims"), {"state": "doubted"}))
    assert "A2" in client.get(reverse("bank_claims"), {"format": "csv"}).content.decode("utf-8-sig")
    enter(client, w.owner)
    assert client.get(reverse("bank_claims")).status_code == 403
    assert client.get(address).status_code == 403


def test_the_list_shows_every_kind_in_as_many_queries(client, w):
    order = exported(w, approved(w))
    settlements.mark_paid(actor=w.finance, batch=order.lines.get().batch, bank_reference="TR-1", now=make.NOW)
    enter(client, w.finance)
    said = text_of(client.get(reverse("bank_claims")))
    assert order.number in said
    assert "付款指令" in text_of(client.get(reverse("bank_claim", args=[claim("TR-1").pk])))
    counts = []
    for at in range(3):
        confirmed(w, f"B{at}", 100)
        with CaptureQueriesContext(connection) as seen:
            client.get(reverse("bank_claims"))
        counts.append(len(seen))
    assert len(set(counts)) == 1


def test_the_endpoints_say_the_same(w):
    confirmed(w, "A1")
    first, second = Caller(w.finance), Caller(w.finance_approver)
    [one] = first.get("/banking/claims?q=a1").body["items"]
    path = f"/banking/claims/{one['id']}"
    assert first.post(f"{path}/release").status == 409
    doubted = first.post(f"{path}/doubt", {"note": "抄错", "right": "A2"})
    assert (doubted.status, doubted.body["right"]) == (200, "A2")
    assert first.post(f"{path}/release").code == "banking.same_person"
    assert len(first.get("/banking/claims?doubted=true").body["items"]) == 1
    assert second.post(f"{path}/release").body["released_at"]
    assert second.get(path).body["doubt"] == "抄错"
    assert {each["reference"] for each in first.get("/banking/claims").body["items"]} == {"A1", "A2"}
    assert Caller(w.owner).get("/banking/claims").status == 403
