"""Look at usage lines before they are taken, take them, withdraw an import; the only writer of usage lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import NotFound, Reason, noop
from portal.kernel.idempotency import fingerprint
from portal.kernel.money import Money
from portal.numbers.services import PORTAL_ZONE
from portal.tables.reading import read_table
from portal.tables.values import Problem
from vouchers.charges import prices
from vouchers.evidence import rules as evidence_rules
from vouchers.evidence import services as files
from vouchers.offers import orders, queries, rules, usage
from vouchers.offers.models import MICRO, Order, UsageImport, UsageLine

__all__ = ["Imported", "Preview", "import_file", "import_lines", "preview_file", "withdraw"]

_ = noop

OPEN = frozenset({rules.OrderState.DELIVERING.value, rules.OrderState.DISPUTED.value})
"""States in which usage may be added or withdrawn: before acceptance is asked for, and while it is disputed."""
SHOWN = 50


@dataclass(frozen=True, slots=True)
class Preview:
    """What taking these lines would do. Nothing can be taken while there are `problems` or `conflicts`.

    `after` prices everything the order would then hold; `stated` is what the provider's bill says of the new lines, None
    where it says nothing.
    """

    new: Sequence[usage.UsageValue]
    known: int
    problems: Sequence[Problem]
    conflicts: Sequence[Reason]
    ignored: Sequence[str]
    before: prices.PricedList
    after: prices.PricedList
    stated: Money | None
    held: Money

    @property
    def ready(self) -> bool:
        return not self.problems and not self.conflicts

    @property
    def added(self) -> Money:
        """What the new lines add to the bill; whole-volume tiers may make it negative."""
        return self.after.amount - self.before.amount

    @property
    def waived(self) -> Money:
        """What the usage comes to above what is held, and so would not be charged."""
        return max(self.after.amount - self.held, Money(0))

    @property
    def differs(self) -> bool:
        """Whether the provider's bill says another amount than the list price of these lines alone comes to."""
        return self.stated is not None and self.stated != self.added


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. `upload` is None where every line was known before: the same file changes nothing."""

    upload: UsageImport | None
    added: int
    known: int


def _compare(order: Order, lines: Sequence[usage.UsageValue]) -> tuple[list[usage.UsageValue], int, list[Reason]]:
    """Return the new lines, how many are known as they are, and a reason for each that differs from what is known."""
    stored = dict(
        UsageLine.objects.filter(
            order=order, active=True, reference__in=[line.reference for line in lines]
        ).values_list("reference", "digest")
    )
    new = [line for line in lines if line.reference not in stored]
    changed = [line for line in lines if stored.get(line.reference, line.digest) != line.digest]
    conflicts = [
        Reason(
            "usage.conflict",
            _("第 %(row)s 行：参考号“%(reference)s”已导入过，内容与这次不同。"),
            _("以前的明细不会被覆盖：确需更正的，请先撤回原来的导入，再上传更正后的整份明细。"),
            field="file",
            params={"row": line.row, "reference": line.reference},
        )
        for line in changed
    ]
    return new, len(lines) - len(new) - len(changed), conflicts


def _held(order: Order) -> Money:
    return Money(order.charge.price_fen) if order.charge else Money(0)


def _look(
    order: Order, lines: Sequence[usage.UsageValue], problems: Sequence[Problem], ignored: Sequence[str]
) -> Preview:
    new, known, conflicts = _compare(order, lines)
    before = queries.used(order)
    stated = [line.stated for line in new if line.stated is not None]
    return Preview(
        new=new,
        known=known,
        problems=problems,
        conflicts=conflicts,
        ignored=ignored,
        before=queries.priced(order, before),
        after=queries.priced(order, [*before, *usage.summed(new)]),
        stated=Money(sum(amount.fen for amount in stated)) if stated else None,
        held=_held(order),
    )


def preview_file(*, order: Order, upload: files.Upload, now: datetime) -> Preview:
    """Read a file of usage lines and say what taking it would do; writes nothing. Raises BadTable."""
    name = evidence_rules.clean_name(upload.name)
    table = read_table(upload.content, name, usage.COLUMNS)
    since, today = (at.astimezone(PORTAL_ZONE).date() for at in (order.placed_at, now))
    read = usage.read(table, queries.items_of(order.price_list), since=since, today=today)
    return _look(order, read.lines, read.problems, table.ignored)


def _open(actor: Actor, order: Order) -> Order:
    locked = orders.serve(actor, order)
    if locked.state not in OPEN:
        raise usage.NotDelivering
    return locked


@transaction.atomic
def import_file(*, actor: Actor, order: Order, upload: files.Upload, now: datetime) -> Imported:
    """Take a file of usage lines, all of it or nothing; the file itself is kept with the order.

    Idempotent by (order, reference): lines known as they are change nothing, a line that differs is a conflict. Raises
    BadTable, BadUsage with every fault, NotDelivering, Forbidden.
    """
    locked = _open(actor, order)
    found = preview_file(order=locked, upload=upload, now=now)
    kept = _take(locked, found, name=evidence_rules.clean_name(upload.name), actor=actor, now=now)
    if kept.upload is not None:
        files.store(actor=actor, subject=locked.subject, purpose=rules.FilePurpose.USAGE.value, upload=upload, now=now)
    return kept


@transaction.atomic
def import_lines(*, actor: Actor, order: Order, lines: Sequence[usage.UsageValue], now: datetime) -> Imported:
    """Take usage lines sent by the provider's own system, all or none; idempotent as a file is. Raises as `import_file`."""
    locked = _open(actor, order)
    known = {item.code for item in queries.items_of(locked.price_list)}
    for line in lines:
        if line.code not in known:
            raise prices.NoSuchItem(field="item", code=line.code)
    since, today = (at.astimezone(PORTAL_ZONE).date() for at in (locked.placed_at, now))
    found = _look(locked, lines, usage.check(lines, since=since, today=today), ())
    return _take(locked, found, name="API", actor=actor, now=now)


def _take(order: Order, found: Preview, *, name: str, actor: Actor, now: datetime) -> Imported:
    if not found.ready:
        raise usage.BadUsage([*(problem.reason for problem in found.problems), *found.conflicts][:SHOWN])
    if not found.new:
        return Imported(None, 0, found.known)
    upload = UsageImport.objects.create(
        order=order,
        name=name,
        sha256=fingerprint({"lines": sorted(line.digest for line in found.new)}),
        lines_added=len(found.new),
        lines_known=found.known,
        imported_by_id=actor.user_id,
        imported_at=now,
    )
    UsageLine.objects.bulk_create(
        (
            UsageLine(
                order=order,
                upload=upload,
                reference=line.reference,
                day=line.day,
                code=line.code,
                quantity_micro=int(line.quantity * Fraction(MICRO)),
                model=line.model,
                tokens_in=line.tokens_in,
                tokens_out=line.tokens_out,
                stated_fen=None if line.stated is None else line.stated.fen,
                digest=line.digest,
            )
            for line in found.new
        ),
        batch_size=2000,
    )
    _record(order, upload, action="order.usage_imported", actor=actor, now=now)
    return Imported(upload, len(found.new), found.known)


def _record(order: Order, upload: UsageImport, *, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject=order.subject,
        actor=actor,
        now=now,
        organisations=[order.organisation_id, order.offer.provider_id],
        data={"name": upload.name, "lines": upload.lines_added, "sha256": upload.sha256},
    )


@transaction.atomic
def withdraw(*, actor: Actor, order: Order, upload_id: int, now: datetime) -> UsageImport:
    """Withdraw an import as a whole; its lines stay on record and count no more. Doing so twice changes nothing.

    Raises NotDelivering, NotFound, Forbidden.
    """
    locked = _open(actor, order)
    upload = UsageImport.objects.filter(order=locked, pk=upload_id).first()
    if upload is None:
        raise NotFound
    if upload.withdrawn_at is None:
        upload.withdrawn_at = now
        upload.save(update_fields=["withdrawn_at"])
        UsageLine.objects.filter(upload=upload).update(active=False)
        _record(locked, upload, action="order.usage_withdrawn", actor=actor, now=now)
    return upload
