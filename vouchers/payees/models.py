"""The table of payees' bank accounts."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.payees import rules


def _person() -> models.ForeignKey:  # type: ignore[type-arg]  # Django's class takes none when it runs
    return models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )


class PayeeAccount(models.Model):
    """One bank account, or account with a payment gateway, a payee is or was paid to.

    What was verified is never changed: another account replaces it.

    `in_force_from` is when the cooling-off is over, set at verification; `ended_at` when it was replaced, rejected or
    withdrawn, with `reason` where somebody sent it back.
    """

    class State(models.TextChoices):
        PROPOSED = rules.PayeeAccountState.PROPOSED.value, _("待核对")
        CHECKED = rules.PayeeAccountState.CHECKED.value, _("待财务核验")
        VERIFIED = rules.PayeeAccountState.VERIFIED.value, _("冷静期内")
        IN_FORCE = rules.PayeeAccountState.IN_FORCE.value, _("使用中")
        REPLACED = rules.PayeeAccountState.REPLACED.value, _("已更换")
        REJECTED = rules.PayeeAccountState.REJECTED.value, _("已退回")
        WITHDRAWN = rules.PayeeAccountState.WITHDRAWN.value, _("已撤回")

    reference = models.CharField(max_length=24, unique=True)
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    holder = models.CharField(_("户名"), max_length=120)
    bank = models.CharField(_("开户行"), max_length=120)
    cnaps = models.CharField(_("联行号"), max_length=12)
    number = models.CharField(_("账号"), max_length=32)
    rail = models.CharField(max_length=24, blank=True)
    """The payment gateway whose account it is, `number` being its id there; empty for a bank account."""
    note = models.CharField(_("说明"), max_length=300, blank=True)
    state = models.CharField(max_length=12, choices=State, default=State.PROPOSED)
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    checked_by = _person()
    checked_at = models.DateTimeField(null=True, blank=True)
    verified_by = _person()
    verified_at = models.DateTimeField(null=True, blank=True)
    in_force_from = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "payee_account"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="payee_state_known", condition=Q(state__in=[state.value for state in rules.PayeeAccountState])
            ),
            models.UniqueConstraint(
                name="payee_one_in_force",
                fields=["organisation", "rail"],
                condition=Q(state=rules.PayeeAccountState.IN_FORCE.value),
            ),
            models.UniqueConstraint(
                name="payee_one_on_the_way", fields=["organisation", "rail"], condition=Q(state__in=rules.OPEN)
            ),
            models.CheckConstraint(
                name="payee_three_persons",
                condition=(Q(checked_by__isnull=True) | ~Q(checked_by=F("proposed_by")))
                & (Q(verified_by__isnull=True) | ~Q(verified_by=F("proposed_by")) & ~Q(verified_by=F("checked_by"))),
            ),
            models.CheckConstraint(
                name="payee_verified_before_force",
                condition=~Q(state__in=[rules.PayeeAccountState.VERIFIED.value, rules.PayeeAccountState.IN_FORCE.value])
                | Q(verified_by__isnull=False, in_force_from__isnull=False),
            ),
            models.CheckConstraint(
                name="payee_number_of_digits",
                condition=Q(rail="", number__regex=r"^[0-9]{8,32}$", cnaps__regex=r"^[0-9]{12}$")
                | ~Q(rail="") & Q(number__regex=rf"^{rules.RAIL_NUMBER.pattern}$", cnaps=""),
            ),
        ]
        indexes = [models.Index(fields=["state", "in_force_from"], name="payee_to_enforce")]

    def __str__(self) -> str:
        return f"{self.reference} {self.masked}"

    @property
    def masked(self) -> str:
        return rules.masked(self.number)
