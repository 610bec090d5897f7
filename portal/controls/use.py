"""Controls on what was really used: cards that idle, calls that repeat, hours that cannot be. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import Final

from portal.controls.findings import Finding, Row
from portal.kernel.errors import noop
from vouchers.flags.rules import Pattern

__all__ = ["Call", "Hours", "Run", "empty_use", "inflated_hours"]

_ = noop

IDLE_PERCENT: Final = 5
LEAST_CARD_HOURS: Final = 8
LEAST_CALLS: Final = 100
SAME_CALLS: Final = Fraction(90, 100)
NIGHT: Final = range(6)
"""Hours of the local day counted as night: 00:00 to before 06:00."""
NIGHT_SHARE: Final = Fraction(60, 100)
LEAST_SESSIONS: Final = 8
FAR: Final = 5
"""A session this many median deviations above the median of its instrument is an outlier."""


@dataclass(frozen=True, slots=True)
class Run:
    """One job run: card-hours allocated, and the mean utilisation of its cards in per cent where it was sampled."""

    job: str
    card_hours: Fraction
    utilisation: int | None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model: tokens in and out, and the local hour of the day."""

    tokens_in: int
    tokens_out: int
    hour: int


def empty_use(*, runs: Sequence[Run] = (), calls: Sequence[Call] = ()) -> Finding | None:
    """Flag eight or more card-hours at under 5 % utilisation, or calls nearly all alike, or mostly at night.

    Calls are judged from a hundred on: 90 % with the same token counts, or 60 % between midnight and six.
    """
    rows = [
        Row(_("平均利用率"), f"≥ {IDLE_PERCENT} %", f"{run.utilisation} % × {float(run.card_hours):g} h", run.job)
        for run in runs
        if run.utilisation is not None and run.utilisation < IDLE_PERCENT and run.card_hours >= LEAST_CARD_HOURS
    ]
    if len(calls) >= LEAST_CALLS:
        (tokens, often), *_rest = Counter((call.tokens_in, call.tokens_out) for call in calls).most_common(1)
        if often >= len(calls) * SAME_CALLS:
            rows.append(Row(_("词元数完全相同的调用"), f"< {SAME_CALLS * 100} %", f"{tokens}: {often} / {len(calls)}"))
        late = sum(call.hour in NIGHT for call in calls)
        if late >= len(calls) * NIGHT_SHARE:
            rows.append(Row(_("0–6 时的调用"), f"< {NIGHT_SHARE * 100} %", f"{late} / {len(calls)}"))
    if not rows:
        return None
    return Finding(Pattern.EMPTY_USE, _("用量像是空转：占用了资源但几乎没有实际计算。"), {}, tuple(rows))


@dataclass(frozen=True, slots=True)
class Hours:
    """One measured session: hours, hours booked, and who measured (``manual``, ``agent``, ``terminal``, ``door``)."""

    session: str
    hours: Fraction
    booked: Fraction
    source: str


def inflated_hours(*, one: Hours, others: Sequence[Hours]) -> Finding | None:
    """Flag hand-written hours far above the instrument's usual, or more than twice what was booked."""
    if one.source != "manual":
        return None
    rows = []
    if len(others) >= LEAST_SESSIONS:
        middle = median(other.hours for other in others)
        spread = max(median(abs(other.hours - middle) for other in others), Fraction(1, 4))
        if one.hours > middle + FAR * spread:
            rows.append(Row(_("该仪器的机时中位数"), f"{float(middle):g} h", f"{float(one.hours):g} h"))
    if one.booked and one.hours > 2 * one.booked:
        rows.append(Row(_("预约时长"), f"{float(one.booked):g} h", f"{float(one.hours):g} h"))
    if not rows:
        return None
    return Finding(Pattern.INFLATED_HOURS, _("人工登记的机时明显高于预约或该仪器的常见机时。"), {}, tuple(rows))
