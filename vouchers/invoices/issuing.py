"""What the provider does with requests: take them up, issue in its own tax system and tell the number, or decline."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Invalid, Reason, noop
from portal.kernel.money import Money
from portal.numbers.services import PORTAL_ZONE
from vouchers.evidence import rules as evidence_rules
from vouchers.evidence import services as evidence
from vouchers.invoices import following, rules, services, taxes
from vouchers.invoices.models import Fapiao

__all__ = [
    "FILES",
    "Around",
    "FileTwice",
    "ReasonMissing",
    "accept",
    "around",
    "attach",
    "decline",
    "faults_of",
    "issue",
    "served",
]

_ = noop
S, A = rules.FapiaoState, rules.FapiaoAction
FILES = (evidence_rules.PDF, evidence_rules.OFD, evidence_rules.XML)
"""What a tax invoice comes as: 数电发票 are handed over as PDF, OFD or XML."""
PURPOSE = "fapiao"


class ReasonMissing(Invalid):
    code = "fapiao.reason"
    message = _("请写明不予开具的原因，付款单位会看到。")


class FileTwice(Conflict):
    code = "fapiao.file_kept"
    message = _("这张发票已有文件。如上传有误，请联系平台管理员。")


class NotIssuedYet(Conflict):
    code = "fapiao.not_issued"
    message = _("登记开票后才能上传发票文件。")


def served(actor: Actor, fapiao: Fapiao) -> Fapiao:
    """Return a tax invoice under lock, as its provider. Raises Forbidden."""
    actor.require(Permission.INVOICE_ISSUE)
    locked = services.lock(fapiao)
    if locked.charge.provider_id != actor.organisation_id:
        raise Forbidden
    return locked


@transaction.atomic
def accept(*, actor: Actor, fapiao: Fapiao, now: datetime) -> Fapiao:
    """Take a request up: from now on the payer cannot withdraw it. Raises InvalidTransition, Forbidden."""
    locked = served(actor, fapiao)
    services.move(locked, A.ACCEPT)
    locked.accepted_at = now
    locked.save(update_fields=["state", "accepted_at"])
    services.record(locked, action="fapiao.accepted", actor=actor, now=now)
    return locked


@transaction.atomic
def decline(*, actor: Actor, fapiao: Fapiao, reason: str, now: datetime) -> Fapiao:
    """Say that no tax invoice is issued, and why; the payer may ask again. Raises ReasonMissing, RedStays,
    InvalidTransition, Forbidden.
    """
    locked = served(actor, fapiao)
    said = reason.strip()[:200]
    if not said:
        raise ReasonMissing(field="reason")
    if locked.colour == rules.Colour.RED.value:
        raise rules.RedStays
    services.move(locked, A.DECLINE)
    locked.reason, locked.ended_at = said, now
    if not locked.amount_fen:
        locked.amount_fen = locked.asked_fen
    locked.save(update_fields=["state", "reason", "ended_at", "amount_fen"])
    services.record(locked, action="fapiao.declined", actor=actor, now=now, reason=said)
    return locked


@dataclass(frozen=True, slots=True)
class Around:
    """What is registered or asked for beside requests that are to be registered.

    `taken` has the pk by the number it stands under, `waiting` the reds by charge that take an earlier one back whole and
    are not registered yet, `standing` the blue ones by charge of which something is left.
    """

    taken: Mapping[str, int]
    waiting: Mapping[int, Sequence[Fapiao]]
    standing: Mapping[int, Sequence[Fapiao]]


def around(rows: Collection[tuple[Fapiao, rules.Printed]]) -> Around:
    """Return what is there beside requests and what was printed for them. Three queries, however many."""
    keys = {rules.number_key(printed) for _fapiao, printed in rows} - {""}
    charges = {fapiao.charge_id for fapiao, _printed in rows}
    near = Fapiao.objects.filter(charge__in=charges).order_by("pk")
    waiting = near.filter(original__red_fen=F("original__amount_fen"), state__in=[S.REQUESTED.value, S.ACCEPTED.value])
    live = near.filter(colour=rules.Colour.BLUE.value, state__in=[state.value for state in rules.LIVE])
    return Around(
        taken=dict(Fapiao.objects.filter(printed_key__in=keys).values_list("printed_key", "pk")),
        waiting=_by_charge(waiting),
        standing=_by_charge(live.filter(red_fen__lt=F("amount_fen"))),
    )


def _by_charge(rows: Iterable[Fapiao]) -> dict[int, list[Fapiao]]:
    found: dict[int, list[Fapiao]] = {}
    for row in rows:
        found.setdefault(row.charge_id, []).append(row)
    return found


def faults_of(
    fapiao: Fapiao,
    printed: rules.Printed,
    *,
    now: datetime,
    known: Around | None = None,
    coming: Collection[int] = (),
) -> list[Reason]:
    """Return everything that speaks against registering what was printed for a request; a look, without locks.

    `known` is what `around` says of many, `coming` are the pks of red ones that are registered first.
    """
    beside = known or around([(fapiao, printed)])
    faults = rules.number_faults(printed, today=now.astimezone(PORTAL_ZONE).date())
    if not _fits(fapiao, printed.amount):
        params = {"expected": str(Money(fapiao.amount_fen)), "given": str(Money(printed.amount))}
        faults.append(Reason(rules.FapiaoAmount.code, rules.FapiaoAmount.message, "", "amount", params))
    key = rules.number_key(printed)
    if beside.taken.get(key, fapiao.pk) != fapiao.pk:
        said = {"value": printed.number}
        faults.append(Reason(rules.FapiaoNumberTaken.code, rules.FapiaoNumberTaken.message, "", "number", said))
    return faults + _reds_first(fapiao, beside, coming) + _another(fapiao, beside)


def _reds_first(fapiao: Fapiao, known: Around, coming: Collection[int]) -> list[Reason]:
    """Return a ground while an earlier one of the charge is to be taken back and is not yet: it would be billed twice."""
    if fapiao.colour == rules.Colour.RED.value:
        return []
    text, remedy = _("红字发票 %(number)s 还没有登记。"), _("请先开具并登记红字发票，再登记重开的发票。")
    return [
        Reason("fapiao.red_first", text, remedy, "number", {"number": red.number})
        for red in known.waiting.get(fapiao.charge_id, ())
        if red.original_id != fapiao.pk and red.pk not in coming
    ]


def _another(fapiao: Fapiao, known: Around) -> list[Reason]:
    """Return a ground where a withdrawn one would be registered beside another that stands for the same charge."""
    if fapiao.colour == rules.Colour.RED.value:
        return []
    text, remedy = _("这份申请已撤回，这笔费用另有 %(number)s。"), _("请登记在那一份上；开错的，登记后红冲重开。")
    return [
        Reason("fapiao.another", text, remedy, "number", {"number": other.number})
        for other in known.standing.get(fapiao.charge_id, ())
        if other.pk != fapiao.pk
    ]


def _fits(fapiao: Fapiao, fen: int) -> bool:
    """Say whether an amount is the one asked for: now, or at any time before a refund lowered it: it may have been issued
    between two.
    """
    return fen in {fapiao.amount_fen, fapiao.asked_fen, *fapiao.sums} and fen > 0


@transaction.atomic
def issue(
    *,
    actor: Actor,
    fapiao: Fapiao,
    printed: rules.Printed,
    upload: evidence.Upload | None = None,
    now: datetime,
) -> Fapiao:
    """Register that the provider has issued a tax invoice in its tax system; `upload` is its PDF, OFD or XML.

    Registering the same again changes nothing. One issued over a sum it stood at before a refund lowered it is registered
    so, and what was refunded since is asked back in red at once; so is one withdrawn after it was printed. Raises BadFapiao with every ground, FapiaoNumberTaken also
    when two register one number at once, BadFile, InvalidTransition, Forbidden.
    """
    locked = served(actor, fapiao)
    key = rules.number_key(printed)
    if locked.state == S.ISSUED.value and (locked.printed_key, locked.amount_fen) == (key, printed.amount):
        return _with_file(locked, upload, actor=actor, now=now)
    services.move(locked, A.ISSUE)
    if faults := faults_of(locked, printed, now=now):
        raise rules.BadFapiao(faults)
    if printed.amount != locked.amount_fen:
        locked.amount_fen = printed.amount
        locked.tax_fen = taxes.split_tax(printed.amount, taxes.TaxRate(locked.rate)).tax if locked.rate else None
    locked.printed_number, locked.printed_code = rules.digits(printed.number), rules.digits(printed.code)
    locked.printed_key, locked.printed_on, locked.ended_at = key, printed.issued_on, now
    try:
        with transaction.atomic():
            locked.save()
    except IntegrityError as error:
        raise rules.FapiaoNumberTaken(field="number", value=printed.number) from error
    _with_file(locked, upload, actor=actor, now=now)
    if locked.original is not None:
        blue = Fapiao.objects.select_for_update(no_key=True).order_by("pk").get(pk=locked.original.pk)
        blue.red_issued_fen += locked.amount_fen
        blue.save(update_fields=["red_issued_fen"])
    services.record(
        locked,
        action="fapiao.red_issued" if locked.original is not None else "fapiao.issued",
        actor=actor,
        now=now,
        number=locked.printed_key,
    )
    if locked.original is None:
        following.follow(charge_id=locked.charge_id, actor=actor, now=now)
    return locked


def _with_file(fapiao: Fapiao, upload: evidence.Upload | None, *, actor: Actor, now: datetime) -> Fapiao:
    if upload is None:
        return fapiao
    kept = evidence.store(
        actor=actor, subject=f"fapiao:{fapiao.number}", purpose=PURPOSE, upload=upload, now=now, kinds=FILES
    )
    if fapiao.file_id is not None and fapiao.file_id != kept.pk:
        raise FileTwice(field="file")
    fapiao.file = kept
    fapiao.save(update_fields=["file"])
    return fapiao


@transaction.atomic
def attach(*, actor: Actor, fapiao: Fapiao, upload: evidence.Upload, now: datetime) -> Fapiao:
    """Hand over the file of a tax invoice that was registered without one. Raises FileTwice, BadFile, Forbidden."""
    locked = served(actor, fapiao)
    if locked.state != S.ISSUED.value:
        raise NotIssuedYet
    return _with_file(locked, upload, actor=actor, now=now)
