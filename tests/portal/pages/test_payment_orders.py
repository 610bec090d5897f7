"""Payment orders on their pages: chosen, exported, answered; a discrepancy by two persons; settlement terms."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from tests import make, standing
from tests.portal.pages.reading import enter, raw_codes, text_of
from tests.vouchers.settlements import ordered
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import Discrepancy, PaymentOrder, SettlementTerms


def build():
    w = make.world()
    return w, [ordered.approved(w), ordered.approved(w)]


_standing, _own, w, batches = standing.fixtures(build, "w", "batches")


def export(client, *batches, code="bank-csv"):
    return client.post(reverse("payment_orders"), {"batches": [batch.number for batch in batches], "format": code})


def answer(client, order, *rows):
    file = SimpleUploadedFile("回盘.csv", ordered.answer(order, *rows), content_type="text/csv")
    values = {"act": "answer", "layout": "table", "file": file}
    return client.post(reverse("payment_order", args=[order.number]), values)


def test_from_choice_to_answer(w, client, batches):
    enter(client, w.finance)
    shown = text_of(client.get(reverse("payment_orders")))
    assert all(batch.number in shown for batch in batches)
    assert "**** 2345" in shown
    assert export(client, *batches).status_code == 302
    order = PaymentOrder.objects.get()
    address = reverse("payment_order_file", args=[order.number])
    assert client.get(address).content == client.get(address).content == bytes(order.content)
    assert order.sha256 in client.get(f"{address}?as=manifest").content.decode()
    done = answer(client, order, ("1", "100.00", "成功", ""), ("2", "100.00", "失败", "户名不符"))
    assert done.status_code == 302
    page = text_of(client.get(reverse("payment_order", args=[order.number])))
    assert "户名不符" in page
    assert raw_codes(page) == []
    assert {batch.state for batch in SettlementBatch.objects.all()} == {"paid", "discarded"}
    paid = SettlementBatch.objects.get(state="paid")
    enter(client, w.finance_approver)
    act = {"act": "reconcile", "bank_line": "L-1"}
    assert client.post(reverse("settlement", args=[paid.number]), act).status_code == 302
    assert "已对账" in text_of(client.get(reverse("settlement", args=[paid.number])))


def test_nothing_chosen_and_an_unknown_format_say_so(w, client, batches):
    enter(client, w.finance)
    assert "请选择至少一个待付款的批次。" in text_of(export(client))
    assert "没有这种文件格式。" in text_of(export(client, batches[0], code="x"))
    assert not PaymentOrder.objects.exists()


def test_a_file_with_faults_names_the_row(w, client, batches):
    enter(client, w.finance)
    export(client, *batches)
    refused = answer(client, PaymentOrder.objects.get(), ("1", "100.00", "也许", ""))
    assert refused.status_code == 409
    assert "第 2 行的处理结果“也许”不认识。" in text_of(refused)


def test_one_corrects_and_another_closes(w, client):
    case = ordered.case(w)
    enter(client, w.finance)
    address = reverse("discrepancy", args=[case.number])
    assert "¥0.01" in text_of(client.get(address))
    assert client.post(address, {"act": "paid", "text": "银行手续费"}).status_code == 302
    assert "请由另一位同事核对后结案。" in text_of(client.get(address))
    assert client.post(address, {"act": "close"}).status_code == 403
    enter(client, w.finance_approver)
    assert client.post(address, {"act": "close"}).status_code == 302
    assert (Discrepancy.objects.get().state, case.line.batch.number in text_of(client.get(reverse("settlements")))) == (
        "closed",
        True,
    )
    assert case.number in text_of(client.get(reverse("discrepancies")))


def test_the_approver_sets_the_terms(w, client):
    enter(client, w.finance)
    values = {"programme": "", "cadence": "monthly", "needs_check": "on"}
    assert client.post(reverse("settlement_terms"), values).status_code == 403
    enter(client, w.finance_approver)
    assert client.post(reverse("settlement_terms"), values).status_code == 302
    assert SettlementTerms.objects.get().cadence == "monthly"
    assert "每月" in text_of(client.get(reverse("settlement_terms")))


@pytest.mark.parametrize("who", ["lab_owner", "owner", "auditor", "keeper"])
def test_others_see_no_account_numbers(w, client, batches, who):
    order = ordered.exported(w, *batches)
    enter(client, getattr(w, who))
    for name in ("payment_order", "payment_order_file"):
        assert client.get(reverse(name, args=[order.number])).status_code in (403, 404)


def test_a_cancelled_order_takes_an_answer_and_says_what_to_do_about_money_that_went_out(w, client, batches):
    enter(client, w.finance)
    export(client, batches[0])
    order = PaymentOrder.objects.get()
    address = reverse("payment_order", args=[order.number])
    enter(client, w.finance_approver)
    assert client.post(address, {"act": "cancel", "reason": "没有送出"}).status_code == 302
    enter(client, w.finance)
    assert "这份指令已撤销" in text_of(client.get(address))
    assert answer(client, order, ("1", "100.00", "成功", "")).status_code == 302
    case = reverse("discrepancy", args=[Discrepancy.objects.get().number])
    shown = client.get(case)
    assert "怎么办" in text_of(shown)
    assert 'value="failed"' not in shown.content.decode()
    assert client.post(case, {"act": "paid", "text": "银行已扣款"}).status_code == 302
    enter(client, w.finance_approver)
    assert client.post(case, {"act": "close"}).status_code == 302
    assert SettlementBatch.objects.get(pk=batches[0].pk).state == "paid"
    page = text_of(client.get(address))
    assert "后来查明已付款" in page
    assert raw_codes(page) == []
