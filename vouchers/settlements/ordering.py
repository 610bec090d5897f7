"""Put approved batches of several payees into one payment order, and hand its file out again, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Reason, noop
from portal.kernel.states import next_state
from portal.numbers.services import PORTAL_ZONE, next_number
from portal.organisations import access as people
from vouchers.ledger import seals
from vouchers.payees import queries as accounts
from vouchers.payees.models import PayeeAccount
from vouchers.settlements import files, formats, queries
from vouchers.settlements import order_rules as rules
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import BankFormat, PaymentOrder, PaymentOrderLine
from vouchers.settlements.rules import TRANSITIONS, BatchAction, BatchState, ReasonMissing

__all__ = ["available_formats", "cancel", "export", "lock_order", "manifest", "record", "save_format"]

_ = noop


def available_formats() -> dict[str, Mapping[str, Any]]:
    """Return the documents of the formats one may export in: those that come with the portal, then the department's own."""
    found: dict[str, Mapping[str, Any]] = dict(formats.PRESETS)
    for row in BankFormat.objects.order_by("pk"):
        found[row.code] = row.definition
    return found


def _format_for(actor: Actor, code: str) -> Mapping[str, Any]:
    """Return the document of a format for somebody else than its author. Raises UnknownFormat, OwnFormat."""
    document = available_formats().get(code)
    if document is None:
        raise rules.UnknownFormat(field="format")
    own = BankFormat.objects.filter(code=code).order_by("-pk").first()
    if own is not None and own.created_by_id == actor.person:
        raise rules.OwnFormat(field="format")
    return document


def lock_order(order: PaymentOrder) -> PaymentOrder:
    """Return the order as it is now, locked until the transaction ends."""
    rows = PaymentOrder.objects.select_for_update(no_key=True, of=("self",)).select_related("created_by")
    return rows.order_by("pk").get(pk=order.pk)


def record(order: PaymentOrder, *, action: str, actor: Actor, now: datetime, **data: object) -> None:
    """Write what was done with an order into the trail."""
    audit.record(
        action=action,
        subject=f"payment_order:{order.number}",
        actor=actor,
        now=now,
        data={"total_fen": order.total_fen, "state": order.state, **data},
    )


@transaction.atomic
def save_format(*, actor: Actor, definition: Mapping[str, Any], now: datetime) -> BankFormat:
    """Add a format of the department's, or replace one by its code. Orders made before keep theirs.

    The same document again changes nothing. Raises BadFormat with every fault, Forbidden.
    """
    actor.require(Permission.SETTLEMENT_APPROVE)
    wanted = formats.format_of(definition)
    if wanted.code in formats.PRESETS:
        raise rules.PresetFormat(field="code")
    last = BankFormat.objects.filter(code=wanted.code).order_by("-pk").first()
    if last is not None and last.definition == dict(definition):
        return last
    made = BankFormat.objects.create(
        code=wanted.code, definition=dict(definition), created_by_id=actor.person, created_at=now
    )
    audit.record(
        action="payment_order.format_saved",
        subject=f"bank_format:{wanted.code}",
        actor=actor,
        now=now,
        data={"kind": wanted.kind, "encoding": wanted.encoding},
    )
    return made


@transaction.atomic
def export(*, actor: Actor, numbers: Sequence[str], format_code: str, now: datetime) -> PaymentOrder:
    """Put approved batches into one file for the treasury or bank; they are frozen until it has answered.

    All or none: OrderRefused tells of every batch why not. Raises NothingToOrder, UnknownFormat, OwnFormat, Forbidden.
    """
    actor.require(Permission.SETTLEMENT_PAY)
    if not numbers:
        raise rules.NothingToOrder(field="batches")
    document = _format_for(actor, format_code)
    batches = list(
        SettlementBatch.objects.select_for_update(no_key=True, of=("self",))
        .select_related("payee", "account")
        .filter(number__in=set(numbers))
        .order_by("pk")
    )
    used = accounts.in_force([batch.payee_id for batch in batches], now=now)
    paid_to = {batch.pk: batch.account or used.get(batch.payee_id) for batch in batches}
    reasons = [_absent(number) for number in sorted(set(numbers) - {batch.number for batch in batches})]
    for batch in batches:
        reasons += _against(actor, batch, paid_to[batch.pk])
    if reasons:
        raise rules.OrderRefused(reasons)
    order = PaymentOrder(
        number=next_number(prefix="PO", now=now),
        total_fen=sum(batch.total_fen for batch in batches),
        format=dict(document),
        created_by_id=actor.person,
        created_at=now,
    )
    lines = [
        PaymentOrderLine(
            order=order,
            position=at,
            reference=f"{order.number}-{at:04d}",
            batch=batch,
            account=paid_to[batch.pk],
            amount_fen=batch.total_fen,
        )
        for at, batch in enumerate(batches, 1)
    ]
    _write(order, lines)
    PaymentOrderLine.objects.bulk_create(lines)
    for batch in batches:
        batch.state = next_state(TRANSITIONS, BatchState(batch.state), BatchAction.EXPORT).value
        batch.exported_at, batch.account = now, paid_to[batch.pk]
        batch.save(update_fields=["state", "exported_at", "account"])
        audit.record(
            action="settlement.exported",
            subject=f"settlement:{batch.number}",
            actor=actor,
            now=now,
            organisations=[batch.payee_id],
            data={"total_fen": batch.total_fen, "order": order.number},
        )
    record(order, action="payment_order.exported", actor=actor, now=now, sha256=order.sha256, batches=len(batches))
    return order


def _absent(number: str) -> Reason:
    message = _("没有批次 %(number)s。")
    return Reason("payment_order.no_batch", message, _("请刷新页面后重新选择。"), "batches", {"number": number[:24]})


def _against(actor: Actor, batch: SettlementBatch, account: PayeeAccount | None) -> list[Reason]:
    params = {"number": batch.number, "payee": batch.payee.name}
    found = []
    if batch.state != BatchState.APPROVED.value:
        message = _("批次 %(number)s 不是待付款状态。")
        found.append(Reason("payment_order.state", message, _("请刷新页面查看最新状态。"), "batches", params))
    if batch.total_fen == 0:
        message = _("批次 %(number)s 的金额为零，不需要付款。")
        found.append(Reason("payment_order.zero", message, _("请在批次页面直接登记。"), "batches", params))
    if account is not None and account.rail:
        message = _("批次 %(number)s 付到支付机构的账户，不进付款文件。")
        found.append(Reason("payment_order.over_rail", message, _("请在批次页面经支付机构付款。"), "batches", params))
    if numbers := queries.open_cases_about(batch.pk):
        message = _("银行另有答复说批次 %(number)s 的明细已经付过款（差异 %(cases)s）。")
        remedy = _("请先查明并结案，以免重复付款。")
        found.append(
            Reason("payment_order.paid_perhaps", message, remedy, "batches", {**params, "cases": ", ".join(numbers)})
        )
    if account is None:
        message = _("%(payee)s 没有生效的收款账户（批次 %(number)s）。")
        remedy = _("请收款单位登记账户，核验生效后再导出。")
        found.append(Reason("payment_order.no_account", message, remedy, "batches", params))
    if people.belongs(user_id=actor.person, organisation_id=batch.payee_id):
        message = _("您是 %(payee)s 的成员，不能向它付款（批次 %(number)s）。")
        found.append(Reason("payment_order.own_payee", message, _("请由其他同事导出。"), "batches", params))
    return found


def _write(order: PaymentOrder, lines: Sequence[PaymentOrderLine]) -> None:
    """Write the order's file and manifest once; from then on they are handed out as they are."""
    wanted = formats.format_of(order.format)
    made_at = order.created_at.astimezone(PORTAL_ZONE)
    rows = [
        formats.OrderRow(
            line.amount_fen,
            {
                "order": order.number,
                "position": str(line.position),
                "reference": line.reference,
                "batch": line.batch.number,
                "payee": line.batch.payee.name,
                "credit_code": line.batch.payee.credit_code,
                "holder": line.account.holder,
                "bank": line.account.bank,
                "cnaps": line.account.cnaps,
                "number": line.account.number,
                "currency": "CNY",
                "purpose": f"创新券结算 {line.batch.number}",
                "day": f"{made_at:%Y-%m-%d}",
            },
        )
        for line in lines
    ]
    content = formats.render(wanted, rows, order=order.number, made_at=made_at)
    order.content, order.sha256 = content, files.digest(content)
    order.file_name = f"{order.number}.{wanted.extension}"
    order.manifest = {
        "order": order.number,
        "made_at": order.created_at.isoformat(),
        "format": wanted.code,
        "file": {"name": order.file_name, "bytes": len(content), "sha256": order.sha256},
        "currency": "CNY",
        "count": len(lines),
        "total_fen": order.total_fen,
        "ledger_head": str(seals.export_head()),
        "lines": [
            {
                "reference": line.reference,
                "batch": line.batch.number,
                "credit_code": line.batch.payee.credit_code,
                "amount_fen": line.amount_fen,
            }
            for line in lines
        ],
    }
    order.save()


def manifest(order: PaymentOrder) -> bytes:
    """Return what the order's file is and comes to, as JSON; the same bytes every time."""
    return (json.dumps(order.manifest, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


@transaction.atomic
def cancel(*, actor: Actor, order: PaymentOrder, reason: str, now: datetime) -> PaymentOrder:
    """Take an order back whose file has not gone to the bank, as another person; its batches wait for payment again.

    Raises OrderOfAnother, OrderAnswered, ReasonMissing, InvalidTransition, Forbidden.
    """
    actor.require(Permission.SETTLEMENT_APPROVE)
    if not reason.strip():
        raise ReasonMissing(field="reason")
    batches = list(
        SettlementBatch.objects.select_for_update(no_key=True, of=("self",))
        .filter(order_lines__order=order)
        .order_by("pk")
    )
    locked = lock_order(order)
    locked.state = next_state(
        rules.ORDER_TRANSITIONS, rules.PaymentOrderState(locked.state), rules.PaymentOrderAction.CANCEL
    ).value
    if actor.person == locked.created_by_id:
        raise rules.OrderOfAnother
    lines = list(locked.lines.select_for_update(no_key=True).order_by("pk"))
    if any(line.state != rules.OrderLineState.OPEN.value for line in lines):
        raise rules.OrderAnswered
    for line in lines:
        line.state = next_state(
            rules.LINE_TRANSITIONS, rules.OrderLineState(line.state), rules.OrderLineAction.CANCEL
        ).value
        line.ended_at = now
    PaymentOrderLine.objects.bulk_update(lines, ["state", "ended_at"])
    for batch in batches:
        batch.state = next_state(TRANSITIONS, BatchState(batch.state), BatchAction.RECALL).value
        batch.exported_at = None
        batch.save(update_fields=["state", "exported_at"])
    locked.ended_by_id, locked.ended_at, locked.reason = actor.person, now, reason.strip()[:200]
    locked.save(update_fields=["state", "ended_by", "ended_at", "reason"])
    record(locked, action="payment_order.cancelled", actor=actor, now=now, reason=locked.reason)
    return locked
