"""Describe, price, publish and withdraw offers; the only writer of offers and price lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Reason, Refused, noop
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from vouchers.charges import prices
from vouchers.offers import queries, rules
from vouchers.offers.models import Offer, PriceList

_ = noop


@dataclass(frozen=True, slots=True)
class OfferValues:
    """What a provider says of an offer."""

    kind: str
    title: str
    title_en: str
    description: str
    description_en: str
    licence: str
    filing_number: str
    delivery: str
    channel: str
    acceptance_days: int
    prepay_days: int = 0
    """Within how many days of the order the own share is to be paid; 0: it is billed after acceptance."""


LENGTHS = {
    "title": 120,
    "title_en": 160,
    "description": 2000,
    "description_en": 3000,
    "licence": 2000,
    "filing_number": 80,
}


def _refusals(values: OfferValues) -> list[Reason]:
    reasons: list[Reason] = []
    for name, message in (
        ("title", _("请填写名称。")),
        ("description", _("请填写说明。")),
        ("licence", _("请填写许可条款：可用于什么、不可用于什么、期限多长。")),
    ):
        if not getattr(values, name).strip():
            reasons.append(Reason(f"offer.{name}", message, field=name))
    reasons += [
        Reason("offer.too_long", _("内容超过 %(most)s 个字。"), _("请缩短。"), field=name, params={"most": most})
        for name, most in LENGTHS.items()
        if len(getattr(values, name)) > most
    ]
    for name, known in (("kind", rules.OfferKind), ("delivery", rules.DeliveryForm), ("channel", rules.SaleChannel)):
        if getattr(values, name) not in {member.value for member in known}:
            reasons.append(Reason(f"offer.{name}", _("请从列表中选择。"), field=name))
    if not 3 <= values.acceptance_days <= 60:
        reasons.append(Reason("offer.acceptance_days", _("验收期须为 3 到 60 天。"), field="acceptance_days"))
    if not 0 <= values.prepay_days <= rules.PREPAY_DAYS:
        reasons.append(
            Reason(
                "offer.prepay_days",
                _("预付期限须为 1 到 %(most)s 天；填 0 表示验收后付款。"),
                field="prepay_days",
                params={"most": rules.PREPAY_DAYS},
            )
        )
    return reasons


def _record(offer: Offer, *, action: str, actor: Actor, now: datetime, **data: object) -> None:
    audit.record(
        action=action, subject=f"offer:{offer.number}", actor=actor, now=now, data={"state": offer.state, **data}
    )


def _lock_own(actor: Actor, offer: Offer) -> Offer:
    actor.require(Permission.OFFER_MANAGE)
    if offer.provider_id != actor.organisation_id:
        raise Forbidden
    return Offer.objects.select_for_update(no_key=True).order_by("pk").get(pk=offer.pk)


@transaction.atomic
def create_offer(*, actor: Actor, values: OfferValues, now: datetime) -> Offer:
    """Enter an offer as a draft of the actor's organisation. Raises Refused with every wrong value."""
    actor.require(Permission.OFFER_MANAGE)
    if reasons := _refusals(values):
        raise Refused(reasons)
    offer = Offer.objects.create(
        number=next_number(prefix="O", now=now), provider_id=actor.acting_for, created_at=now, **asdict(values)
    )
    _record(offer, action="offer.entered", actor=actor, now=now)
    return offer


@transaction.atomic
def change_offer(*, actor: Actor, offer: Offer, values: OfferValues, now: datetime) -> Offer:
    """Change an offer's description. Orders keep the licence they agreed to; the kind is fixed once published.

    Raises Refused with every wrong value, Forbidden.
    """
    locked = _lock_own(actor, offer)
    reasons = _refusals(values)
    if locked.state == Offer.State.WITHDRAWN.value:
        reasons.append(Reason("offer.withdrawn", _("已下架的服务不能再修改。"), _("请另建一项。")))
    if locked.published_at is not None and values.kind != locked.kind:
        reasons.append(Reason("offer.kind_fixed", _("发布过的服务不能改变类别。"), _("请另建一项。"), field="kind"))
    if reasons:
        raise Refused(reasons)
    for name, value in asdict(values).items():
        setattr(locked, name, value)
    locked.save()
    _record(locked, action="offer.changed", actor=actor, now=now)
    return locked


@transaction.atomic
def publish_prices(
    *,
    actor: Actor,
    offer: Offer,
    items: Sequence[prices.PriceItem],
    effective_from: datetime,
    effective_to: datetime | None = None,
    now: datetime,
) -> PriceList:
    """Publish the next version of an offer's price list. Published lists never change; orders keep theirs.

    `effective_from` is not in the past and later than that of every list before. Raises BadPriceList or Refused with every
    fault, Forbidden.
    """
    locked = _lock_own(actor, offer)
    prices.check(items)
    reasons: list[Reason] = []
    latest = locked.price_lists.order_by("-version").first()
    if effective_from < now:
        reasons.append(
            Reason("price.past", _("生效时间已经过去。"), _("请选择现在或以后的时间。"), field="effective_from")
        )
    if latest is not None and effective_from <= latest.effective_from:
        reasons.append(
            Reason(
                "price.before_latest",
                _("生效时间须晚于上一版价目表的生效时间。"),
                _("请选择更晚的时间。"),
                field="effective_from",
            )
        )
    if effective_to is not None and effective_to <= effective_from:
        reasons.append(Reason("price.period", _("失效时间须晚于生效时间。"), field="effective_to"))
    if reasons:
        raise Refused(reasons)
    made = PriceList.objects.create(
        offer=locked,
        version=latest.version + 1 if latest else 1,
        items=[item.as_json() for item in items],
        effective_from=effective_from,
        effective_to=effective_to,
        published_by_id=actor.user_id,
        published_at=now,
    )
    _record(locked, action="offer.priced", actor=actor, now=now, version=made.version)
    return made


@transaction.atomic
def change_state(*, actor: Actor, offer: Offer, action: rules.OfferAction, now: datetime) -> Offer:
    """Publish, suspend or withdraw. Publishing needs a price list in force; raises Refused naming what lacks.

    Orders already placed are not affected by suspension or withdrawal.
    """
    locked = _lock_own(actor, offer)
    state = next_state(rules.OFFER_TRANSITIONS, rules.OfferState(locked.state), action)
    if action is rules.OfferAction.PUBLISH and queries.list_in_force(locked, at=now) is None:
        reason = Reason("offer.no_price_list", _("还没有生效的价目表。"), _("请先公布价目表。"), field="prices")
        raise Refused([reason])
    locked.state = state.value
    if state is rules.OfferState.PUBLISHED:
        locked.published_at = locked.published_at or now
    locked.save(update_fields=["state", "published_at"])
    _record(locked, action=f"offer.{state.value}", actor=actor, now=now)
    return locked
