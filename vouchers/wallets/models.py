"""Tables of vouchers: what is held, until when, and who may still spend it."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.wallets import rules


class Voucher(models.Model):
    """The right to have part of a bill paid; its value lives in one ledger account of its own.

    `share` of each bill is paid, as a fraction `share_num`/`share_den`. Valid from `valid_from` to before
    `valid_until`. Never transferable: the holder does not change.
    """

    class State(models.TextChoices):
        ACTIVE = rules.VoucherState.ACTIVE.value, _("可用")
        EXPIRED = rules.VoucherState.EXPIRED.value, _("已过期")

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
