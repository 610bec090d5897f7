"""Prepare, file, supplement and withdraw claims: what the claimant does. `deciding` and `paying` write the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from django.db import IntegrityError, transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Invalid, InvalidTransition, NotFound, Reason, noop
from portal.kernel.idempotency import check_key, check_replay, fingerprint
from portal.kernel.money import Money
from portal.numbers.services import next_number
from vouchers.charges import services as charges
from vouchers.charges.models import ChargePart
from vouchers.claims import access, printed, queries, rules
from vouchers.claims.cases import lock, move, payable_of, record, release
from vouchers.claims.models import ClaimInvoice, ClaimLine, RedemptionClaim
from vouchers.evidence import services as files
from vouchers.evidence.models import EvidenceFile
from vouchers.flags import services as flags
from vouchers.flags.rules import Pattern
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import HoldOp, JournalKind, Posting
from vouchers.programmes.access import scheme_of
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.terms import RedeemMode
from vouchers.wallets import services as wallets
from vouchers.wallets.models import Voucher

_ = noop

EDITABLE = (rules.ClaimState.DRAFT.value, rules.ClaimState.SUPPLEMENT.value)


class NothingClaimed(Invalid):
    code = "claim.nothing"
    message = _("请选择一张先付后补的券，或勾选至少一笔已完成的服务。")


class MixedProgrammes(Invalid):
    code = "claim.mixed"
    message = _("一份申领只能包含同一项目同一年度的费用。请按项目分开申领。")


class UnknownDocument(Invalid):
    code = "claim.unknown_document"
    message = _("请从列表中选择材料名称。")


@dataclass(frozen=True, slots=True)
class Line:
    """One row as typed. `charge` is the number of a charge the claimant served; others are paid invoices."""

    what: str
    amount: Money
    base: Money | None = None
    day: date | None = None
    invoice: str = ""
    reference: str = ""
    charge: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is claimed: by `voucher` (its number) what was paid in full, else charges named in the lines."""

    amount: Money
    voucher: str = ""
    lines: Sequence[Line] = field(default_factory=tuple)


@transaction.atomic
def draft(*, actor: Actor, wanted: Wanted, now: datetime, key: str) -> RedemptionClaim:
    """Begin a claim; nothing is asked for yet. Idempotent by `key` within the organisation.

    Raises ForeignVoucher, NothingClaimed, MixedProgrammes, NotFound for a charge that is not the claimant's, KeyReused.
    """
    actor.require(Permission.CLAIM_FILE)
    asked = fingerprint({"wanted": repr(wanted)})
    existing = RedemptionClaim.objects.filter(claimant_id=actor.acting_for, key=check_key(key)).first()
    if existing is not None:
        check_replay(stored=existing.fingerprint, asked=asked)
        return existing
    claim = RedemptionClaim(
        number=next_number(prefix="K", now=now),
        key=key,
        fingerprint=asked,
        claimant_id=actor.acting_for,
        amount_fen=wanted.amount.fen,
        created_by_id=actor.person,
        created_at=now,
    )
    lines = _described(claim, wanted)
    claim.save(force_insert=True)
    ClaimLine.objects.bulk_create(lines)
    record(claim, action="claim.drafted", actor=actor, now=now)
    return claim


@transaction.atomic
def change(*, actor: Actor, claim: RedemptionClaim, wanted: Wanted, now: datetime) -> RedemptionClaim:
    """Replace amount and lines of a draft or of a claim returned for supplements. Raises InvalidTransition."""
    locked = _own(actor, claim)
    if locked.state not in EDITABLE:
        raise InvalidTransition(state=locked.state, action="change")
    if locked.mode == RedeemMode.AWARD.value:
        raise InvalidTransition(state=locked.state, action="change")
    _let_go(locked, actor=actor, now=now)
    locked.lines.all().delete()
    before = (locked.mode, locked.version_id)
    lines = _described(locked, wanted)
    if (locked.mode, locked.version_id) != before:
        raise MixedProgrammes(field="lines")
    locked.amount_fen = wanted.amount.fen
    locked.save()
    ClaimLine.objects.bulk_create(lines)
    record(locked, action="claim.changed", actor=actor, now=now)
    return locked


def _described(claim: RedemptionClaim, wanted: Wanted) -> list[ClaimLine]:
    """Fill in whom and what the claim is about; return its lines, not yet saved. Raises as `draft`."""
    numbers = [line.charge for line in wanted.lines if line.charge]
    if not wanted.voucher and (not numbers or len(numbers) != len(wanted.lines)):
        raise NothingClaimed(field="lines")
    if wanted.amount.fen <= 0:
        raise rules.ClaimRefused([Reason("claim.amount", _("申领金额须大于零。"), field="amount")])
    if wanted.voucher:
        voucher = (
            Voucher.objects.filter(number=wanted.voucher.strip(), holder_id=claim.claimant_id)
            .select_related("application__version__programme")
            .first()
        )
        if voucher is None or _mode(voucher.application.version) is not RedeemMode.REIMBURSE:
            raise rules.ForeignVoucher(field="voucher")
        claim.mode, claim.voucher, claim.payee_id = RedeemMode.REIMBURSE.value, voucher, claim.claimant_id
        claim.version, claim.fiscal_year = voucher.application.version, voucher.fiscal_year
        return [_line(claim, at, line) for at, line in enumerate(wanted.lines, 1)]
    parts = [_part(claim.claimant_id, number) for number in numbers]
    vouchers = [part.voucher for part in parts]
    if len({(voucher.application.version_id, voucher.fiscal_year) for voucher in vouchers}) > 1:
        raise MixedProgrammes(field="lines")
    claim.mode, claim.payee_id = RedeemMode.DEDUCT.value, claim.claimant_id
    claim.version, claim.fiscal_year = vouchers[0].application.version, vouchers[0].fiscal_year
    return [_line(claim, at, line, parts[at - 1]) for at, line in enumerate(wanted.lines, 1)]


def _mode(version: ProgrammeVersion) -> RedeemMode:
    return scheme_of(version).terms.redeem.mode


def _part(provider_id: int, number: str) -> ChargePart:
    """Return what one voucher paid of a charge, named ``C2611-000042`` or, with several vouchers, ``C…/V…``."""
    charge, _slash, voucher = number.partition("/")
    found = (
        queries.on_claim()
        .filter(
            charge__number=charge.strip(),
            charge__provider_id=provider_id,
            charge__state="captured",
            charge__withheld_at__isnull=True,
            captured_fen__gt=0,
        )
        .select_related("charge", "voucher__application__version__programme")
    )
    if voucher:
        found = found.filter(voucher__number=voucher.strip())
    part = found.alias(free=queries.unclaimed()).order_by("-free", "pk").first()
    if part is None:
        raise NotFound(field="lines", number=number)
    return part


def _line(claim: RedemptionClaim, position: int, line: Line, part: ChargePart | None = None) -> ClaimLine:
    base = line.base or (Money(part.charge.actual_fen or 0) if part else line.amount)
    return ClaimLine(
        claim=claim,
        position=position,
        what=line.what.strip()[:120],
        day=line.day,
        invoice=line.invoice.strip()[:40],
        reference=line.reference.strip()[:80],
        base_fen=base.fen,
        amount_fen=line.amount.fen,
        charge=part.charge if part else None,
        voucher=part.voucher if part else claim.voucher,
    )


def _own(actor: Actor, claim: RedemptionClaim) -> RedemptionClaim:
    actor.require(Permission.CLAIM_FILE)
    locked = lock(claim)
    if locked.claimant_id != actor.acting_for:
        raise NotFound
    return locked


@transaction.atomic
def attach(*, actor: Actor, claim: RedemptionClaim, document: str, upload: files.Upload, now: datetime) -> EvidenceFile:
    """Keep a document with a claim that can still be changed. Raises UnknownDocument, BadFile, InvalidTransition."""
    locked = _own(actor, claim)
    if locked.state not in EDITABLE:
        raise InvalidTransition(state=locked.state, action="attach")
    asked = queries.documents_asked(locked)
    if document not in (*asked, OTHER):
        raise UnknownDocument(field="document")
    return files.store(actor=actor, subject=queries.subject_of(locked), purpose=document, upload=upload, now=now)


OTHER = _("其他材料")
"""A document beyond those the programme names."""


def file(*, actor: Actor, claim: RedemptionClaim, now: datetime) -> RedemptionClaim:
    """File a draft or a supplemented claim: everything is checked at once, its invoices and charges become its own.

    A reimbursement is held on its voucher until it is decided. Raises ClaimRefused with every fault; DuplicateInvoice,
    after which nothing is filed, but both claims are flagged for the department. Invoices this portal knows are held
    against what it knows of them (`printed`).
    """
    try:
        return _filed(actor=actor, claim=claim, now=now)
    except rules.DuplicateInvoice as error:
        _flag_both(claim, str(error.params["invoice"]), now=now)
        raise
    except rules.ClaimRefused as error:
        for reason in error.reasons:
            if reason.code == rules.DuplicateInvoice.code:
                _flag_both(claim, str(reason.params["invoice"]), now=now)
        raise


@transaction.atomic
def _filed(*, actor: Actor, claim: RedemptionClaim, now: datetime) -> RedemptionClaim:
    locked = _own(actor, claim)
    if locked.state not in EDITABLE:
        move(locked, rules.ClaimAction.FILE)
    _lock_sources(locked)
    reasons = rules.filing_reasons(
        total=Money(locked.amount_fen),
        items=queries.items_of(locked),
        support=queries.support_of(locked),
        missing=queries.documents_missing(locked),
        now=now,
    )
    reasons += printed.reasons_of(locked)
    if {reason.code for reason in reasons} - {rules.DuplicateInvoice.code}:
        raise rules.ClaimRefused(reasons)
    move(locked, rules.ClaimAction.FILE)
    locked.turn += 1
    _take_invoices(locked)
    try:
        with transaction.atomic():
            locked.lines.update(active=True)
    except IntegrityError as error:
        raise rules.ClaimRefused(
            [
                Reason(
                    "claim.charge_taken",
                    _("其中有费用已在另一份申领中。"),
                    _("请刷新后重新选择。"),
                    field="lines",
                )
            ]
        ) from error
    if locked.mode == RedeemMode.REIMBURSE.value:
        _hold(locked, actor=actor)
    locked.filed_by_id, locked.filed_at = actor.person, now
    locked.note = ""
    locked.save()
    record(locked, action="claim.filed", actor=actor, now=now)
    return locked


def _lock_sources(claim: RedemptionClaim) -> None:
    """Lock what a claim rests on before it is judged: a refund of its charges, a freeze of its voucher waits or wins."""
    for charge_id in sorted({line.charge_id for line in claim.lines.all() if line.charge_id}):
        charges.lock(charge_id)
    if claim.voucher_id is not None:
        [claim.voucher] = wallets.lock(voucher_ids=[claim.voucher_id])


def _take_invoices(claim: RedemptionClaim) -> None:
    """Make the claim's invoices its own; of two claims at once, the database lets one have them."""
    claim.invoices.update(active=False)
    lines = [line for line in claim.lines.all() if line.invoice]
    known = printed.known_to(claim, lines)
    shown = {printed.key_of(line.invoice, known): line.invoice for line in lines}
    for key in sorted(shown):
        try:
            with transaction.atomic():
                ClaimInvoice.objects.create(claim=claim, key=key)
        except IntegrityError as error:
            raise rules.DuplicateInvoice(field="lines", invoice=shown[key]) from error


@transaction.atomic
def _flag_both(claim: RedemptionClaim, invoice: str, *, now: datetime) -> None:
    key = printed.key_of(invoice, printed.known_to(claim, claim.lines.all()))
    other = (
        RedemptionClaim.objects.filter(invoices__key=key, invoices__active=True)
        .exclude(pk=claim.pk)
        .select_related(*access.RELATED)
        .first()
    )
    pair = [claim, *([other] if other else [])]
    rows = [
        [_("申领"), each.number, f"{each.claimant.name} · {each.version.name}", str(Money(each.amount_fen))]
        for each in pair
    ]
    facts = {
        "said": _("发票 %(invoice)s 出现在两份申领中，后一份没有提交成功。"),
        "params": {"invoice": invoice},
        "rows": rows,
    }
    for each in pair:
        flags.raise_flag(
            subject=queries.subject_of(each),
            pattern=Pattern.DUPLICATE_INVOICE,
            facts=facts,
            organisations=[one.claimant_id for one in pair],
            department_id=each.version.programme.department_id,
            now=now,
        )


def _hold(claim: RedemptionClaim, *, actor: Actor) -> None:
    assert claim.voucher is not None
    if claim.hold_id is not None:
        return  # filed before and not changed since: held in time, for the same amount
    result = ledger.post(
        posting=Posting(
            kind=JournalKind.HOLD,
            key=f"claim:{claim.number}/hold/{claim.turn}",
            operations=[HoldOp(claim.voucher.account_id, payable_of(claim), claim.amount_fen)],
            actor=actor.signature,
            source_type="claim",
            source_id=claim.number,
        )
    )
    claim.hold_id = result.hold_ids[0]


def _let_go(claim: RedemptionClaim, *, actor: Actor, now: datetime) -> None:
    """Free invoices, charges and the hold: somebody else, or another claim, may have them."""
    claim.invoices.update(active=False)
    claim.lines.update(active=False)
    release(claim, actor=actor, now=now)


@transaction.atomic
def withdraw(*, actor: Actor, claim: RedemptionClaim, now: datetime) -> RedemptionClaim:
    """Take a claim back before it is passed; its invoices and charges are free again. Raises InvalidTransition.

    An award is not taken back this way: its claim stays open until it is paid or refused.
    """
    locked = _own(actor, claim)
    if locked.mode == RedeemMode.AWARD.value:
        raise InvalidTransition(state=locked.state, action=rules.ClaimAction.WITHDRAW.value)
    move(locked, rules.ClaimAction.WITHDRAW)
    _let_go(locked, actor=actor, now=now)
    locked.save()
    record(locked, action="claim.withdrawn", actor=actor, now=now)
    return locked
