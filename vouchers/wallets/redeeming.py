"""Make voucher codes, and let a provider's counter try one; every try is stored."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from django.conf import settings
from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from portal.kernel.money import Money
from portal.organisations.models import User
from portal.rows import insert_alike
from vouchers.ledger import queries as balances
from vouchers.wallets import access, codes, rules, services
from vouchers.wallets.models import RedemptionAttempt, Voucher, VoucherCode
from vouchers.wallets.rules import AttemptOutcome

__all__ = ["Shown", "look_up", "make_code", "make_codes"]


@dataclass(frozen=True, slots=True)
class Shown:
    """All that a counter is told: the voucher pays for `service`, `share` of a bill, and not more than `most`."""

    service: str
    share: Fraction
    most: Money


@transaction.atomic
def make_code(*, actor: Actor, voucher: Voucher, now: datetime) -> str:
    """Make a new code for a voucher of the actor's organisation and return it, once; the earlier one ends.

    Raises NotFound, CodeRefused for a voucher that cannot be used, or pays back instead of at the counter.
    """
    actor.require(Permission.APPLICATION_SUBMIT)
    found = access.get_voucher(actor, voucher.number)
    [locked] = services.lock(voucher_ids=[found.pk])
    if locked.state != rules.VoucherState.ACTIVE.value or not locked.deducts or locked.valid_until <= now:
        raise rules.CodeRefused
    key = settings.VOUCHER_CODE_KEY
    code = codes.make(
        programme=locked.programme_code,
        batch=codes.batch_of(fiscal_year=locked.fiscal_year),
        key=key,
        choose=secrets.choice,
    )
    VoucherCode.objects.update_or_create(
        voucher=locked,
        defaults={
            "digest": codes.digest(code, key=key),
            "last4": code[-4:],
            "made_by_id": actor.person,
            "made_at": now,
        },
    )
    audit.record(
        action="voucher.code_made",
        subject=f"voucher:{locked.number}",
        actor=actor,
        now=now,
        organisations=[locked.holder_id],
        data={"last4": code[-4:]},
    )
    return codes.pretty(code)


def make_codes(
    *, vouchers: Mapping[str, int], programme: str, fiscal_year: int, made_by: int, now: datetime
) -> list[tuple[str, str]]:
    """Make the first codes of new vouchers (pks by number) of one programme; return pairs of number and code. One query.

    `made_by` is the user who answers for it. Runs inside the transaction that made the vouchers, for a programme that pays
    at the counter; who keeps the codes for their holders is the caller's business: only their hashes are stored.
    """
    key, batch = settings.VOUCHER_CODE_KEY, codes.batch_of(fiscal_year=fiscal_year)
    made = {number: codes.make(programme=programme, batch=batch, key=key, choose=secrets.choice) for number in vouchers}
    if made:
        each: dict[str, Sequence[int | str]] = {
            "voucher_id": list(vouchers.values()),
            "digest": [codes.digest(code, key=key) for code in made.values()],
            "last4": [code[-4:] for code in made.values()],
        }
        insert_alike(VoucherCode(made_by_id=made_by, made_at=now), each=each, known_by="voucher_id")
    return list(made.items())


def look_up(*, actor: Actor, text: str, service: str, now: datetime) -> Shown:
    """Say what a code is good for, as a provider's counter or as its holder; every try is stored before it is answered.

    A holder may look up its own vouchers only. Raises CodeRefused, the same for every cause; CodeLocked after ten
    failed tries of one person within an hour; Forbidden.
    """
    if not (actor.may(Permission.VOUCHER_CHECK) or actor.may(Permission.VOUCHER_READ_OWN)):
        raise Forbidden
    outcome, shown = _attempt(actor=actor, text=text, service=service, now=now)
    if outcome is AttemptOutcome.LOCKED:
        raise rules.CodeLocked
    if shown is None:
        raise rules.CodeRefused(field="code")
    return shown


@transaction.atomic
def _attempt(*, actor: Actor, text: str, service: str, now: datetime) -> tuple[AttemptOutcome, Shown | None]:
    """Judge one try under the person's lock, so that parallel tries count one after the other."""
    User.objects.select_for_update(no_key=True).order_by("pk").get(pk=actor.person)
    failed = RedemptionAttempt.objects.filter(user_id=actor.person, at__gt=now - rules.LOCK_FOR).exclude(
        outcome__in=[AttemptOutcome.SHOWN.value, AttemptOutcome.LOCKED.value]
    )
    before = failed.count()
    voucher, shown = None, None
    if before >= rules.MOST_FAILURES:
        outcome = AttemptOutcome.LOCKED
    else:
        outcome, voucher, shown = _judge(actor, text, service=service, now=now)
    RedemptionAttempt.objects.create(
        user_id=actor.person,
        organisation_id=actor.acting_for,
        voucher=voucher,
        outcome=outcome.value,
        service=service,
        at=now,
    )
    if outcome not in {AttemptOutcome.SHOWN, AttemptOutcome.LOCKED} and before + 1 == rules.MOST_FAILURES:
        audit.record(
            action="voucher.code_locked",
            subject=f"organisation:{actor.acting_for}",
            actor=actor,
            now=now,
            data={"failures": before + 1},
        )
    return outcome, shown


def _judge(
    actor: Actor, text: str, *, service: str, now: datetime
) -> tuple[AttemptOutcome, Voucher | None, Shown | None]:
    key = settings.VOUCHER_CODE_KEY
    code = codes.canonical(text)
    if not code or not codes.is_genuine(code, contexts=_contexts(), key=key):
        return AttemptOutcome.MALFORMED, None, None
    found = VoucherCode.objects.filter(digest=codes.digest(code, key=key)).select_related("voucher").first()
    if found is None:
        return AttemptOutcome.UNKNOWN, None, None
    voucher = found.voucher
    if not actor.may(Permission.VOUCHER_CHECK) and voucher.holder_id != actor.organisation_id:
        return AttemptOutcome.FOREIGN, voucher, None
    left = balances.balances(account_ids=[voucher.account_id])[voucher.account_id].available_fen
    usable = (
        voucher.state == rules.VoucherState.ACTIVE.value
        and voucher.deducts
        and voucher.valid_from <= now < voucher.valid_until
        and (not voucher.services or service in voucher.services)
        and left > 0
    )
    if not usable:
        return AttemptOutcome.NOT_USABLE, voucher, None
    return AttemptOutcome.SHOWN, voucher, Shown(service, Fraction(voucher.share_num, voucher.share_den), Money(left))


def _contexts() -> Sequence[tuple[str, str]]:
    """Return every (programme, batch) a code may belong to."""
    rows = Voucher.objects.order_by().values_list("programme_code", "fiscal_year").distinct()
    return [(code, codes.batch_of(fiscal_year=year)) for code, year in rows]
