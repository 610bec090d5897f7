"""Ask for tests, answer, quote, accept and cancel; with ``testing`` the only writer of sample orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Reason, Refused, noop
from portal.kernel.money import Money
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from scheduler.resources.models import Resource
from scheduler.resources.profile import ServiceMode
from scheduler.resources.rules import PublishState, ServiceClass
from scheduler.samples import rules
from scheduler.samples.models import Sample, SampleOrder
from vouchers.charges import services as charges

_ = noop

A = rules.SampleOrderAction
NOTE = 400
MOST_FEN = 10**12
"""Largest price of one unit, fen."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One sample as its sender declares it; `hazards` are `rules.Hazard` values, at least one."""

    label: str
    material: str = ""
    hazards: Sequence[str] = ()
    hazard_note: str = ""
    return_wanted: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: `title`, `wanted` and the samples are for the two parties' eyes only."""

    resource: Resource
    title: str
    wanted: str
    samples: Sequence[Declared]
    project: str = ""

    def fingerprint(self) -> str:
        said = {"title": self.title, "wanted": self.wanted, "project": self.project}
        samples = [{**asdict(one), "hazards": list(one.hazards)} for one in self.samples]
        return idempotency.fingerprint({"resource": self.resource.number, **said, "samples": samples})


@dataclass(frozen=True, slots=True)
class Quote:
    """A lab's price: `unit_price` for each of `quantity` samples or tests.

    Beside it technical service may be priced once, `surcharge` saying what it is. Source: fee rules of Xidian University
    know three families, use of the machine, tests of samples, and technical service as a surcharge on either.
    """

    unit: rules.QuoteUnit
    unit_price: Money
    quantity: int
    note: str = field(default="")
    surcharge: str = ""
    surcharge_price: Money = field(default=Money(0))


def _reasons(wanted: Wanted, *, actor: Actor) -> list[Reason]:
    reasons: list[Reason] = []
    if wanted.resource.state != PublishState.PUBLISHED.value:
        reasons.append(Reason("instrument.suspended", _("该仪器暂停服务。"), _("请选择其他仪器。"), field="instrument"))
    elif ServiceMode.SAMPLE.value not in wanted.resource.modes:
        reasons.append(
            Reason("sample.not_offered", _("该仪器不接受送样测试。"), _("请选择支持送样的仪器。"), field="instrument")
        )
    if wanted.resource.owner_id == actor.organisation_id:
        reasons.append(Reason("sample.own", _("贵单位是该仪器的提供单位，不能向自己送样。"), field="instrument"))
    if not wanted.title.strip() or len(wanted.title.strip()) > 120:
        reasons.append(Reason("sample.title", _("请填写检测名称（120 字以内）。"), field="title"))
    if not wanted.wanted.strip() or len(wanted.wanted.strip()) > 2000:
        reasons.append(Reason("sample.wanted", _("请写明检测要求（2000 字以内）。"), field="wanted"))
    if not 1 <= len(wanted.samples) <= rules.MAX_SAMPLES:
        limit = {"limit": rules.MAX_SAMPLES}
        reasons.append(Reason("sample.count", _("请填写 1 到 %(limit)s 个样品。"), field="samples", params=limit))
    labels = [one.label.strip() for one in wanted.samples]
    if any(not label or len(label) > 60 for label in labels):
        reasons.append(Reason("sample.label", _("每个样品须有标识（60 字以内）。"), field="samples"))
    if len(set(labels)) < len(labels):
        reasons.append(
            Reason("sample.label_twice", _("样品标识不能重复。"), _("请为每个样品写不同的标识。"), field="samples")
        )
    found: dict[str, Reason] = {}
    for one in wanted.samples:
        for reason in rules.hazard_reasons(one.hazards, note=one.hazard_note, field="hazards"):
            found.setdefault(reason.code, reason)
    return [*reasons, *found.values()]


@transaction.atomic
def request(*, actor: Actor, wanted: Wanted, now: datetime, key: str) -> SampleOrder:
    """Ask a lab to test samples; nothing is held before a quote is accepted.

    Idempotent on (organisation, `key`). Raises Refused with *all* reasons, KeyReused, Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    print_ = wanted.fingerprint()
    Resource.objects.select_for_update(no_key=True).order_by("pk").get(pk=wanted.resource.pk)
    if existing := SampleOrder.objects.filter(organisation_id=actor.acting_for, key=key).first():
        idempotency.check_replay(stored=existing.fingerprint, asked=print_)
        return existing
    if reasons := _reasons(wanted, actor=actor):
        raise Refused(reasons)
    order = SampleOrder.objects.create(
        number=next_number(prefix="Y", now=now),
        resource=wanted.resource,
        organisation_id=actor.acting_for,
        requested_by_id=actor.user_id,
        title=wanted.title.strip(),
        wanted=wanted.wanted.strip(),
        project=wanted.project.strip()[:120],
        key=key,
        fingerprint=print_,
        created_at=now,
        updated_at=now,
    )
    Sample.objects.bulk_create(
        Sample(
            order=order,
            position=position,
            label=one.label.strip(),
            material=one.material.strip()[:120],
            hazards=list(one.hazards),
            hazard_note=one.hazard_note.strip()[:NOTE],
            return_wanted=one.return_wanted,
        )
        for position, one in enumerate(wanted.samples, start=1)
    )
    record(order, action="sample.requested", actor=actor, now=now, count=len(wanted.samples))
    return order


def record(order: SampleOrder, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    """Record an act on an order for its two parties; never what was sent or found."""
    audit.record(
        action=action,
        subject=order.subject,
        actor=actor,
        now=now,
        organisations=[order.organisation_id, order.resource.owner_id],
        data={"state": order.state, **data},
    )


def lock(order: SampleOrder) -> SampleOrder:
    """Lock an order and return it as it is now; before its charge, which comes before the accounts."""
    return (
        SampleOrder.objects.select_for_update(no_key=True, of=("self",))
        .select_related("resource", "resource__owner", "organisation", "charge")
        .order_by("pk")
        .get(pk=order.pk)
    )


def served(*, actor: Actor, order: SampleOrder) -> SampleOrder:
    """Lock an order for the lab that serves it. Raises Forbidden."""
    actor.require(Permission.BOOKING_DECIDE)
    locked = lock(order)
    if locked.resource.owner_id != actor.organisation_id:
        raise Forbidden
    return locked


def sent(*, actor: Actor, order: SampleOrder) -> SampleOrder:
    """Lock an order for the enterprise that made it. Raises Forbidden."""
    actor.require(Permission.BOOKING_REQUEST)
    locked = lock(order)
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    return locked


def noted(*, note: str) -> str:
    """Return a reason given. Raises NoteMissing."""
    note = note.strip()
    if not note or len(note) > NOTE:
        raise rules.NoteMissing(field="note")
    return note


def move(order: SampleOrder, action: rules.SampleOrderAction, *, actor: Actor, now: datetime, note: str = "") -> None:
    """Take the transition, save the whole row and record it under the new state's name."""
    order.state = next_state(rules.TRANSITIONS, rules.SampleOrderState(order.state), action).value
    order.updated_at = now
    order.note = note or order.note
    order.save()
    record(order, action=f"sample.{order.state}", actor=actor, now=now)


ANSWERS = {
    rules.Feasibility.CAN: A.ANSWER_CAN,
    rules.Feasibility.NEEDS_METHOD: A.ANSWER_METHOD,
    rules.Feasibility.CANNOT: A.DECLINE,
}


@transaction.atomic
def answer(
    *, actor: Actor, order: SampleOrder, feasibility: rules.Feasibility, note: str, now: datetime
) -> SampleOrder:
    """Say, as the lab, whether the tests can be done; what needs a method or cannot be done needs a note.

    Raises NoteMissing, InvalidTransition, Forbidden.
    """
    locked = served(actor=actor, order=order)
    said = note.strip()[:NOTE] if feasibility is rules.Feasibility.CAN else noted(note=note)
    move(locked, ANSWERS[feasibility], actor=actor, now=now, note=said)
    return locked


def _quote_reasons(quote: Quote) -> list[Reason]:
    reasons = []
    if not 0 <= quote.unit_price.fen <= MOST_FEN:
        reasons.append(Reason("sample.price", _("单价不能小于零。"), _("请核对单价。"), field="unit_price"))
    if not 1 <= quote.quantity <= 10_000:
        reasons.append(Reason("sample.quantity", _("数量须为 1 到 10000。"), _("请核对数量。"), field="quantity"))
    if not 0 <= quote.surcharge_price.fen <= MOST_FEN:
        reasons.append(
            Reason("sample.surcharge_price", _("技术服务费不能小于零。"), _("请核对金额。"), field="surcharge_price")
        )
    elif bool(quote.surcharge.strip()) != bool(quote.surcharge_price.fen) or len(quote.surcharge.strip()) > 120:
        reasons.append(
            Reason(
                "sample.surcharge",
                _("实验技术服务须同时写明内容（120 字以内）和金额。"),
                _("没有技术服务的，两项都留空。"),
                field="surcharge",
            )
        )
    return reasons


@transaction.atomic
def quote(*, actor: Actor, order: SampleOrder, quote: Quote, now: datetime) -> SampleOrder:
    """Name the price, as the lab; again until it is accepted. Stands for `rules.QUOTE_DAYS`. Nothing is held yet.

    Raises Refused with every wrong value, InvalidTransition, Forbidden.
    """
    locked = served(actor=actor, order=order)
    if reasons := _quote_reasons(quote):
        raise Refused(reasons)
    locked.unit, locked.unit_price_fen, locked.quantity = quote.unit.value, quote.unit_price.fen, quote.quantity
    locked.surcharge, locked.surcharge_fen = quote.surcharge.strip(), quote.surcharge_price.fen
    locked.quoted_until = now + timedelta(days=rules.QUOTE_DAYS)
    move(locked, A.QUOTE, actor=actor, now=now, note=quote.note.strip()[:NOTE])
    return locked


@transaction.atomic
def accept(
    *, actor: Actor, order: SampleOrder, seen_fen: int, vouchers: Sequence[Any] = (), now: datetime
) -> SampleOrder:
    """Accept the quote, as the enterprise: the price is held, each voucher's part and the own share, as for bookings.

    `seen_fen` is the price the person saw; another one now raises QuoteChanged. Raises QuoteEnded, Refused with every
    ground against the vouchers, InvalidTransition (a second acceptance holds nothing), Forbidden.
    """
    locked = sent(actor=actor, order=order)
    next_state(rules.TRANSITIONS, rules.SampleOrderState(locked.state), A.ACCEPT)
    price = locked.price_fen
    assert price is not None
    assert locked.quoted_until is not None
    if price != seen_fen:
        raise rules.QuoteChanged(price=str(Money(price)))
    if now >= locked.quoted_until:
        raise rules.QuoteEnded
    locked.charge = charges.hold(
        bill=charges.Bill(
            subject=locked.subject,
            service=ServiceClass.INSTRUMENT_USE.value,
            payer_id=locked.organisation_id,
            provider_id=locked.resource.owner_id,
            price=Money(price),
            quote={
                "amount_fen": price,
                "unit": locked.unit,
                "unit_price_fen": locked.unit_price_fen,
                "quantity": f"{locked.quantity}/1",
                "surcharge_fen": locked.surcharge_fen,
            },
        ),
        vouchers=vouchers,
        actor=actor,
        now=now,
    )
    move(locked, A.ACCEPT, actor=actor, now=now)
    return locked


@transaction.atomic
def cancel(*, actor: Actor, order: SampleOrder, note: str = "", now: datetime) -> SampleOrder:
    """Cancel as the enterprise, before the samples are received; everything held is free again at once.

    Raises InvalidTransition once the lab has the samples, Forbidden.
    """
    locked = sent(actor=actor, order=order)
    move(locked, A.CANCEL, actor=actor, now=now, note=note.strip()[:NOTE])
    if locked.charge_id is not None:
        locked.charge = charges.release(charge_id=locked.charge_id, reason="cancelled", actor=actor, now=now)
    return locked
