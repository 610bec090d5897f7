"""Rounds in the demo province: one drawn by lot that anybody can draw again, one that ranks and is still open."""

from __future__ import annotations

from datetime import timedelta

from portal.demo.activity import Story
from portal.demo.asking import Ask, apply, passed
from portal.kernel.money import Money
from vouchers.rounds import deciding
from vouchers.rounds import services as rounds

__all__ = ["draw_lots", "open_ranking"]

FIRMS = ("lanting", "ruian", "xinghe", "mingzhu", "zhoushan")
POOL = Money.from_yuan(60_000)
"""Enough for three of the five."""


def draw_lots(story: Story) -> None:
    """Open a lottery with its commitment, take five firms in, close it, and draw with a value announced beforehand."""
    version = story.programmes["zj-lottery-2026"]
    officials = story.people.actors
    opens = story.now - timedelta(days=24)
    closes = opens + timedelta(days=10)
    opened = rounds.open_round(
        actor=officials["fabu"],
        version=version,
        closes_at=closes,
        public_source="截止次日上证综合指数收盘点位（演示）",
        now=opens,
    )
    for at, firm in enumerate(FIRMS):
        ask = Ask(firm, "zj-lottery-2026", f"TRIAL-{at + 1:03d}", 60_000, "compute", opens + timedelta(days=1 + at))
        passed(story, apply(story, ask), "chushen", "shenpi", after=timedelta(days=1))
    rounds.close_due(now=closes)
    proposed = rounds.propose(
        actor=officials["chushen"],
        round_=opened,
        pool=POOL,
        public_value="3812.47",
        note="按公布的种子和公开数值摇号，名额三个。",
        now=closes + timedelta(days=2),
    )
    deciding.confirm(actor=officials["shenpi"], round_=proposed, now=closes + timedelta(days=3))


def open_ranking(story: Story) -> None:
    """Open the round that ranks what the experts scored; it closes in five days."""
    rounds.open_round(
        actor=story.people.actors["fabu"],
        version=story.programmes["zj-expert-2026"],
        closes_at=story.now + timedelta(days=5),
        now=story.now - timedelta(days=25),
    )
