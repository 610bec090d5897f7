"""One's bookings: the list, one booking with its money and its story, cancelling, the calendar file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django import forms
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from integrations.ics import feed
from portal import links
from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import noop
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.pages import actions, acts, advances, desk_time, shell
from portal.pages.booking_requests import arrived
from portal.pages.conduct import standing_at
from portal.pages.disputes import may_dispute
from portal.pages.my_week import LIVE, WAITED_FOR, my_week, next_step, undo_s
from portal.pages.offered import offered
from portal.pages.session_clocks import clocks_of, may_read
from portal.pages.swaps import waiting_for
from portal.pages.templatetags.show import bilingual, label, period_text, zone_label, zone_of
from scheduler.bookings import access, fees, holding, rewording, rules, services
from scheduler.bookings.fee_models import LateFee
from scheduler.bookings.models import Booking, Session
from scheduler.messages import access as messages
from scheduler.resources import rules as resource_rules

__all__ = ["BookingFilter", "booking", "booking_cancel", "booking_ics", "booking_page", "bookings", "due"]

SORTS = {
    "number": ["number"],
    "start": ["starts_at"],
    "instrument": ["resource__name"],
    "price": ["charge__price_fen"],
    "state": ["state"],
}


class BookingFilter(forms.Form):
    """What a list of bookings may be narrowed to."""

    q = forms.CharField(label=_("关键词"), max_length=80)
    state = forms.ChoiceField(label=_("状态"))

    def __init__(self, data: Any, *, placeholder: str) -> None:
        super().__init__(data, auto_id="filter_%s")
        for field in self.fields.values():
            field.required = False
        self.fields["q"].widget.attrs.update({"type": "search", "placeholder": placeholder})
        states = self.fields["state"]
        assert isinstance(states, forms.ChoiceField)
        states.choices = [("", gettext("全部")), *Booking.State.choices]
        self.full_clean()

    def narrow(self, found: QuerySet[Booking], *, now: datetime) -> QuerySet[Booking]:
        """Return what the filter leaves; a value not on offer narrows nothing."""
        if state := self.cleaned_data.get("state"):
            found = found.filter(access.in_state(rules.BookingState(state), now=now))
        for word in (self.cleaned_data.get("q") or "").split():
            matches = Q(number__iexact=word)
            for column in ("title", "resource__name", "resource__name_en", "organisation__name", "number"):
                matches |= Q(**{f"{column}__icontains": word})
            found = found.filter(matches)
        return found


TABS: Final = {"": noop("全部"), "upcoming": noop("即将到来"), "past": noop("已结束"), "week": noop("周历")}


def _tabs(chosen: str) -> list[dict[str, Any]]:
    return [{"key": key, "name": gettext(name), "chosen": key == chosen} for key, name in TABS.items()]


def _in_tab(tab: str, now: datetime) -> Q:
    """Return which bookings a tab holds: upcoming ones still take time that is not over."""
    upcoming = Q(state__in=LIVE, ends_at__gt=now)
    return {"upcoming": upcoming, "past": ~upcoming}.get(tab, Q())


@shell.needs(Permission.BOOKING_REQUEST)
def bookings(request: HttpRequest) -> HttpResponse:
    """List the organisation's bookings."""
    actor = shell.actor_of(request)
    filters = BookingFilter(request.GET, placeholder=gettext("预约号、仪器或用途"))
    now = timezone.now()
    tab = request.GET.get("tab", "")
    found = filters.narrow(access.own_bookings(actor), now=now).filter(_in_tab(tab, now))
    if shell.wants_csv(request):
        return bookings_csv(found)
    if request.GET.get("tab") == "week":
        return my_week(request, found, now=now, filters=filters, tabs=_tabs("week"))
    listing = shell.listing(request, found, sorts=SORTS, default="start" if tab == "upcoming" else "-start")
    asked = list(desk_time.answers(actor, now))
    answered = {task.url for task in asked}
    lines = [
        {
            "booking": row,
            "state": rules.state_at(rules.BookingState(row.state), row.hold_until, now=now),
            "period": Period(row.starts_at, row.ends_at),
            "next": next_step(row, now=now, offered=reverse("booking", args=[row.number]) in answered),
            "open": row.state in WAITED_FOR and row.starts_at > now,
        }
        for row in listing.rows
    ]
    context = {"filters": filters, "listing": listing, "lines": lines, "tabs": _tabs(tab)}
    context["proposals"] = waiting_for(actor)
    context["unseen"] = messages.unseen(actor) if actor.user_id is not None else 0
    context["asked"] = asked
    return shell.page(request, "bookings/list.html", context)


def bookings_csv(found: QuerySet[Booking]) -> HttpResponse:
    """Return bookings as a file: times in the instrument's zone, money in yuan."""
    head = (
        gettext("预约号"),
        gettext("仪器编号"),
        gettext("仪器"),
        gettext("预约单位"),
        gettext("用途"),
        gettext("开始"),
        gettext("结束"),
        gettext("时区"),
        gettext("状态"),
        gettext("冻结（元）"),
        gettext("其中券（元）"),
        gettext("实际（元）"),
        gettext("其中券抵扣（元）"),
        gettext("自付（元）"),
    )
    rows = found.order_by("-starts_at", "-pk")[: shell.EXPORT_LIMIT]
    return shell.csv_response("bookings", head, map(_csv_row, rows))


def _csv_row(row: Booking) -> tuple[object, ...]:
    zone = zone_of(row.resource.zone)
    charge = row.charge
    assert charge is not None
    captured = charge.actual_fen is not None
    return (
        row.number,
        row.resource.number,
        bilingual(row.resource),
        bilingual(row.organisation),
        row.title,
        f"{row.starts_at.astimezone(zone):%Y-%m-%d %H:%M}",
        f"{row.ends_at.astimezone(zone):%Y-%m-%d %H:%M}",
        zone_label(zone),
        label(row.state, "booking"),
        Money(charge.price_fen).yuan(),
        Money(charge.voucher_held_fen).yuan(),
        Money(charge.actual_fen).yuan() if charge.actual_fen is not None else "",
        Money(charge.voucher_captured_fen).yuan() if captured else "",
        Money(charge.own_captured_fen).yuan() if captured else "",
    )


def due(made: Booking, used: Period | None) -> Money:
    """Return what would be captured for `used`, never more than is held; without use, what is held."""
    charge = made.charge
    assert charge is not None
    held = Money(charge.price_fen)
    if used is None:
        return held
    actual = resource_rules.price(
        unit=resource_rules.Unit(charge.quote["unit"]),
        unit_price=Money(charge.quote["unit_price_fen"]),
        duration_s=int(used.duration.total_seconds()) * made.units,
    )
    return min(actual.amount, held)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a booking's way: ``done``, ``now``, ``bad`` or still to come, with when or what next."""

    css: str
    name: str
    note: str = ""


def _steps(made: Booking, *, mine: bool, offered: bool, advance: advances.Shown | None) -> list[Step]:
    state = rules.BookingState(made.state)
    ended = {
        rules.BookingState.DECLINED: gettext("实验室未接受"),
        rules.BookingState.CANCELLED: gettext("已取消"),
        rules.BookingState.LAPSED: gettext("逾期未确认"),
        rules.BookingState.NO_SHOW: gettext("未到场"),
    }
    if state in ended:
        kept = made.charge is not None and "late_percent" in made.charge.quote
        note = gettext("按取消规则收费，其余已退回") if kept else gettext("冻结的费用已全部退回")
        return [Step("done", gettext("提交")), Step("bad", ended[state], note)]
    if state is rules.BookingState.DISPLACED:
        steps = [Step("done", gettext("提交")), Step("bad", gettext("因停机失去时段"))]
        return [*steps, Step("now", gettext("选择改期或退回"), gettext("冻结的费用在您选择之前不变"))]
    at = [
        rules.BookingState.HELD,
        rules.BookingState.REQUESTED,
        rules.BookingState.CONFIRMED,
        rules.BookingState.IN_USE,
        rules.BookingState.COMPLETED,
    ].index(state) - 1
    names = (gettext("提交"), gettext("实验室确认"), gettext("到场使用"), gettext("计量结算"))
    if at < 0:
        return [Step("now", names[0], advances.hold_note(made, advance)), *(Step("", name) for name in names[1:])]
    arrive = gettext("请按时到场") if mine else gettext("等待预约单位到场")
    confirm = gettext("等待实验室确认")
    if offered:
        confirm = gettext("实验室建议另一时段，请答复") if mine else gettext("已建议另一时段，等待答复")
    notes = ("", confirm, arrive, gettext("正在使用"), "")
    here = 2 if state is rules.BookingState.IN_USE else at + 1
    return [
        Step("done" if place < here else "now" if place == here else "", name, notes[at + 1] if place == here else "")
        for place, name in enumerate(names)
    ]


def _can(actor: Actor, made: Booking, *, advance: advances.Shown | None) -> Mapping[str, bool]:
    """Return which acts the booking's state and the actor's part in it allow."""
    state = rules.BookingState(made.state)
    mine = made.organisation_id == actor.organisation_id and actor.may(Permission.BOOKING_REQUEST)
    served = made.resource.owner_id == actor.organisation_id
    decides = served and actor.may(Permission.BOOKING_DECIDE)
    records = served and actor.may(Permission.SESSION_RECORD)
    begun = timezone.now() >= made.starts_at
    part = {
        "cancel": mine and (state in {rules.BookingState.HELD, rules.BookingState.REQUESTED} or not begun),
        "place": mine and not (advance and advance.waits),
        "move": mine and not begun,
        "confirm": decides,
        "decline": decides,
        "start": records and timezone.now() >= made.starts_at - services.EARLY,
        "finish": records,
        "miss": records and begun,
    }
    allowed = {name: part[name] and (state, rules.BookingAction(name)) in rules.TRANSITIONS for name in part}
    refunds = served and actor.may(Permission.CHARGE_REFUND) and bool(made.charge and made.charge.refundable_fen)
    return {
        **allowed,
        "reword": mine and state in rewording.LIVING,
        "release": mine and state is rules.BookingState.IN_USE and made.starts_at < timezone.now() < made.ends_at,
        "refund": refunds,
        "swap": mine and state is rules.BookingState.CONFIRMED and not begun,
        "dispute": may_dispute(made, mine=mine),
        "violate": decides and state in {rules.BookingState.IN_USE, rules.BookingState.COMPLETED},
        "read": records and may_read(made),
        "choose": mine and state is rules.BookingState.DISPLACED,
        "mine": mine,
        "rate": mine and state is rules.BookingState.COMPLETED and not hasattr(made, "rating"),
        "serves": served,
        "pays": mine and actor.may(Permission.PAYMENT_DECLARE),
    }


@shell.needs(Permission.BOOKING_REQUEST, Permission.BOOKING_DECIDE)
def booking(request: HttpRequest, number: str) -> HttpResponse:
    """Show one booking to the organisation that made it or the lab that serves it."""
    return booking_page(request, access.get_booking(shell.actor_of(request), number))


def booking_page(request: HttpRequest, made: Booking, *, error: Explained | None = None) -> HttpResponse:
    """Render a booking's page, with what went wrong when an act on it was refused."""
    actor = shell.actor_of(request)
    charge = made.charge
    assert charge is not None
    session = Session.objects.filter(booking=made).first()
    offer = offered(made, actor=actor, now=timezone.now())
    trail = audit.trail(f"booking:{made.number}", actor=actor)
    advance = advances.advance_of(made, actor=actor, now=timezone.now())
    context = {
        "booking": made,
        "state": rules.state_at(rules.BookingState(made.state), made.hold_until, now=timezone.now()),
        "period": Period(made.starts_at, made.ends_at),
        "rating": getattr(made, "rating", None),
        "session": session,
        "clocks": clocks_of(made, session),
        "dispute": getattr(made, "dispute", None),
        "standing": standing_at(made.resource.owner_id, made.organisation_id)
        if actor.organisation_id == made.resource.owner_id
        else None,
        "charge": charge,
        "split": _split(made),
        "fee": LateFee.objects.filter(booking=made).first() if "late_percent" in charge.quote else None,
        "steps": _steps(
            made, mine=made.organisation_id == actor.organisation_id, offered=offer is not None, advance=advance
        ),
        "advance": advance,
        **advances.took_place(made, actor=actor),
        "can": _can(actor, made, advance=advance),
        "offered": offer,
        "trail": actions.events(trail),
        "swaps": waiting_for(actor, booking=made) if made.organisation_id == actor.organisation_id else [],
        "error": error,
    }
    can = context["can"]
    assert isinstance(can, Mapping)
    if can["cancel"] and error is None:
        context["undo_s"] = undo_s(made, now=timezone.now())
    return shell.page(request, "bookings/booking.html", context, status=error.status if error else 200)


def _split(made: Booking) -> list[dict[str, Any]]:
    """Return the rows of the money table: held, captured, given back; each for voucher, own and both."""
    charge = made.charge
    assert charge is not None
    held = (charge.voucher_held_fen, charge.own_held_fen)
    taken = (charge.voucher_captured_fen, charge.own_captured_fen)
    kept = "late_percent" in charge.quote
    rows = [(gettext("取消费（最多）") if kept else gettext("预约时冻结"), held)]
    if charge.state != charge.State.HELD.value:
        rows.append((gettext("实际结算"), taken))
        rows.append((gettext("已退回"), (held[0] - taken[0], held[1] - taken[1])))
    if charge.refunded_fen:
        rows.append((gettext("服务退款"), (charge.voucher_refunded_fen, charge.own_refunded_fen)))
    return [{"name": name, "voucher": part[0], "own": part[1], "total": sum(part)} for name, part in rows]


@shell.needs(Permission.BOOKING_REQUEST)
def booking_place(request: HttpRequest, number: str) -> HttpResponse:
    """Make a booking of what was held; a hold that has lapsed is booked anew where the time is still free."""
    actor = shell.actor_of(request)
    made = access.get_own(actor, number)
    if request.method != "POST":
        return acted(request, number, None)
    now = timezone.now()
    placed, error = acts.attempt_on("booking", lambda: holding.confirm_hold(actor=actor, booking=made, now=now))
    return acted(request, placed.number if placed else number, error)


@shell.needs(Permission.BOOKING_REQUEST)
def booking_cancel(request: HttpRequest, number: str) -> HttpResponse:
    """Ask, saying what follows and what it costs; then cancel. A fee that nobody has seen is shown first."""
    actor = shell.actor_of(request)
    made = access.get_own(actor, number)
    now = timezone.now()
    fee = fees.due(made, now=now)
    if request.method != "POST" or (fee and request.POST.get("fee") != str(fee.fen)):
        context = {"booking": made, "period": Period(made.starts_at, made.ends_at), "path": request.path, "fee": fee}
        return shell.page(request, "bookings/cancel.html", context)
    _made, error = acts.attempt_on("booking", lambda: services.cancel(actor=actor, booking=made, now=now))
    return acted(request, number, error)


def acted(request: HttpRequest, number: str, error: Explained | None) -> HttpResponse:
    """Go back to the booking after an act on it; a refused act shows the booking as it is now, and why."""
    if error is None:
        return arrived(request, reverse("booking", args=[number]))
    return booking_page(request, access.get_booking(shell.actor_of(request), number), error=error)


def ics_event(made: Booking, *, url: str) -> feed.FeedEvent:
    """Return a booking as its own organisation's calendar shows it."""
    resource = made.resource
    zone = zone_of(resource.zone)
    told = Period(made.starts_at, made.ends_at)
    return feed.FeedEvent(
        uid=str(made.uid),
        sequence=made.sequence,
        period=told,
        summary=f"{bilingual(resource)} · {made.title}",
        status=feed.Status(rules.calendar_status(rules.BookingState(made.state))),
        last_modified=made.updated_at,
        location=" ".join(part for part in (resource.city, resource.owner.name, resource.site) if part),
        description=gettext("预约 %(number)s，%(when)s（%(zone)s）")
        % {"number": made.number, "when": period_text(told, zone), "zone": zone_label(zone)},
        url=url,
    )


@shell.needs(Permission.BOOKING_REQUEST)
def booking_ics(request: HttpRequest, number: str) -> HttpResponse:
    """Give the organisation one of its bookings as a calendar file."""
    made = access.get_own(shell.actor_of(request), number)
    url = links.absolute(request, reverse("booking", args=[made.number]))
    body = feed.events(
        [ics_event(made, url=url)], name=bilingual(made.resource), zone=made.resource.zone, privacy=feed.Privacy.FULL
    )
    response = HttpResponse(body, content_type="text/calendar; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{made.number}.ics"'
    return response
