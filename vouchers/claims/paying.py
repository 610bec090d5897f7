"""From an approved claim to its payment: awards to open, payment runs, settlement, and top-ups that follow from it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, noop
from portal.kernel.money import Money
from portal.numbers.services import next_number
from vouchers.claims import queries, rules
from vouchers.claims.cases import lock, move, record
from vouchers.claims.deciding import opened_for
from vouchers.claims.models import ClaimLine, PaymentRun, RedemptionClaim
from vouchers.issuance import payouts
from vouchers.issuance.models import Application
from vouchers.programmes.access import in_force, scheme_of
from vouchers.programmes.models import Programme
from vouchers.programmes.terms import Cadence, RedeemMode

_ = noop

ACTOR = Actor.system(_("付款安排"))
WAIT = timedelta(days=20)
"""How long a closed window waits for claims filed in it that are not decided yet; later ones join the next run."""


class NoClaims(Conflict):
    code = "claim.no_claims"
    message = _("该项目没有可付款的申领。")


def open_awards(*, now: datetime, limit: int = 200) -> list[RedemptionClaim]:
    """Open a claim for every granted award that is paid without a voucher and return those opened here.

    Its key holds a slash, which no caller's idempotency key may: nobody can take it first.
    The enterprise adds what the programme asks for and files it; where nothing is asked, it goes to the checkers at once.
    """
    return [opened for application in queries.awards_to_open()[:limit] if (opened := _open_award(application, now))]


@transaction.atomic
def _open_award(found: Application, now: datetime) -> RedemptionClaim | None:
    application = (
        Application.objects.select_for_update(no_key=True, of=("self",))
        .select_related("version__programme", "organisation")
        .order_by("pk")
        .get(pk=found.pk)
    )
    if application.state != found.state or application.claims.exists():
        return None
    claim = _award(application.version_id, application.organisation_id, Money(application.amount_fen), now=now)
    claim.application, claim.fiscal_year = application, application.fiscal_year
    claim.key = f"award/{application.number}"
    claim.save(force_insert=True)
    _one_line(claim, what=f"{application.version.name} {application.number}"[:120], now=now)
    if not queries.documents_asked(claim):
        move(claim, rules.ClaimAction.FILE)
        claim.filed_at = now
        claim.save()
        claim.lines.update(active=True)
    record(claim, action="claim.opened", actor=ACTOR, now=now)
    return claim


def _award(version_id: int, organisation_id: int, amount: Money, *, now: datetime) -> RedemptionClaim:
    return RedemptionClaim(
        number=next_number(prefix="K", now=now),
        fingerprint="",
        mode=RedeemMode.AWARD.value,
        version_id=version_id,
        claimant_id=organisation_id,
        payee_id=organisation_id,
        amount_fen=amount.fen,
        created_at=now,
    )


def _one_line(claim: RedemptionClaim, *, what: str, now: datetime) -> None:
    ClaimLine.objects.create(
        claim=claim,
        position=1,
        what=what,
        day=now.astimezone(rules.BEIJING).date(),
        base_fen=claim.amount_fen,
        amount_fen=claim.amount_fen,
    )


def open_runs(*, now: datetime) -> list[PaymentRun]:
    """Open the payment runs whose window has closed; return those opened here. Run by the clock, safe to repeat.

    One run a programme and window (上海市科技创新券: settled by quarter). A window with claims still undecided waits for
    them for `WAIT` at most; what is approved later joins the run of the window that is current then.
    """
    waiting = (
        RedemptionClaim.objects.filter(state=rules.ClaimState.PAYABLE.value, eligible_at__isnull=True)
        .select_related("version__programme")
        .order_by("pk")
    )
    due: dict[tuple[int, datetime, datetime], list[RedemptionClaim]] = {}
    for claim in waiting:
        period = queries.window_of(claim, now=now)
        if period is not None and period.end <= now:
            due.setdefault((claim.version.programme_id, period.start, period.end), []).append(claim)
    opened = []
    for (programme_id, start, end), claims in sorted(due.items(), key=lambda item: item[0]):
        undecided = RedemptionClaim.objects.filter(
            version__programme_id=programme_id,
            filed_at__gte=start,
            filed_at__lt=end,
            state__in=[state.value for state in rules.UNDECIDED],
        )
        if now < end + WAIT and undecided.exists():
            continue
        opened.append(_open_run(programme_id, claims, starts_at=start, ends_at=end, now=now))
    return opened


@transaction.atomic
def _open_run(
    programme_id: int,
    claims: Iterable[RedemptionClaim],
    *,
    now: datetime,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    actor: Actor = ACTOR,
) -> PaymentRun:
    Programme.objects.select_for_update(no_key=True).order_by("pk").get(pk=programme_id)
    run = starts_at and PaymentRun.objects.filter(programme_id=programme_id, starts_at=starts_at).first()
    if not run:
        run = PaymentRun.objects.create(
            number=next_number(prefix="R", now=now),
            programme_id=programme_id,
            starts_at=starts_at,
            ends_at=ends_at,
            opened_at=now,
            opened_by_id=actor.user_id,
        )
    for claim in claims:
        locked = lock(claim)
        if locked.state == rules.ClaimState.PAYABLE.value and locked.eligible_at is None:
            locked.run, locked.eligible_at = run, now
            locked.save(update_fields=["run", "eligible_at"])
            record(locked, action="claim.in_run", actor=actor, now=now, run=run.number)
    return run


@transaction.atomic
def call_run(*, actor: Actor, programme: Programme, now: datetime) -> PaymentRun:
    """Call a payment run of a programme that pays in batches: everything approved so far. Raises NoClaims, Forbidden."""
    actor.require(Permission.SETTLEMENT_DRAFT)
    waiting = [
        claim
        for claim in RedemptionClaim.objects.filter(
            version__programme=programme, state=rules.ClaimState.PAYABLE.value, eligible_at__isnull=True
        )
        .select_related("version__programme")
        .order_by("pk")
        if queries.cadence_of(claim.version) is Cadence.BATCH
    ]
    if not waiting:
        raise NoClaims(field="programme")
    return _open_run(programme.pk, waiting, now=now, actor=actor)


def eligible(payee_ids: Iterable[int], *, now: datetime) -> list[RedemptionClaim]:
    """Return the claims of these payees that may be paid now, in one query."""
    return list(
        RedemptionClaim.objects.filter(
            payee_id__in=list(payee_ids), state=rules.ClaimState.PAYABLE.value, eligible_at__lte=now
        )
        .select_related("version__programme", "claimant", "payee")
        .order_by("pk")
    )


def put_in_batch(claim: RedemptionClaim, *, actor: Actor, now: datetime, batch: str) -> None:
    """Note that a settlement batch holds the claim. For settlements only, inside their transaction."""
    locked = lock(claim)
    move(locked, rules.ClaimAction.BATCH)
    locked.save(update_fields=["state"])
    record(locked, action="claim.batched", actor=actor, now=now, batch=batch)


def take_from_batch(claim: RedemptionClaim, *, actor: Actor, now: datetime, reason: str = "") -> None:
    """Note that the batch gave the claim back: it can go into another one. For settlements only."""
    locked = lock(claim)
    move(locked, rules.ClaimAction.UNBATCH)
    locked.save(update_fields=["state"])
    record(locked, action="claim.unbatched", actor=actor, now=now, reason=reason)


def settle(claim: RedemptionClaim, *, actor: Actor, now: datetime) -> list[RedemptionClaim]:
    """Note that the treasury has paid the claim; return the top-ups proposed because of it. For settlements only."""
    locked = lock(claim)
    move(locked, rules.ClaimAction.SETTLE)
    locked.settled_at = now
    locked.save(update_fields=["state", "settled_at"])
    record(locked, action="claim.settled", actor=actor, now=now, approved_fen=locked.approved_fen)
    if locked.mode == RedeemMode.AWARD.value and locked.application is not None:
        payouts.paid(locked.application, actor=actor, now=now)
    return propose_topups(locked, now=now)


def propose_topups(base: RedemptionClaim, *, now: datetime) -> list[RedemptionClaim]:
    """Propose what programmes in force add to this payment, such as 20 % of a city's (汉阳区 2026); a person confirms.

    Once a base claim and programme; there is no second review of the contract.
    """
    assert base.approved_fen is not None
    made = []
    for version in in_force():
        scheme = scheme_of(version)
        for line in scheme.lines:
            if line.derived_from != base.version.programme.code or line.rate is None:
                continue
            if RedemptionClaim.objects.filter(base=base, version=version).exists():
                continue
            amount = Money(base.approved_fen).share(line.rate)
            amount = min(amount, line.cap) if line.cap is not None else amount
            beneficiary = queries.beneficiary_of(base)
            if not amount or beneficiary is None:
                continue
            claim = _award(version.pk, beneficiary, amount, now=now)
            claim.base, claim.fiscal_year, claim.key = base, version.fiscal_year, f"topup/{base.number}/{version.pk}"
            claim.state = rules.ClaimState.PROPOSED.value
            claim.save(force_insert=True)
            _one_line(claim, what=f"{base.version.name} {base.number}"[:120], now=now)
            record(claim, action="claim.proposed", actor=ACTOR, now=now, base=base.number)
            made.append(claim)
    return made


@transaction.atomic
def confirm_topup(*, actor: Actor, claim: RedemptionClaim, now: datetime) -> RedemptionClaim:
    """Confirm a proposed top-up as its programme's checker; another person approves it. Raises Involved, NotFound."""
    locked = opened_for(actor, claim, Permission.CLAIM_CHECK)
    move(locked, rules.ClaimAction.CONFIRM)
    locked.checked_fen = locked.amount_fen
    locked.checked_by_id, locked.checked_at, locked.filed_at = actor.person, now, now
    locked.save()
    locked.lines.update(active=True)
    record(locked, action="claim.confirmed", actor=actor, now=now)
    return locked
