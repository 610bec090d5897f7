"""Payment orders: one file for several payees, the same bytes for ever; each line of the bank's answer counts once."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from portal.audit.models import Record
from portal.kernel.actors import Permission
from portal.kernel.errors import Forbidden, InvalidTransition
from tests import make
from tests.calling import Caller
from tests.vouchers.payees import making as accounts
from tests.vouchers.scenarios.vouchers import of_kind
from tests.vouchers.settlements import ordered
from vouchers.payees.models import PayeeAccount
from vouchers.settlements import (
    access,
    answers,
    cadences,
    discrepancies,
    formats,
    order_rules,
    ordering,
    rules,
    services,
)
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import Discrepancy, PaymentOrder, ReturnFile
from vouchers.settlements.order_rules import AnswerOutcome, SettlementCadence


def state(batch: SettlementBatch) -> str:
    batch.refresh_from_db()
    return batch.state


@pytest.mark.parametrize("code", formats.PRESETS)
def test_every_preset_holds_whole_numbers_exact_amounts_and_gives_the_same_bytes(w, code):
    order = ordered.exported(w, ordered.approved(w, fen=1_234_567), code=code)
    content, line = bytes(order.content), order.lines.get()
    number, amount = line.account.number, "1234567" if code == "bank-txt" else "12345.67"
    wanted = formats.format_of(order.format)
    if wanted.kind == "xlsx":
        sheet = openpyxl.load_workbook(io.BytesIO(content)).active
        cells = [str(cell.value) for cell in next(sheet.iter_rows(min_row=2))]
        assert next(cell for row in sheet.iter_rows() for cell in row if cell.value == number).data_type == "s"
    else:
        text = content.decode(wanted.encoding)
        rows = list(csv.reader(io.StringIO(text), delimiter=wanted.delimiter))
        cells = [cell.strip("\t") for cell in rows[1]]
        assert content.startswith(b"\xef\xbb\xbf") is (wanted.encoding == "utf-8-sig")
    assert {number, amount, line.reference, line.account.holder} <= set(cells)
    assert bytes(access.get_order(w.finance, order.number).content) == content
    told = Record.objects.get(action="payment_order.exported")
    assert told.data["sha256"] == order.sha256 == order.manifest["file"]["sha256"]
    assert order.manifest["ledger_head"].count(":") == 1


def test_no_name_becomes_a_formula_or_a_further_cell():
    row = formats.OrderRow(100, {"holder": '=HYPERLINK("x")', "number": "12345678", "bank": "a|b", "purpose": "x\ny"})
    columns = [{"key": key, "title": key} for key in ("holder", "bank", "purpose", "number", "amount")]
    table = formats.format_of({"code": "a", "name": "a", "kind": "csv", "columns": columns})
    made = formats.render(table, [row], order="PO1", made_at=make.NOW).decode("utf-8-sig")
    assert made.splitlines()[1].startswith("\"'=HYPERLINK")
    text = formats.format_of({**formats.PRESETS["bank-txt"], "columns": columns})
    assert formats.render(text, [row], order="PO1", made_at=make.NOW).decode("gb18030").splitlines()[1].count("|") == 4


def test_a_format_with_faults_is_refused_with_all_of_them(w):
    bad = {"code": "x", "name": "", "kind": "pdf", "columns": [{"key": "secret"}], "encoding": "big5", "more": 1}
    with pytest.raises(formats.BadFormat) as refused:
        ordering.save_format(actor=w.finance_approver, definition=bad, now=make.NOW)
    keys = {reason.params["key"] for reason in refused.value.reasons}
    assert keys == {"name", "kind", "columns.1.key", "encoding", "more"}


def test_a_departments_own_format_is_data_and_orders_keep_the_one_they_were_made_by(w):
    own = {**formats.PRESETS["bank-csv"], "code": "czt", "name": "省财政厅", "delimiter": ";"}
    ordering.save_format(actor=w.finance_approver, definition=own, now=make.NOW)
    order = ordered.exported(w, code="czt")
    assert b";" in bytes(order.content)
    ordering.save_format(actor=w.finance_approver, definition={**own, "delimiter": ","}, now=make.NOW)
    order.refresh_from_db()
    assert formats.format_of(order.format).delimiter == ";"
    with pytest.raises(Forbidden):
        ordering.save_format(actor=w.finance, definition=own, now=make.NOW)


def test_a_format_brings_no_payment_of_its_own_and_another_person_exports_with_it(w):
    own = {**formats.PRESETS["bank-csv"], "code": "czt", "name": "省财政厅"}
    for key, value in (
        ("tail", ["PO-X|6222021234567890|我|5000"]),
        ("lead", ["6222 0212 3456 7890"]),
        ("tail", ["完\n6222"]),
        ("delimiter", ""),
        ("delimiter", "\n"),
        ("quote", "yes"),
    ):
        with pytest.raises(formats.BadFormat):
            ordering.save_format(actor=w.finance_approver, definition={**own, key: value}, now=make.NOW)
    with pytest.raises(order_rules.PresetFormat):
        ordering.save_format(actor=w.finance_approver, definition=dict(formats.PRESETS["bank-csv"]), now=make.NOW)
    ordering.save_format(actor=replace(w.finance, permissions=frozenset(Permission)), definition=own, now=make.NOW)
    with pytest.raises(order_rules.OwnFormat):
        ordered.exported(w, code="czt")


def test_an_order_takes_all_batches_or_none_and_says_why_of_each(w):
    ready, draft = ordered.approved(w), ordered.approved(w)
    services.discard(actor=w.finance, batch=draft, now=make.NOW)
    bare = ordered.approved(w)
    PayeeAccount.objects.filter(organisation=bare.payee).update(state="replaced")
    SettlementBatch.objects.filter(pk=bare.pk).update(account=None)
    with pytest.raises(order_rules.OrderRefused) as refused:
        ordering.export(
            actor=w.finance,
            numbers=[ready.number, draft.number, bare.number, "S0"],
            format_code="bank-csv",
            now=make.NOW,
        )
    assert sorted(reason.code for reason in refused.value.reasons) == [
        "payment_order.no_account",
        "payment_order.no_batch",
        "payment_order.state",
    ]
    assert state(ready) == "approved"
    assert not PaymentOrder.objects.exists()


def test_an_exported_batch_is_frozen(w):
    batch = ordered.approved(w)
    ordered.exported(w, batch)
    for act in (
        lambda: services.discard(actor=w.finance, batch=batch, now=make.NOW),
        lambda: services.reject_line(
            actor=w.finance, batch=batch, line_id=batch.lines.get().pk, reason="x", now=make.NOW
        ),
    ):
        with pytest.raises(InvalidTransition):
            act()
    with pytest.raises(order_rules.OrderRefused):
        ordered.exported(w, batch)


def test_another_person_cancels_an_order_that_has_not_gone_out(w):
    batch = ordered.approved(w)
    order = ordered.exported(w, batch)
    both = make.actor(w.department, make.roles.Role.FINANCE_APPROVER)
    PaymentOrder.objects.filter(pk=order.pk).update(created_by=both.user_id)
    with pytest.raises(order_rules.OrderOfAnother):
        ordering.cancel(actor=both, order=order, reason="格式有误", now=make.NOW)
    ordering.cancel(actor=w.finance_approver, order=order, reason="格式有误", now=make.NOW)
    assert state(batch) == "approved"
    assert ordered.exported(w, batch).total_fen == batch.total_fen


def test_a_partly_answered_order_is_not_cancelled(w):
    order = ordered.exported(w, ordered.approved(w), ordered.approved(w))
    ordered.imported(w, order, ordered.answer(order, ("1", "100.00", "成功", "")))
    with pytest.raises(order_rules.OrderAnswered):
        ordering.cancel(actor=w.finance_approver, order=order, reason="格式有误", now=make.NOW)


def test_paid_failed_and_the_file_again(w):
    good, bad = ordered.approved(w), ordered.approved(w)
    order = ordered.exported(w, good, bad)
    content = ordered.answer(order, ("1", "100.00", "成功", ""), ("2", "100.00", "失败", "账号已销户"))
    first = ordered.imported(w, order, content)
    assert (first.paid, first.failed) == (1, 1)
    assert (state(good), state(bad)) == ("paid", "discarded")
    order.refresh_from_db()
    assert order.state == "answered"
    assert bad.lines.get().reason == "账号已销户"
    assert (of_kind("settlement_clearing"), of_kind("cash_provider_payable")) == (0, 10_000)
    assert ordered.imported(w, order, content) == first
    assert ReturnFile.objects.count() == 1
    again = services.draft(actor=w.finance, payee=bad.payee, now=make.NOW)
    assert again.total_fen == 10_000
    with pytest.raises(rules.NothingToSettle):
        services.draft(actor=w.finance, payee=bad.payee, now=make.NOW)


def test_the_opposite_of_what_the_bank_said_before_is_a_case_and_moves_nothing(w):
    order = ordered.exported(w)
    ordered.imported(w, order, ordered.answer(order, ("1", "100.00", "成功", "")))
    later = ordered.imported(w, order, ordered.answer(order, ("1", "100.00", "退票", "户名不符")))
    assert (later.failed, later.discrepancies) == (0, 1)
    case = Discrepancy.objects.get()
    assert (case.kind, state(order.lines.get().batch)) == ("contradicts", "paid")
    with pytest.raises(order_rules.NotToBePaid):
        discrepancies.correct(actor=w.finance, case=case, outcome=AnswerOutcome.FAILED, text="已退票", now=make.NOW)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "table.empty"),
        (b"%PDF-1.7 no table", "table.unknown_type"),
        ("明细号,金额\nPO-1,1.00\n".encode(), "table.missing_columns"),
        ("明细号,金额,处理结果\nPO-1,1.00,也许\n".encode(), "return_file.outcome"),
        ("明细号,金额,处理结果\nPO-1,=1+1,成功\n".encode(), "table.formula"),
        ("明细号,金额,处理结果\nPO-1,1.00,成功\nPO-1,1.00,失败\n".encode(), "return_file.twice"),
    ],
)
def test_a_file_that_cannot_be_read_changes_nothing_and_says_why(w, content, code):
    order = ordered.exported(w)
    with pytest.raises(answers.BadAnswer) as refused:
        ordered.imported(w, order, content)
    assert code in {reason.code for reason in refused.value.reasons}
    assert (state(order.lines.get().batch), ReturnFile.objects.count()) == ("exported", 0)


def test_gb18030_and_a_text_without_quotes_are_read():
    text = "PO1|20261125|1|100|CNY\r\nPO1-0001|10000|成功||BK-1\r\nPO1-0002|1|失败|户名不符|\r\n"
    for encoding in ("utf-8", "gb18030"):
        read = answers.read_answer(text.encode(encoding), "r.txt", answers.ANSWER_FORMATS["bank-txt"])
        assert [(each.reference, each.amount_fen, each.outcome.value, each.reason) for each in read] == [
            ("PO1-0001", 10_000, "paid", ""),
            ("PO1-0002", 1, "failed", "户名不符"),
        ]


def test_a_correction_is_booked_when_another_person_closes_the_case(w):
    case = ordered.case(w)
    assert (case.kind, case.expected_fen, case.found_fen) == ("wrong_amount", 10_000, 10_001)
    batch = case.line.batch
    assert state(batch) == "exported"
    with pytest.raises(order_rules.TextMissing):
        discrepancies.explain(actor=w.finance, case=case, text=" ", now=make.NOW)
    discrepancies.correct(actor=w.finance, case=case, outcome=AnswerOutcome.PAID, text="手续费", now=make.NOW)
    assert state(batch) == "exported"
    with pytest.raises(order_rules.CaseOfAnother):
        discrepancies.close(actor=w.finance, case=case, now=make.NOW)
    discrepancies.close(actor=w.finance_approver, case=case, now=make.NOW)
    assert state(batch) == "paid"
    assert of_kind("settlement_clearing") == 0


def test_an_explanation_that_is_not_accepted_opens_the_case_again(w):
    case = ordered.case(w)
    discrepancies.explain(actor=w.finance, case=case, text="手续费", now=make.NOW)
    assert discrepancies.send_back(actor=w.finance_approver, case=case, now=make.NOW).state == "open"


def test_a_paid_batch_is_reconciled_by_another_person_once(w):
    batch = ordered.approved(w)
    services.mark_paid(actor=w.finance, batch=batch, bank_reference="TR-1", now=make.NOW)
    with pytest.raises(rules.ReconciledBySame):
        services.reconcile(actor=w.finance, batch=batch, bank_line="L-1", now=make.NOW)
    with pytest.raises(rules.BankLineMissing):
        services.reconcile(actor=w.finance_approver, batch=batch, bank_line=" ", now=make.NOW)
    done = services.reconcile(actor=w.finance_approver, batch=batch, bank_line="L-1", now=make.NOW)
    assert (done.state, done.bank_line) == ("reconciled", "L-1")
    assert services.reconcile(actor=w.finance_approver, batch=batch, bank_line="L-1", now=make.NOW) == done


def test_where_the_terms_ask_for_a_checker_three_persons_handle_a_batch(w):
    cadences.set_terms(
        actor=w.finance_approver,
        programme_code="",
        cadence=SettlementCadence.ON_DEMAND,
        needs_check=True,
        now=make.NOW,
    )
    with pytest.raises(rules.NotChecked):
        ordered.approved(w)
    batch = SettlementBatch.objects.get()
    with pytest.raises(rules.CheckerIsAnother):
        services.check(actor=w.finance, batch=batch, now=make.NOW)
    third = make.actor(w.department, make.roles.Role.FINANCE_OFFICER)
    services.check(actor=third, batch=batch, now=make.NOW)
    assert services.approve(actor=w.finance_approver, batch=batch, now=make.NOW).state == "approved"


@pytest.mark.usefixtures("clock")
def test_over_http(w):
    batch = ordered.approved(w)
    finance = Caller(w.finance)
    made = finance.post("/payment-orders", {"batches": [batch.number], "format": "bank-csv"})
    assert (made.status, made.body["lines"][0]["account"]) == (201, "**** 2345")
    path = f"/payment-orders/{made.body['number']}"
    assert finance.get(f"{path}/file").body == bytes(PaymentOrder.objects.get().content)
    assert finance.get(f"{path}/manifest").body["total_fen"] == 10_000
    for other in (w.auditor, w.lab_owner, w.owner):
        assert Caller(other).get(f"{path}/file").status == 404
    content = ordered.answer(PaymentOrder.objects.get(), ("1", "100.00", "成功", ""))
    file = SimpleUploadedFile("回盘.csv", content, content_type="text/csv")
    done = finance.upload(f"{path}/answers", layout="table", file=file)
    assert (done.status, done.body["paid"]) == (200, 1)
    assert Caller(w.lab_owner).upload(f"{path}/answers", layout="table", file=file).status == 404
    assert finance.get(f"/settlements/{batch.number}").body["state"] == "paid"
    assert accounts.ICBC not in str(finance.get(path).body)
