"""A public notice in the demo province: corpus vouchers decided, shown to everybody, one of them objected to."""

from __future__ import annotations

from datetime import timedelta

from portal.demo.activity import BEIJING, Story
from portal.kernel.money import Money
from vouchers.issuance import facts, reviewing
from vouchers.issuance import services as issuance
from vouchers.notices import objecting
from vouchers.notices import services as notices

__all__ = ["show_notices"]

CORPORA = (("lanting", 1_600_000), ("ruian", 900_000), ("yunfan", 420_000))
PROGRAMME = "zj-corpus-2026"


def show_notices(story: Story) -> None:
    """Decide corpus applications, show two of them since yesterday, and let a stranger object to one."""
    reviewer, approver = story.people.actors["chushen"], story.people.actors["shenpi"]
    version = story.programmes[PROGRAMME]
    then = story.now - timedelta(days=9)
    for at, (firm, yuan) in enumerate(CORPORA):
        contract = facts.Contract(
            number=f"DATA-2026-{at + 101}",
            provider="浙江大数据交易中心（演示）",
            signed=(then - timedelta(days=20)).astimezone(BEIJING).date(),
            months=12,
            items={"corpus": Money.from_yuan(yuan)},
            related=False,
        )
        wanted = issuance.Wanted(version=version, contract=contract, stated={"contract.channel": "data_exchange"})
        case = issuance.submit(
            actor=story.people.actors[f"clerk-{firm}"], wanted=wanted, now=then + timedelta(hours=at), key=story.key()
        )
        verdict = reviewing.Verdict()
        reviewing.pass_stage(actor=reviewer, application=case, verdict=verdict, now=then + timedelta(days=2))
        if at < 2:
            reviewing.pass_stage(actor=approver, application=case, verdict=verdict, now=then + timedelta(days=4))
    drafted = notices.draft(actor=reviewer, version=version, now=story.now - timedelta(days=1, hours=2))
    published = notices.publish(actor=approver, notice=drafted, now=story.now - timedelta(days=1))
    item = published.items.order_by("position").last()
    assert item is not None
    statement = objecting.Statement(
        name="陈先生", contact="138 0000 0000", text="该单位的语料合同似乎在本市另一个项目中也申报过，请核实。"
    )
    objecting.file(item=item, statement=statement, key=story.key(), now=story.now - timedelta(hours=5))
