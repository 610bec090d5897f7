"""Endpoints of reports: what a lab's instruments did and earned."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from portal.kernel.errors import Invalid, noop
from portal.reports import labs
from portal.wire import ActorRequest, MoneyOut, money, problems
from scheduler.resources import access

router = Router(tags=["reports"])

_ = noop

MOST: int = 36
Month = Annotated[str, Field(pattern=r"^20\d\d-(0[1-9]|1[0-2])$")]


class BadMonths(Invalid):
    code = "report.months"
    message = _("起始月不能晚于截止月，最多 36 个月。")


class WorkFilter(Schema):
    """From which month to which, both included, in Beijing's calendar: ``2026-11``."""

    first: Month
    last: Month

    def months(self) -> list[date]:
        """Return the months. Raises BadMonths."""
        first, last = (date.fromisoformat(f"{month}-01") for month in (self.first, self.last))
        found = labs.months_of(first, max(first, last))
        if last < first or len(found) > MOST:
            raise BadMonths(field="first")
        return found


class WorkOut(Schema):
    """One instrument in one month. `open_s` is null where it is no longer known; money is net of refunds."""

    instrument: str
    name: str
    month: str
    open_s: int | None
    used_s: int
    external_s: int
    uses: int
    samples: int
    voucher: MoneyOut
    own: MoneyOut


@router.get("/work", response={200: list[WorkOut], **problems()})
def work(request: ActorRequest, wanted: Query[WorkFilter]) -> list[dict[str, Any]]:
    """Return machine hours, samples and income of the caller's instruments, by instrument and month."""
    resources = list(access.own_instruments(request.actor).order_by("pk"))
    done = labs.work(resources, months=wanted.months(), now=timezone.now())
    names = {one.pk: one for one in resources}
    return [
        {
            "instrument": names[pk].number,
            "name": names[pk].name,
            "month": f"{month:%Y-%m}",
            "open_s": one.open_s,
            "used_s": one.used_s,
            "external_s": one.external_s,
            "uses": one.uses,
            "samples": one.samples,
            "voucher": money(one.voucher_fen),
            "own": money(one.own_fen),
        }
        for (pk, month), one in done.items()
    ]
