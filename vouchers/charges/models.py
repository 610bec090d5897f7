"""The charge table: one price, who pays which part of it, and what became of the money."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.charges import proposal_rules, reasons, rules


class Charge(models.Model):
    """The money side of one booking or job. Held parts always add up to the held price, captured ones to the actual.

    `subject` is ``booking:<number>`` or ``job:<number>``; `service` a service class such as ``compute``. `voucher` is the
    first that pays, for a name only; `voucher_*_fen` are the sums over `parts`: one part a voucher, claimed and settled by
    itself. A subject has one charge that counts; those it replaced are released.
    """

    class State(models.TextChoices):
        HELD = rules.ChargeState.HELD.value, _("已冻结")
        CAPTURED = rules.ChargeState.CAPTURED.value, _("已结算")
        RELEASED = rules.ChargeState.RELEASED.value, _("已释放")

    number = models.CharField(max_length=24, unique=True)
    subject = models.CharField(max_length=60)
    service = models.CharField(max_length=24)
    payer = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    provider = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    voucher = models.ForeignKey(
        "vouchers.Voucher", null=True, blank=True, on_delete=models.PROTECT, related_name="charges"
    )
    state = models.CharField(max_length=12, choices=State, default=State.HELD)
    price_fen = models.BigIntegerField()
    voucher_held_fen = models.BigIntegerField()
    own_held_fen = models.BigIntegerField()
    actual_fen = models.BigIntegerField(null=True, blank=True)
    voucher_captured_fen = models.BigIntegerField(default=0)
    own_captured_fen = models.BigIntegerField(default=0)
    voucher_refunded_fen = models.BigIntegerField(default=0)
    own_refunded_fen = models.BigIntegerField(default=0)
    voucher_owed_fen = models.BigIntegerField(default=0)
    """What of the refunded voucher share the provider owes back, since a settlement batch held it already."""
    own_owed_fen = models.BigIntegerField(default=0)
    """The same of the refunded own share."""
    own_written_off_fen = models.BigIntegerField(default=0)
    """What of the own share will not come and was given up: neither owed by the payer nor to the provider any more."""
    waived_fen = models.BigIntegerField(default=0)
    """Measured use above the held price: never charged, shown to the provider."""
    own_hold_id = models.BigIntegerField(null=True, blank=True)
    withheld_at = models.DateTimeField(null=True, blank=True)
    """Since when it is held back from settlements and claims, while what it was taken for is disputed."""
    quote = models.JSONField(default=dict)
    """The frozen price: unit, unit price, quantity, share, rate id."""
    measured = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "charge"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="charge_of_subject", fields=["subject"], condition=~Q(state="released")),
            models.CheckConstraint(
                name="charge_state_known", condition=Q(state__in=[s.value for s in rules.ChargeState])
            ),
            models.CheckConstraint(
                name="charge_held_adds_up",
                condition=Q(voucher_held_fen__gte=0)
                & Q(own_held_fen__gte=0)
                & Q(price_fen=F("voucher_held_fen") + F("own_held_fen")),
            ),
            models.CheckConstraint(
                name="charge_captured_adds_up",
                condition=Q(state="captured", actual_fen=F("voucher_captured_fen") + F("own_captured_fen"))
                | (~Q(state="captured") & Q(actual_fen__isnull=True, voucher_captured_fen=0, own_captured_fen=0)),
            ),
            models.CheckConstraint(
                name="charge_captures_within_hold",
                condition=Q(voucher_captured_fen__lte=F("voucher_held_fen"))
                & Q(own_captured_fen__lte=F("own_held_fen"))
                & Q(voucher_captured_fen__gte=0)
                & Q(own_captured_fen__gte=0),
            ),
            models.CheckConstraint(
                name="charge_refunds_within_capture",
                condition=Q(voucher_refunded_fen__lte=F("voucher_captured_fen"))
                & Q(own_refunded_fen__lte=F("own_captured_fen"))
                & Q(voucher_owed_fen__lte=F("voucher_refunded_fen"))
                & Q(own_owed_fen__lte=F("own_refunded_fen"))
                & Q(own_owed_fen__gte=0)
                & Q(voucher_refunded_fen__gte=0)
                & Q(own_refunded_fen__gte=0)
                & Q(voucher_owed_fen__gte=0),
            ),
            models.CheckConstraint(
                name="charge_written_off_within",
                condition=Q(own_written_off_fen__gte=0)
                & Q(own_captured_fen__gte=F("own_refunded_fen") + F("own_written_off_fen")),
            ),
        ]
        indexes = [
            models.Index(fields=["payer", "-id"], name="charge_of_payer"),
            models.Index(fields=["provider", "state", "id"], name="charge_of_provider"),
            models.Index(fields=["voucher", "-id"], name="charge_of_voucher"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def refunded_fen(self) -> int:
        return self.voucher_refunded_fen + self.own_refunded_fen

    @property
    def voucher_payable_fen(self) -> int:
        """What the programmes owe for it, all `parts`; what the provider owes back in turn is netted in a batch."""
        return self.voucher_captured_fen - self.voucher_refunded_fen + self.voucher_owed_fen

    @property
    def own_payable_fen(self) -> int:
        return self.own_captured_fen - self.own_written_off_fen - self.own_refunded_fen + self.own_owed_fen

    @property
    def refundable_fen(self) -> int:
        return (self.actual_fen or 0) - self.own_written_off_fen - self.refunded_fen


class ChargePart(models.Model):
    """What one voucher pays of one charge, in the order they burn. Share and hold are frozen when the price is held.

    Refunds go back to the voucher that paid; `owed_fen` of them the provider owes, since a batch held the part already.
    """

    charge = models.ForeignKey(Charge, on_delete=models.PROTECT, related_name="parts")
    voucher = models.ForeignKey("vouchers.Voucher", on_delete=models.PROTECT, related_name="parts")
    share_num = models.PositiveIntegerField()
    share_den = models.PositiveIntegerField()
    held_fen = models.BigIntegerField()
    captured_fen = models.BigIntegerField(default=0)
    refunded_fen = models.BigIntegerField(default=0)
    owed_fen = models.BigIntegerField(default=0)
    hold_id = models.BigIntegerField(null=True, blank=True, unique=True)

    class Meta:
        db_table = "charge_part"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(name="charge_part_once", fields=["charge", "voucher"]),
            models.CheckConstraint(
                name="charge_part_within_hold",
                condition=Q(owed_fen__gte=0)
                & Q(refunded_fen__gte=F("owed_fen"))
                & Q(captured_fen__gte=F("refunded_fen"))
                & Q(held_fen__gte=F("captured_fen")),
            ),
            models.CheckConstraint(
                name="charge_part_share",
                condition=Q(share_num__gt=0) & Q(share_den__gt=0) & Q(share_num__lte=F("share_den")),
            ),
        ]
        indexes = [models.Index(fields=["voucher", "-id"], name="charge_part_of_voucher")]

    def __str__(self) -> str:
        return f"{self.charge} {self.voucher}"

    @property
    def payable_fen(self) -> int:
        """What a settlement batch pays of this part: captured, less what was given back out of the payable."""
        return self.captured_fen - self.refunded_fen + self.owed_fen


class Refund(models.Model):
    """One amount given back of a captured charge, and whom it went to. Never changed."""

    number = models.CharField(max_length=24, unique=True)
    charge = models.ForeignKey(Charge, on_delete=models.PROTECT, related_name="refunds")
    amount_fen = models.BigIntegerField()
    voucher_fen = models.BigIntegerField()
    own_fen = models.BigIntegerField()
    lapsed_fen = models.BigIntegerField(default=0)
    """The part of `voucher_fen` that went to vouchers already over: back to the programme, not to the holder."""
    reason_code = models.CharField(max_length=24, default=reasons.OTHER)
    reason = models.CharField(max_length=200)
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)
    refunded_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    refunded_at = models.DateTimeField()

    class Meta:
        db_table = "charge_refund"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(name="charge_refund_key_once", fields=["charge", "key"]),
            models.CheckConstraint(
                name="charge_refund_adds_up",
                condition=Q(amount_fen__gt=0)
                & Q(amount_fen=F("voucher_fen") + F("own_fen"))
                & Q(voucher_fen__gte=F("lapsed_fen"))
                & Q(lapsed_fen__gte=0)
                & Q(own_fen__gte=0),
            ),
        ]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return self.number


class ChargeProposal(models.Model):
    """What needs a second person: a refund above the threshold or asked for by finance, or an own share to be given up.

    `signature` is the asker as the ledger signs; `evidence` what shows that a share will not come; `note` why it was sent
    back. `refund` is what an approved refund made.
    """

    class Kind(models.TextChoices):
        REFUND = proposal_rules.ChargeProposalKind.REFUND.value, _("退款")
        WRITE_OFF = proposal_rules.ChargeProposalKind.WRITE_OFF.value, _("自付核销")

    class State(models.TextChoices):
        PROPOSED = proposal_rules.ProposalState.PROPOSED.value, _("待另一人批准")
        APPROVED = proposal_rules.ProposalState.APPROVED.value, _("已批准")
        RETURNED = proposal_rules.ProposalState.RETURNED.value, _("已退回，未批准")

    number = models.CharField(max_length=24, unique=True)
    kind = models.CharField(max_length=12, choices=Kind)
    charge = models.ForeignKey(Charge, on_delete=models.PROTECT, related_name="proposals")
    amount_fen = models.BigIntegerField()
    reason_code = models.CharField(max_length=24)
    reason = models.CharField(max_length=200)
    evidence = models.CharField(max_length=600, blank=True)
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=State, default=State.PROPOSED)
    proposed_for = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    """The organisation the asker acts for: the provider, or the department whose finance asks."""
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    signature = models.CharField(max_length=160)
    proposed_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=300, blank=True)
    refund = models.OneToOneField(Refund, null=True, blank=True, on_delete=models.PROTECT, related_name="proposal")

    class Meta:
        db_table = "charge_proposal"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="charge_proposal_key_once", fields=["charge", "kind", "key"]),
            models.UniqueConstraint(
                name="charge_proposal_open_once", fields=["charge", "kind"], condition=Q(state="proposed")
            ),
            models.CheckConstraint(
                name="charge_proposal_known",
                condition=Q(state__in=[each.value for each in proposal_rules.ProposalState])
                & Q(kind__in=[each.value for each in proposal_rules.ChargeProposalKind])
                & Q(amount_fen__gt=0),
            ),
            models.CheckConstraint(
                name="charge_proposal_four_eyes",
                condition=~Q(state="approved") | (Q(decided_by__isnull=False) & ~Q(decided_by=F("proposed_by"))),
            ),
            models.CheckConstraint(name="charge_proposal_evidence", condition=~Q(kind="write_off") | ~Q(evidence="")),
        ]
        indexes = [models.Index(fields=["state", "-id"], name="charge_proposal_queue")]

    def __str__(self) -> str:
        return self.number
