"""Money of the demo province at the bank: a batch paid by its file, and a statement with lines matched, suggested and unknown."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Final

from portal.demo.activity import BEIJING, Story
from portal.kernel.money import Money
from vouchers.banking import automatic, importing
from vouchers.evidence.rules import Upload
from vouchers.payments.models import Payment
from vouchers.payments.rules import Collect, PaymentState
from vouchers.settlements import answering, ordering
from vouchers.settlements.models import SettlementBatch

__all__ = ["import_statement", "pay_by_file"]

HEAD: Final = (
    "交易日期",
    "交易流水号",
    "借方金额",
    "贷方金额",
    "余额",
    "对方户名",
    "对方账号",
    "对方开户行",
    "摘要",
    "附言",
)
OPENING: Final = Money.from_yuan("1860000")
ACCOUNT: Final = "3301 0400 8800 0001"
"""No bank has it."""


def _csv(*rows: tuple[str, ...]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


def pay_by_file(story: Story, batch: SettlementBatch) -> None:
    """Export an approved batch for the bank and take in the bank's answer: paid."""
    finance = story.people.actors["caiwu"]
    order = ordering.export(
        actor=finance, numbers=[batch.number], format_code="generic-csv", now=story.now - timedelta(hours=3)
    )
    lines = [
        (line.reference, Money(line.amount_fen).yuan(), "成功", "", f"ICBC-{line.reference}")
        for line in order.lines.order_by("position")
    ]
    answering.import_answer(
        actor=finance,
        order=order,
        content=_csv(("明细号", "金额", "处理结果", "失败原因", "银行流水号"), *lines),
        name=f"回盘-{order.number}.csv",
        format_code="table",
        now=story.now,
    )


def import_statement(story: Story) -> None:
    """Take yesterday's statement: paid in full, paid in part, suggested by payer and amount, of nobody, and the bank's fee."""
    due = Payment.objects.filter(state=PaymentState.DUE.value, collect=Collect.AFTER.value).select_related("payer")
    own = story.people.organisations["xinghe"].pk
    others = list(due.exclude(payer_id=own).order_by("pk")[:2])
    mine = due.filter(payer_id=own, amount_fen__gt=1).order_by("pk").first()
    came = [(payment.payer.name, payment.amount_fen, payment.reference) for payment in others[:1]]
    came += [(mine.payer.name, mine.amount_fen // 2, f"货款 {mine.reference}")] if mine else []
    came += [(payment.payer.name, payment.amount_fen, "服务费") for payment in others[1:]]
    came += [("绍兴越城精密机械厂", 128_000, "测试费"), ("", -1_500, "对公账户服务费")]
    day = f"{(story.now - timedelta(days=1)).astimezone(BEIJING):%Y-%m-%d}"
    rows, balance = [], OPENING.fen
    for at, (name, fen, memo) in enumerate(came, 1):
        balance += fen
        out, into = ("", Money(fen).yuan()) if fen > 0 else (Money(-fen).yuan(), "")
        rows.append(
            (
                *(day, f"{day.replace('-', '')}{at:06d}", out, into, Money(balance).yuan()),
                *(name, ACCOUNT if name else "", "", "转账", memo),
            )
        )
    made = importing.import_file(
        actor=story.people.actors["caiwu"],
        account=importing.main_account(now=story.now),
        upload=Upload("对账单.csv", _csv(HEAD, *rows)),
        now=story.now,
    )
    automatic.look_through(import_id=made.pk, now=story.now)
