"""How the demo province's firms apply and its officials decide: the shared steps of every story."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from portal.demo.activity import BEIJING, Story
from portal.kernel.money import Money
from vouchers.evidence.services import Upload
from vouchers.issuance import facts, reviewing
from vouchers.issuance import services as issuance
from vouchers.issuance.models import Application

__all__ = ["Ask", "apply", "passed", "pdf", "wanted"]


def pdf(name: str) -> Upload:
    """Return a small file that is a PDF by its content."""
    return Upload(name, b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n")


@dataclass(frozen=True, slots=True)
class Ask:
    """One application: who, under which programme, which contract, for what, when."""

    firm: str
    programme: str
    number: str
    yuan: int
    kind: str
    at: datetime
    provider: str = "qianjiang"
    signed_days: int = 12
    stated: dict[str, Any] = field(default_factory=dict)


def wanted(story: Story, ask: Ask) -> issuance.Wanted:
    """Return what a firm applies with; its contract was signed `signed_days` before. A provider not registered is its name."""
    known = story.people.organisations.get(ask.provider)
    contract = facts.Contract(
        number=ask.number,
        provider=known.name if known else ask.provider,
        signed=(ask.at - timedelta(days=ask.signed_days)).astimezone(BEIJING).date(),
        months=12,
        items={ask.kind: Money.from_yuan(ask.yuan)},
        related=False,
    )
    return issuance.Wanted(version=story.programmes[ask.programme], contract=contract, stated=ask.stated)


def apply(story: Story, ask: Ask) -> Application:
    """Submit as the firm's clerk."""
    return issuance.submit(
        actor=story.people.actors[f"clerk-{ask.firm}"], wanted=wanted(story, ask), now=ask.at, key=story.key()
    )


def passed(
    story: Story, case: Application, *officials: str, after: timedelta = timedelta(days=2), score: int | None = None
) -> Application:
    """Let these officials pass one stage each, `after` the one before."""
    at = case.submitted_at or story.now
    for official in officials:
        at += after
        verdict = reviewing.Verdict(score=score)
        case = reviewing.pass_stage(actor=story.people.actors[official], application=case, verdict=verdict, now=at)
    return case
