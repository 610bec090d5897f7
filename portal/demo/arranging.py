"""What firms and labs of the demo province settle between them about time: series, exchanges, offers, outages, waiting."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, time, timedelta
from typing import Final

from portal.demo.activity import BEIJING, Story, lab_of, slot
from portal.demo.asking import pdf
from portal.kernel.actors import Actor
from portal.kernel.errors import PortalError, Refused
from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.bookings import counteroffers, series, services, swapping, terms
from scheduler.bookings.bundles import Wanted
from scheduler.bookings.models import Booking
from scheduler.bookings.series_preview import SeriesWanted
from scheduler.bookings.series_rules import Frequency, Pattern
from scheduler.calendars import services as calendars
from scheduler.conduct import rules as conduct_rules
from scheduler.conduct import services as conduct
from scheduler.displacements import services as displacements
from scheduler.disputes import services as disputes
from scheduler.quotas import rules as quota_rules
from scheduler.quotas import services as quotas
from scheduler.ratings import services as ratings
from scheduler.resources.models import Resource
from scheduler.samples import rules as sample_rules
from scheduler.samples import services as samples
from scheduler.samples import testing
from scheduler.samples.models import SampleOrder
from scheduler.waitlist import services as waitlist

__all__ = ["arrange"]

FIRM: Final = "xinghe"
RIVAL: Final = "lanting"
LAB: Final = "qianjiang"
HALVES: Final = (17, 21, 25, 29, 33, 19, 23, 27, 31, 35, 18, 22, 26, 30, 34)
"""Half hours of the day that are tried one after another until one is free."""


def _actor(story: Story, key: str) -> Actor:
    return story.people.actors[f"clerk-{key}"]


def _booked(story: Story, resource: Resource, firm: str, title: str, *, days: int, length: int = 2) -> Booking:
    """Request the first free hour or so from `days` days after today on; `length` counts half hours."""
    asked = story.now - timedelta(days=1, hours=days % 5)
    for later in range(14):
        day = story.now.astimezone(BEIJING).date() + timedelta(days=days + later)
        for half in HALVES:
            wanted = Wanted(resource, slot(day, half, length), title, vouchers=story.paying(firm))
            with contextlib.suppress(PortalError):
                return services.request_booking(actor=_actor(story, firm), wanted=wanted, now=asked, key=story.key())
    raise AssertionError(resource.name)


def _confirmed(story: Story, booking: Booking) -> Booking:
    return services.confirm(actor=_actor(story, LAB), booking=booking, now=booking.created_at + timedelta(minutes=30))


def _limit(story: Story, resource: Resource) -> None:
    """Say what cancelling late costs, how an instrument's time is shared, and what counts as bad conduct."""
    keeper, now = _actor(story, LAB), story.now - timedelta(days=40)
    late = terms.Terms(free_cancel_s=24 * 3600, late_percent=20)
    terms.set_terms(actor=keeper, resource=resource, terms=late, now=now)
    hours = quota_rules.Limit("每家企业每周 30 小时", quota_rules.Measure.HOURS, 30 * 3600)
    quotas.add_rule(actor=keeper, limit=hours, instruments=[resource], now=now)
    peak = quota_rules.Limit(
        "工作日上午单家不超过六成",
        quota_rules.Measure.PEAK_SHARE,
        60,
        effect=quota_rules.Effect.APPROVAL,
        peak=quota_rules.Peak(frozenset(range(1, 6)), 480, 720),
    )
    quotas.add_rule(actor=keeper, limit=peak, instruments=[resource], now=now)
    conduct.set_rule(actor=keeper, thresholds=conduct_rules.Thresholds(), now=now)


def _repeat(story: Story, resource: Resource) -> None:
    """Book a weekly series of four and leave out what is taken."""
    first = story.now.astimezone(BEIJING).date() + timedelta(days=9)
    like = Wanted(resource, slot(first, 17, 3), "每周电池循环后形貌", vouchers=story.paying(FIRM))
    for hour in (8, 18, 9, 19, 10, 20):
        for day in range(5):
            rule = Pattern(
                first + timedelta(days=day), time(hour), timedelta(minutes=90), resource.zone, Frequency.WEEKLY, count=4
            )
            with contextlib.suppress(PortalError):
                series.book(
                    actor=_actor(story, FIRM),
                    wanted=SeriesWanted(like, rule),
                    now=story.now - timedelta(hours=6),
                    key=story.key(),
                )
                return


def _exchange(story: Story, resource: Resource) -> None:
    """Let a rival ask to exchange times: its own later hour for an earlier one."""
    theirs = _confirmed(story, _booked(story, resource, RIVAL, "芯片焊点失效分析", days=12))
    mine = _confirmed(story, _booked(story, resource, FIRM, "隔膜截面观察", days=10))
    with contextlib.suppress(PortalError):
        swapping.propose(
            actor=_actor(story, RIVAL),
            booking=theirs,
            resource=resource,
            at=mine.starts_at,
            price=Money(mine.charge.price_fen) if mine.charge else Money(0),
            now=story.now - timedelta(hours=3),
            key=story.key(),
        )


def _offer(story: Story, resource: Resource) -> None:
    """Let the lab offer another time for a request, and leave a second request for it to decide."""
    asked = _booked(story, resource, FIRM, "正极颗粒三维重构", days=8)
    for days in range(1, 6):
        for half in HALVES:
            day = asked.starts_at.astimezone(BEIJING).date() + timedelta(days=days)
            with contextlib.suppress(PortalError):
                counteroffers.offer(
                    actor=_actor(story, LAB),
                    booking=asked,
                    period=slot(day, half, 2),
                    note="当天上午设备校准，可否改到这个时间？",
                    now=story.now - timedelta(hours=2),
                )
                return


def _fail(story: Story, resource: Resource) -> None:
    """Let an instrument fail for two days while firms have booked it."""
    booked = [
        _confirmed(story, _booked(story, resource, firm, title, days=3, length=4))
        for firm, title in ((FIRM, "蛋白颗粒筛选"), (RIVAL, "病毒样颗粒成像"))
    ]
    start = min(each.starts_at for each in booked) - timedelta(hours=1)
    end = max(each.ends_at for each in booked) + timedelta(hours=8)
    displacements.declare(
        actor=_actor(story, LAB),
        resource=resource,
        declared=displacements.Declared(Period(start, end), "真空泵故障，等待更换。"),
        now=story.now - timedelta(minutes=50),
        key=story.key(),
    )


def _wait(story: Story, resource: Resource) -> None:
    """Wait for time on days that are well booked."""
    today = story.now.astimezone(BEIJING).date()
    start = datetime.combine(today + timedelta(days=1), time(0), BEIJING).astimezone(UTC)
    asked = waitlist.Asked(
        resource=resource,
        window=Period(start, start + timedelta(days=10)),
        length=timedelta(hours=8),
        title="连续八小时面扫",
        vouchers=story.paying(FIRM),
    )
    waitlist.join(actor=_actor(story, FIRM), asked=asked, now=story.now - timedelta(hours=5))


def _used(story: Story, resource: Resource, title: str, *, days: int, over: timedelta) -> Booking | None:
    """Book, use and measure an hour some days ago, `over` longer than booked."""
    keeper = _actor(story, LAB)
    for earlier in range(6):
        for half in HALVES:
            day = (story.now - timedelta(days=days + earlier)).astimezone(BEIJING).date()
            period = slot(day, half, 2)
            wanted = Wanted(resource, period, title, vouchers=story.paying(FIRM))
            with contextlib.suppress(Refused):
                asked = period.start - timedelta(days=2)
                made = services.request_booking(actor=_actor(story, FIRM), wanted=wanted, now=asked, key=story.key())
                services.confirm(actor=keeper, booking=made, now=asked + timedelta(hours=1))
                services.start_session(actor=keeper, booking=made, started_at=period.start, now=period.start)
                ended = period.end + over
                return services.finish_session(actor=keeper, booking=made, ended_at=ended, now=ended)
    return None


def _judge(story: Story, resource: Resource) -> None:
    """Dispute a measured time, rate another use, miss a booking, and have damage recorded."""
    firm, keeper = _actor(story, FIRM), _actor(story, LAB)
    longer = _used(story, resource, "涂层厚度复测", days=2, over=timedelta(minutes=24))
    if longer is not None:
        disputes.open_dispute(
            actor=firm,
            booking=longer,
            claimed_s=3600,
            reason="样品取出后由机时系统多计了 24 分钟，见门禁记录。",
            now=story.now - timedelta(hours=20),
        )
    used = _used(story, resource, "负极截面观察", days=3, over=timedelta(0))
    if used is not None:
        rated = ratings.rate_booking(
            actor=firm,
            booking=used,
            stars=5,
            comment="图像清晰，老师讲解耐心。",
            now=story.now - timedelta(hours=18),
        )
        ratings.answer(actor=keeper, rating=rated, text="谢谢，欢迎再来。", now=story.now - timedelta(hours=10))
        conduct.record_violation(
            actor=keeper,
            booking=used,
            kind=conduct_rules.ViolationKind.OTHER,
            note="离开时未清理制样台。",
            now=story.now - timedelta(hours=9),
        )


def _send_samples(story: Story, resource: Resource) -> None:
    """Take samples: one order asked, one quoted, one whose report was issued."""
    keeper, firm = _actor(story, LAB), _actor(story, FIRM)
    then = story.now - timedelta(days=8)

    def asked(title: str, count: int, at: datetime) -> SampleOrder:
        declared = [samples.Declared(label=f"XH-{n:02d}", hazards=["none"]) for n in range(1, count + 1)]
        wanted = samples.Wanted(resource, title, "二次电子像，放大 5 千与 5 万倍各三张。", declared)
        return samples.request(actor=firm, wanted=wanted, now=at, key=story.key())

    def quoted(order: SampleOrder, yuan: int, at: datetime) -> SampleOrder:
        samples.answer(actor=keeper, order=order, feasibility=sample_rules.Feasibility.CAN, note="", now=at)
        price = samples.Quote(sample_rules.QuoteUnit.SAMPLE, Money.from_yuan(yuan), order.samples.count())
        return samples.quote(actor=keeper, order=order, quote=price, now=at)

    asked("铝箔表面形貌", 2, story.now - timedelta(hours=4))
    quoted(asked("隔膜孔径统计", 3, story.now - timedelta(days=2)), 320, story.now - timedelta(days=1))
    done = quoted(asked("正极颗粒形貌", 2, then), 300, then + timedelta(hours=5))
    at = then + timedelta(days=1)
    done = samples.accept(actor=firm, order=done, seen_fen=done.price_fen or 0, vouchers=story.paying(FIRM), now=at)
    for sample in done.samples.all():
        handling = testing.Handling(sample_rules.SampleAction.RECEIVE, "干燥柜 2 号")
        testing.handle(actor=keeper, sample=sample, handling=handling, now=at)
    done.refresh_from_db()
    done = testing.start(
        actor=keeper, order=testing.queue(actor=keeper, order=done, now=at), now=at + timedelta(hours=20)
    )
    result = testing.Draft(report=pdf("检测报告.pdf"), counted=2)
    done = testing.draft(actor=keeper, order=done, draft=result, now=at + timedelta(days=2))
    second = story.people.actors["shiyan"]
    done = testing.review(actor=second, order=done, now=at + timedelta(days=2, hours=3))
    testing.issue(actor=second, order=done, now=at + timedelta(days=2, hours=4))


def _keep_own_calendar(story: Story, resource: Resource) -> None:
    """Take in the lab's own calendar: a meeting every week."""
    first = story.now.astimezone(BEIJING).date() + timedelta(days=1)
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//demo//demo",
        "BEGIN:VEVENT",
        "UID:meeting@demo.invalid",
        f"DTSTAMP:{story.now:%Y%m%dT%H%M%SZ}",
        f"DTSTART;TZID=Asia/Shanghai:{first:%Y%m%d}T190000",
        "DURATION:PT2H",
        "RRULE:FREQ=WEEKLY;COUNT=8",
        "SUMMARY:课题组组会",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    )
    raw = "\r\n".join(lines).encode()
    calendars.import_calendar(
        actor=_actor(story, LAB), resource=resource, name="课题组日历.ics", raw=raw, now=story.now - timedelta(days=3)
    )


def arrange(story: Story) -> None:
    """Let the first lab and two firms meet every turn that bookings take, in the days around now."""
    tem, sem, fib, cryo = (each for each in story.instruments if lab_of(story, each) == LAB)
    _limit(story, sem)
    _keep_own_calendar(story, tem)
    _judge(story, sem)
    _repeat(story, sem)
    _exchange(story, fib)
    _offer(story, fib)
    _fail(story, cryo)
    _wait(story, tem)
    _send_samples(story, sem)
