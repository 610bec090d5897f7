"""Tell a team of quotes for its paid beam time. Neither title, work nor price is in a message."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from portal.kernel.actors import Permission
from portal.kernel.errors import Reason, noop
from scheduler.beamtime.models import BeamQuote
from scheduler.messages import services as messages
from scheduler.messages.rules import MessageKind
from scheduler.proposals import steps
from vouchers.charges.lowering import Lowered, Outcome

__all__ = ["corrected", "offered"]

_ = noop


def offered(quote: BeamQuote, *, now: datetime) -> None:
    """Tell the team that its paid request was quoted. Call in the transaction in which it happens."""
    request = quote.request
    zone = request.proposal.facility.zone
    said = {
        "line": request.beamline.code,
        "cycle": request.cycle.code,
        "shifts": quote.shifts,
        "until": f"{quote.valid_until.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})",
    }
    text = _("线站 %(line)s 运行周期 %(cycle)s 的付费机时已报价：%(shifts)s 班，有效期至 %(until)s。")
    remedy = _("请有下单权限的同事在“机时报价”中确认或谢绝。")
    steps.tell(
        request.proposal, [Reason("beam_quote.offered", text, remedy, "", said)], key=f"quote:{quote.pk}", now=now
    )


CORRECTED = {
    Outcome.REFUNDED: (
        _("供束记录更正后，已结算的机时费退回 %(amount)s，按原比例退券和自付款。"),
        "",
    ),
    Outcome.ASKED: (
        _("供束记录更正后，应退机时费 %(amount)s，超过一人可办的限额。"),
        _("请由有退款权限的另一位同事在“退款”中批准。"),
    ),
    Outcome.BLOCKED: (
        _("供束记录更正后，应退机时费 %(amount)s，但这笔费用已有另一份退款申请待批准。"),
        _("请先处理该申请，再办理退款。"),
    ),
    Outcome.LESS: (
        _("供束记录更正后，实际交付的机时比已结算的多 %(amount)s。平台不会自动补收。"),
        _("如须补收，请与企业商定，由企业确认新的报价。"),
    ),
}


def corrected(quote: BeamQuote, done: Lowered, *, now: datetime) -> None:
    """Tell the user office what became of a bill whose beam was counted again. Call in the same transaction."""
    proposal = quote.request.proposal
    facility = proposal.facility
    text, remedy = CORRECTED[done.outcome]
    reason = Reason("beam_quote.corrected", text, remedy, "", {"amount": str(done.amount)})
    messages.tell(
        told=messages.Told(
            kind=MessageKind.PROPOSAL_NEWS,
            organisation_id=facility.owner_id,
            user_id=None,
            key=f"beam_quote:{quote.pk}:{done.outcome.value}:{done.amount.fen}",
            instrument=facility.name,
            instrument_en=facility.name_en,
            about=proposal.number,
            params={"number": proposal.number},
            reasons=messages.said(reasons=[reason]),
            permission=Permission.FACILITY_MANAGE,
        ),
        now=now,
    )
