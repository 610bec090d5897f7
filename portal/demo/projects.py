"""Projects of technical service in the demo province: one asked, one that runs, with a milestone billed and one delivered."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from portal.demo.activity import Story
from portal.demo.asking import pdf
from portal.kernel.money import Money
from scheduler.engagements import delivering, quoting, rules, services
from scheduler.engagements.models import Engagement
from scheduler.resources.models import Resource
from scheduler.resources.rules import ResourceKind

__all__ = ["run_projects"]

FIRM: Final = "xinghe"
LAB: Final = "qianjiang"


def run_projects(story: Story) -> None:
    """Let a firm ask the first lab's concept service, and run a project with milestones on its pilot line."""
    keeper, firm = story.people.actors[f"clerk-{LAB}"], story.people.actors[f"clerk-{FIRM}"]
    begun = story.now - timedelta(days=30)

    def asked(kind: ResourceKind, title: str, description: str, wanted: str, at: datetime) -> Engagement:
        resource = Resource.objects.get(kind=kind.value, owner=story.people.organisations[LAB])
        by = at.date() + timedelta(days=90)
        said = services.Wanted(resource, title, description, wanted, by)
        return services.request(actor=firm, wanted=said, now=at, key=story.key())

    asked(
        ResourceKind.CONCEPT_SERVICE,
        "固态电解质膜可行性验证",
        "已有实验室样品，需验证 10 cm 幅宽的成膜性与电导率。配方保密。",
        "两轮试制样品、可行性报告。",
        story.now - timedelta(hours=6),
    )
    found = asked(
        ResourceKind.PILOT_LINE,
        "高镍正极浆料中试放大",
        "小试固含量 68 %，需在 50 kg 批次上稳定涂布，面密度偏差不超过 1.5 %。配方保密。",
        "工艺参数、中试极片、放大报告。",
        begun,
    )
    day = begun.date()
    lines = [
        rules.Line(name, deliverable, day + timedelta(days=after), Money.from_yuan(yuan).fen)
        for name, deliverable, after, yuan in (
            ("方案与小试复现", "工艺方案、小试复现数据", 14, 12000),
            ("50 kg 批次中试", "中试极片 200 m、过程数据", 28, 36000),
            ("放大报告", "放大报告与操作规程", 60, 12000),
        )
    ]
    at = begun + timedelta(days=1)
    quoted = quoting.quote(actor=keeper, engagement=found, plan=quoting.Plan(lines), now=at)
    seen = (quoted.version, sum(line.price_fen for line in lines))
    quoting.accept(actor=firm, engagement=found, seen=seen, now=at + timedelta(days=1))
    first, second = found.milestones.select_related("engagement").order_by("position")[:2]
    at = begun + timedelta(days=13)
    delivering.deliver(actor=keeper, milestone=first, uploads=[pdf("工艺方案.pdf")], note="含复现数据。", now=at)
    delivering.accept(actor=firm, milestone=first, now=at + timedelta(days=2))
    at = story.now - timedelta(days=2)
    delivering.deliver(actor=keeper, milestone=second, uploads=[pdf("中试过程数据.pdf")], note="极片已寄出。", now=at)
