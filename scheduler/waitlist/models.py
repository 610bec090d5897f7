"""Tables of who waits for time, what was offered them, and how far the time of each instrument has been looked at."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.waitlist import rules


class WaitlistEntry(models.Model):
    """An organisation that waits for time on an instrument, or on one like it of the same lab."""

    class State(models.TextChoices):
        WAITING = rules.EntryState.WAITING.value, _("候补中")
        OFFERED = rules.EntryState.OFFERED.value, _("有空位，待答复")
        BOOKED = rules.EntryState.BOOKED.value, _("已预约")
        WITHDRAWN = rules.EntryState.WITHDRAWN.value, _("已撤回")
        EXPIRED = rules.EntryState.EXPIRED.value, _("已过期")

    class Part(models.TextChoices):
        ANY = rules.PartOfDay.ANY.value, _("全天")
        MORNING = rules.PartOfDay.MORNING.value, _("上午")
        AFTERNOON = rules.PartOfDay.AFTERNOON.value, _("下午")
        EVENING = rules.PartOfDay.EVENING.value, _("晚上")

    resource = models.ForeignKey("scheduler.Resource", on_delete=models.PROTECT, related_name="waitlist")
    takes_twins = models.BooleanField(default=False)
    """Whether an instrument of the same lab and category will do."""
    anywhere = models.BooleanField(default=False)
    """Whether an instrument of the same category at any lab will do, in `cities`, or in any where none is named."""
    cities = ArrayField(models.CharField(max_length=40), default=list, size=rules.CITIES)
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    title = models.CharField(_("用途"), max_length=120)
    length_s = models.PositiveIntegerField()
    since = models.DateTimeField()
    until = models.DateTimeField()
    weekdays = ArrayField(models.PositiveSmallIntegerField(), size=7, default=list)
    """ISO numbers, Monday = 1; none means any day."""
    part = models.CharField(max_length=12, choices=Part, default=Part.ANY)
    attended = models.BooleanField(default=False)
    vouchers = models.ManyToManyField("vouchers.Voucher", related_name="+")
    named = models.BooleanField(default=False)
    """Whether the lab may see who waits; otherwise it sees that somebody does."""
    state = models.CharField(max_length=12, choices=State, default=State.WAITING)
    skipped = models.JSONField(default=list)
    """Why time that would have fitted was not offered: each a reason's code, message, remedy and params."""
    skipped_at = models.DateTimeField(null=True, blank=True)
    booking = models.OneToOneField("scheduler.Booking", null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "waitlist_entry"
        ordering = ["created_at", "pk"]
        constraints = [
            models.CheckConstraint(
                name="waitlist_entry_state_known", condition=Q(state__in=[s.value for s in rules.EntryState])
            ),
            models.CheckConstraint(
                name="waitlist_entry_part_known", condition=Q(part__in=[p.value for p in rules.PartOfDay])
            ),
            models.CheckConstraint(name="waitlist_entry_window", condition=Q(until__gt=models.F("since"))),
            models.CheckConstraint(name="waitlist_entry_length", condition=Q(length_s__gt=0)),
        ]
        indexes = [
            models.Index(
                fields=["resource", "created_at"],
                condition=Q(state=rules.EntryState.WAITING.value),
                name="waitlist_waiting",
            ),
            models.Index(fields=["organisation", "-id"], name="waitlist_of_organisation"),
        ]


class WaitlistOffer(models.Model):
    """Time held for somebody who waits, until `answer_by`, exclusive. `claims` hold it."""

    class State(models.TextChoices):
        OPEN = rules.TimeOfferState.OPEN.value, _("待答复")
        ACCEPTED = rules.TimeOfferState.ACCEPTED.value, _("已接受")
        REFUSED = rules.TimeOfferState.REFUSED.value, _("已谢绝")
        LAPSED = rules.TimeOfferState.LAPSED.value, _("逾期未答复")
        TAKEN_BACK = rules.TimeOfferState.TAKEN_BACK.value, _("已收回")

    entry = models.ForeignKey(WaitlistEntry, on_delete=models.PROTECT, related_name="offers")
    resource = models.ForeignKey("scheduler.Resource", on_delete=models.PROTECT, related_name="+")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    claims = models.ManyToManyField("scheduler.Claim", related_name="+")
    offered_at = models.DateTimeField()
    answer_by = models.DateTimeField()
    price_fen = models.BigIntegerField(null=True)
    """What it cost when it was offered, voucher share included; what is held is the price when it is accepted."""
    sent_at = models.DateTimeField(null=True, blank=True)
    """When the person was told by mail: the row is the outbox."""

    class Meta:
        db_table = "waitlist_offer"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="waitlist_offer_state_known", condition=Q(state__in=[s.value for s in rules.TimeOfferState])
            ),
            models.UniqueConstraint(
                name="waitlist_offer_one_open", fields=["entry"], condition=Q(state=rules.TimeOfferState.OPEN.value)
            ),
        ]
        indexes = [
            models.Index(
                fields=["answer_by"], condition=Q(state=rules.TimeOfferState.OPEN.value), name="waitlist_offer_open"
            ),
        ]


class WaitlistLook(models.Model):
    """The version of an instrument's calendar at which its waiting list was last looked at."""

    resource = models.OneToOneField("scheduler.Resource", on_delete=models.CASCADE, primary_key=True, related_name="+")
    version = models.BigIntegerField()

    class Meta:
        db_table = "waitlist_look"
