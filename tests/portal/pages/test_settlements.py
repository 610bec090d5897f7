"""Settlement: drafted, approved by a second person, paid; the workbook; the ledger's sums."""

import io
from datetime import timedelta

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from portal.pages import exports
from tests import make, standing
from tests.money.scenarios import rails as walks
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from tests.vouchers.claims import making
from tests.vouchers.payees import making as accounts
from tests.vouchers.recoveries.test_services import confirmed
from vouchers.payees import services as payees
from vouchers.payees.models import PayeeAccount
from vouchers.payments import services as payments
from vouchers.payments.models import Payment
from vouchers.payments.ports import Method
from vouchers.recoveries import services as recoveries
from vouchers.recoveries.services import Breach
from vouchers.settlements import queries
from vouchers.settlements import services as settle
from vouchers.settlements.models import SettlementBatch


def build():
    """Let the lab earn 960 yuan: 480 by voucher and 480 that have arrived."""
    w = make.world()
    voucher = make.voucher(w, make.programme(w, in_force=LONG))
    make.measured(w, make.booking(w, make.instrument(w), pay_with=voucher))
    payments.confirm(actor=w.finance, payment=Payment.objects.get(), bank_reference="ICBC-1", now=make.NOW)
    return w, w.lab


_standing, _own, w, earned = standing.fixtures(build, "w", "earned")


def draft(client, provider):
    return client.post(reverse("settlement_draft"), {"payee": provider.pk})


def act(client, batch, act, **values):
    return client.post(reverse("settlement", args=[batch.number]), {"act": act, **values})


def test_from_draft_to_payment(w, client, earned):
    enter(client, w.finance)
    assert "¥960.00" in text_of(client.get(reverse("settlements")))
    assert draft(client, earned).status_code == 302
    batch = SettlementBatch.objects.get()
    shown = text_of(client.get(reverse("settlement", args=[batch.number])))
    assert "券抵扣 ¥480.00" in shown
    assert "企业自付 ¥480.00" in shown
    assert raw_codes(shown) == []
    enter(client, w.finance_approver)
    assert act(client, batch, "approve").status_code == 302
    enter(client, w.finance)
    unproved = act(client, batch, "pay", bank_reference=" ")
    assert unproved.status_code == 422
    assert "请填写付款凭证号。" in text_of(unproved)
    assert act(client, batch, "pay", bank_reference="TR-1").status_code == 302
    again = act(client, batch, "pay", bank_reference="TR-1")
    assert again.status_code == 409
    assert "该记录现在是“已付款”" in text_of(again)
    ledger = text_of(client.get(reverse("ledger_overview")))
    assert "账实相符：0 分不明。" in ledger
    assert raw_codes(ledger) == []


def test_a_second_click_drafts_nothing(w, client, earned):
    enter(client, w.finance)
    draft(client, earned)
    again = draft(client, earned)
    assert again.status_code == 409
    assert "该单位目前没有可结算的金额" in text_of(again)
    assert SettlementBatch.objects.count() == 1


def test_the_author_does_not_approve(w, client, earned):
    both = make.actor(w.department, make.roles.Role.FINANCE_OFFICER, make.roles.Role.FINANCE_APPROVER)
    draft(enter(client, both), earned)
    batch = SettlementBatch.objects.get()
    assert "您是编制人。请由另一位同事审批。" in text_of(client.get(reverse("settlement", args=[batch.number])))
    refused = act(client, batch, "approve")
    assert refused.status_code == 403
    assert "编制或抵扣过的人不能审批这个结算批次。" in text_of(refused)
    batch.refresh_from_db()
    assert batch.state == "draft"


def test_a_discarded_batch_frees_its_lines(w, client, earned):
    enter(client, w.finance)
    draft(client, earned)
    assert act(client, SettlementBatch.objects.get(), "discard").status_code == 302
    assert draft(client, earned).status_code == 302
    assert SettlementBatch.objects.count() == 2


@pytest.mark.parametrize("who", ["finance_approver", "auditor", "owner", "lab_owner"])
def test_only_finance_drafts(w, client, earned, who):
    assert draft(enter(client, getattr(w, who)), earned).status_code == 403
    assert SettlementBatch.objects.count() == 0


@pytest.mark.parametrize("provider", ["", "x", "9" * 30])
def test_an_unknown_provider_is_not_found(w, client, earned, provider):
    enter(client, w.finance)
    assert client.post(reverse("settlement_draft"), {"payee": provider}).status_code == 404


def test_a_provider_sees_its_statement_once_approved_and_nothing_to_do(w, client, earned):
    draft(enter(client, w.finance), earned)
    batch = SettlementBatch.objects.get()
    enter(client, w.lab_owner)
    assert client.get(reverse("settlement", args=[batch.number])).status_code == 404
    act(enter(client, w.finance_approver), batch, "approve")
    enter(client, w.lab_owner)
    page = client.get(reverse("settlement", args=[batch.number]))
    assert page.status_code == 200
    assert "办理" not in text_of(page)
    assert act(client, batch, "pay", bank_reference="X").status_code == 403
    assert client.get(reverse("ledger_overview")).status_code == 403


def test_the_workbook_holds_both_legs_totals_and_a_block_to_sign(w, client, earned):
    draft(enter(client, w.finance), earned)
    batch = SettlementBatch.objects.get()
    response = client.get(reverse("settlement_xlsx", args=[batch.number]))
    assert response["Content-Disposition"] == f'attachment; filename="{batch.number}.xlsx"'
    sheet = openpyxl.load_workbook(io.BytesIO(response.content), data_only=True)[exports.SHEET]
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    heading = exports.FIRST_LINE - 1
    assert rows[heading][:2] == ["序号", "费用单号或申领号"]
    assert [row[8:13] for row in rows[heading + 1 : heading + 4]] == [
        [480, 0, 0, 0, 480],
        [0, 480, 0, 0, 480],
        [480, 480, 0, 0, 960],
    ]
    assert isinstance(rows[heading + 1][5], str), "a credit code is text"
    assert [row[0] for row in rows[-3:]] == ["编制", "审批", "付款"]
    formulas = openpyxl.load_workbook(io.BytesIO(response.content))[exports.SHEET]
    assert (
        formulas.cell(exports.FIRST_LINE + 3, 13).value == f"=SUM(M{exports.FIRST_LINE + 1}:M{exports.FIRST_LINE + 2})"
    )


def test_exporting_twice_gives_the_same_bytes(w, earned, client):
    draft(enter(client, w.finance), earned)
    batch = SettlementBatch.objects.select_related("payee", "created_by").get()
    lines = list(queries.lines_of(batch.pk))
    assert exports.settlement_workbook(batch, lines) == exports.settlement_workbook(batch, lines)
    batch.created_at += timedelta(days=1)
    assert exports.settlement_workbook(batch, lines)


def test_no_name_becomes_a_formula(w, earned, client):
    w.enterprise.name = '=HYPERLINK("http://x")'
    w.enterprise.save()
    draft(enter(client, w.finance), earned)
    content = client.get(reverse("settlement_xlsx", args=[SettlementBatch.objects.get().number])).content
    sheet = openpyxl.load_workbook(io.BytesIO(content))[exports.SHEET]
    cell = sheet.cell(exports.FIRST_LINE + 1, 5)
    assert (cell.value, cell.data_type) == ('=HYPERLINK("http://x")', "s")


def test_the_number_of_queries_does_not_grow(w, client, earned, django_assert_num_queries):
    enter(client, w.finance)
    draft(client, earned)
    with django_assert_num_queries(9):
        client.get(reverse("settlements"))
    address = reverse("settlement", args=[SettlementBatch.objects.get().number])
    with django_assert_num_queries(10):
        client.get(address)
    voucher = make.voucher(w, make.programme(w, in_force=LONG, code="more"))
    resource = make.instrument(w)
    for day in range(3, 6):
        make.measured(w, make.booking(w, resource, period=make.slot(day), pay_with=voucher))
    draft(client, earned)
    with django_assert_num_queries(9):
        assert client.get(reverse("settlements")).context["listing"].total == 2
    newest = SettlementBatch.objects.order_by("-pk").first()
    with django_assert_num_queries(10):
        assert len(client.get(reverse("settlement", args=[newest.number])).context["lines"]) == 3


def test_finance_sets_a_debt_off_in_the_batch_and_the_statement_says_what_remains(w, client):
    claim = making.approved(w, making.filed(w, make.voucher(w, making.reimbursing(w)), "4000"))
    case = recoveries.open_case(actor=w.reviewer, breach=Breach(text="虚报用量", claim=claim), now=make.NOW)
    confirmed(w, case, 100_000)
    draft(enter(client, w.finance), w.enterprise)
    batch = SettlementBatch.objects.get()
    assert "本批次可抵扣 ¥1,000.00" in text_of(client.get(reverse("settlement", args=[batch.number])))
    assert act(client, batch, "set_off").status_code == 302
    again = act(client, batch, "set_off")
    assert "没有可抵扣的欠款" in text_of(again)
    assert again.status_code == 409
    shown = text_of(client.get(reverse("settlement", args=[batch.number])))
    assert "抵扣应退款 -¥1,000.00" in shown
    assert "该案尚欠 ¥1,000.00" in shown
    act(enter(client, w.finance_approver), batch, "approve")
    act(enter(client, w.finance), batch, "pay", bank_reference="TR-9")
    case.refresh_from_db()
    assert (case.state, case.received_fen) == ("recovered", 100_000)
    page = text_of(enter(client, w.owner).get(reverse("recovery", args=[case.number])))
    assert f"结算批次 {batch.number} 抵扣" in page


@pytest.mark.django_db
def test_a_batch_of_an_account_with_a_gateway_is_paid_by_one_press_and_not_by_the_approver(client, payserver):
    w = make.world()
    with walks.stripe_at(payserver):
        payserver.order("terms", {"wallet_rate": 0})
        now = timezone.now()
        payment = walks.owed(w, 96_000)
        attempt = walks.begin(w, payment, Method.WECHAT_PAY, now=now)
        payserver.pay(attempt.provider_id)
        walks.deliver(walks.sandbox(), payserver.letters(), now=now)
        number = payserver.client.accounts.create({"type": "express", "country": "HK"}).id
        enter(client, w.lab_owner)
        assert "登记 Stripe 账户" in text_of(client.get(reverse("payee_accounts")))
        new = f"{reverse('payee_account_new')}?rail=stripe"
        assert "支付机构账户编号" in text_of(client.get(new))
        values = {"holder": w.lab.name, "note": ""}
        proof = SimpleUploadedFile("x.pdf", accounts.PDF, content_type="application/pdf")
        assert client.post(new, {**values, "number": "6222", "file": proof}).status_code == 409
        proof = SimpleUploadedFile("x.pdf", accounts.PDF, content_type="application/pdf")
        assert client.post(new, {**values, "number": number, "file": proof}).status_code == 302
        account = PayeeAccount.objects.get()
        past = now - timedelta(days=5)
        payees.check(actor=w.finance, account=account, now=past)
        payees.verify(actor=w.finance_approver, account=account, now=past)
        batch = settle.draft(actor=w.finance, payee=w.lab, now=now)
        settle.approve(actor=w.finance_approver, batch=batch, now=now)
        enter(client, w.finance_approver)
        assert 'value="payout"' not in client.get(reverse("settlement", args=[batch.number])).content.decode()
        enter(client, w.finance)
        shown = client.get(reverse("settlement", args=[batch.number])).content.decode()
        assert 'value="payout"' in shown
        assert 'value="pay"' not in shown
        assert act(client, batch, "payout").status_code == 302
    page = text_of(client.get(reverse("settlement", args=[batch.number])))
    assert "支付机构付款" in page
    assert raw_codes(page) == []
    batch.refresh_from_db()
    assert batch.state == "paid"
