"""Grant, change and end what enterprises may compute; the only writer of grants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from portal.audit import services as audit
from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Invalid, noop
from portal.kernel.period import BadPeriod, Period
from portal.numbers.services import next_number
from portal.organisations.models import Organisation
from portal.organisations.rules import Kind
from scheduler.allocations.models import Allocation
from scheduler.allocations.rules import AllocationOverlap, Amounts
from scheduler.resources.models import Partition

__all__ = ["Wanted", "change", "end", "grant"]

_ = noop


class NotAnEnterprise(Invalid):
    code = "allocation.organisation"
    message = _("只能给企业核给算力配额。")


class PartitionNeeded(Invalid):
    code = "allocation.partition"
    message = _("集群运行单位只能在本单位集群的分区上核给配额，请选择分区。")


class NameMissing(Invalid):
    code = "allocation.name"
    message = _("请填写配额名称（60 字以内），企业会看到。")


class AllocationOver(Invalid):
    code = "allocation.over"
    message = _("该配额已终止，不能再修改。请另行核给。")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A grant to be: for whom, of what, how much, when."""

    name: str
    organisation: Organisation
    amounts: Amounts
    period: Period
    programme_code: str = ""
    partition: Partition | None = None


@transaction.atomic
def grant(*, actor: Actor, wanted: Wanted, now: datetime, key: str) -> Allocation:
    """Grant; it holds for jobs submitted from now on, and those submitted in its period before count.

    Idempotent on (granting organisation, `key`). Raises BadAllocation, AllocationOverlap, NameMissing, NotAnEnterprise,
    PartitionNeeded, Forbidden, KeyReused.
    """
    actor.require(Permission.ALLOCATION_MANAGE)
    _may_grant(actor, wanted)
    wanted.amounts.check()
    print_ = idempotency.fingerprint(_facts(wanted))
    if existing := Allocation.objects.filter(granted_by_id=actor.acting_for, key=key).first():
        idempotency.check_replay(stored=existing.fingerprint, asked=print_)
        return existing
    row = Allocation(
        number=next_number(prefix="Q", now=now),
        name=wanted.name.strip(),
        organisation=wanted.organisation,
        programme_code=wanted.programme_code,
        partition=wanted.partition,
        card_s=wanted.amounts.card_s,
        cards=wanted.amounts.cards,
        during=(wanted.period.start, wanted.period.end),
        granted_by_id=actor.acting_for,
        created_by_id=actor.user_id,
        created_at=now,
        key=key,
        fingerprint=print_,
    )
    _save(row)
    audit.record(
        action="allocation.granted",
        subject=f"allocation:{row.number}",
        actor=actor,
        now=now,
        organisations=[row.organisation_id],
        data=_facts(wanted),
    )
    return row


@transaction.atomic
def change(*, actor: Actor, allocation: Allocation, amounts: Amounts, until: datetime, now: datetime) -> Allocation:
    """Set what is granted and until when. Jobs already accepted stay, even where less is left than they hold.

    Raises BadAllocation, BadPeriod, AllocationOver, AllocationOverlap, Forbidden.
    """
    row = _lock(actor, allocation)
    if row.ended_at is not None:
        raise AllocationOver
    amounts.check()
    start = row.during.lower
    if until <= start:
        raise BadPeriod(field="until")
    before = [row.card_s, row.cards, row.during.upper.isoformat()]
    after = [amounts.card_s, amounts.cards, until.isoformat()]
    if before == after:
        return row
    row.card_s, row.cards, row.during = amounts.card_s, amounts.cards, (start, until)
    _save(row)
    audit.record(
        action="allocation.changed",
        subject=f"allocation:{row.number}",
        actor=actor,
        now=now,
        organisations=[row.organisation_id],
        data={"before": before, "after": after},
    )
    return row


@transaction.atomic
def end(*, actor: Actor, allocation: Allocation, now: datetime) -> Allocation:
    """End a grant: from now on it bounds nothing. Idempotent. Raises Forbidden."""
    row = _lock(actor, allocation)
    if row.ended_at is None:
        row.ended_at = now
        row.save(update_fields=["ended_at"])
        audit.record(
            action="allocation.ended",
            subject=f"allocation:{row.number}",
            actor=actor,
            now=now,
            organisations=[row.organisation_id],
        )
    return row


def _may_grant(actor: Actor, wanted: Wanted) -> None:
    """A department grants anything; an operator only on partitions of its own clusters."""
    if not wanted.name.strip() or len(wanted.name.strip()) > 60:
        raise NameMissing(field="name")
    if wanted.organisation.kind != Kind.ENTERPRISE.value:
        raise NotAnEnterprise(field="organisation")
    if Organisation.objects.get(pk=actor.acting_for).kind == Kind.DEPARTMENT.value:
        return
    if wanted.partition is None:
        raise PartitionNeeded(field="partition")
    if wanted.partition.cluster.owner_id != actor.acting_for:
        raise Forbidden


def _facts(wanted: Wanted) -> dict[str, object]:
    partition = wanted.partition
    return {
        "name": wanted.name.strip(),
        "organisation": wanted.organisation.name,
        "programme": wanted.programme_code,
        "partition": f"{partition.cluster.code}/{partition.name}" if partition else "",
        "card_s": wanted.amounts.card_s,
        "cards": wanted.amounts.cards,
        "since": wanted.period.start.isoformat(),
        "until": wanted.period.end.isoformat(),
    }


def _lock(actor: Actor, allocation: Allocation) -> Allocation:
    actor.require(Permission.ALLOCATION_MANAGE)
    row = Allocation.objects.select_for_update(no_key=True).get(pk=allocation.pk)
    if row.granted_by_id != actor.organisation_id:
        raise Forbidden
    return row


def _save(row: Allocation) -> None:
    """Write a row. Raises AllocationOverlap where another of the same scope is in force at the same time."""
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        if "allocation_no_overlap" not in str(error):
            raise
        raise AllocationOverlap(field="since") from None
