"""The page of the bank's balance by day says in words what no line of a statement proves, and leads there."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests import make
from tests.portal.pages.reading import enter, text_of
from tests.vouchers.banking.sheets import row
from tests.vouchers.banking.test_services import bring, due
from tests.vouchers.settlements.ordered import approved
from vouchers.payments import services as payments
from vouchers.settlements import services as settlements

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def test_what_no_line_proves_is_named_in_words_with_a_link(client, w):
    payment = payments.confirm(actor=w.finance, payment=due(w, 30_000), bank_reference="HAND1", now=make.NOW)
    batch = settlements.mark_paid(actor=w.finance, batch=approved(w), bank_reference="TR-1", now=make.NOW)
    bring(w, row("Z1", "5.00", name="某公司", balance="5"))
    enter(client, w.finance)
    page = client.get(reverse("bank_days"), {"since": "2026-11-20", "until": "2026-11-30"})
    said, html = text_of(page), page.content.decode()
    for words in (f"人工确认的到账 {payment.number}", "流水号 HAND1", f"已付的兑付批次 {batch.number}"):
        assert words in said
    for address in (reverse("payment", args=[payment.number]), reverse("settlement", args=[batch.number])):
        assert f'href="{address}"' in html
    assert "arrival:manual" not in html
