"""A wrong tax invoice is taken back whole by a red one and asked for anew with the right facts, in one step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor
from portal.kernel.errors import Conflict, Invalid, noop
from vouchers.charges import services as charges
from vouchers.invoices import following, issuing, rules, services
from vouchers.invoices.models import Fapiao

__all__ = ["NothingToReplace", "ReissueReasonMissing", "Reissued", "may_reissue", "reissue"]

_ = noop


class ReissueReasonMissing(Invalid):
    code = "fapiao.reissue_reason"
    message = _("请写明原发票错在哪里，付款单位会看到。")


class NothingToReplace(Conflict):
    code = "fapiao.nothing_to_replace"
    message = _("只有已开具、还没有全部申请红字的蓝字发票可以红冲重开。")


class AlreadyReplaced(Conflict):
    """`number` is the request that takes its place."""

    code = "fapiao.replaced"
    message = _("这张发票已由 %(number)s 重开。要再改，请在那一张上操作。")


@dataclass(frozen=True, slots=True)
class Reissued:
    """The wrong one, the red one that takes the rest of it back, and the blue one that takes its place."""

    original: Fapiao
    red: Fapiao
    anew: Fapiao


def may_reissue(fapiao: Fapiao) -> bool:
    """Say whether there is something left of an issued blue one to take back and issue anew."""
    return (
        fapiao.colour == rules.Colour.BLUE.value
        and fapiao.state == rules.FapiaoState.ISSUED.value
        and fapiao.red_fen < fapiao.amount_fen
    )


@transaction.atomic
def reissue(*, actor: Actor, fapiao: Fapiao, buyer: rules.Buyer, reason: str, now: datetime) -> Reissued:
    """Take what is left of a wrong issued one back in red, and ask for it anew: over what stays paid, with `buyer`.

    Tax rate and goods are those stated now. Both requests are the provider's own: it issues the red one first, which is
    held to. The same again returns the same. Raises ReissueReasonMissing, BadBuyer with every ground, NothingToReplace,
    AlreadyReplaced, Forbidden.
    """
    original = issuing.served(actor, fapiao)
    said = reason.strip()[:200]
    if not said:
        raise ReissueReasonMissing(field="reason")
    clean = rules.check_buyer(buyer, payer_code=original.charge.payer.credit_code)
    if known := Fapiao.objects.filter(replaces=original).first():
        if known.buyer != {**asdict(clean), "kind": clean.kind.value}:
            raise AlreadyReplaced(number=known.number)
        if (whole := original.reds.filter(reason=said).order_by("pk").last()) is None:
            raise AlreadyReplaced(number=known.number)
        return Reissued(original, whole, known)
    charge = charges.lock(original.charge_id)
    covers = rules.Covers(original.covers)
    amount = services.covered_fen(charge=charge, covers=covers)
    if not may_reissue(original) or amount <= 0:
        raise NothingToReplace
    left = original.amount_fen - original.red_fen
    red = following.ask_back(charge, original, left, actor=actor, now=now, reason=said)
    anew = services.blue(charge=charge, buyer=clean, covers=covers, actor=actor, now=now)
    anew.replaces = original
    anew.state, anew.accepted_at = rules.FapiaoState.ACCEPTED.value, now
    anew.save(force_insert=True)
    services.record(
        original, action="fapiao.reissue_asked", actor=actor, now=now, red=red.number, anew=anew.number, reason=said
    )
    services.record(anew, action="fapiao.reissued", actor=actor, now=now, replaces=original.number)
    return Reissued(original, red, anew)
