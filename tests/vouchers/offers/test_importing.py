"""Usage lines: looked at before they are taken, taken whole or not at all, taken once."""

from __future__ import annotations

from fractions import Fraction

import pytest

from portal.http import explain
from portal.kernel.errors import Forbidden, NotFound
from portal.tables.values import BadTable
from tests import make
from tests.vouchers.offers import goods
from vouchers.evidence.services import Upload
from vouchers.offers import importing, orders, queries, usage
from vouchers.offers.models import UsageImport, UsageLine

NOW = make.NOW


@pytest.fixture
def seller(w):
    return goods.seller(w)


@pytest.fixture
def order(w, seller):
    """A model order of 100 million tokens for 800 yuan, being delivered."""
    return goods.delivering(w, goods.order(w, goods.model(w), "100"), by=seller)


def take(seller, order, upload):
    return importing.import_file(actor=seller, order=order, upload=upload, now=NOW)


def test_a_preview_prices_by_the_frozen_list_and_writes_nothing(w, seller, order):
    found = importing.preview_file(order=order, upload=goods.usage_file(*goods.ROWS), now=NOW)
    assert found.ready
    assert (len(found.new), found.known) == (2, 0)
    assert found.after.amount.yuan() == "30.00"
    assert found.stated.yuan() == "30.00"
    assert not found.differs
    assert not UsageLine.objects.exists()


def test_a_bill_that_says_another_amount_is_told(w, seller, order):
    dear = ((goods.DAY, "a", 1, "", None, None, 9.5),)
    assert importing.preview_file(order=order, upload=goods.usage_file(*dear), now=NOW).differs


def test_the_same_file_changes_nothing_and_a_grown_file_adds_what_is_new(w, seller, order):
    upload = goods.usage_file(*goods.ROWS)
    assert take(seller, order, upload).added == 2
    again = take(seller, order, upload)
    assert (again.upload, again.added, again.known) == (None, 0, 2)
    more = take(seller, order, goods.usage_file(*goods.ROWS, (goods.DAY, "call-3", 1, "", None, None, None)))
    assert (more.added, more.known) == (1, 2)
    assert queries.used(order)[0].quantity == Fraction("4.75")


def test_a_changed_line_is_a_conflict_named_and_nothing_is_taken(w, seller, order):
    take(seller, order, goods.usage_file(*goods.ROWS))
    changed = ((goods.DAY, "call-1", 9, "", None, None, None), (goods.DAY, "call-9", 1, "", None, None, None))
    with pytest.raises(usage.BadUsage) as caught:
        take(seller, order, goods.usage_file(*changed))
    told = explain(caught.value).reasons
    assert [reason["code"] for reason in told] == ["usage.conflict"]
    assert "call-1" in told[0]["text"]
    assert UsageLine.objects.count() == 2


def test_a_withdrawn_import_counts_no_more_and_may_come_again(w, seller, order):
    first = take(seller, order, goods.usage_file(*goods.ROWS)).upload
    importing.withdraw(actor=seller, order=order, upload_id=first.pk, now=NOW)
    importing.withdraw(actor=seller, order=order, upload_id=first.pk, now=NOW)
    assert queries.used(order) == []
    assert take(seller, order, goods.usage_file((goods.DAY, "call-1", 9, "", None, None, None))).added == 1
    with pytest.raises(NotFound):
        importing.withdraw(actor=seller, order=order, upload_id=first.pk + 99, now=NOW)


def test_bad_lines_name_row_and_column_in_both_languages(w, seller, order):
    from django.utils import translation

    bad = goods.usage_file(
        (goods.DAY, "a", "很多", "", None, None, None),
        (goods.DAY, "b", 1, "", None, None, "3.141"),
        ("2026-11-01", "c", 1, "", None, None, None),
        ("=TODAY()", "d", 1, "", None, None, None),
    )
    with pytest.raises(usage.BadUsage) as caught:
        take(seller, order, bad)
    assert [reason["code"] for reason in explain(caught.value).reasons] == [
        *("table.quantity", "table.amount_places", "usage.day", "table.formula")
    ]
    with translation.override("en"):
        told = explain(caught.value).reasons
    assert told[1]["text"] == "Row 3, “Amount”: “3.141” has more than two decimals."
    assert not any("第" in reason["text"] + reason["remedy"] for reason in told)
    assert not UsageLine.objects.exists()


def test_wrong_totals_are_refused(w, seller, order):
    with pytest.raises(usage.BadUsage) as caught:
        take(seller, order, goods.usage_file(*goods.ROWS, ("合计", None, 4, None, None, None, 30)))
    assert [reason.code for reason in caught.value.reasons] == ["usage.total"]
    assert take(seller, order, goods.usage_file(*goods.ROWS, ("合计", None, 3.75, None, None, None, 30))).added == 2


def test_a_broken_file_is_refused_as_a_whole(w, seller, order):
    content = goods.usage_file(*goods.ROWS).content
    with pytest.raises(BadTable):
        take(seller, order, Upload("a.xlsx", content[:-200]))


def test_usage_is_what_is_delivered_and_above_the_hold_it_is_waived(w, seller, order):
    take(seller, order, goods.usage_file((goods.DAY, "a", 150, "", None, None, None)))
    done = orders.deliver(actor=seller, order=order, now=NOW)
    assert done.actual_fen == 120_000
    done = orders.approve(actor=w.researcher, order=order, now=NOW)
    done.charge.refresh_from_db()
    assert (done.charge.actual_fen, done.charge.waived_fen) == (80_000, 40_000)


def test_usage_is_closed_before_and_after_delivery(w, seller, order):
    upload = goods.usage_file(*goods.ROWS)
    placed = goods.order(w, goods.model(w, title="另一个模型"))
    with pytest.raises(usage.NotDelivering):
        take(seller, placed, upload)
    taken = take(seller, order, upload).upload
    orders.deliver(actor=seller, order=order, now=NOW)
    with pytest.raises(usage.NotDelivering):
        importing.withdraw(actor=seller, order=order, upload_id=taken.pk, now=NOW)
    with pytest.raises(Forbidden):
        take(w.researcher, order, upload)


def test_lines_by_api_are_checked_and_taken_once(w, seller, order):
    line = usage.UsageValue(1, NOW.date(), "api-1", "tokens", Fraction("0.5"))
    for expected in (1, 0):
        done = importing.import_lines(actor=seller, order=order, lines=[line], now=NOW)
        assert done.added == expected
    with pytest.raises(usage.BadUsage):
        importing.import_lines(actor=seller, order=order, lines=[line, line], now=NOW)


def test_twenty_thousand_lines_take_a_constant_number_of_queries(w, seller, order, django_assert_max_num_queries):
    lines = [usage.UsageValue(at, NOW.date(), f"r-{at}", "tokens", Fraction(1, 1000)) for at in range(3000)]
    with django_assert_max_num_queries(14):
        importing.import_lines(actor=seller, order=order, lines=lines, now=NOW)
    assert UsageImport.objects.get().lines_added == 3000
