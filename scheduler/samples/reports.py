"""Which report files of a sample order there are, and who may read them."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor
from portal.kernel.errors import NotFound
from scheduler.samples import access, rules
from scheduler.samples.models import SampleOrder
from vouchers.evidence import access as evidence
from vouchers.evidence.models import EvidenceFile

S = rules.SampleOrderState
ISSUED = frozenset({S.REPORTED.value, S.BILLED.value, S.CLOSED.value})


def purpose_of(order: SampleOrder, *, test: int | None = None) -> str:
    """Return under which purpose the report of a test is kept: 0 the first, 1 the first retest, and so on."""
    return f"report-{order.retests if test is None else test}"


def drafts_of(order: SampleOrder) -> QuerySet[EvidenceFile]:
    """Return the report of the present test, drafted or issued."""
    return evidence.files_of(order.subject).filter(purpose=purpose_of(order))


def reports_for(actor: Actor, order: SampleOrder) -> QuerySet[EvidenceFile]:
    """Return the reports the actor may read: the lab all, the enterprise those issued. The order is the actor's to see."""
    found = evidence.files_of(order.subject)
    if access.is_lab(actor, order):
        return found
    tests = order.retests + (1 if order.state in ISSUED else 0)
    return found.filter(purpose__in=[purpose_of(order, test=test) for test in range(tests)])


def get_report(actor: Actor, order: SampleOrder, file_id: int) -> EvidenceFile:
    """Return one report the actor may read. Raises NotFound."""
    found = reports_for(actor, order).filter(pk=file_id).first()
    if found is None:
        raise NotFound
    return found
