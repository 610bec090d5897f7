"""Tell a team of quotes for its paid beam time. Neither title, work nor price is in a message."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from portal.kernel.errors import Reason, noop
from scheduler.beamtime.models import BeamQuote
from scheduler.proposals import steps

__all__ = ["offered"]

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
