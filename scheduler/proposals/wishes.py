"""What can be wrong with the beam time a proposal asks for: number of shifts, dates, devices. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from portal.kernel.errors import Reason, noop
from scheduler.facilities.grid import offered

__all__ = ["Wish", "wrong"]

_ = noop


@dataclass(frozen=True, slots=True)
class Wish:
    """Shifts asked for on one beamline in one cycle. `days`: first local day of the cycle and the day after its last.

    `why` is the reason for a number that is no multiple; `clashing`, `unfit`: codes of devices that exclude each other
    or do not fit the beamline.
    """

    beamline: str
    cycle: str
    shifts: int
    why: str
    good: Sequence[date]
    bad: Sequence[date]
    days: tuple[date, date]
    clashing: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()


def wrong(wishes: Sequence[Wish], *, multiple: int) -> list[Reason]:
    """Return everything that is wrong; fields are ``requests.0.shifts`` and so on, by place."""
    found: list[Reason] = []
    seen: set[tuple[str, str]] = set()
    for at, one in enumerate(wishes):
        field = f"requests.{at}"
        if (one.beamline, one.cycle) in seen:
            text = _("同一周期的线站 %(line)s 申请了两次。")
            found.append(
                Reason("proposal.request_twice", text, _("请合并为一项。"), f"{field}.beamline", {"line": one.beamline})
            )
        seen.add((one.beamline, one.cycle))
        found += [*_number(one, field, multiple), *_dates(one, field), *_devices(one, field)]
    return found


def _number(one: Wish, field: str, multiple: int) -> list[Reason]:
    """E1: seven shifts in threes are six or nine; another number takes a reason."""
    if one.shifts < 1 or one.shifts in offered(one.shifts, multiple=multiple) or one.why.strip():
        return []
    choices = [str(number) for number in offered(one.shifts, multiple=multiple)]
    text = _("申请 %(shifts)s 个班次；班次按 %(multiple)s 的倍数分配。")
    remedy = _("请改为 %(choices)s，或说明为什么需要这个数。")
    params = {"shifts": one.shifts, "multiple": multiple, "choices": choices}
    return [Reason("proposal.shifts_multiple", text, remedy, f"{field}.shifts", params)]


def _dates(one: Wish, field: str) -> list[Reason]:
    found = []
    first, end = one.days
    both = sorted(set(one.good) & set(one.bad))
    if both:
        text = _("%(days)s 既写为希望、又写为不便的日期。")
        days = {"days": [day.isoformat() for day in both[:5]]}
        found.append(Reason("proposal.dates_both", text, _("请只留一处。"), f"{field}.bad", days))
    for name, days_ in (("good", one.good), ("bad", one.bad)):
        outside = sorted(day for day in set(days_) if not first <= day < end)
        if outside:
            text = _("%(days)s 不在运行周期 %(cycle)s 内。")
            params = {"days": [day.isoformat() for day in outside[:5]], "cycle": one.cycle}
            found.append(Reason("proposal.dates_outside", text, _("请删去或改正。"), f"{field}.{name}", params))
    return found


def _devices(one: Wish, field: str) -> list[Reason]:
    found = []
    if one.unfit:
        text = _("装置 %(devices)s 不能用于线站 %(line)s。")
        params = {"devices": one.unfit, "line": one.beamline}
        found.append(
            Reason("proposal.device_unfit", text, _("请换一条线站，或去掉该装置。"), f"{field}.devices", params)
        )
    if one.clashing:
        text = _("装置 %(devices)s 不能同时使用。")
        params = {"devices": one.clashing}
        found.append(Reason("proposal.device_clash", text, _("请只选其中一个。"), f"{field}.devices", params))
    return found
