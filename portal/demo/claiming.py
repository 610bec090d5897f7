"""Claims and claw-backs in the demo province: one at each desk it can lie on, and what became of the rest."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from portal.demo.activity import BEIJING, Story
from portal.demo.asking import Ask, apply, passed, pdf
from portal.kernel.money import Money
from vouchers.claims import deciding, rules
from vouchers.claims import services as claims
from vouchers.claims.models import RedemptionClaim
from vouchers.recoveries import collecting
from vouchers.recoveries import services as recoveries
from vouchers.settlements import services as settlements
from vouchers.wallets.models import Voucher

__all__ = ["claim_services", "pay_claims", "take_back"]

PROGRAMME = "zj-service-2026"
HALF = Fraction(1, 2)
BACKDATED, EARLY = ("jinhua", 1), 70
"""Whose invoice, and which, is older than the contract: a flag says so."""
DOCUMENTS = ("发票", "检测报告")
REPORTS = ("绝缘耐压测试", "盐雾试验", "成分分析")


@dataclass(frozen=True, slots=True)
class Paid:
    """What a firm paid in full and claims half of: yuan of each invoice, and how many days ago it filed."""

    firm: str
    invoices: tuple[int, ...]
    days: int


FILED = (
    Paid("quzhou", (42_000, 18_600), 30),
    Paid("ruian", (36_800,), 12),
    Paid("lanting", (28_000, 15_400, 9_000), 10),
    Paid("haichuan", (24_000,), 9),
    Paid("jinhua", (31_500, 12_500), 5),
    Paid("xinghe", (19_800,), 4),
    Paid("mingzhu", (27_300, 8_700), 1),
)


def _voucher(story: Story, paid: Paid) -> Voucher:
    at = story.now - timedelta(days=45)
    ask = Ask(paid.firm, PROGRAMME, f"TEST-{paid.firm.upper()}", 120_000, "test", at, provider="yongjiang")
    case = passed(story, apply(story, ask), "chushen", "shenpi")
    return Voucher.objects.get(application=case)


def _lines(paid: Paid, *, day: datetime) -> list[claims.Line]:
    serial = sum(map(ord, paid.firm))
    return [
        claims.Line(
            what=REPORTS[at],
            amount=Money.from_yuan(yuan).share(HALF),
            base=Money.from_yuan(yuan),
            day=(day - timedelta(days=EARLY if (paid.firm, at) == BACKDATED else 3 + at)).astimezone(BEIJING).date(),
            invoice=f"2633{serial:012d}{at + 1:04d}",
        )
        for at, yuan in enumerate(paid.invoices)
    ]


def _drafted(story: Story, paid: Paid, voucher: Voucher, lines: list[claims.Line]) -> RedemptionClaim:
    actor, at = story.people.actors[f"clerk-{paid.firm}"], story.now - timedelta(days=paid.days)
    total = Money(sum(line.amount.fen for line in lines))
    asked = claims.Wanted(amount=total, voucher=voucher.number, lines=lines)
    claim = claims.draft(actor=actor, wanted=asked, now=at - timedelta(hours=2), key=story.key())
    for document in DOCUMENTS:
        claims.attach(actor=actor, claim=claim, document=document, upload=pdf(f"{document}.pdf"), now=at)
    return claim


def claim_services(story: Story) -> dict[str, RedemptionClaim]:
    """File seven claims and take each as far as its story goes; a further one repeats an invoice and is kept back."""
    made = {}
    for paid in FILED:
        voucher = _voucher(story, paid)
        at = story.now - timedelta(days=paid.days)
        claim = _drafted(story, paid, voucher, _lines(paid, day=at))
        made[paid.firm] = claims.file(actor=story.people.actors[f"clerk-{paid.firm}"], claim=claim, now=at)
    _decide(story, made)
    _repeat(story, made["mingzhu"])
    return made


def _decide(story: Story, made: dict[str, RedemptionClaim]) -> None:
    checker, auditor = story.people.actors["chushen"], story.people.actors["sanfang"]
    approver = story.people.actors["fushen"]
    back = "第 1 行发票抬头不是本单位，请更换或更正。"
    deciding.send_back(actor=checker, claim=made["xinghe"], note=back, now=story.now - timedelta(days=3))
    cut = made["lanting"]
    less = Money(cut.amount_fen) - Money.from_yuan(4_500)
    reasons = {"lanting": "第 3 行成分分析不在合同约定的检测项目内，扣减 4,500 元。"}
    for firm, days in (("quzhou", 28), ("ruian", 10), ("lanting", 8), ("haichuan", 7), ("jinhua", 2)):
        made[firm] = deciding.check(
            actor=checker,
            claim=made[firm],
            amount=less if firm == "lanting" else None,
            note=reasons.get(firm, ""),
            now=story.now - timedelta(days=days),
        )
    for firm, finding, days in (
        ("quzhou", "抽查 2 份报告，与发票、付款回单一致。", 26),
        ("ruian", "抽查报告与仪器原始记录一致。", 8),
        ("lanting", "其余两项报告与发票一致，扣减意见属实。", 6),
        ("haichuan", "检测报告编号在签发机构系统中查无记录。", 5),
    ):
        at = story.now - timedelta(days=days)
        made[firm] = deciding.find(actor=auditor, claim=made[firm], finding=finding, now=at)
    for firm, days in (("quzhou", 24), ("lanting", 4)):
        made[firm] = deciding.approve(actor=approver, claim=made[firm], now=story.now - timedelta(days=days))
    note = "检测报告无法核实，不予支付。如有异议请提供签发机构的书面说明。"
    made["haichuan"] = deciding.refuse(
        actor=approver, claim=made["haichuan"], note=note, now=story.now - timedelta(days=3)
    )


def _repeat(story: Story, filed: RedemptionClaim) -> None:
    """Let another firm claim with an invoice that is already claimed: nothing is filed, both are flagged."""
    paid = Paid("yunfan", (27_300,), 0)
    voucher = _voucher(story, paid)
    invoice = filed.lines.order_by("position")[0].invoice
    (line,) = _lines(paid, day=story.now)
    twice = [claims.Line(line.what, line.amount, base=line.base, day=line.day, invoice=invoice)]
    claim = _drafted(story, paid, voucher, twice)
    with contextlib.suppress(rules.DuplicateInvoice):
        claims.file(actor=story.people.actors["clerk-yunfan"], claim=claim, now=story.now - timedelta(hours=3))


def pay_claims(story: Story, made: dict[str, RedemptionClaim]) -> None:
    """Pay what was approved first; the rest waits for finance."""
    officials = story.people.actors
    at = story.now - timedelta(days=22)
    batch = settlements.draft(actor=officials["caiwu"], payee=made["quzhou"].payee, now=at)
    settlements.approve(actor=officials["fuhe"], batch=batch, now=at + timedelta(days=1))
    settlements.mark_paid(
        actor=officials["caiwu"], batch=batch, bank_reference="国库支付 2026-1104", now=at + timedelta(days=2)
    )


def take_back(story: Story, made: dict[str, RedemptionClaim]) -> None:
    """Recover a part of a paid claim, published and barred for it; leave one case heard and one just opened."""
    officials = story.people.actors
    claim = made["quzhou"]
    claim.refresh_from_db()
    breach = recoveries.Breach(text="提供虚假材料", claim=claim)
    case = recoveries.open_case(actor=officials["chushen"], breach=breach, now=story.now - timedelta(days=14))
    said = "单位承认第 2 份检测报告系事后补开，愿意退回对应款项。"
    case = recoveries.hear(actor=officials["chushen"], recovery=case, note=said, now=story.now - timedelta(days=12))
    ruling = recoveries.Ruling(
        receivable=Money.from_yuan(9_300),
        reason="第 2 份检测报告不实，对应补助 9,300 元应退回。",
        bar_years=3,
        publish=True,
    )
    case = recoveries.decide(
        actor=officials["shenpi"], recovery=case, ruling=ruling, now=story.now - timedelta(days=11)
    )
    case = recoveries.confirm(actor=officials["fushen"], recovery=case, now=story.now - timedelta(days=10))
    collecting.receive(
        actor=officials["caiwu"],
        recovery=case,
        amount=Money.from_yuan(5_000),
        bank_reference="ICBC-20261120-0087",
        now=story.now - timedelta(days=5),
    )
    voucher = made["haichuan"].voucher
    assert voucher is not None
    doubt = recoveries.Breach(text="检测报告无法核实，疑似虚假材料", voucher=voucher)
    other = recoveries.open_case(actor=officials["chushen"], breach=doubt, now=story.now - timedelta(days=2))
    note = "单位称报告由合作机构代取，正在索要书面说明。"
    recoveries.hear(actor=officials["chushen"], recovery=other, note=note, now=story.now - timedelta(days=1))
