"""Write a lab's price list. Prices begin now or later, and end where the next one begins; nothing is priced backwards."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import Conflict, Invalid, NotFound, Reason, Refused, noop
from portal.kernel.money import Money
from scheduler.resources import access, fees, profile, rules
from scheduler.resources.models import Rate, Resource

__all__ = ["Announced", "PriceNegative", "end_price", "set_hourly_rate", "set_price"]

_ = noop


class PriceNegative(Invalid):
    code = "rate.negative"
    message = _("价格不能为负数。请填写不小于 0 的金额。")


class Announced(Conflict):
    """A later price of the same kind is announced already; two announcements would hide one another."""

    code = "rate.announced"
    message = _("同一服务方式、单位和用户类别已公布了以后生效的价格。请先撤回它。")


@transaction.atomic
def set_price(*, actor: Actor, resource: Resource, item: fees.PriceItem, now: datetime) -> Rate:
    """Add a line to the price list; the line of the same mode, unit and class in force then ends where it begins.

    Bookings already made keep the price they were quoted. Raises Refused with everything that is wrong, Announced.
    """
    access.require_own(actor, resource)
    Resource.objects.select_for_update(no_key=True).order_by("pk").get(pk=resource.pk)
    if reasons := fees.refusals(item, original_value=Money(resource.instrument.original_value_fen), now=now):
        raise Refused(reasons)
    alike = Rate.objects.filter(
        resource=resource, mode=item.mode.value, unit=item.unit.value, user_class=item.user_class.value
    )
    for rate in alike.filter(valid__overlap=(item.since, None)).order_by("pk"):
        if rate.valid.lower > item.since:
            raise Announced(field="since")
        _close(rate, at=item.since)
    rate = Rate.objects.create(
        resource=resource,
        mode=item.mode.value,
        unit=item.unit.value,
        user_class=item.user_class.value,
        amount_fen=item.amount.fen,
        share_ppm=fees.share_ppm(item.share),
        valid=DateTimeTZRange(item.since, None),
    )
    audit.record(
        action="rate.set",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        data=_about(rate),
    )
    return rate


def _close(rate: Rate, *, at: datetime) -> None:
    """End a line at a moment; one that had not begun by then was never in force and goes."""
    if rate.valid.lower >= at:
        rate.delete()
    else:
        rate.valid = DateTimeTZRange(rate.valid.lower, at)
        rate.save(update_fields=["valid"])


@transaction.atomic
def set_hourly_rate(*, actor: Actor, resource: Resource, amount: Money, now: datetime) -> Rate:
    """Make `amount` the price of an hour for enterprises from now on. Raises PriceNegative, Refused, Announced."""
    if amount.fen < 0:
        raise PriceNegative(field="amount")
    item = fees.PriceItem(
        mode=profile.ServiceMode.SELF,
        unit=rules.Unit.HOUR,
        user_class=fees.UserClass.EXTERNAL,
        since=now,
        amount=amount,
    )
    return set_price(actor=actor, resource=resource, item=item, now=now)


@transaction.atomic
def end_price(*, actor: Actor, resource: Resource, rate_id: int, now: datetime) -> None:
    """Take a line off the list: one in force ends now, an announced one goes. Raises NotFound for any other, Refused.

    The last price for enterprises of what is published stays: without one nobody could book.
    """
    access.require_own(actor, resource)
    locked = Resource.objects.select_for_update(no_key=True).order_by("pk").get(pk=resource.pk)
    current = Rate.objects.filter(resource=locked, valid__overlap=(now, None))
    rate = current.filter(pk=rate_id).first()
    if rate is None:
        raise NotFound
    begun = rate.valid.lower <= now
    external = fees.UserClass.EXTERNAL.value
    others = current.filter(mode=rate.mode, user_class=external, valid__contains=now).exclude(pk=rate.pk)
    is_needed = begun and rate.user_class == external and rate.mode in locked.modes and not others.exists()
    if is_needed and locked.state == rules.PublishState.PUBLISHED.value:
        reason = Reason(
            "rate.last",
            _("这是该服务方式对企业的最后一个价格，发布期间不能取消。"),
            _("请先公布新价格，或暂停开放。"),
            field="rate",
        )
        raise Refused([reason])
    audit.record(
        action="rate.ended",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        data=_about(rate),
    )
    _close(rate, at=now)
    if not begun:
        _reopen(rate)


def _reopen(gone: Rate) -> None:
    """Let the line that would have ended where the withdrawn one began go on."""
    before = Rate.objects.filter(
        resource=gone.resource, mode=gone.mode, unit=gone.unit, user_class=gone.user_class
    ).filter(valid__endswith=gone.valid.lower)
    for rate in before.order_by("pk"):
        rate.valid = DateTimeTZRange(rate.valid.lower, None)
        rate.save(update_fields=["valid"])


def _about(rate: Rate) -> dict[str, object]:
    """Return what the record keeps of a line."""
    return {
        "mode": rate.mode,
        "unit": rate.unit,
        "user_class": rate.user_class,
        "amount_fen": rate.amount_fen,
        "share_ppm": rate.share_ppm,
        "since": rate.valid.lower.isoformat(),
    }
