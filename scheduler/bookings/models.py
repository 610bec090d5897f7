"""Tables of bookings and sessions."""

from __future__ import annotations

import uuid

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.bookings import clocks, prepay_rules, rules, series_rules
from vouchers.payments.rules import Collect

CLOCKS = [
    (clocks.SessionClock.BOOKED.value, _("预约时长")),
    (clocks.SessionClock.PRESENT.value, _("到场时长")),
    (clocks.SessionClock.METERED.value, _("仪器计时")),
    (clocks.SessionClock.CONFIRMED.value, _("实验室核定")),
]
COLLECTS = [(Collect.AFTER.value, _("使用后付款")), (Collect.BEFORE.value, _("预付"))]


class BookingSeries(models.Model):
    """A rule by which an enterprise booked several uses at once, in local wall time; each use is a booking of its own.

    Changed by nobody afterwards: what became of each use stands in its booking.
    """

    class Frequency(models.TextChoices):
        DAILY = series_rules.Frequency.DAILY.value, _("按天")
        WEEKLY = series_rules.Frequency.WEEKLY.value, _("按周")

    number = models.CharField(max_length=24, unique=True)
    resource = models.ForeignKey("scheduler.Resource", on_delete=models.PROTECT, related_name="series")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    booked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    title = models.CharField(max_length=120)
    zone = models.CharField(max_length=40)
    """The zone (IANA) whose wall clock the rule means."""
    first_day = models.DateField()
    clock = models.TimeField()
    duration_s = models.PositiveIntegerField()
    frequency = models.CharField(max_length=8, choices=Frequency)
    interval = models.PositiveSmallIntegerField(default=1)
    weekdays = models.JSONField(default=list)
    count = models.PositiveSmallIntegerField(null=True)
    until = models.DateField(null=True)
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "booking_series"
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(name="booking_series_key_once", fields=["organisation", "key"]),
            models.CheckConstraint(
                name="booking_series_frequency_known",
                condition=Q(frequency__in=[each.value for each in series_rules.Frequency]),
            ),
            models.CheckConstraint(
                name="booking_series_bounded",
                condition=Q(count__isnull=True, until__isnull=False) | Q(count__isnull=False, until__isnull=True),
            ),
            models.CheckConstraint(name="booking_series_positive", condition=Q(duration_s__gt=0) & Q(interval__gt=0)),
        ]

    def __str__(self) -> str:
        return self.number


class Booking(models.Model):
    """An enterprise's claim on a resource's time, priced and paid through one charge.

    `title` is the enterprise's secret: shown to it and to the lab that serves it, to nobody else.
    """

    class State(models.TextChoices):
        HELD = rules.BookingState.HELD.value, _("保留中")
        REQUESTED = rules.BookingState.REQUESTED.value, _("待确认")
        CONFIRMED = rules.BookingState.CONFIRMED.value, _("已确认")
        DISPLACED = rules.BookingState.DISPLACED.value, _("因停机待改期")
        IN_USE = rules.BookingState.IN_USE.value, _("使用中")
        COMPLETED = rules.BookingState.COMPLETED.value, _("已完成")
        DECLINED = rules.BookingState.DECLINED.value, _("已婉拒")
        CANCELLED = rules.BookingState.CANCELLED.value, _("已取消")
        LAPSED = rules.BookingState.LAPSED.value, _("逾期未确认")
        NO_SHOW = rules.BookingState.NO_SHOW.value, _("未到场")

    number = models.CharField(max_length=24, unique=True)
    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    """The calendar identity, for life (RFC 5545 §3.8.4.7)."""
    sequence = models.PositiveIntegerField(default=0)
    resource = models.ForeignKey("scheduler.Resource", on_delete=models.PROTECT, related_name="bookings")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    booked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    title = models.CharField(_("用途"), max_length=120)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    units = models.PositiveSmallIntegerField(default=1)
    """How many places; more than one only where they are counted."""
    operator = models.ForeignKey(
        "scheduler.Resource", null=True, blank=True, on_delete=models.PROTECT, related_name="attended"
    )
    """Who of the lab runs the instrument; NULL: the enterprise itself."""
    configuration = models.CharField(_("配置"), max_length=40, blank=True)
    """How the instrument is set up, a short code of the lab's; uses of one organisation in one follow without change."""
    setup_s = models.PositiveIntegerField(default=0)
    cleanup_s = models.PositiveIntegerField(default=0)
    """Changeover as agreed when booked: a later change of the instrument's does not move what is booked."""
    free_cancel_s = models.PositiveIntegerField(default=0)
    late_percent = models.PositiveSmallIntegerField(default=0)
    """What giving it up costs, as agreed when booked: nothing until so long before the start, later a share of the price."""
    state = models.CharField(max_length=12, choices=State, default=State.REQUESTED)
    hold_until = models.DateTimeField(null=True, blank=True)
    """Until when a booking is held for its organisation, exclusive; afterwards it blocks nobody. Kept as a record."""
    collect = models.CharField(max_length=8, choices=COLLECTS, default=Collect.AFTER.value)
    """When its own share is paid, as agreed when booked: billed after measuring, or in advance while it is held."""
    again_of = models.OneToOneField("self", null=True, blank=True, on_delete=models.PROTECT, related_name="again")
    """The lapsed hold whose time it books again."""
    charge = models.OneToOneField("vouchers.Charge", null=True, on_delete=models.PROTECT, related_name="+")
    decision_note = models.CharField(max_length=200, blank=True)
    given_back_until = models.DateTimeField(null=True, blank=True)
    """Where the enterprise gave the rest of its time back: until when it was booked, exclusive."""
    clock = models.CharField(max_length=12, choices=CLOCKS, default=clocks.SessionClock.PRESENT.value)
    """By which clock it is charged, as the instrument's terms said when it was booked."""
    dispute_days = models.PositiveSmallIntegerField(default=5)
    """For how many workdays after the charge it may be disputed, as agreed when it was booked."""
    series = models.ForeignKey(BookingSeries, null=True, blank=True, on_delete=models.PROTECT, related_name="bookings")
    planned_at = models.DateTimeField(null=True, blank=True)
    """When its series' rule would have it start; stays when it is moved (what RECURRENCE-ID is, RFC 5545 §3.8.4.4)."""
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "booking"
        ordering = ["-starts_at", "-pk"]
        constraints = [
            models.UniqueConstraint(name="booking_key_once", fields=["organisation", "key"]),
            models.CheckConstraint(
                name="booking_state_known", condition=Q(state__in=[s.value for s in rules.BookingState])
            ),
            models.CheckConstraint(name="booking_ends_after_start", condition=Q(ends_at__gt=models.F("starts_at"))),
            models.CheckConstraint(
                name="booking_held_until",
                condition=~Q(state=rules.BookingState.HELD.value) | Q(hold_until__isnull=False),
            ),
            models.CheckConstraint(name="booking_units_positive", condition=Q(units__gt=0)),
            models.CheckConstraint(name="booking_collect_known", condition=Q(collect__in=[c for c, _name in COLLECTS])),
            models.CheckConstraint(
                name="booking_clock_known", condition=Q(clock__in=[c.value for c in clocks.SessionClock])
            ),
            models.UniqueConstraint(name="booking_once_in_series", fields=["series", "planned_at"]),
            models.CheckConstraint(
                name="booking_planned_in_series",
                condition=Q(series__isnull=True, planned_at__isnull=True)
                | Q(series__isnull=False, planned_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-starts_at", "-id"], name="booking_of_organisation"),
            models.Index(fields=["resource", "state", "starts_at"], name="booking_of_resource"),
            models.Index(
                fields=["hold_until"], condition=Q(state=rules.BookingState.HELD.value), name="booking_hold_ends"
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def together(self) -> str:
        """What this use goes together with: the same organisation's in the same configuration; "" with nothing."""
        return f"{self.organisation_id}:{self.configuration}" if self.configuration else ""


class BookingMove(models.Model):
    """One move of a booking: what it was before, for as long as the move can be taken back, and for the record."""

    booking = models.ForeignKey(Booking, on_delete=models.PROTECT, related_name="moves")
    moved_at = models.DateTimeField()
    was_starts_at = models.DateTimeField()
    was_ends_at = models.DateTimeField()
    was_state = models.CharField(max_length=12)
    was_operator = models.ForeignKey(
        "scheduler.Resource", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    was_charge = models.ForeignKey("vouchers.Charge", on_delete=models.PROTECT, related_name="+")
    """The charge the move replaced: its price is held again when the move is taken back."""
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "booking_move"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="booking_move_ends_after_start", condition=Q(was_ends_at__gt=models.F("was_starts_at"))
            ),
            models.CheckConstraint(
                name="booking_move_state_known",
                condition=Q(was_state__in=[rules.BookingState.REQUESTED.value, rules.BookingState.CONFIRMED.value]),
            ),
        ]


class CounterOffer(models.Model):
    """Another time that a lab offers for a request. What of it is not held for the request anyway, `holds` keeps free."""

    class State(models.TextChoices):
        OPEN = rules.CounterOfferState.OPEN.value, _("等待答复")
        ACCEPTED = rules.CounterOfferState.ACCEPTED.value, _("已接受")
        REFUSED = rules.CounterOfferState.REFUSED.value, _("未接受")
        REPLACED = rules.CounterOfferState.REPLACED.value, _("已改提")
        VOID = rules.CounterOfferState.VOID.value, _("已失效")
        LAPSED = rules.CounterOfferState.LAPSED.value, _("已到期")

    booking = models.ForeignKey(Booking, on_delete=models.PROTECT, related_name="counter_offers")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    note = models.CharField(max_length=200)
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    until = models.DateTimeField()
    """When it ends without an answer, exclusive."""
    holds = models.ManyToManyField("scheduler.Claim", related_name="+")
    created_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "counter_offer"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                name="counter_offer_one_open", fields=["booking"], condition=Q(state=rules.CounterOfferState.OPEN.value)
            ),
            models.CheckConstraint(
                name="counter_offer_state_known", condition=Q(state__in=[s.value for s in rules.CounterOfferState])
            ),
            models.CheckConstraint(
                name="counter_offer_ends_after_start", condition=Q(ends_at__gt=models.F("starts_at"))
            ),
        ]
        indexes = [models.Index(fields=["until"], condition=Q(state="open"), name="counter_offer_ends")]


class BookingTerms(models.Model):
    """What a lab asks of every booking of an instrument, besides its hours and limits. No row: nothing.

    `bench` is claimed with the instrument: `bench_units` places for `bench_s` seconds just before the use.
    """

    class SelfUse(models.TextChoices):
        OPEN = rules.SelfUse.OPEN.value, _("可自行上机")
        QUALIFIED = rules.SelfUse.QUALIFIED.value, _("取得上机认可后可自行上机")
        NEVER = rules.SelfUse.NEVER.value, _("须由实验室人员操作")

    resource = models.OneToOneField(
        "scheduler.Resource", on_delete=models.CASCADE, primary_key=True, related_name="booking_terms"
    )
    self_use = models.CharField(max_length=12, choices=SelfUse, default=SelfUse.OPEN)
    bench = models.ForeignKey("scheduler.Resource", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    bench_s = models.PositiveIntegerField(default=0)
    bench_units = models.PositiveSmallIntegerField(default=1)
    free_cancel_s = models.PositiveIntegerField(default=0)
    late_percent = models.PositiveSmallIntegerField(default=0)
    """Cancelling is free until `free_cancel_s` before the start; later, and for absence, it costs so much of the price."""
    collect = models.CharField(max_length=8, choices=COLLECTS, default=Collect.AFTER.value)
    hold_s = models.PositiveIntegerField(default=prepay_rules.HOLD_S)
    transfer_hold_s = models.PositiveIntegerField(default=0)
    """Asked in advance, a booking waits so long for money paid online or, where not 0, for a bank transfer."""

    class Meta:
        db_table = "booking_terms"
        constraints = [
            models.CheckConstraint(
                name="booking_terms_payment",
                condition=Q(collect__in=[c for c, _name in COLLECTS])
                & Q(hold_s__range=prepay_rules.HOLD_BOUNDS_S)
                & (Q(transfer_hold_s=0) | Q(transfer_hold_s__range=prepay_rules.TRANSFER_BOUNDS_S)),
            ),
            models.CheckConstraint(name="booking_terms_late_share", condition=Q(late_percent__lte=100)),
            models.CheckConstraint(
                name="booking_terms_self_use_known", condition=Q(self_use__in=[s.value for s in rules.SelfUse])
            ),
            models.CheckConstraint(
                name="booking_terms_bench_time",
                condition=Q(bench__isnull=True) | (Q(bench_s__gt=0) & Q(bench_units__gt=0)),
            ),
        ]


class Session(models.Model):
    """The actual use of a booking: started and ended by the lab, or by the clock it reports."""

    booking = models.OneToOneField(Booking, on_delete=models.PROTECT, related_name="session")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    source = models.CharField(max_length=12, default="manual")
    """Who said so at the end: ``manual`` (the lab) or ``bench`` (the user, at the bench)."""

    class Meta:
        db_table = "session"
        constraints = [
            models.CheckConstraint(
                name="session_ends_after_start",
                condition=Q(ended_at__isnull=True) | Q(ended_at__gt=models.F("started_at")),
            )
        ]


class ChargeTerms(models.Model):
    """By which clock new bookings of an instrument are charged. No row: by the time present, five workdays to dispute."""

    resource = models.OneToOneField(
        "scheduler.Resource", on_delete=models.CASCADE, primary_key=True, related_name="charge_terms"
    )
    clock = models.CharField(max_length=12, choices=CLOCKS, default=clocks.SessionClock.PRESENT.value)
    dispute_days = models.PositiveSmallIntegerField(default=5)

    class Meta:
        db_table = "charge_terms"
        constraints = [
            models.CheckConstraint(
                name="charge_terms_clock_known", condition=Q(clock__in=[c.value for c in clocks.SessionClock])
            ),
            models.CheckConstraint(
                name="charge_terms_dispute_days", condition=Q(dispute_days__gte=1, dispute_days__lte=60)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.resource} {self.clock}"


class SessionReading(models.Model):
    """What an instrument measured or its staff confirmed of one use. Never changed: a correction is a new row.

    `used_s` seconds between the two moments count: a beam may be on for part of a stay.
    """

    booking = models.ForeignKey(Booking, on_delete=models.PROTECT, related_name="readings")
    clock = models.CharField(max_length=12, choices=CLOCKS)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    used_s = models.PositiveIntegerField()
    source = models.CharField(max_length=12)
    """``manual`` (a person), ``meter`` (the instrument or its interlock), ``file`` (its log, read in)."""
    recorded_at = models.DateTimeField()
    recorded_by = models.CharField(max_length=160)

    class Meta:
        db_table = "session_reading"
        constraints = [
            models.CheckConstraint(
                name="session_reading_clock", condition=Q(clock__in=sorted(c.value for c in clocks.REPORTED))
            ),
            models.CheckConstraint(name="session_reading_ends", condition=Q(ended_at__gt=models.F("started_at"))),
        ]
        indexes = [models.Index(fields=["booking", "clock", "id"], name="session_reading_of_booking")]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.booking} {self.clock}"
