"""Let the machine itself take a case through its stages, where the programme grants at once (即申即享, 免申即享).

The same machine with automatic hands: no stage is skipped in the record, and a share of the cases is drawn for a check
afterwards. Source: 贵州省 2026 算力券“即申即享”; the rate of the sample is the programme's own `audit.sample_rate`.
"""

from __future__ import annotations

from datetime import datetime

from portal.kernel.actors import Actor
from portal.kernel.errors import noop
from vouchers.issuance import cases, drawing, issuing, queries, rules
from vouchers.issuance.models import Application, StageDecision
from vouchers.issuance.workflow import ReviewAction
from vouchers.programmes.decisions import DecisionKind
from vouchers.programmes.terms import Automation

__all__ = ["ACTOR", "run"]

ACTOR = Actor.system(noop("自动办理"))


def run(application: Application, *, now: datetime) -> None:
    """Pass every stage of a locked case the rules have just granted; leave all others to people.

    A decision that needs judgement (`manual`) is never automatic.
    """
    terms = queries.terms(application.version)
    granted = application.decision.get("decision") == DecisionKind.GRANT.value
    if terms.automation is Automation.NONE or application.state != rules.ApplicationState.REVIEW.value or not granted:
        return
    stages = queries.stages(application.version)
    for at, stage in enumerate(stages):
        StageDecision.objects.create(
            application=application,
            turn=application.turn,
            stage=at,
            role=stage.role,
            person=None,
            action=ReviewAction.PASS.value,
            amount_fen=application.amount_fen,
            at=now,
        )
    application.assignments.filter(released_at__isnull=True).update(released_at=now)
    application.stage = len(stages) - 1
    application.sampled = drawing.is_sampled(application.number, rate=terms.audit.sample_rate)
    cases.record(application, action="application.automatic", actor=ACTOR, now=now, sampled=application.sampled)
    issuing.conclude(application, actor=ACTOR, now=now)
