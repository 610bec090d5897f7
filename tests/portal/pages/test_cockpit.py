"""The cockpit and the open statistics: every fen of the budget is somewhere, and nobody's business is told."""

import json

from django.urls import reverse

from portal.reports import queries
from tests import make
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from tests.vouchers.claims import making as claims
from vouchers.claims import deciding


def test_the_budget_is_exactly_what_became_of_it(w, client):
    version = make.programme(w, in_force=LONG)
    make.voucher(w, version)
    make.application(w, version, number="HT-2")
    enter(client, w.approver)
    response = client.get(reverse("cockpit"))
    (row,) = response.context["rows"]
    one = row.standing
    assert (one.budget, one.reserved, one.issued, one.left) == (100_000_000, 10_000_000, 10_000_000, 80_000_000)
    assert one.budget == one.left + one.committed + one.paid + one.returned - one.owed_back
    text = text_of(response)
    assert "已承诺 ¥200,000.00" in text
    assert raw_codes(text) == []


def test_queues_say_how_long_the_oldest_waits(w, client, clock):
    version = make.programme(w, in_force=LONG)
    make.application(w, version)
    make.application(w, version, number="HT-2")
    enter(client, w.reviewer)
    (queue,) = client.get(reverse("cockpit")).context["queues"]
    assert (queue.count, queue.age_s) == (2, 0)


def test_who_decides_nothing_is_not_told_that_nothing_waits(w, client, clock):
    make.application(w, make.programme(w, in_force=LONG))
    enter(client, w.officer)
    response = client.get(reverse("cockpit"))
    assert response.context["queues"] is None
    assert "没有未办结的申请" not in text_of(response)


def test_an_enterprise_has_no_cockpit_and_a_department_sees_its_own(w, client):
    make.programme(w, in_force=LONG)
    enter(client, w.owner)
    assert client.get(reverse("cockpit")).status_code == 403
    other = make.world()
    enter(client, other.approver)
    assert client.get(reverse("cockpit")).context["rows"] == []


def test_the_cockpit_asks_a_fixed_number_of_queries(w, client, django_assert_max_num_queries):
    for number in range(4):
        make.application(w, make.programme(w, code=f"test-{number}", in_force=LONG), number=f"HT-{number}")
    enter(client, w.approver)
    client.get(reverse("cockpit"))
    with django_assert_max_num_queries(11):
        client.get(reverse("cockpit"))


def test_the_cockpit_is_taken_away_in_yuan(w, client):
    make.programme(w, in_force=LONG)
    enter(client, w.finance)
    assert "1000000.00" in client.get(reverse("cockpit"), {"format": "csv"}).content.decode()


def test_strangers_read_the_statistics(w, client, clock):
    version = make.programme(w, in_force=LONG)
    make.voucher(w, version)
    response = client.get(reverse("statistics"))
    (row,) = response.context["rows"]
    assert (row.volumes.issued, row.volumes.used, row.figures.vouchers) == (10_000_000, 0, 1)
    assert "100,000.00" in text_of(response)
    assert w.enterprise.name not in text_of(response)
    (fact,) = json.loads(client.get(reverse("statistics"), {"format": "json"}).content)
    assert (fact["issued_yuan"], fact["use_rate_percent"], fact["hhi"]) == ("100000.00", "", "")
    assert "100000.00" in client.get(reverse("statistics"), {"format": "csv"}).content.decode()


def test_what_a_claim_pays_back_is_used_and_redeemed(w, client, clock):
    voucher = make.voucher(w, claims.reimbursing(w, in_force=LONG))
    refused = claims.filed(w, voucher, "500")
    deciding.refuse(actor=w.reviewer, claim=refused, note="发票不实", now=make.NOW)
    claims.approved(w, claims.filed(w, voucher, "1000"))
    claims.filed(w, voucher, "200")
    (row,) = client.get(reverse("statistics")).context["rows"]
    assert (row.volumes.used, row.volumes.redeemed, row.volumes.spent) == (120_000, 100_000, 200_000)


def test_a_programme_with_one_holder_tells_what_was_issued_and_nothing_of_its_use(w, client, clock):
    voucher = make.voucher(w, claims.reimbursing(w, in_force=LONG))
    claims.approved(w, claims.filed(w, voucher, "12345"))
    response = client.get(reverse("statistics"))
    (row,) = response.context["rows"]
    assert (row.is_told, row.concentration, row.days) == (False, None, None)
    assert response.context["chart"] == ""
    (fact,) = json.loads(client.get(reverse("statistics"), {"format": "json"}).content)
    told = {name for name, value in fact.items() if value not in ("", None)}
    assert told == {"programme", "fiscal_year", "vouchers", "issued_yuan"}
    csv = client.get(reverse("statistics"), {"format": "csv"}).content.decode()
    for said in (text_of(response), csv):
        assert "12,345" not in said
        assert "12345" not in said
        assert "12.35" not in said


def test_the_statistics_ask_a_fixed_number_of_queries(w, django_assert_num_queries):
    version = make.programme(w, in_force=LONG)
    make.voucher(w, version)
    with django_assert_num_queries(6):
        queries.figures(until=make.NOW)
    make.voucher(w, version, number="HT-3")
    with django_assert_num_queries(6):
        queries.figures(until=make.NOW)
