"""Words for what outages do to bookings, as the audit trail shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

__all__ = ["DISPLACING"]

DISPLACING: Final[Mapping[str, Promise]] = {
    "outage.declared": pgettext_lazy("record", "申报停机"),
    "booking.displaced": pgettext_lazy("record", "因停机失去时段"),
    "booking.resettled": pgettext_lazy("record", "停机后改到新时段"),
    "booking.dropped": pgettext_lazy("record", "因停机取消，费用全部退回"),
    "booking.cut": pgettext_lazy("record", "因停机提前结束"),
}
