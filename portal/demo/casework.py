"""Cases that show time and second thoughts: deadlines, a clock that stands, appeals, grants without waiting or asking."""

from __future__ import annotations

from datetime import datetime, timedelta

from portal.demo.activity import Story
from portal.demo.asking import Ask, apply, passed, wanted
from portal.workdays.queries import workdays
from vouchers.claims import deciding, paying
from vouchers.claims.models import RedemptionClaim
from vouchers.issuance import appeals, reviewing, rules
from vouchers.issuance import services as issuance
from vouchers.issuance.models import Application

__all__ = ["ask_for_judgement", "grant_at_once", "grant_unasked", "let_time_run"]

CORPUS = "zj-corpus-2026"
CHECK_DAYS = 5
"""The working days that programme gives its first stage."""


def _ago(story: Story, days: int, hours: int = 0) -> datetime:
    return story.now - timedelta(days=days, hours=hours)


def _due_soon(story: Story) -> datetime:
    """Return the latest moment of submission whose check is due within the next day and a half."""
    calendar = workdays()
    for hours in range(24, 24 * 21, 6):
        at = story.now - timedelta(hours=hours)
        due = rules.due(calendar, at, days=CHECK_DAYS)
        if story.now < due <= story.now + timedelta(hours=36):
            return at
    return _ago(story, 4)


def _buy_corpus(story: Story, firm: str, yuan: int, *, at: datetime) -> Application:
    ask = Ask(
        firm,
        CORPUS,
        f"DATA-{firm.upper()}-2",
        yuan,
        "corpus",
        at,
        provider="浙江大数据交易中心（演示）",
        stated={"contract.channel": "data_exchange"},
    )
    return apply(story, ask)


def let_time_run(story: Story) -> None:
    """Leave one corpus case due soon, one overdue, and one whose clock stands until its firm answers."""
    _buy_corpus(story, "jinhua", 260_000, at=_due_soon(story))
    _buy_corpus(story, "taizhou", 350_000, at=_ago(story, 16))
    asked = _buy_corpus(story, "haichuan", 180_000, at=_ago(story, 6))
    verdict = reviewing.Verdict(note="数据交易凭证缺少成交日期，请补充盖章页。")
    reviewing.return_case(
        actor=story.people.actors["chushen"], application=asked, verdict=verdict, now=_ago(story, 3, 2)
    )


def _drawn(case: Application) -> str:
    """Return the account an expert stage was drawn for."""
    return str(case.assignments.filter(released_at__isnull=True).select_related("person").latest("pk").person.username)


def ask_for_judgement(story: Story) -> None:
    """Let experts drawn by lot score: two cases wait for the ranking, one appeal waits, one was upheld and is scored anew."""
    programme, signed = "zj-expert-2026", 20
    for at, (firm, yuan, score) in enumerate((("haichuan", 900_000, 88), ("mingzhu", 420_000, 76))):
        ask = Ask(firm, programme, f"RD-2026-{at + 1:03d}", yuan, "test", _ago(story, 18 - at), signed_days=signed)
        case = apply(story, ask)
        passed(story, case, _drawn(case), "shenpi", score=score, after=timedelta(days=3))
    for at, (firm, note) in enumerate(
        (
            ("taizhou", "研发内容与申报方向不符，未见技术指标。"),
            ("yunfan", "合同服务内容写得过于笼统，无法判断是否属于研发服务。"),
        )
    ):
        ask = Ask(firm, programme, f"RD-2026-{at + 11:03d}", 300_000, "test", _ago(story, 20 - at), signed_days=signed)
        case = apply(story, ask)
        refused = reviewing.refuse(
            actor=story.people.actors[_drawn(case)],
            application=case,
            verdict=reviewing.Verdict(note=note),
            now=_ago(story, 9),
        )
        said = "合同附件二列有 6 项技术指标，评审时可能未看到；现再次提交附件二，请重新评审。"
        appealed = appeals.appeal(
            actor=story.people.actors[f"clerk-{firm}"], application=refused, note=said, now=_ago(story, 4)
        )
        if firm == "yunfan":
            appeals.admit(
                actor=story.people.actors["fushen"],
                application=appealed,
                note="附件二确实列有技术指标，由其他专家重新评审。",
                now=_ago(story, 2),
            )


def grant_at_once(story: Story) -> None:
    """Let two firms have a voucher the moment they apply (即申即享)."""
    for firm, days in (("quzhou", 35), ("wenyu", 3)):
        ask = Ask(firm, "zj-opc-2026", f"OPC-{firm.upper()}", 6_000, "model_api", _ago(story, days), provider="zhisuan")
        apply(story, ask)


def grant_unasked(story: Story) -> RedemptionClaim:
    """Put two firms forward that need not apply (免申即享): one waits for the approver, one is to be paid, by two payers."""
    claims: list[RedemptionClaim] = []
    officials = story.people.actors
    for firm, yuan, days in (("haichuan", 1_600_000, 10), ("taizhou", 700_000, 2)):
        ask = Ask(firm, "zj-award-2026", f"OPEN-{firm.upper()}", yuan, "compute", _ago(story, days), provider="haishu")
        case = issuance.grant_unasked(
            actor=officials["chushen"],
            organisation=story.people.organisations[firm],
            wanted=wanted(story, ask),
            now=ask.at,
            key=story.key(),
        )
        if firm == "haichuan":
            passed(story, case, "shenpi")
            claims = paying.open_awards(now=_ago(story, 7))
    (claim,) = claims
    checked = deciding.check(actor=officials["chushen"], claim=claim, now=_ago(story, 6))
    return deciding.approve(actor=officials["fushen"], claim=checked, now=_ago(story, 5))
