"""Open, hear, decide and close recoveries; the only writer of their tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound, noop
from portal.kernel.money import Money
from portal.numbers.services import next_number
from portal.organisations import access as people
from portal.organisations import services as organisations
from vouchers.claims import cases as claims
from vouchers.claims.models import RedemptionClaim
from vouchers.claims.rules import BEIJING
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.programmes.access import scheme_of
from vouchers.recoveries import access, queries, rules
from vouchers.recoveries.cases import lock, may_freeze, money, move, receivable_key, record, said
from vouchers.recoveries.models import Recovery
from vouchers.wallets import services as wallets
from vouchers.wallets.models import Voucher
from vouchers.wallets.rules import VoucherState

_ = noop

ACTOR = Actor.system(_("追回测算"))


@dataclass(frozen=True, slots=True)
class Breach:
    """What is said to have been breached, and about which voucher or claim (one of the two)."""

    text: str
    party: rules.Party = rules.Party.APPLICANT
    voucher: Voucher | None = None
    claim: RedemptionClaim | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What is decided: spent value to pay back, whether the voucher's rest is taken, the bar, and publication."""

    receivable: Money
    reason: str
    take_unused: bool = True
    bar_years: int = 0
    publish: bool = False


def _official(actor: Actor, recovery: Recovery, *permissions: Permission) -> Recovery:
    """Lock a case for an officer of its department. Raises Forbidden, NotFound, Involved."""
    if not any(actor.may(permission) for permission in permissions):
        actor.require(permissions[0])
    locked = lock(recovery)
    if locked.version.programme.department_id != actor.organisation_id:
        raise NotFound
    if people.belongs(user_id=actor.person, organisation_id=locked.debtor_id):
        raise rules.Involved
    return locked


@transaction.atomic
def open_case(*, actor: Actor, breach: Breach, now: datetime) -> Recovery:
    """Open a case on a breach and freeze the voucher it is about, where the actor may; nothing is taken yet.

    What the programme's sanctions say of such a breach is written in as the first proposal. Raises TextMissing,
    NotFound for another department's, Involved, Forbidden.
    """
    actor.require(Permission.RECOVERY_PROPOSE)
    recovery = _begun(breach, state=rules.RecoveryState.OPEN, now=now)
    if recovery.version.programme.department_id != actor.organisation_id:
        raise NotFound
    if people.belongs(user_id=actor.person, organisation_id=recovery.debtor_id):
        raise rules.Involved
    recovery.opened_by_id = actor.person
    recovery.save(force_insert=True)
    if breach.voucher is not None and breach.voucher.state == VoucherState.ACTIVE.value and may_freeze(actor):
        wallets.freeze(actor=actor, voucher=breach.voucher, reason=recovery.breach, now=now)
    record(recovery, action="recovery.opened", actor=actor, now=now)
    return recovery


def _begun(breach: Breach, *, state: rules.RecoveryState, now: datetime) -> Recovery:
    source = breach.claim or breach.voucher
    if source is None:
        raise rules.TextMissing(field="subject")
    version = breach.claim.version if breach.claim else breach.voucher.application.version  # type: ignore[union-attr]
    if breach.claim is not None:
        debtor_id = breach.claim.payee_id
    else:
        assert breach.voucher is not None
        debtor_id = breach.voucher.holder_id
    known = next((each for each in queries.sanctions_of(version) if each.breach == breach.text), None)
    return Recovery(
        number=next_number(prefix="Z", now=now),
        version=version,
        fiscal_year=source.fiscal_year,
        debtor_id=debtor_id,
        party=breach.party.value,
        voucher=breach.voucher,
        claim=breach.claim,
        state=state.value,
        breach=said(breach.text, "breach", 300),
        bar_years=known.bar_years if known else 0,
        publish=known.publish if known else False,
        take_unused=breach.voucher is not None,
        opened_at=now,
    )


@transaction.atomic
def accept(*, actor: Actor, recovery: Recovery, now: datetime) -> Recovery:
    """Open a proposed case: a person has looked at what the rules say. Raises InvalidTransition, Involved."""
    locked = _official(actor, recovery, Permission.RECOVERY_PROPOSE)
    move(locked, rules.RecoveryAction.OPEN)
    locked.opened_by_id = actor.person
    locked.save()
    record(locked, action="recovery.opened", actor=actor, now=now)
    return locked


@transaction.atomic
def hear(*, actor: Actor, recovery: Recovery, note: str, now: datetime) -> Recovery:
    """Write down what the party said when it was heard. Raises TextMissing, InvalidTransition."""
    locked = _official(actor, recovery, Permission.RECOVERY_PROPOSE)
    move(locked, rules.RecoveryAction.HEAR)
    locked.hearing = said(note, "note", 2000)
    locked.save()
    record(locked, action="recovery.heard", actor=actor, now=now)
    return locked


@transaction.atomic
def drop(*, actor: Actor, recovery: Recovery, reason: str, now: datetime) -> Recovery:
    """Close a case without consequence; a voucher frozen for it, and for nothing else, can be spent again.

    Raises TextMissing, InvalidTransition.
    """
    locked = _official(actor, recovery, *access.OFFICERS)
    move(locked, rules.RecoveryAction.DROP)
    locked.reason, locked.closed_at = said(reason, "reason", 600), now
    locked.receivable_fen = 0
    locked.save()
    if locked.voucher is not None and queries.is_frozen_for(locked) and may_freeze(actor):
        wallets.unfreeze(actor=actor, voucher=locked.voucher, reason=locked.reason, now=now)
    record(locked, action="recovery.dropped", actor=actor, now=now, reason=locked.reason)
    return locked


@transaction.atomic
def decide(*, actor: Actor, recovery: Recovery, ruling: Ruling, now: datetime) -> Recovery:
    """Decide as the first of two persons; nothing happens before the second confirms. Raises TooMuch, TextMissing."""
    locked = _official(actor, recovery, *access.OFFICERS)
    move(locked, rules.RecoveryAction.DECIDE)
    _within_limit(locked, ruling.receivable)
    if not ruling.receivable and not (ruling.take_unused and locked.voucher):
        raise rules.NothingToRecover(field="receivable")
    locked.receivable_fen, locked.reason = ruling.receivable.fen, said(ruling.reason, "reason", 600)
    locked.take_unused = ruling.take_unused and locked.voucher is not None
    locked.bar_years, locked.publish = ruling.bar_years, ruling.publish
    locked.decided_by_id, locked.decided_at = actor.person, now
    locked.save()
    record(locked, action="recovery.decided", actor=actor, now=now, reason=locked.reason)
    return locked


def _within_limit(recovery: Recovery, asked: Money) -> None:
    """Lock what the case is about, so that two cases on it take turns. Raises TooMuch."""
    claim = recovery.claim
    if claim is not None:
        claims.lock(claim)
    if voucher_id := recovery.voucher_id or (claim.voucher_id if claim else None):
        wallets.lock(voucher_ids=[voucher_id])
    limit = queries.limit_fen(recovery)
    if not 0 <= asked.fen <= limit:
        raise rules.TooMuch(field="receivable", limit=str(Money(limit)))


@transaction.atomic
def send_back(*, actor: Actor, recovery: Recovery, reason: str, now: datetime) -> Recovery:
    """Refuse to confirm: the case goes back to be decided anew. Raises TextMissing."""
    locked = _official(actor, recovery, Permission.RECOVERY_DECIDE)
    move(locked, rules.RecoveryAction.RETURN)
    locked.reason, locked.decided_by_id, locked.decided_at = said(reason, "reason", 600), None, None
    locked.receivable_fen = 0
    locked.save()
    record(locked, action="recovery.returned", actor=actor, now=now, reason=locked.reason)
    return locked


@transaction.atomic
def confirm(*, actor: Actor, recovery: Recovery, now: datetime) -> Recovery:
    """Confirm a decision as the second person: from now on it holds.

    The voucher's unused rest is taken (what is held stays, and is taken once it comes back), spent value becomes
    receivable, the bar is written into the party's registered facts, and derived awards are proposed to follow. The
    provider's own accounts do not change when the enterprise is the debtor. Raises SamePerson, Involved, and TooMuch
    where something was refunded or asked back elsewhere since.
    """
    locked = _official(actor, recovery, Permission.RECOVERY_DECIDE)
    if actor.person == locked.decided_by_id:
        raise rules.SamePerson
    move(locked, rules.RecoveryAction.CONFIRM)
    _within_limit(locked, Money(locked.receivable_fen))
    locked.confirmed_by_id, locked.confirmed_at = actor.person, now
    locked.barred_until = rules.barred_until(now.astimezone(BEIJING).date(), years=locked.bar_years)
    first = f"{locked.decided_by} #{locked.decided_by_id}"
    if locked.take_unused and locked.voucher is not None:
        wallets.recover(actor=actor, proposed_by=first, voucher=locked.voucher, reason=locked.breach, now=now)
    if locked.receivable_fen:
        _owe(locked, first=first, actor=actor)
    else:
        move(locked, rules.RecoveryAction.COMPLETE)
        locked.closed_at = now
    locked.save()
    if locked.barred_until is not None:
        organisations.bar(organisation_id=locked.debtor_id, until=locked.barred_until, actor=actor, now=now)
    record(locked, action="recovery.confirmed", actor=actor, now=now, reason=locked.reason)
    propose_derived(base=locked, now=now)
    return locked


def _owe(recovery: Recovery, *, first: str, actor: Actor) -> None:
    code, year = money(recovery)
    clawed = AccountKey(AccountKind.CLAWED_BACK, f"programme:{code}/{year}", code, year)
    ledger.post(
        posting=Posting(
            kind=JournalKind.CLAW_SPENT,
            key=f"recovery:{recovery.number}/owe",
            operations=[TransferOp(receivable_key(recovery), clawed, recovery.receivable_fen)],
            actor=first,
            approved_by=actor.signature,
            reason=recovery.breach,
            source_type="recovery",
            source_id=recovery.number,
        )
    )


@transaction.atomic
def propose_derived(*, base: Recovery, now: datetime) -> list[Recovery]:
    """Propose that what was paid on top of a recovered payment follows it; a person confirms. Once a top-up and case."""
    if base.claim is None or not base.receivable_fen:
        return []
    made = []
    topups = RedemptionClaim.objects.filter(base=base.claim, state__in=queries.PAID).select_related(
        "version__programme"
    )
    for claim in topups.order_by("pk"):
        if Recovery.objects.filter(base=base, claim=claim).exists():
            continue
        code = base.version.programme.code
        lines = [line for line in scheme_of(claim.version).lines if line.derived_from == code and line.rate]
        if not lines or lines[0].rate is None:
            continue
        paid = Money(claim.approved_fen or 0)
        amount = rules.follows(Money(base.receivable_fen), rate=lines[0].rate, paid=paid)
        case = _proposed(Breach(text=base.breach, claim=claim), amount, now=now)
        case.base = base
        case.facts = {"base": base.number, "recovered_fen": base.receivable_fen, "rate": str(lines[0].rate)}
        case.save(force_insert=True)
        record(case, action="recovery.proposed", actor=ACTOR, now=now, base=base.number)
        made.append(case)
    return made


def _proposed(breach: Breach, amount: Money, *, now: datetime) -> Recovery:
    case = _begun(breach, state=rules.RecoveryState.PROPOSED, now=now)
    case.receivable_fen = amount.fen
    return case


@transaction.atomic
def reassess(*, actor: Actor, claim: RedemptionClaim, items: Mapping[str, Money], now: datetime) -> Recovery | None:
    """Ask the rules again on a contract that was refunded or cut after payment, and propose what is owed back.

    `items` are the contract's amounts as they are now, by cost kind. None when nothing is owed or the rules cannot tell.
    Raises NotFound for another department's claim, Forbidden.
    """
    actor.require(Permission.RECOVERY_PROPOSE)
    if claim.version.programme.department_id != actor.organisation_id or claim.state not in queries.PAID:
        raise NotFound
    found = queries.reassessed(claim, items)
    if not found.receivable:
        return None
    case = _proposed(Breach(text=str(_("合同金额在付款后减少，重新核算")), claim=claim), found.receivable, now=now)
    case.facts = {
        "before_fen": found.before.fen,
        "after_fen": found.after.fen if found.after else 0,
        "items": {kind: amount.fen for kind, amount in items.items()},
    }
    case.save(force_insert=True)
    record(case, action="recovery.proposed", actor=actor, now=now)
    return case
