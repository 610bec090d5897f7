"""Tables of vouchers: what is held, until when, and who may still spend it."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.wallets import rules


class Voucher(models.Model):
    """The right to have part of a bill paid; its value lives in one ledger account of its own.

    `share` of each bill is paid, as a fraction `share_num`/`share_den`. Orders from `valid_from` to before `valid_until`;
    what was ordered in time may be delivered and claimed before `grace_until`. An `exclusive` voucher pays no bill
    together with another programme's. `note` says why it is frozen or was recovered; its holder reads it. Never
    transferable: neither holder nor account, face value, share nor way of paying ever changes, and the database refuses it.
    """

    class State(models.TextChoices):
        ACTIVE = rules.VoucherState.ACTIVE.value, _("可用")
        FROZEN = rules.VoucherState.FROZEN.value, _("核查中")
        EXPIRED = rules.VoucherState.EXPIRED.value, _("已过期")
        RECOVERED = rules.VoucherState.RECOVERED.value, _("已追回")

    class OnExpiry(models.TextChoices):
        RETURN = rules.OnExpiry.RETURN.value, _("退回资金池")
        CARRY = rules.OnExpiry.CARRY.value, _("结转下一年度")

    number = models.CharField(max_length=24, unique=True)
    application = models.OneToOneField("vouchers.Application", on_delete=models.PROTECT, related_name="voucher")
    holder = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    account_id = models.BigIntegerField(unique=True)
    programme_code = models.CharField(max_length=60)
    fiscal_year = models.PositiveIntegerField()
    face_fen = models.BigIntegerField()
    share_num = models.PositiveIntegerField()
    share_den = models.PositiveIntegerField()
    services = ArrayField(models.CharField(max_length=24), default=list)
    """Service classes it may pay for; empty = any."""
    multi_use = models.BooleanField(default=True)
    exclusive = models.BooleanField(default=False)
    deducts = models.BooleanField(default=True)
    """It pays at purchase; one that does not pays back on a claim what its holder has paid in full."""
    state = models.CharField(max_length=12, choices=State, default=State.ACTIVE)
    note = models.CharField(max_length=300, blank=True)
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField()
    grace_until = models.DateTimeField()
    on_expiry = models.CharField(max_length=8, choices=OnExpiry, default=OnExpiry.RETURN)
    carried_at = models.DateTimeField(null=True, blank=True)
    recovery = models.JSONField(default=dict, blank=True)
    """Who signed a recovery: `proposed` and `approved`; what open orders give back later is taken by the same two."""

    class Meta:
        db_table = "voucher"
        ordering = ["valid_until", "pk"]
        constraints = [
            models.CheckConstraint(
                name="voucher_state_known", condition=Q(state__in=[s.value for s in rules.VoucherState])
            ),
            models.CheckConstraint(
                name="voucher_share_is_a_share",
                condition=Q(share_num__gt=0) & Q(share_den__gt=0) & Q(share_num__lte=F("share_den")),
            ),
            models.CheckConstraint(name="voucher_face_positive", condition=Q(face_fen__gt=0)),
            models.CheckConstraint(
                name="voucher_valid_ordered",
                condition=Q(valid_until__gt=F("valid_from")) & Q(grace_until__gte=F("valid_until")),
            ),
            models.CheckConstraint(
                name="voucher_on_expiry_known", condition=Q(on_expiry__in=[x.value for x in rules.OnExpiry])
            ),
        ]
        indexes = [
            models.Index(fields=["holder", "state", "valid_until"], name="voucher_of_holder"),
            models.Index(fields=["programme_code", "id"], name="voucher_of_programme"),
        ]
        triggers = [
            pgtrigger.Protect(
                name="not_transferable",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    "holder",
                    "application",
                    "account_id",
                    "number",
                    "programme_code",
                    "fiscal_year",
                    "face_fen",
                    "share_num",
                    "share_den",
                    "deducts",
                ),
            ),
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return self.number


class VoucherCode(models.Model):
    """The code of a voucher, by its keyed hash only; `last4` lets the holder tell which it is. A new one replaces it."""

    voucher = models.OneToOneField(Voucher, on_delete=models.PROTECT, related_name="code")
    digest = models.CharField(max_length=64, unique=True)
    last4 = models.CharField(max_length=4)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()

    class Meta:
        db_table = "voucher_code"
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"…{self.last4}"


class RedemptionAttempt(models.Model):
    """One try of a voucher code, whatever came of it. Never changed, never deleted; holds no code."""

    class Outcome(models.TextChoices):
        SHOWN = rules.AttemptOutcome.SHOWN.value, _("有效")
        MALFORMED = rules.AttemptOutcome.MALFORMED.value, _("格式或校验位不符")
        UNKNOWN = rules.AttemptOutcome.UNKNOWN.value, _("没有这个券码")
        FOREIGN = rules.AttemptOutcome.FOREIGN.value, _("不是本单位的券")
        NOT_USABLE = rules.AttemptOutcome.NOT_USABLE.value, _("券不可用")
        LOCKED = rules.AttemptOutcome.LOCKED.value, _("已锁定")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    voucher = models.ForeignKey(Voucher, null=True, on_delete=models.PROTECT, related_name="attempts")
    outcome = models.CharField(max_length=12, choices=Outcome)
    service = models.CharField(max_length=24, blank=True)
    at = models.DateTimeField()

    class Meta:
        db_table = "redemption_attempt"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="attempt_outcome_known", condition=Q(outcome__in=[x.value for x in rules.AttemptOutcome])
            )
        ]
        indexes = [models.Index(fields=["user", "-at"], name="attempt_of_user")]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.user} {self.outcome}"


class Certificate(models.Model):
    """That a voucher has a certificate: its token opens the public page that says whether it is genuine.

    `printed` is what stands on it: names of holder and programme in both languages, as they were.
    """

    voucher = models.OneToOneField(Voucher, on_delete=models.PROTECT, related_name="certificate")
    token = models.CharField(max_length=32, unique=True)
    printed = models.JSONField()
    made_at = models.DateTimeField()

    class Meta:
        db_table = "voucher_certificate"
        ordering = ["pk"]

    def __str__(self) -> str:
        return str(self.voucher)
