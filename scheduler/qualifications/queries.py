"""Judge qualifications and certificates at the time of the use, not at the time of the request."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from portal.kernel.errors import Reason, noop
from portal.kernel.period import Period, merge
from scheduler.qualifications.models import Calibration, Qualification
from scheduler.resources.models import Resource

__all__ = ["calibrated", "calibration_refusals", "qualification_refusals", "qualifications_of"]

_ = noop


def _days(resource: Resource, during: Period) -> tuple[date, date]:
    """Return the local days of `during`, half-open."""
    zone = ZoneInfo(resource.zone)
    last = (during.end - timedelta(microseconds=1)).astimezone(zone).date()
    return during.start.astimezone(zone).date(), last + timedelta(days=1)


HELD: Final = """
    SELECT * FROM qualification WHERE resource_id = %(resource)s AND organisation_id = %(organisation)s ORDER BY valid DESC
"""


def qualifications_of(resource: Resource, *, organisation_id: int | None) -> list[Qualification]:
    """Return every qualification of an organisation on the instrument, the latest first. One query."""
    return list(Qualification.objects.raw(HELD, {"resource": resource.pk, "organisation": organisation_id}))


def qualification_refusals(resource: Resource, *, rows: Sequence[Qualification], during: Period) -> list[Reason]:
    """Return why an organisation with these qualifications may not run the instrument itself on the days of `during`."""
    days = _days(resource, during)
    covering = [row for row in rows if row.valid.lower <= days[0] and days[1] <= row.valid.upper]
    if any(row.suspended_at is None for row in covering):
        return []
    if covering:
        message = _("贵单位自行使用该仪器的认可已被暂停：%(note)s")
        params = {"note": covering[0].note}
    elif rows:
        message = _("所选日期不在贵单位上机认可的有效期内（有效至 %(until)s）。")
        params = {"until": str(max(row.valid.upper for row in rows) - timedelta(days=1))}
    else:
        message = _("自行使用该仪器须先取得实验室的上机认可，贵单位还没有。")
        params = {}
    remedy = _("请选择由实验室人员操作，或联系实验室办理认可。")
    return [Reason("booking.not_qualified", message, remedy, field="operator", params=params)]


def calibrated(resource: Resource) -> list[Period] | None:
    """Return when certificates of the resource are in force; None where none was ever entered. One query."""
    zone = ZoneInfo(resource.zone)
    rows = list(Calibration.objects.raw("SELECT * FROM calibration WHERE resource_id = %s", [resource.pk]))
    if not rows:
        return None
    return merge(
        Period(datetime.combine(row.valid.lower, time.min, zone), datetime.combine(row.valid.upper, time.min, zone))
        for row in rows
    )


def calibration_refusals(resource: Resource, *, spans: Sequence[Period] | None, during: Period) -> list[Reason]:
    """Return why nothing may be measured with the resource in `during`; `spans`: when certificates are in force.

    [] where it has no certificates at all.
    """
    if spans is None or any(span.covers(during) for span in spans):
        return []
    last = (spans[-1].end - timedelta(microseconds=1)).astimezone(ZoneInfo(resource.zone)).date()
    return [
        Reason(
            "booking.calibration",
            _("所选时间该仪器没有有效的检定或校准证书，现有证书有效至 %(until)s。"),
            _("请选择证书有效期内的时间。"),
            field="starts_at",
            params={"until": str(last)},
        )
    ]
