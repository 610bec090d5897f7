"""Tables of applications and vouchers."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.issuance import rules


class Application(models.Model):
    """One enterprise's case under one programme version, with the decision the rules gave and its inputs.

    `request` holds every fact the engine saw, `decision` its whole answer: an auditor can run it again.
    """

    class State(models.TextChoices):
        SUPPLEMENT = rules.ApplicationState.SUPPLEMENT.value, _("待补充")
        SUBMITTED = rules.ApplicationState.SUBMITTED.value, _("待初审")
        REVIEWED = rules.ApplicationState.REVIEWED.value, _("待审批")
        ISSUED = rules.ApplicationState.ISSUED.value, _("已发券")
        REFUSED = rules.ApplicationState.REFUSED.value, _("未通过")
        WITHDRAWN = rules.ApplicationState.WITHDRAWN.value, _("已撤回")

    number = models.CharField(max_length=24, unique=True)
    version = models.ForeignKey("vouchers.ProgrammeVersion", on_delete=models.PROTECT, related_name="applications")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    contract_number = models.CharField(_("合同编号"), max_length=60)
    request = models.JSONField()
    decision = models.JSONField()
    state = models.CharField(max_length=12, choices=State)
    computed_fen = models.BigIntegerField(default=0)
    amount_fen = models.BigIntegerField(default=0)
    reserve_hold_id = models.BigIntegerField(null=True, blank=True)
    note = models.CharField(max_length=300, blank=True)
    submitted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)
    submitted_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "application"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="application_key_once", fields=["organisation", "key"]),
            models.CheckConstraint(
                name="application_state_known", condition=Q(state__in=[s.value for s in rules.ApplicationState])
            ),
            models.CheckConstraint(
                name="application_amount_only_down",
                condition=Q(amount_fen__gte=0) & Q(amount_fen__lte=F("computed_fen")),
            ),
            models.CheckConstraint(
                name="application_four_eyes",
                condition=(Q(reviewed_by__isnull=True) | ~Q(reviewed_by=F("submitted_by")))
                & (
                    Q(approved_by__isnull=True) | (~Q(approved_by=F("submitted_by")) & ~Q(approved_by=F("reviewed_by")))
                ),
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-id"], name="application_of_organisation"),
            models.Index(fields=["state", "id"], name="application_queue"),
        ]

    def __str__(self) -> str:
        return self.number


class Voucher(models.Model):
    """The right to have part of a bill paid; its value lives in one ledger account of its own.

    `share` of each bill is paid, as a fraction `share_num`/`share_den`. Valid from `valid_from` to before
    `valid_until`. Never transferable: the holder does not change.
    """

    class State(models.TextChoices):
        ACTIVE = rules.VoucherState.ACTIVE.value, _("可用")
        EXPIRED = rules.VoucherState.EXPIRED.value, _("已过期")

    number = models.CharField(max_length=24, unique=True)
    application = models.OneToOneField(Application, on_delete=models.PROTECT, related_name="voucher")
    holder = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    account_id = models.BigIntegerField(unique=True)
    programme_code = models.CharField(max_length=60)
    fiscal_year = models.PositiveIntegerField()
    face_fen = models.BigIntegerField()
    share_num = models.PositiveIntegerField()
    share_den = models.PositiveIntegerField()
    services = ArrayField(models.CharField(max_length=24), default=list)
    """Service classes it may pay for; empty = any."""
    state = models.CharField(max_length=12, choices=State, default=State.ACTIVE)
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField()

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
            models.CheckConstraint(name="voucher_valid_ordered", condition=Q(valid_until__gt=F("valid_from"))),
        ]
        indexes = [models.Index(fields=["holder", "state", "valid_until"], name="voucher_of_holder")]

    def __str__(self) -> str:
        return self.number
