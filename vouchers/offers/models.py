"""Tables of offers, price lists, orders and usage lines."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.offers import rules

MICRO = 1_000_000
"""Quantities are whole millionths of a unit: six decimals, exact."""


class Offer(models.Model):
    """Something a provider sells beside time and cards: a corpus, a model, a service. Priced by its lists alone.

    `facts` are further facts the rule engine may ask of this purchase, below ``contract.``.
    """

    class Kind(models.TextChoices):
        CORPUS = rules.OfferKind.CORPUS.value, _("语料")
        DATA_PRODUCT = rules.OfferKind.DATA_PRODUCT.value, _("数据产品")
        MODEL_API = rules.OfferKind.MODEL_API.value, _("模型调用")
        MODEL_PRIVATE = rules.OfferKind.MODEL_PRIVATE.value, _("模型私有化部署")
        AGENT_SERVICE = rules.OfferKind.AGENT_SERVICE.value, _("智能体开发")
        RD_SERVICE = rules.OfferKind.RD_SERVICE.value, _("研发服务")

    class State(models.TextChoices):
        DRAFT = rules.OfferState.DRAFT.value, _("草稿")
        PUBLISHED = rules.OfferState.PUBLISHED.value, _("在售")
        SUSPENDED = rules.OfferState.SUSPENDED.value, _("已暂停")
        WITHDRAWN = rules.OfferState.WITHDRAWN.value, _("已下架")

    class Delivery(models.TextChoices):
        DOWNLOAD = rules.DeliveryForm.DOWNLOAD.value, _("在线下载")
        API = rules.DeliveryForm.API.value, _("接口调用")
        MEDIA = rules.DeliveryForm.MEDIA.value, _("介质交付")
        ON_SITE = rules.DeliveryForm.ON_SITE.value, _("现场服务")
        DEPLOYMENT = rules.DeliveryForm.DEPLOYMENT.value, _("本地部署")

    class Channel(models.TextChoices):
        DIRECT = rules.SaleChannel.DIRECT.value, _("直接采购")
        DATA_EXCHANGE = rules.SaleChannel.DATA_EXCHANGE.value, _("数据交易所")

    number = models.CharField(max_length=24, unique=True)
    provider = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=16, choices=Kind)
    title = models.CharField(_("名称"), max_length=120)
    title_en = models.CharField(_("英文名称"), max_length=160, blank=True)
    description = models.TextField(_("说明"), max_length=2000)
    description_en = models.TextField(_("英文说明"), max_length=3000, blank=True)
    licence = models.TextField(_("许可条款"), max_length=2000)
    filing_number = models.CharField(_("模型备案号"), max_length=80, blank=True)
    delivery = models.CharField(max_length=12, choices=Delivery)
    channel = models.CharField(max_length=16, choices=Channel, default=Channel.DIRECT)
    facts = models.JSONField(default=dict, blank=True)
    acceptance_days = models.PositiveSmallIntegerField(default=7)
    prepay_days = models.PositiveSmallIntegerField(default=0)
    """Within how many days of an order its own share is to be paid in advance; 0: it is billed after acceptance."""
    state = models.CharField(max_length=12, choices=State, default=State.DRAFT)
    created_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "offer"
        ordering = ["title", "pk"]
        constraints = [
            models.CheckConstraint(
                name="offer_state_known", condition=Q(state__in=[s.value for s in rules.OfferState])
            ),
            models.CheckConstraint(name="offer_kind_known", condition=Q(kind__in=[k.value for k in rules.OfferKind])),
            models.CheckConstraint(
                name="offer_acceptance_days", condition=Q(acceptance_days__gte=3) & Q(acceptance_days__lte=60)
            ),
            models.CheckConstraint(name="offer_prepay_days", condition=Q(prepay_days__lte=rules.PREPAY_DAYS)),
        ]
        indexes = [models.Index(fields=["state", "kind", "title", "id"], name="offer_catalogue")]

    def __str__(self) -> str:
        return self.title


class PriceList(models.Model):
    """One published version of an offer's prices. Never changed and never deleted; the next one takes its place.

    In force from `effective_from` until `effective_to` (if stated) or until the next list begins.
    """

    offer = models.ForeignKey(Offer, on_delete=models.PROTECT, related_name="price_lists")
    version = models.PositiveIntegerField()
    items = models.JSONField()
    effective_from = models.DateTimeField()
    effective_to = models.DateTimeField(null=True, blank=True)
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField()

    class Meta:
        db_table = "price_list"
        ordering = ["offer", "-version"]
        constraints = [
            models.UniqueConstraint(name="price_list_version_once", fields=["offer", "version"]),
            models.UniqueConstraint(name="price_list_start_once", fields=["offer", "effective_from"]),
            models.CheckConstraint(
                name="price_list_ordered",
                condition=Q(effective_to__isnull=True) | Q(effective_to__gt=F("effective_from")),
            ),
        ]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.offer} v{self.version}"


class Order(models.Model):
    """An enterprise's purchase under an offer, at the price list of its moment, paid through one charge.

    `purpose` is the enterprise's secret: shown to it and to the provider, to nobody else. `wanted` and `delivered` are lists
    of ``{"code", "quantity"}``; `actual_fen` is what the delivery comes to at the frozen price, held or not.
    """

    class State(models.TextChoices):
        PLACED = rules.OrderState.PLACED.value, _("待接单")
        ACCEPTED = rules.OrderState.ACCEPTED.value, _("已接单")
        DELIVERING = rules.OrderState.DELIVERING.value, _("交付中")
        DELIVERED = rules.OrderState.DELIVERED.value, _("待验收")
        DISPUTED = rules.OrderState.DISPUTED.value, _("有异议")
        COMPLETED = rules.OrderState.COMPLETED.value, _("已验收")
        CANCELLED = rules.OrderState.CANCELLED.value, _("已取消")
        DECLINED = rules.OrderState.DECLINED.value, _("未接单")
        LAPSED = rules.OrderState.LAPSED.value, _("逾期失效")

    number = models.CharField(max_length=24, unique=True)
    offer = models.ForeignKey(Offer, on_delete=models.PROTECT, related_name="orders")
    price_list = models.ForeignKey(PriceList, on_delete=models.PROTECT, related_name="+")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    placed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    purpose = models.CharField(_("用途"), max_length=200)
    related = models.BooleanField(default=False)
    """Declared: the parties are related."""
    licence = models.TextField()
    """The licence terms agreed to, as they were."""
    wanted = models.JSONField()
    delivered = models.JSONField(default=list, blank=True)
    actual_fen = models.BigIntegerField(null=True, blank=True)
    proposed = models.JSONField(default=list, blank=True)
    """How much of a disputed delivery the buyer accepts, as it said with the dispute; empty: it did not say."""
    ruled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    ruled_at = models.DateTimeField(null=True, blank=True)
    """When the department decided the dispute."""
    state = models.CharField(max_length=12, choices=State, default=State.PLACED)
    charge = models.OneToOneField("vouchers.Charge", null=True, on_delete=models.PROTECT, related_name="+")
    prepay_by = models.DateTimeField(null=True, blank=True)
    """By when the own share is to be paid before delivery may begin, exclusive; NULL: it is billed after acceptance."""
    again_of = models.OneToOneField("self", null=True, blank=True, on_delete=models.PROTECT, related_name="again")
    """The order that lapsed unpaid whose late money bought this one."""
    note = models.CharField(max_length=200, blank=True)
    """The latest reason given: for declining, cancelling, disputing, or with a delivery."""
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)
    placed_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True, blank=True)
    accept_by = models.DateTimeField(null=True, blank=True)
    noticed_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    by_silence = models.BooleanField(default=False)

    class Meta:
        db_table = "purchase_order"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="order_key_once", fields=["organisation", "key"]),
            models.CheckConstraint(
                name="order_state_known", condition=Q(state__in=[s.value for s in rules.OrderState])
            ),
            models.CheckConstraint(
                name="order_silence_after_notice", condition=Q(by_silence=False) | Q(noticed_at__isnull=False)
            ),
            models.CheckConstraint(
                name="order_ruled_by_somebody", condition=Q(ruled_at__isnull=True) | Q(ruled_by__isnull=False)
            ),
            models.CheckConstraint(
                name="order_delivered_has_deadline",
                condition=~Q(state="delivered") | Q(delivered_at__isnull=False, accept_by__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-id"], name="order_of_organisation"),
            models.Index(fields=["offer", "state", "id"], name="order_of_offer"),
            models.Index(
                fields=["state", "accept_by"], name="order_deadlines", condition=Q(state__in=["placed", "delivered"])
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def subject(self) -> str:
        """What audit records, evidence and the charge call this order."""
        return f"order:{self.number}"


class UsageImport(models.Model):
    """One file or call of usage lines for an order. Withdrawn as a whole, never changed."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="imports")
    name = models.CharField(max_length=120)
    sha256 = models.CharField(max_length=64)
    lines_added = models.PositiveIntegerField()
    lines_known = models.PositiveIntegerField(default=0)
    imported_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    imported_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "usage_import"
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.name


class UsageLine(models.Model):
    """One line of use of a model or corpus: what, when, how much. Priced only together, by the order's frozen list.

    Known by (order, `reference`); `digest` is over its content, so that the same line twice changes nothing and another
    line under the same reference is a conflict.
    """

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="usage")
    upload = models.ForeignKey(UsageImport, on_delete=models.PROTECT, related_name="lines")
    reference = models.CharField(max_length=80)
    day = models.DateField()
    code = models.CharField(max_length=40)
    quantity_micro = models.BigIntegerField()
    model = models.CharField(max_length=80, blank=True)
    tokens_in = models.BigIntegerField(null=True, blank=True)
    tokens_out = models.BigIntegerField(null=True, blank=True)
    stated_fen = models.BigIntegerField(null=True, blank=True)
    """The amount the provider's bill states for this line; shown beside the computed sum, never charged."""
    digest = models.CharField(max_length=64)
    active = models.BooleanField(default=True)
    """False once its import was withdrawn."""

    class Meta:
        db_table = "usage_line"
        ordering = ["day", "pk"]
        constraints = [
            models.UniqueConstraint(name="usage_line_once", fields=["order", "reference"], condition=Q(active=True)),
            models.CheckConstraint(name="usage_line_quantity", condition=Q(quantity_micro__gte=0)),
        ]
        indexes = [models.Index(fields=["order", "day", "id"], name="usage_of_order")]

    def __str__(self) -> str:
        return f"{self.order} {self.reference}"
