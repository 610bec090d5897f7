"""Where the demo's providers are paid: accounts in force, one that finance has to check, one in its cooling-off."""

from __future__ import annotations

from datetime import timedelta

from portal.demo.activity import Story
from portal.demo.asking import pdf
from vouchers.payees import services as payees
from vouchers.payees.models import PayeeAccount
from vouchers.payees.rules import Details

__all__ = ["bank_accounts"]

BANKS = {
    "xixi": ("中国工商银行杭州西溪支行", "102100099996", "1202020209900010001"),
    "yongjiang": ("中国建设银行宁波高新区支行", "105100000017", "33150198373600000002"),
    "zhisuan": ("招商银行杭州分行", "308584000013", "571900000010003"),
    "qianjiang": ("中国农业银行杭州下沙支行", "103100000026", "19033101040000004"),
}
"""Bank, clearing number (of the head offices) and number; no bank uses these."""


def bank_accounts(story: Story) -> None:
    """Enter accounts: two in force, one in its cooling-off, one waiting for finance."""
    officials = story.people.actors

    def entered(key: str, days: int) -> PayeeAccount:
        bank, cnaps, number = BANKS[key]
        return payees.propose(
            actor=officials[f"clerk-{key}"],
            details=Details(story.people.organisations[key].name, bank, cnaps, number),
            proof=pdf("基本存款账户信息.pdf"),
            now=story.now - timedelta(days=days),
        )

    for key, days in (("xixi", 30), ("yongjiang", 30), ("zhisuan", 1)):
        account = entered(key, days)
        at = story.now - timedelta(days=days)
        payees.check(actor=officials["caiwu"], account=account, now=at)
        payees.verify(actor=officials["fuhe"], account=account, now=at)
    payees.enforce_due(now=story.now)
    entered("qianjiang", 0)
