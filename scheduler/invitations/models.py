"""Tables of calendar mails: the outbox, and who wants them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.invitations import rules

OPEN = (rules.MailState.PENDING.value, rules.MailState.SENDING.value)


class CalendarMail(models.Model):
    """What one person is told by mail about one version of a booking. The row is the intent, the outbox and the record.

    `content` is what was true when the booking changed: however late or often the mail is sent, it says the same.
    """

    class State(models.TextChoices):
        PENDING = rules.MailState.PENDING.value, _("待发送")
        SENDING = rules.MailState.SENDING.value, _("发送中")
        SENT = rules.MailState.SENT.value, _("已发送")
        FAILED = rules.MailState.FAILED.value, _("发送失败")
        DROPPED = rules.MailState.DROPPED.value, _("无需发送")

    booking = models.ForeignKey("scheduler.Booking", on_delete=models.PROTECT, related_name="calendar_mails")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    """For which the booking was made: who has left it is told no more."""
    recipient = models.EmailField()
    method = models.CharField(max_length=8)
    sequence = models.PositiveIntegerField()
    content = models.JSONField()
    message_id = models.CharField(max_length=160, unique=True)
    references = models.CharField(max_length=160, blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    problem = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    next_at = models.DateTimeField()
    """When it is due, or given up for lost by the worker that has it."""
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "calendar_mail"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="calendar_mail_once", fields=["booking", "user", "sequence"]),
            models.CheckConstraint(
                name="calendar_mail_state_known", condition=Q(state__in=[s.value for s in rules.MailState])
            ),
            models.CheckConstraint(
                name="calendar_mail_method_known", condition=Q(method__in=[m.value for m in rules.Method])
            ),
        ]
        indexes = [models.Index(fields=["next_at", "id"], name="calendar_mail_open", condition=Q(state__in=OPEN))]

    def __str__(self) -> str:
        return self.message_id


class CalendarMailChoice(models.Model):
    """Whether and in which language a person wants calendar mails. No row: yes, in Chinese."""

    class Language(models.TextChoices):
        CHINESE = "zh-hans", "简体中文"
        ENGLISH = "en", "English"

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+")
    wanted = models.BooleanField(default=True)
    language = models.CharField(max_length=8, choices=Language, default=Language.CHINESE)

    class Meta:
        db_table = "calendar_mail_choice"
        constraints = [
            models.CheckConstraint(
                name="calendar_mail_choice_language_known", condition=Q(language__in=rules.LANGUAGES)
            )
        ]
