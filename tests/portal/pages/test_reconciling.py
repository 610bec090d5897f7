"""Pages of reconciliation, closing months, refunds and write-offs by two persons."""

from __future__ import annotations

import pytest
from django.utils import timezone

from portal.kernel.money import Money
from tests import make
from tests.vouchers.banking.sheets import row
from tests.vouchers.banking.test_services import bring
from tests.vouchers.reconciliation import scripted
from vouchers.charges import proposing, refunding
from vouchers.charges.models import ChargeProposal
from vouchers.payments.models import Payment
from vouchers.payments.ports import BalanceKind
from vouchers.reconciliation import services
from vouchers.reconciliation.models import EntryExplanation, MonthClose

pytestmark = pytest.mark.django_db


@pytest.fixture
def rail(w):
    made = scripted.ScriptedRail()
    scripted.paid(w, made, 1, 10_000, fee=60)
    made.line(BalanceKind.PAYMENT, 4_200, "pi_nobody")
    services.pull(rail=made, during=scripted.window(), actor=w.finance, now=make.NOW)
    return made


def signed_in(client, someone):
    client.force_login(make.user_of(someone))
    return client


def test_a_day_names_the_line_that_is_nobodys_and_what_to_do(client, w, rail):
    signed_in(client, w.finance)
    listed = client.get("/reconciliation/?since=2026-11-20&until=2026-11-30").content.decode()
    assert "/reconciliation/scripted/2026-11-25/" in listed
    assert "¥42.00" in listed
    shown = client.get("/reconciliation/scripted/2026-11-25/").content.decode()
    assert "pi_nobody" in shown
    assert "不是从本平台发起的" in shown
    for wanted in ("csv", "xlsx"):
        assert client.get(f"/reconciliation/scripted/2026-11-25/?format={wanted}").status_code == 200
        assert client.get(f"/reconciliation/?format={wanted}").status_code == 200


@pytest.mark.parametrize("path", ["/reconciliation/nobody/2026-11-25/", "/reconciliation/scripted/yesterday/"])
def test_what_is_not_there_is_not_found(client, w, rail, path):
    assert signed_in(client, w.finance).get(path).status_code == 404


@pytest.mark.parametrize("path", ["/reconciliation/", "/reconciliation/months/", "/reconciliation/months/2026/1/"])
def test_others_do_not_see_the_books(client, w, path):
    assert signed_in(client, w.owner).get(path).status_code == 403


def test_a_month_is_closed_by_two_persons_and_exported(client, w, rail):
    signed_in(client, w.finance)
    path = "/reconciliation/months/2025/10/"
    assert client.post(path, {"act": "propose", "note": "已核对"}).status_code == 302
    assert client.post(path, {"act": "approve"}).status_code == 403
    signed_in(client, w.finance_approver)
    assert client.post(path, {"act": "approve"}).status_code == 302
    closed = MonthClose.objects.get()
    assert closed.hash in client.get(path).content.decode()
    assert client.get(f"{path}?format=csv").status_code == client.get(f"{path}?format=xlsx").status_code == 200
    assert "2025-10" in client.get("/reconciliation/months/").content.decode()


def test_a_refund_above_the_limit_goes_to_a_colleague(client, w, rail, settings):
    settings.REFUND_APPROVAL_FEN = 1_000
    charge = Payment.objects.get().charge
    signed_in(client, w.keeper)
    form = {"amount": "50", "reason_code": "quality", "reason": "返工", "idempotency_key": make.key()}
    answer = client.post(f"/charges/{charge.number}/refund/", form)
    waiting = ChargeProposal.objects.get()
    assert answer.url == f"/charge-proposals/{waiting.number}/"
    assert client.post(answer.url, {"act": "approve"}).status_code == 403
    signed_in(client, w.lab_owner)
    assert client.post(answer.url, {"act": "return", "note": ""}).status_code == 422
    assert client.post(answer.url, {"act": "approve"}).status_code == 302
    shown = client.get(answer.url).content.decode()
    assert "结果不符合约定" in shown
    listed = client.get("/charge-proposals/?state=approved")
    assert waiting.number in listed.content.decode()
    assert client.get("/charge-proposals/?format=xlsx").status_code == 200


def test_a_write_off_form_says_what_is_wrong_and_keeps_what_was_typed(client, w):
    rail = scripted.ScriptedRail()
    charge = scripted.paid(w, rail, 1, 900).payment.charge
    signed_in(client, w.finance)
    form = {"reason_code": "insolvent", "reason": "破产", "evidence": "裁定书 1 号", "idempotency_key": make.key()}
    answer = client.post(f"/charges/{charge.number}/write-off/", form)
    assert answer.status_code == 409
    assert "裁定书 1 号" in answer.content.decode()
    assert client.get(f"/charges/{charge.number}/write-off/").status_code == 200


def test_what_waits_is_on_the_desk_of_who_approves(client, w, rail):
    charge = Payment.objects.get().charge
    made = proposing.propose_refund(
        actor=w.finance,
        charge=charge,
        amount=Money(1),
        grounds=refunding.Grounds("x"),
        now=timezone.now(),
        key=make.key(),
    )
    assert made.number in signed_in(client, w.finance_approver).get("/desk/").content.decode()


def test_a_difference_is_explained_accepted_by_another_and_undone_on_its_day(client, w, rail, settings):
    settings.EXPLAIN_APPROVAL_FEN = 4_200
    path = "/reconciliation/scripted/2026-11-25/"
    signed_in(client, w.finance)
    form = {"act": "explain", "entry": "payment:pi_nobody", "kind": "manual", "reason": ""}
    refused = client.post(path, form)
    assert refused.status_code == 422
    assert client.post(path, {**form, "reason": "后台人工收款"}).status_code == 302
    said = EntryExplanation.objects.get()
    assert "须由另一位同事复核" in client.get(path).content.decode()
    assert client.post(path, {"act": "accept", "explanation": said.pk}).status_code == 403
    signed_in(client, w.finance_approver)
    assert client.post(path, {"act": "accept", "explanation": said.pk}).status_code == 302
    assert "均已说明" in client.get(path).content.decode()
    assert "后台人工收款" in client.get(f"{path}?format=csv").content.decode("utf-8-sig")
    gone = client.post(path, {"act": "undo", "explanation": said.pk, "note": "查明是另一笔"})
    assert gone.status_code == 302
    assert "均已说明" not in client.get(path).content.decode()
    assert client.post(path, {"act": "undo", "explanation": "999", "note": "x"}).status_code == 404


def test_the_banks_balance_of_each_day_stands_against_the_ledgers(client, w):
    bring(w, row("A", "300", day="2026-11-25", balance="300"), look=False)
    signed_in(client, w.auditor)
    path = "/reconciliation/bank/?since=2026-11-20&until=2026-11-30"
    shown = client.get(path).content.decode()
    assert "¥300.00" in shown
    assert "未入账流水" in shown
    for wanted in ("csv", "xlsx"):
        assert client.get(f"{path}&format={wanted}").status_code == 200
    assert client.get(f"{path}&day=2026-11-25&account=none").status_code == 200
    assert client.get("/reconciliation/bank/?day=x").status_code == 200
    assert signed_in(client, w.owner).get(path).status_code == 403
