"""Tables of documents, of who is named on tax invoices, of tax rates, and of tax invoices asked for."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.invoices import rules, taxes


class ChargeDocument(models.Model):
    """An invoice, receipt or correction of one as it was made: `content` is whole, `sha256` its digest. Never changed.

    One invoice a charge, one credit note a refund, one paper a write-off. A receipt whose money did not stay is taken back
    by the one that `cancels` it, after which there may be another: `turn` counts them. `token` is what its public address
    for checking carries, signed.
    """

    class Kind(models.TextChoices):
        INVOICE = rules.DocumentKind.INVOICE.value, _("结算单")
        RECEIPT = rules.DocumentKind.RECEIPT.value, _("收款凭证")
        CREDIT_NOTE = rules.DocumentKind.CREDIT_NOTE.value, _("退款单")
        CANCELLATION = rules.DocumentKind.CANCELLATION.value, _("收款凭证作废单")
        WRITE_OFF = rules.DocumentKind.WRITE_OFF.value, _("自付核销单")

    number = models.CharField(max_length=24, unique=True)
    kind = models.CharField(max_length=12, choices=Kind)
    charge = models.ForeignKey("vouchers.Charge", on_delete=models.PROTECT, related_name="documents")
    refund = models.OneToOneField(
        "vouchers.Refund", null=True, blank=True, on_delete=models.PROTECT, related_name="credit_note"
    )
    write_off = models.OneToOneField(
        "vouchers.ChargeProposal", null=True, blank=True, on_delete=models.PROTECT, related_name="document"
    )
    cancels = models.OneToOneField("self", null=True, blank=True, on_delete=models.PROTECT, related_name="cancelled_by")
    turn = models.PositiveSmallIntegerField(default=0)
    content = models.JSONField()
    sha256 = models.CharField(max_length=64)
    token = models.CharField(max_length=40, unique=True)
    made_at = models.DateTimeField()
    made_by = models.CharField(max_length=160)

    class Meta:
        db_table = "charge_document"
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                name="charge_document_kind_known", condition=Q(kind__in=[each.value for each in rules.DocumentKind])
            ),
            models.CheckConstraint(
                name="charge_document_of_refund",
                condition=Q(kind="credit_note", refund__isnull=False)
                | (~Q(kind="credit_note") & Q(refund__isnull=True)),
            ),
            models.CheckConstraint(
                name="charge_document_corrects",
                condition=(Q(kind="cancellation", cancels__isnull=False) | ~Q(kind="cancellation") & Q(cancels=None))
                & (Q(kind="write_off", write_off__isnull=False) | ~Q(kind="write_off") & Q(write_off=None)),
            ),
            models.UniqueConstraint(
                name="charge_document_once",
                fields=["charge", "kind", "turn"],
                condition=Q(kind__in=["invoice", "receipt"]),
            ),
        ]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return self.number


class DocumentSeries(models.Model):
    """The last number given in a series of documents such as ``ZD2611``: locked while one is made, so that none lacks."""

    key = models.CharField(max_length=12, unique=True)
    last = models.PositiveIntegerField()

    class Meta:
        db_table = "document_series"
        ordering = ["key"]

    def __str__(self) -> str:
        return f"{self.key}-{self.last:06d}"


class SalesTax(models.Model):
    """The rate of tax a provider states for one class of its services; an empty `service` is for all others.

    `category` is the classification of what is sold (商品和服务税收分类编码), 19 digits or empty, `goods` how it is called
    on tax invoices.
    """

    class Rate(models.TextChoices):
        SERVICES = taxes.TaxRate.SERVICES.value, _("6%（现代服务）")
        GOODS = taxes.TaxRate.GOODS.value, _("13%（货物、有形动产租赁）")
        SMALL = taxes.TaxRate.SMALL.value, _("3%（小规模纳税人）")
        SMALL_REDUCED = taxes.TaxRate.SMALL_REDUCED.value, _("1%（小规模纳税人减按）")
        EXEMPT = taxes.TaxRate.EXEMPT.value, _("免税")

    provider = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    service = models.CharField(max_length=24, blank=True)
    rate = models.CharField(max_length=8, choices=Rate)
    category = models.CharField(max_length=19, blank=True)
    goods = models.CharField(max_length=60, blank=True)
    changed_at = models.DateTimeField()
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        db_table = "sales_tax"
        ordering = ["provider", "service"]
        constraints = [
            models.UniqueConstraint(name="sales_tax_once", fields=["provider", "service"]),
            models.CheckConstraint(
                name="sales_tax_rate_known", condition=Q(rate__in=[each.value for each in taxes.TaxRate])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.service} {self.rate}"


class BuyerFacts(models.Model):
    """Whom an organisation's tax invoices name, remembered from the last request or entered beforehand."""

    organisation = models.OneToOneField("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8)
    title = models.CharField(max_length=100)
    credit_code = models.CharField(max_length=18)
    address = models.CharField(max_length=200, blank=True)
    phone = models.CharField(max_length=30, blank=True)
    bank = models.CharField(max_length=100, blank=True)
    account = models.CharField(max_length=30, blank=True)
    email = models.CharField(max_length=120, blank=True)
    changed_at = models.DateTimeField()
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        db_table = "buyer_facts"

    def __str__(self) -> str:
        return self.title


class Fapiao(models.Model):
    """A tax invoice asked for: blue for what of a charge is paid, red for what of a blue one is taken back.

    `covers` is a `rules.Covers`. `amount_fen` is 价税合计 without sign, `asked_fen` what it was when asked for: a refund
    before it is issued lowers it, and `sums` holds every sum it stood at. `red_fen` is what reds of it ask back,
    `red_issued_fen` what issued ones have taken back. A wrong one is taken back whole, and another `replaces` it.
    `printed_*` are what the provider's tax system printed; `printed_key` is used once.
    """

    class Kind(models.TextChoices):
        NORMAL = rules.FapiaoKind.NORMAL.value, _("数电普票")
        SPECIAL = rules.FapiaoKind.SPECIAL.value, _("数电专票")

    class Colour(models.TextChoices):
        BLUE = rules.Colour.BLUE.value, _("蓝字发票")
        RED = rules.Colour.RED.value, _("红字发票")

    class State(models.TextChoices):
        REQUESTED = rules.FapiaoState.REQUESTED.value, _("已申请，待受理")
        ACCEPTED = rules.FapiaoState.ACCEPTED.value, _("已受理，待开具")
        ISSUED = rules.FapiaoState.ISSUED.value, _("已开具")
        DECLINED = rules.FapiaoState.DECLINED.value, _("不予开具")
        WITHDRAWN = rules.FapiaoState.WITHDRAWN.value, _("已撤回")

    class Covers(models.TextChoices):
        OWN = rules.Covers.OWN.value, _("企业自付部分")
        WHOLE = rules.Covers.WHOLE.value, _("自付和券抵扣部分")

    number = models.CharField(max_length=24, unique=True)
    colour = models.CharField(max_length=4, choices=Colour)
    state = models.CharField(max_length=12, choices=State, default=State.REQUESTED)
    charge = models.ForeignKey("vouchers.Charge", on_delete=models.PROTECT, related_name="fapiaos")
    covers = models.CharField(max_length=8, choices=Covers, default=Covers.OWN)
    original = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="reds")
    replaces = models.OneToOneField("self", null=True, blank=True, on_delete=models.PROTECT, related_name="replaced_by")
    kind = models.CharField(max_length=8, choices=Kind)
    buyer = models.JSONField()
    """The buyer's facts as they were when it was asked for, see `rules.Buyer`."""
    rate = models.CharField(max_length=8, blank=True)
    """A `taxes.TaxRate`; empty where the provider had stated none."""
    category = models.CharField(max_length=19, blank=True)
    goods = models.CharField(max_length=60, blank=True)
    asked_fen = models.BigIntegerField()
    amount_fen = models.BigIntegerField()
    sums = models.JSONField(default=list, blank=True)
    """Fen it stood at before it was lowered to `amount_fen`, the first first: the provider may have issued it then."""
    tax_fen = models.BigIntegerField(null=True, blank=True)
    red_fen = models.BigIntegerField(default=0)
    red_issued_fen = models.BigIntegerField(default=0)
    reason = models.CharField(max_length=200, blank=True)
    printed_code = models.CharField(max_length=12, blank=True)
    printed_number = models.CharField(max_length=20, blank=True)
    printed_key = models.CharField(max_length=32, blank=True)
    printed_on = models.DateField(null=True, blank=True)
    file = models.ForeignKey("vouchers.EvidenceFile", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    asked_by = models.CharField(max_length=160)
    asked_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    """When it was issued, declined or withdrawn."""

    class Meta:
        db_table = "fapiao"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="fapiao_state_known", condition=Q(state__in=[each.value for each in rules.FapiaoState])
            ),
            models.CheckConstraint(
                name="fapiao_colour",
                condition=Q(colour="blue", original__isnull=True)
                | Q(colour="red", original__isnull=False, replaces__isnull=True, red_fen=0),
            ),
            models.CheckConstraint(
                name="fapiao_red_within",
                condition=Q(red_fen__lte=F("amount_fen"))
                & Q(red_issued_fen__lte=F("red_fen"))
                & Q(red_issued_fen__gte=0),
            ),
            models.CheckConstraint(
                name="fapiao_amount",
                condition=Q(amount_fen__gte=0)
                & Q(amount_fen__lte=F("asked_fen"))
                & Q(asked_fen__gt=0)
                & (Q(amount_fen__gt=0) | Q(state__in=["accepted", "withdrawn"])),
            ),
            models.CheckConstraint(
                name="fapiao_issued_is_printed",
                condition=Q(state="issued", printed_on__isnull=False) & ~Q(printed_key="")
                | ~Q(state="issued") & Q(printed_on__isnull=True, printed_key=""),
            ),
            models.UniqueConstraint(name="fapiao_number_once", fields=["printed_key"], condition=~Q(printed_key="")),
            models.UniqueConstraint(
                name="fapiao_blue_once",
                fields=["charge"],
                condition=Q(colour="blue", state__in=["accepted", "issued", "requested"])
                & Q(red_fen__lt=F("amount_fen")),
            ),
        ]
        indexes = [
            models.Index(fields=["charge", "id"], name="fapiao_of_charge"),
            models.Index(fields=["state", "id"], name="fapiao_queue"),
        ]
        triggers = [pgtrigger.Protect(name="kept", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return self.number

    @property
    def net_fen(self) -> int | None:
        return None if self.tax_fen is None else self.amount_fen - self.tax_fen

    @property
    def is_taken_back(self) -> bool:
        """Whether issued reds have taken all of it back."""
        return self.state == rules.FapiaoState.ISSUED.value and 0 < self.amount_fen == self.red_issued_fen

    @property
    def signed_fen(self) -> int:
        """The amount with its sign: a red one takes back."""
        return -self.amount_fen if self.colour == rules.Colour.RED.value else self.amount_fen
