"""What the controls notice in the demo province, and what people made of it."""

from __future__ import annotations

import contextlib
from datetime import timedelta

from portal.controls import services as controls
from portal.demo.activity import BEIJING, Story, lab_of, slot
from portal.demo.asking import Ask, apply
from portal.kernel.errors import Refused
from scheduler.bookings import services as bookings
from scheduler.bookings.bundles import Wanted
from vouchers.flags import services as flags
from vouchers.flags.models import Flag
from vouchers.flags.rules import FlagAction, Pattern

__all__ = ["watch"]

HOUR = 3600

DECIDED = (
    (Pattern.DUPLICATE_INVOICE, FlagAction.CONFIRM, "已比对两份发票原件：后一份为复印件，属重复申领，转追回程序处理。"),
    (Pattern.SAME_PEOPLE, FlagAction.CLEAR, "两家单位法定代表人同名，身份证号不同，不是同一人。"),
)


def _measure_too_much(story: Story) -> None:
    """Book an hour on the first day it can be had, and let the lab write down three and a half."""
    resource = next(each for each in story.instruments if each.min_duration_s <= HOUR)
    keeper = story.people.actors[f"clerk-{lab_of(story, resource)}"]
    for days in range(7, 12):
        period = slot((story.now - timedelta(days=days)).astimezone(BEIJING).date(), 18, 2)
        with contextlib.suppress(Refused):
            booking = bookings.request_booking(
                actor=story.people.actors["clerk-ruian"],
                wanted=Wanted(resource=resource, period=period, title="药物晶型确认", vouchers=story.paying("ruian")),
                now=period.start - timedelta(days=2),
                key=story.key(),
            )
            bookings.confirm(actor=keeper, booking=booking, now=period.start - timedelta(days=1))
            bookings.start_session(actor=keeper, booking=booking, started_at=period.start, now=period.start)
            ended = period.end + timedelta(minutes=150)
            bookings.finish_session(actor=keeper, booking=booking, ended_at=ended, now=story.now - timedelta(days=2))
            return


def watch(story: Story) -> None:
    """Apply twice with one contract, measure too much, let the controls look at everything, and decide two flags."""
    _measure_too_much(story)
    at = story.now - timedelta(days=2)
    ask = Ask(
        "wenyu", "zj-model-2026", "OPC-WENYU", 6_000, "model_api", at, "zhisuan", 13, {"contract.model_filed": True}
    )
    apply(story, ask)
    controls.sweep(now=story.now - timedelta(hours=1))
    for pattern, action, reason in DECIDED:
        flag = Flag.objects.filter(pattern=pattern.value).order_by("pk").first()
        assert flag is not None
        flags.decide(
            actor=story.people.actors["fushen"],
            flag=flag,
            action=action,
            reason=reason,
            now=story.now - timedelta(minutes=30),
        )
