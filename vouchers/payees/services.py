"""Propose, check, verify, replace and reject bank accounts; the only writer of their table."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.module_loading import import_string

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, noop
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from portal.organisations import access as people
from portal.organisations.models import Organisation
from vouchers.evidence import access as proofs
from vouchers.evidence import services as evidence
from vouchers.evidence.services import Upload
from vouchers.payees import access, queries, rules
from vouchers.payees.models import PayeeAccount
from vouchers.payees.ports import Teller

__all__ = ["add_proof", "check", "enforce_due", "propose", "reject", "verify", "withdraw"]

_ = noop

CLOCK = Actor.system(_("收款账户"))
PURPOSE = "account_proof"
S, A = rules.PayeeAccountState, rules.PayeeAccountAction


def _lock(account: PayeeAccount) -> PayeeAccount:
    """Return the account as it is now, locked after its payee: one change of a payee's accounts at a time."""
    Organisation.objects.select_for_update(no_key=True).order_by("pk").get(pk=account.organisation_id)
    return (
        PayeeAccount.objects.select_for_update(no_key=True, of=("self",))
        .select_related(*access.RELATED)
        .order_by("pk")
        .get(pk=account.pk)
    )


def _move(account: PayeeAccount, action: rules.PayeeAccountAction) -> None:
    account.state = next_state(rules.TRANSITIONS, S(account.state), action).value


def _tell(account: PayeeAccount, *, action: str, actor: Actor, now: datetime, **data: object) -> None:
    """Write what was done into the trail, never the whole number, and tell every owner of the payee."""
    audit.record(
        action=action,
        subject=access.subject_of(account),
        actor=actor,
        now=now,
        organisations=[account.organisation_id],
        data={"state": account.state, "account": account.masked, "bank": account.bank, **data},
    )
    if settings.PAYEE_TELLER:
        teller: Teller = import_string(settings.PAYEE_TELLER)
        teller(
            organisation_id=account.organisation_id,
            account=account.reference,
            state=account.state,
            masked=account.masked,
            bank=account.bank,
            now=now,
        )


@transaction.atomic
def propose(*, actor: Actor, details: rules.Details, proof: Upload | None, now: datetime) -> PayeeAccount:
    """Propose an account for the own organisation, with its proof. Nothing is paid to it yet.

    A bank account, or one with a payment gateway that passes money on (`details.rail`): a payee may have one of each.

    The same details again while they are on the way return what is there: idempotent. Raises BadAccount with every
    ground, NoSuchPayoutRail, ProofMissing, PendingAccount, SameAsNow, Forbidden; BadFile of the proof.
    """
    actor.require(Permission.PAYEE_MANAGE)
    payee = Organisation.objects.select_for_update(no_key=True).order_by("pk").get(pk=actor.acting_for)
    if details.rail and details.rail not in settings.PAYMENT_RAILS:
        raise rules.NoSuchPayoutRail(field="rail")
    plain = rules.checked(details, payee=payee.name)
    values = {"holder": plain.holder, "bank": plain.bank, "cnaps": plain.cnaps, "number": plain.number}
    on_the_way = PayeeAccount.objects.filter(organisation=payee, rail=plain.rail, state__in=rules.OPEN).first()
    if on_the_way is not None:
        if all(getattr(on_the_way, name) == value for name, value in values.items()):
            return on_the_way
        raise rules.PendingAccount
    now_used = (
        queries.over_rails([payee.pk], rails=[plain.rail], now=now).get(payee.pk)
        if plain.rail
        else queries.in_force_of(payee.pk, now=now)
    )
    if now_used and all(getattr(now_used, name) == value for name, value in values.items()):
        raise rules.SameAsNow
    if proof is None:
        raise rules.ProofMissing(field="file")
    try:
        with transaction.atomic():
            account = PayeeAccount.objects.create(
                reference=next_number(prefix="BA", now=now),
                organisation=payee,
                note=plain.note,
                rail=plain.rail,
                proposed_by_id=actor.person,
                proposed_at=now,
                **values,
            )
    except IntegrityError:
        raise rules.PendingAccount from None
    evidence.store(actor=actor, subject=access.subject_of(account), purpose=PURPOSE, upload=proof, now=now)
    _tell(account, action="payee.proposed", actor=actor, now=now)
    return account


@transaction.atomic
def add_proof(*, actor: Actor, account: PayeeAccount, proof: Upload | None, now: datetime) -> PayeeAccount:
    """Add a further proof of an account of the own organisation while it is on the way.

    Raises ProofMissing, InvalidTransition, Forbidden; BadFile.
    """
    actor.require(Permission.PAYEE_MANAGE)
    if actor.organisation_id != account.organisation_id:
        raise Forbidden
    if proof is None:
        raise rules.ProofMissing(field="file")
    locked = _lock(account)
    next_state(rules.TRANSITIONS, S(locked.state), A.WITHDRAW)
    evidence.store(actor=actor, subject=access.subject_of(locked), purpose=PURPOSE, upload=proof, now=now)
    _tell(locked, action="payee.proof_added", actor=actor, now=now)
    return locked


@transaction.atomic
def check(*, actor: Actor, account: PayeeAccount, now: datetime) -> PayeeAccount:
    """Compare a proposed account with its proof, as a second person of the payee or as finance.

    Raises SamePerson, ProofMissing, InvalidTransition, Forbidden.
    """
    own = actor.may(Permission.PAYEE_MANAGE) and actor.organisation_id == account.organisation_id
    if not own and not actor.may(Permission.PAYEE_VERIFY):
        raise Forbidden
    locked = _lock(account)
    if actor.person == locked.proposed_by_id:
        raise rules.SamePerson
    if not proofs.files_of(access.subject_of(locked)).exists():
        raise rules.ProofMissing(field="file")
    _move(locked, A.CHECK)
    locked.checked_by_id, locked.checked_at = actor.person, now
    locked.save(update_fields=["state", "checked_by", "checked_at"])
    _tell(locked, action="payee.checked", actor=actor, now=now)
    return locked


@transaction.atomic
def verify(*, actor: Actor, account: PayeeAccount, now: datetime) -> PayeeAccount:
    """Verify a checked account as a further person of finance: it comes into force when the cooling-off is over.

    A payee's first account waits as well: who has stolen a login shall not be quicker than its owners can object.
    Raises SamePerson, OwnAccount, InvalidTransition, Forbidden.
    """
    actor.require(Permission.PAYEE_VERIFY)
    locked = _lock(account)
    if people.belongs(user_id=actor.person, organisation_id=locked.organisation_id):
        raise rules.OwnAccount
    if actor.person in (locked.proposed_by_id, locked.checked_by_id):
        raise rules.SamePerson
    _move(locked, A.VERIFY)
    locked.verified_by_id, locked.verified_at = actor.person, now
    locked.in_force_from = now + timedelta(days=settings.PAYEE_COOLING_DAYS)
    locked.save(update_fields=["state", "verified_by", "verified_at", "in_force_from"])
    _tell(locked, action="payee.verified", actor=actor, now=now, in_force_from=locked.in_force_from.isoformat())
    if settings.PAYEE_COOLING_DAYS == 0:
        return _enforce(locked, now=now)
    return locked


def _enforce(locked: PayeeAccount, *, now: datetime) -> PayeeAccount:
    before = PayeeAccount.objects.filter(
        organisation_id=locked.organisation_id, rail=locked.rail, state=S.IN_FORCE.value
    )
    for old in before.select_for_update(no_key=True).order_by("pk"):
        _move(old, A.REPLACE)
        old.ended_at = now
        old.save(update_fields=["state", "ended_at"])
        _tell(old, action="payee.replaced", actor=CLOCK, now=now, by=locked.reference)
    _move(locked, A.ENFORCE)
    locked.save(update_fields=["state"])
    _tell(locked, action="payee.in_force", actor=CLOCK, now=now)
    return locked


def enforce_due(*, now: datetime, limit: int = 200) -> int:
    """Let verified accounts whose cooling-off is over take the place of the former ones; return how many. By the clock."""
    due = PayeeAccount.objects.filter(state=S.VERIFIED.value, in_force_from__lte=now).order_by("pk")[:limit]
    done = 0
    for account in list(due):
        with transaction.atomic():
            locked = _lock(account)
            if locked.state == S.VERIFIED.value:
                _enforce(locked, now=now)
                done += 1
    return done


@transaction.atomic
def reject(*, actor: Actor, account: PayeeAccount, reason: str, now: datetime) -> PayeeAccount:
    """Send an account back before it is in force, with a reason. Raises ReasonMissing, InvalidTransition, Forbidden."""
    actor.require(Permission.PAYEE_VERIFY)
    if not reason.strip():
        raise rules.ReasonMissing(field="reason")
    return _end(actor, account, A.REJECT, action="payee.rejected", reason=reason.strip()[:300], now=now)


@transaction.atomic
def withdraw(*, actor: Actor, account: PayeeAccount, now: datetime) -> PayeeAccount:
    """Take an account back before it is in force, as any owner of the payee. Raises InvalidTransition, Forbidden."""
    actor.require(Permission.PAYEE_MANAGE)
    if actor.organisation_id != account.organisation_id:
        raise Forbidden
    return _end(actor, account, A.WITHDRAW, action="payee.withdrawn", reason="", now=now)


def _end(
    actor: Actor, account: PayeeAccount, act: rules.PayeeAccountAction, *, action: str, reason: str, now: datetime
) -> PayeeAccount:
    locked = _lock(account)
    if locked.state == S.VERIFIED.value and locked.in_force_from and locked.in_force_from <= now:
        locked = _enforce(locked, now=now)
    _move(locked, act)
    locked.ended_at, locked.reason = now, reason
    locked.save(update_fields=["state", "ended_at", "reason"])
    _tell(locked, action=action, actor=actor, now=now, **({"reason": reason} if reason else {}))
    return locked
