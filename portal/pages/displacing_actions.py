"""Words for outages, waiting lists and swaps, as the audit trail shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

__all__ = ["DISPLACING"]

DISPLACING: Final[Mapping[str, Promise]] = {
    "swap.proposed": pgettext_lazy("record", "提议交换时段"),
    "swap.declined": pgettext_lazy("record", "未接受交换时段"),
    "swap.withdrawn": pgettext_lazy("record", "撤回交换时段的提议"),
    "swap.lapsed": pgettext_lazy("record", "交换时段的提议过期"),
    "booking.swapped": pgettext_lazy("record", "交换时段"),
    "outage.declared": pgettext_lazy("record", "申报停机"),
    "booking.displaced": pgettext_lazy("record", "因停机失去时段"),
    "booking.resettled": pgettext_lazy("record", "停机后改到新时段"),
    "booking.dropped": pgettext_lazy("record", "因停机取消，费用全部退回"),
    "messages.seen": pgettext_lazy("record", "看过消息"),
    "waitlist.joined": pgettext_lazy("record", "加入候补"),
    "waitlist.offered": pgettext_lazy("record", "为候补保留空位"),
    "waitlist.accepted": pgettext_lazy("record", "接受候补空位"),
    "waitlist.refused": pgettext_lazy("record", "谢绝候补空位"),
    "waitlist.withdrawn": pgettext_lazy("record", "撤回候补"),
    "booking.cut": pgettext_lazy("record", "因停机提前结束"),
}
