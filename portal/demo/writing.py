"""A programme being written in the demo province: next year's sharing voucher, tried on this year's applications."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

from portal.demo.activity import BEIJING, Story
from vouchers.dryruns import services as dryruns
from vouchers.programmes import drafts

__all__ = ["write_next_year"]

PROGRAMME = "zj-share-2026"
CUT = Fraction(4, 5)


def write_next_year(story: Story) -> None:
    """Begin next year's programme from this year's with lower shares, and try it on what was applied for."""
    officer = story.people.actors["zhengce"]
    version = story.programmes[PROGRAMME]
    begun = drafts.start(actor=officer, origin=version, now=story.now - timedelta(hours=4))
    document = {
        **begun.document,
        "lines": [_lower(line) for line in begun.document["lines"]],
        "notice": {"min_working_days": 5},
    }
    written = drafts.save(
        actor=officer, draft=begun, revision=begun.revision, document=document, now=story.now - timedelta(hours=3)
    )
    today = story.now.astimezone(BEIJING).date()
    run = dryruns.request(
        actor=officer,
        tried=dryruns.Rules(written.document),
        source=dryruns.Past(PROGRAMME, today - timedelta(days=365), today),
        now=story.now - timedelta(hours=2),
    )
    dryruns.run(run_id=run.pk, now=story.now - timedelta(hours=2))


def _lower(line: dict[str, object]) -> dict[str, object]:
    if "rate" not in line:
        return line
    return {**line, "rate": f"{float(Fraction(str(line['rate'])) * CUT):.2f}"}
