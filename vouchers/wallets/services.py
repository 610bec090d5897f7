"""Issue, freeze and recover vouchers; with ``expiry`` the only writer of vouchers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Refused
from portal.kernel.money import Money
from portal.kernel.states import next_state
from portal.numbers.services import next_number, next_numbers
from portal.rows import insert_alike
from portal.workdays.queries import workdays
from vouchers.ledger import queries as balances
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.programmes.schemes import DoubleSubsidy, Programme
from vouchers.programmes.terms import RedeemMode
from vouchers.wallets import access, queries, rules
from vouchers.wallets.models import Voucher

__all__ = ["Grant", "freeze", "issue", "issue_many", "lock", "recover", "unfreeze"]


@dataclass(frozen=True, slots=True)
class Grant:
    """What a voucher is made of: whose, of which account and case, how much, which `share` of which services' bills.

    `scheme` is the programme as it was when the case was submitted; `contract_signed` its contract's day.
    """

    application_id: int
    holder_id: int
    account_id: int
    fiscal_year: int
    face: Money
    share: Fraction
    services: list[str]
    scheme: Programme
    contract_signed: date | None


@transaction.atomic
def issue(*, grant: Grant, now: datetime) -> Voucher:
    """Make the voucher of a granted case, inside the transaction that posts its value.

    Raises OverBeforeIssue; Refused when the holder would hold more than the programme allows.
    """
    count = grant.scheme.count
    held = queries.held_by(holder_id=grant.holder_id, programme=grant.scheme.code) if count.holding_max else Money(0)
    if reasons := rules.holding_refusals(
        grant.face, held=held, holding_max=count.holding_max, per_application_max=count.per_application_max
    ):
        raise Refused(reasons)
    voucher = _voucher(grant, number=next_number(prefix="V", now=now), lifetime=_life(grant, now))
    voucher.save()
    return voucher


@transaction.atomic
def issue_many(*, grants: Sequence[Grant], now: datetime) -> dict[str, int]:
    """Make the vouchers of granted cases inside the transaction that posts their value; return pks by number.

    In the order of the grants. One query, and one more for each kind of voucher among them: programme, face, share,
    validity. The rules have looked at what each holder may hold. Raises OverBeforeIssue.
    """
    numbers = next_numbers(prefix="V", now=now, count=len(grants))
    alike: dict[tuple[Any, ...], list[tuple[str, Grant]]] = defaultdict(list)
    for number, grant in zip(numbers, grants, strict=True):
        kind = (id(grant.scheme), grant.contract_signed, grant.fiscal_year, grant.face, grant.share)
        alike[*kind, *grant.services].append((number, grant))
    made: dict[int | str, int] = {}
    for same in alike.values():
        first = same[0][1]
        each: dict[str, Sequence[int | str]] = {
            "number": [number for number, _grant in same],
            "application_id": [grant.application_id for _number, grant in same],
            "holder_id": [grant.holder_id for _number, grant in same],
            "account_id": [grant.account_id for _number, grant in same],
        }
        made |= insert_alike(_voucher(first, number="", lifetime=_life(first, now)), each=each, known_by="number")
    return {number: made[number] for number in numbers}


def _life(grant: Grant, now: datetime) -> rules.Life:
    validity = grant.scheme.terms.validity
    return rules.life(
        now,
        months=validity.length,
        contract_signed=grant.contract_signed if validity.starts == "contract" else None,
        grace=validity.grace,
        workdays=workdays() if validity.roll_forward else None,
    )


def _voucher(grant: Grant, *, number: str, lifetime: rules.Life) -> Voucher:
    terms = grant.scheme.terms
    return Voucher(
        number=number,
        application_id=grant.application_id,
        holder_id=grant.holder_id,
        account_id=grant.account_id,
        programme_code=grant.scheme.code,
        fiscal_year=grant.fiscal_year,
        face_fen=grant.face.fen,
        share_num=grant.share.numerator,
        share_den=grant.share.denominator,
        services=grant.services,
        multi_use=terms.voucher.multi_use,
        exclusive=grant.scheme.double_subsidy is not DoubleSubsidy.ALLOWED,
        deducts=terms.redeem.mode is RedeemMode.DEDUCT,
        valid_from=lifetime.valid_from,
        valid_until=lifetime.valid_until,
        grace_until=lifetime.grace_until,
        on_expiry=terms.validity.on_expiry,
    )


def lock(*, voucher_ids: Sequence[int]) -> list[Voucher]:
    """Return vouchers under lock, in order of id: before their accounts, after bookings, jobs and charges."""
    return list(Voucher.objects.select_for_update(no_key=True).filter(pk__in=voucher_ids).order_by("pk"))


def _official(actor: Actor, voucher: Voucher) -> Voucher:
    """Lock a voucher for an officer of its programme's department. Raises NotFound for another department's."""
    actor.require(Permission.VOUCHER_FREEZE)
    access.get_registered(actor, voucher.number)
    [locked] = lock(voucher_ids=[voucher.pk])
    return locked


def _record(voucher: Voucher, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    audit.record(
        action=action,
        subject=f"voucher:{voucher.number}",
        actor=actor,
        now=now,
        organisations=[voucher.holder_id],
        data={"state": voucher.state, "reason": voucher.note, **data},
    )


def _said(reason: str) -> str:
    reason = reason.strip()[:300]
    if not reason:
        raise rules.ReasonMissing(field="reason")
    return reason


def _move(voucher: Voucher, action: rules.VoucherAction) -> None:
    voucher.state = next_state(rules.TRANSITIONS, rules.VoucherState(voucher.state), action).value


@transaction.atomic
def freeze(*, actor: Actor, voucher: Voucher, reason: str, now: datetime) -> Voucher:
    """Stop new orders on a voucher while a breach is looked into; open orders go on, and its end does not move.

    Raises ReasonMissing, InvalidTransition, Forbidden, NotFound.
    """
    locked = _official(actor, voucher)
    locked.note = _said(reason)
    _move(locked, rules.VoucherAction.FREEZE)
    locked.save(update_fields=["state", "note"])
    _record(locked, action="voucher.frozen", actor=actor, now=now)
    return locked


@transaction.atomic
def unfreeze(*, actor: Actor, voucher: Voucher, reason: str, now: datetime) -> Voucher:
    """Let a frozen voucher be spent again. Raises ReasonMissing, InvalidTransition, Forbidden, NotFound."""
    locked = _official(actor, voucher)
    said = _said(reason)
    _move(locked, rules.VoucherAction.UNFREEZE)
    locked.note = ""
    locked.save(update_fields=["state", "note"])
    _record(locked, action="voucher.unfrozen", actor=actor, now=now, reason=said)
    return locked


@transaction.atomic
def recover(*, actor: Actor, proposed_by: str, voucher: Voucher, reason: str, now: datetime) -> Voucher:
    """Take a voucher's unused value back after a breach; `proposed_by` is the signature of another person.

    What is held for open orders stays with them, and what they give back is taken later by ``expiry``. Value already
    spent is not touched: that is a claim against the holder. Raises ReasonMissing, InvalidTransition, Forbidden.
    """
    locked = _official(actor, voucher)
    locked.note = _said(reason)
    _move(locked, rules.VoucherAction.RECOVER)
    locked.recovery = {"proposed": proposed_by, "approved": actor.signature}
    locked.save(update_fields=["state", "note", "recovery"])
    taken = take_back(voucher=locked, now=now)
    _record(locked, action="voucher.recovered", actor=actor, now=now, taken_fen=taken)
    return locked


def take_back(*, voucher: Voucher, now: datetime) -> int:
    """Move what a locked, recovered voucher has available to the programme's recovered money; return the fen."""
    left = balances.balances(account_ids=[voucher.account_id])[voucher.account_id].available_fen
    if left:
        code, year = voucher.programme_code, voucher.fiscal_year
        ledger.post(
            posting=Posting(
                kind=JournalKind.CLAW_UNUSED,
                key=f"voucher:{voucher.number}/claw/{now.isoformat()}",
                operations=[
                    TransferOp(
                        voucher.account_id,
                        AccountKey(AccountKind.CLAWED_BACK, f"programme:{code}/{year}", code, year),
                        left,
                    )
                ],
                actor=voucher.recovery["proposed"],
                approved_by=voucher.recovery["approved"],
                reason=voucher.note,
                source_type="voucher",
                source_id=voucher.number,
            )
        )
    return left
