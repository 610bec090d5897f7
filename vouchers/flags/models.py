"""The table of flags."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from vouchers.flags import rules


class Flag(models.Model):
    """One pattern noticed on one case, once for each department whose money it is. `facts` hold what was compared, side by side, as plain JSON rows.

    `subject` names the case (``claim:K…``), `about` the organisations it concerns, `department` whose business it is.
    """

    class State(models.TextChoices):
        OPEN = rules.FlagState.OPEN.value, _("待核查")
        CLEARED = rules.FlagState.CLEARED.value, _("已排除")
        CONFIRMED = rules.FlagState.CONFIRMED.value, _("已属实")

    class Pattern(models.TextChoices):
        PRICE_ABOVE_LIST = rules.Pattern.PRICE_ABOVE_LIST.value, _("价格高于公示价或同类高位")
        OWN_SHARE_RETURNED = rules.Pattern.OWN_SHARE_RETURNED.value, _("自付部分未付清或被返还")
        RELATED_PARTY = rules.Pattern.RELATED_PARTY.value, _("疑似关联交易")
        EMPTY_USE = rules.Pattern.EMPTY_USE.value, _("疑似空转消耗")
        SPLIT_CONTRACT = rules.Pattern.SPLIT_CONTRACT.value, _("疑似拆分合同")
        BACKDATED = rules.Pattern.BACKDATED.value, _("日期先后不合")
        DOUBLE_CLAIM = rules.Pattern.DOUBLE_CLAIM.value, _("同一合同多处申报")
        SAME_PEOPLE = rules.Pattern.SAME_PEOPLE.value, _("多家单位由同一批人控制")
        LAST_DAYS_BURN = rules.Pattern.LAST_DAYS_BURN.value, _("到期前突击用券")
        SHARED_ACCOUNT = rules.Pattern.SHARED_ACCOUNT.value, _("疑似出借账号")
        INSIDER = rules.Pattern.INSIDER.value, _("经办人与单位有关联")
        INFLATED_HOURS = rules.Pattern.INFLATED_HOURS.value, _("机时明显偏高")
        DUPLICATE_INVOICE = rules.Pattern.DUPLICATE_INVOICE.value, _("发票重复申报")

    subject = models.CharField(max_length=80)
    pattern = models.CharField(max_length=24, choices=Pattern)
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    facts = models.JSONField()
    about = ArrayField(models.BigIntegerField(), default=list)
    department = models.ForeignKey(
        "portal.Organisation", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    raised_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        db_table = "flag"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                name="flag_once", fields=["subject", "pattern", "department"], nulls_distinct=False
            ),
            models.CheckConstraint(name="flag_state_known", condition=Q(state__in=[s.value for s in rules.FlagState])),
            models.CheckConstraint(
                name="flag_decided_with_reason",
                condition=Q(state=rules.FlagState.OPEN.value)
                | (Q(decided_by__isnull=False) & Q(decided_at__isnull=False) & ~Q(reason="")),
            ),
        ]
        indexes = [
            models.Index(fields=["department", "state", "id"], name="flag_queue"),
            GinIndex(fields=["about"], name="flag_about"),
        ]

    def __str__(self) -> str:
        return f"{self.pattern} {self.subject}"
