"""How much of its open time a lab keeps for enterprises, what it took of it itself, and why it may take no more. Pure.

Instruments bought with public money are to be open to users outside the unit that holds them (国发〔2014〕70号, 二(三)); a
lab says by such a rule how much of the time it opens is for them, whatever its own people would like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from portal.kernel.errors import Reason, noop
from portal.kernel.period import Period
from scheduler.quotas.rules import AHEAD, Limit, Use, clock_text, hours_text, seconds_in, window_at, windows_of

__all__ = ["OwnStanding", "broken_shares", "judge_own", "own_in", "share_refusal"]

_ = noop


@dataclass(frozen=True, slots=True)
class OwnStanding:
    """Of one local week or month, in seconds: what is open, what of it is kept, what the lab took, and asks for now.

    `frees_at`: the start of the first later window in which as much would fit; None where there is none.
    """

    limit: Limit
    window: Period
    zone: str
    opened: int
    used: int
    asked: int = 0
    frees_at: datetime | None = None

    @property
    def kept(self) -> int:
        return -(-self.opened * self.limit.amount // 100)

    @property
    def allowed(self) -> int:
        """What the lab may take itself."""
        return self.opened - self.kept

    @property
    def left(self) -> int:
        return max(self.allowed - self.used, 0)

    @property
    def fits(self) -> bool:
        return self.asked == 0 or self.used + self.asked <= self.allowed


def own_in(
    limit: Limit, window: Period, *, own: Sequence[Use], opened: Sequence[Use], zone: str, asked: Sequence[Use] = ()
) -> OwnStanding:
    """Return where the lab stands in one window. `own` and `asked` are its own use, cut to what is `opened`."""
    inside = [window]
    return OwnStanding(
        limit, window, zone, seconds_in(opened, inside), seconds_in(own, inside), seconds_in(asked, inside)
    )


def judge_own(
    limit: Limit, *, period: Period, asked: Sequence[Use], own: Sequence[Use], opened: Sequence[Use], zone: str
) -> list[OwnStanding]:
    """Return where taking `asked`, which lies in `period`, would bring the lab: one standing for every window it touches."""
    found = []
    for window in windows_of(period, limit.span, zone):
        standing = own_in(limit, window, own=own, opened=opened, zone=zone, asked=asked)
        found.append(standing if standing.fits else _freed(standing, own=own, opened=opened))
    return found


def _freed(standing: OwnStanding, *, own: Sequence[Use], opened: Sequence[Use]) -> OwnStanding:
    limit, zone, window = standing.limit, standing.zone, standing.window
    for _later in range(AHEAD):
        window = window_at(window.end, limit.span, zone)
        if own_in(limit, window, own=own, opened=opened, zone=zone).left >= standing.asked:
            args = (limit, standing.window, zone, standing.opened, standing.used, standing.asked)
            return OwnStanding(*args, frees_at=window.start)
    return standing


def broken_shares(standings: Sequence[OwnStanding]) -> list[Reason]:
    """Return why the lab may not take as much, with what would fix it: every rule and window that would be broken."""
    return [share_refusal(each) for each in standings if not each.fits]


def share_refusal(standing: OwnStanding) -> Reason:
    """Return the reason for one window."""
    zone = ZoneInfo(standing.zone)
    message = _(
        "“%(name)s”：%(from)s 至 %(until)s 开放 %(opened)s 小时，其中 %(kept)s 小时留给外单位；"
        "本单位最多占用 %(allowed)s 小时，已占用 %(used)s 小时，本次 %(asked)s 小时。"
    )
    if standing.frees_at is not None and standing.left:
        remedy = _(
            "请缩短到 %(left)s 小时以内，或改到 %(frees)s（%(zone)s）起；故障请登记停机，不受此限；或调整保留份额。"
        )
    elif standing.frees_at is not None:
        remedy = _("请改到 %(frees)s（%(zone)s）起；故障请登记停机，不受此限；或调整保留份额。")
    elif standing.left:
        remedy = _("请缩短到 %(left)s 小时以内；故障请登记停机，不受此限；或调整保留份额。")
    else:
        remedy = _("请改到开放时间之外；故障请登记停机，不受此限；或调整保留份额。")
    params = {
        "name": standing.limit.name,
        "from": f"{standing.window.start.astimezone(zone):%Y-%m-%d}",
        "until": f"{standing.window.end.astimezone(zone) - timedelta(days=1):%Y-%m-%d}",
        "opened": hours_text(standing.opened),
        "kept": hours_text(standing.kept),
        "allowed": hours_text(standing.allowed),
        "used": hours_text(standing.used),
        "asked": hours_text(standing.asked),
        "left": hours_text(standing.left),
        "frees": clock_text(standing.frees_at, standing.zone) if standing.frees_at else "",
        "zone": standing.zone,
    }
    return Reason("quota.kept", message, remedy, field="starts_at", params=params)
