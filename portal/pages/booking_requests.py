"""Ask for time on an instrument: the form, its price while it changes, and the request itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any, Concatenate, ParamSpec

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from portal.http import Explained, explain_reason
from portal.kernel.actors import Permission
from portal.kernel.errors import PortalError, Reason, Refused
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.pages import acts, purses, quotas, shell, slots, weeks
from portal.pages.advances import until_text
from portal.pages.templatetags.show import zone_label, zone_of
from scheduler.availability.models import OpeningHours
from scheduler.bookings import access, bundles, fees, operators, prepaid, queries, services
from scheduler.bookings.models import Booking
from scheduler.resources import access as resources
from scheduler.resources import queries as rates
from scheduler.resources.rules import NoRate, Price, ServiceClass
from vouchers.charges import services as charges
from vouchers.charges.rules import Split
from vouchers.payments.rules import Collect

__all__ = ["arrived", "instrument_book", "instrument_price", "instrument_quote", "signing_in_first"]

P = ParamSpec("P")
AHEAD = timedelta(days=14)
MAX_TYPED = 200
"""Longer than any text a booking's form takes."""


def signing_in_first(
    view: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Send a stranger to the sign-in *page*, a script's dialog, too, and from there back to the form as it was filled in."""

    @functools.wraps(view)
    def wrapped(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if shell.stranger_or_actor(request) is None:
            return arrived(request, redirect_to_login(_as_filled_in(request))["Location"])
        return view(request, *args, **kwargs)

    return wrapped


def _as_filled_in(request: HttpRequest) -> str:
    """Return the form's address with what was typed: who was signed out meanwhile finds it again."""
    if request.method != "POST":
        return request.get_full_path()
    typed = QueryDict(mutable=True)
    for name, values in request.POST.lists():
        if name not in {"csrfmiddlewaretoken", "idempotency_key", "seen", "act"}:
            typed.setlist(name, [value[:MAX_TYPED] for value in values])
    return f"{request.path}?{typed.urlencode()}"


def arrived(request: HttpRequest, url: str) -> HttpResponse:
    """Go on after an act: a redirect, or for a dialog the order to leave the page."""
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return redirect(url)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a booking form shows below its fields: the price and who pays it, or why it cannot be."""

    price: Price | None = None
    split: Split | None = None
    share: Fraction | None = None
    reasons: Sequence[Mapping[str, str]] = ()
    alternatives: Sequence[Mapping[str, Any]] = ()
    late_percent: int = 0
    free_cancel_s: int = 0
    """What cancelling costs later than so many seconds before the start, in per cent of the price."""
    twins: Sequence[Mapping[str, Any]] = ()
    standings: Sequence[str] = ()
    needs_approval: bool = False
    pay_by: datetime | None = None
    """By when the own share is to be paid before the booking stands; None: it is billed after measuring."""

    @property
    def seconds(self) -> Fraction:
        """Return how long is paid for."""
        return self.price.quantity * 3600 if self.price else Fraction(0)

    @property
    def seen(self) -> str:
        """Return what the person saw when pressing the button: price and voucher's part, in fen, and when the rest is paid."""
        if not (self.price and self.split):
            return ""
        return f"{self.price.amount.fen}/{self.split.voucher.fen}{'/before' if self.pay_by else ''}"


class Desk:
    """One visit to an instrument's booking form: who asks, for which instrument, when, with which vouchers."""

    FORM: type[slots.BookingForm] = slots.BookingForm

    def __init__(self, request: HttpRequest, number: str) -> None:
        self.request = request
        self.now = timezone.now()
        self.actor = shell.actor_of(request)
        self.resource = resources.get_instrument(self.actor, number)
        self.hours = list(OpeningHours.objects.filter(resource=self.resource))
        self.purses = purses.purses_of(self.actor, now=self.now)
        self.operators = operators.operators_of(self.resource, at=self.now)
        self.terms = bundles.terms_of(self.resource)
        self.paid = prepaid.pay_terms(self.terms)

    def form(self, data: Mapping[str, Any] | None, **more: Any) -> slots.BookingForm:
        return self.FORM(
            data,
            resource=self.resource,
            options=slots.options_of(self.resource, self.hours),
            purses=self.purses,
            operators=self.operators,
            transfers=self.paid.collect is Collect.BEFORE and bool(self.paid.transfer_hold_s),
            **more,
        )

    def unjudged(self, form: slots.BookingForm) -> slots.BookingForm:
        """Return the form with the same values and no verdict on what nobody has had the time to type."""
        return self.form(None, initial={name: form[name].value() for name in form.fields})

    def proposal(self) -> slots.BookingForm:
        """Return the form filled in from the address, paying with the first voucher that can pay its share."""
        query = self.request.GET
        values = slots.propose(query, resource=self.resource, free=self.free)
        values |= {name: query[name] for name in ("title", *slots.NEEDS) if name in query}
        form = self.form({**values, "voucher": query.get("voucher", ""), "more": query.getlist("more")})
        if "voucher" in query or not form.timed or not self.purses:
            return form
        try:
            price = self.price(form.period(), units=form.needs.get("units"))
        except PortalError:
            return form
        return self.form({**values, "voucher": purses.first_that_pays(self.purses, price.amount, now=self.now)})

    def free(self, day: date | None) -> Sequence[Period]:
        """Return what may be booked around a day, or in the next fortnight."""
        window = weeks.week_window([day]) if day else Period(self.now, self.now + AHEAD)
        return weeks.look([self.resource], window=window, now=self.now)[self.resource.pk].free

    def price(self, period: Period, *, units: Any = None) -> Price:
        """Price a period, on one place or `units`. Raises NoRate."""
        rate = rates.rate_of_resource(self.resource.pk, at=self.now)
        if rate is None:
            raise NoRate(field="instrument")
        return rates.priced(rate, duration_s=int(period.duration.total_seconds()) * int(units or 1))

    def vouchers(self, form: slots.BookingForm) -> list[Any]:
        """Return the chosen vouchers, none to pay all oneself. Raises NotFound at the field for a foreign one."""
        return purses.chosen(self.actor, self.purses, form.cleaned_data)

    def wanted(self, form: slots.BookingForm) -> bundles.Wanted:
        """Return what a timed form asks for. Raises LocalTimeMissing, BadPeriod, NotFound."""
        needs = form.needs
        operator: Any = needs.get("operator")
        if operator and operator != bundles.ANYBODY:
            operator = operators.get_operator(self.resource, str(operator))
        return bundles.Wanted(
            resource=self.resource,
            period=form.period(),
            title=form.cleaned_data.get("title", ""),
            vouchers=self.vouchers(form),
            units=int(needs.get("units") or 1),
            configuration=str(needs.get("configuration") or ""),
            operator=operator,
            by_transfer=bool(needs.get("by_transfer")),
        )

    def seen(self, wanted: bundles.Wanted) -> str:
        """Return what the form must have shown for this request. Raises NoRate."""
        price = self.price(wanted.period, units=wanted.units)
        plan = charges.plan(
            vouchers=wanted.vouchers,
            price=price.amount,
            service=ServiceClass.INSTRUMENT_USE.value,
            now=self.now,
            ends_at=wanted.period.end,
        )
        return Offer(price, plan.split, pay_by=self.pay_by(wanted, plan.split)).seen

    def pay_by(self, wanted: bundles.Wanted, split: Split) -> datetime | None:
        """Return by when the own share would have to be paid in advance, or None."""
        return prepaid.agreed(self.terms, wanted, own=split.own, hold_until=None, now=self.now).pay_by

    def offer(self, form: slots.BookingForm) -> Offer:
        """Price what the form asks for and collect everything against it."""
        if not form.timed:
            return Offer()
        made, error = shell.attempt(lambda: self._offer(form))
        if error is not None:
            return Offer(reasons=slots.renamed(error, slots.NAMES).reasons)
        assert isinstance(made, Offer)
        return made

    def _offer(self, form: slots.BookingForm) -> Offer:
        wanted = self.wanted(form)
        vouchers = wanted.vouchers
        quote = queries.quote(
            wanted, organisation_id=self.actor.organisation_id, user_id=self.actor.user_id, now=self.now
        )
        elsewhere: Sequence[Period] = ()
        twins: Sequence[queries.Twin] = ()
        if any(reason.field in {"starts_at", "ends_at", "operator"} for reason in quote.reasons):
            elsewhere = queries.elsewhere(quote, now=self.now)
            twins = [] if elsewhere else queries.twins(wanted, now=self.now)
        return Offer(
            price=quote.price,
            split=quote.split,
            share=charges.terms_of(vouchers[0]).share if len(vouchers) == 1 else None,
            reasons=[_told(reason) for reason in quote.reasons],
            alternatives=self.links(form, elsewhere),
            **fees.agreed(quote.bundle.terms),
            standings=[quotas.standing_text(standing) for standing in quote.standings],
            needs_approval=quote.needs_approval,
            pay_by=self.pay_by(wanted, quote.split),
            twins=[{"twin": twin, "url": slots.book_link(twin.resource, twin.period)} for twin in twins],
        )

    def links(self, form: slots.BookingForm, periods: Sequence[Period]) -> list[Mapping[str, Any]]:
        """Return free periods as addresses of this form, paid the same way."""
        voucher, more = form.cleaned_data.get("voucher") or "", form.cleaned_data.get("more") or []
        needs = form.needs
        return [
            {"period": period, "url": slots.book_link(self.resource, period, voucher=voucher, more=more, needs=needs)}
            for period in periods
        ]

    def show(
        self, form: slots.BookingForm, offer: Offer, *, error: Explained | None = None, key: str = ""
    ) -> HttpResponse:
        """Render the form. `error` is why a request was not taken; its status is the answer's."""
        context = {
            "resource": self.resource,
            "hours": weeks.hours_in_words(self.hours),
            "form": form,
            "offer": offer,
            "error": error,
            "key": key or shell.new_key(),
            "path": reverse("instrument_book", args=[self.resource.number]),
        }
        status = error.status if error else 422 if form.errors else 200
        return shell.page(self.request, "instruments/book.html", context, status=status)


def _told(reason: Reason) -> Mapping[str, str]:
    told = explain_reason(reason)
    return {**told, "field": slots.NAMES.get(told["field"], told["field"])}


@signing_in_first
@shell.needs(Permission.BOOKING_REQUEST)
def instrument_book(request: HttpRequest, number: str) -> HttpResponse:
    """Show the booking form with its price, and take the request."""
    desk = Desk(request, number)
    key = request.POST.get("idempotency_key", "")
    form = desk.form(request.POST) if request.method == "POST" else desk.proposal()
    if request.method != "POST" or request.POST.get("act") == "quote":
        return desk.show(desk.unjudged(form), desk.offer(form), key=key)
    if not form.is_valid():
        return desk.show(form, desk.offer(form), key=key)
    wanted, error = shell.attempt(lambda: desk.wanted(form))
    if error is None:
        seen, error = shell.attempt(lambda: desk.seen(wanted))
    if error is not None:
        return desk.show(form, desk.offer(form), error=slots.put_back(form, error, slots.NAMES), key=key)
    if request.POST.get("seen") != seen and not _made_before(desk, key):
        # The time or the means of payment changed after the price was shown: show it, then ask again.
        offer = desk.offer(form)
        return desk.show(form, offer, error=_refused(form, offer) if offer.reasons else _price_changed(), key=key)
    return _request(desk, form, wanted)


def _made_before(desk: Desk, key: str) -> Booking | None:
    return access.own_bookings(desk.actor).filter(key=key).first()


def _request(desk: Desk, form: slots.BookingForm, wanted: bundles.Wanted) -> HttpResponse:
    """Make the request; on refusal show the form again with all reasons and what is free instead."""
    request = desk.request
    key = request.POST.get("idempotency_key", "")
    made, error = acts.attempt_on(
        "booking",
        lambda: services.request_booking(actor=desk.actor, wanted=wanted, now=desk.now, key=shell.key_of(request)),
    )
    if error is not None:
        before = _made_before(desk, key) if error.code == acts.SentBefore.code else None
        if before is not None:
            return desk.show(form, desk.offer(form), error=_asked_before(before.number))
        error = slots.put_back(form, error, slots.NAMES)
        offer = desk.offer(form)
        if elsewhere := error.data.get("alternatives"):
            offer = replace(offer, alternatives=desk.links(form, elsewhere))
        return desk.show(form, offer, error=error, key=key)
    assert made is not None
    advance = prepaid.advance_of(made)
    if advance is not None and made.hold_until is not None:
        told = gettext("已为贵单位保留时段，请在 %(until)s（%(zone)s）前付清自付部分 %(amount)s，到账后预约自动提交。")
        zone = desk.resource.zone
        until = {"until": until_text(made), "zone": zone_label(zone_of(zone))}
        messages.success(request, told % {**until, "amount": Money(advance.amount_fen)})
        if desk.actor.may(Permission.PAYMENT_DECLARE):
            return arrived(request, reverse("payment", args=[advance.number]))
        return arrived(request, reverse("booking", args=[made.number]))
    messages.success(request, gettext("已提交预约 %(number)s，等待实验室确认。") % {"number": made.number})
    return arrived(request, reverse("booking", args=[made.number]))


def _notice(code: str, text: str) -> Explained:
    return Explained(409, code, text, ())


def _price_changed() -> Explained:
    return _notice("price.changed", gettext("时间或付款方式有变，价格已更新。请核对下方价格，再次提交即可预约。"))


def _refused(form: slots.BookingForm, offer: Offer) -> Explained:
    """Say everything that stands against what was asked for, at its fields, too."""
    fields = {reason["field"]: reason["text"] for reason in offer.reasons if reason["field"]}
    reasons = tuple(map(dict, offer.reasons))
    return slots.put_back(form, Explained(409, Refused.code, gettext(Refused.message), reasons, fields))


def _asked_before(number: str) -> Explained:
    text = gettext("这张表单已提交过，预约号为 %(number)s。如需另外再约一次，请核对后再次提交。")
    return _notice("booking.asked_before", text % {"number": number})


@signing_in_first
@shell.needs(Permission.BOOKING_REQUEST)
def instrument_quote(request: HttpRequest, number: str) -> HttpResponse:
    """Show the price and everything against it while the form changes. Holds nothing."""
    desk = Desk(request, number)
    form = desk.form(request.GET)
    return shell.page(request, "instruments/quote.html", {"resource": desk.resource, "offer": desk.offer(form)})


@shell.needs(Permission.BOOKING_REQUEST)
def instrument_price(request: HttpRequest, number: str) -> HttpResponse:
    """Say in one line of plain text what the time in the address would cost and who pays, while it is being chosen.

    Fitted to the instrument's grid and paid as the form would propose. Holds nothing.
    """
    desk = Desk(request, number)
    form = desk.proposal()
    offer = desk.offer(form)
    parts = []
    if form.timed:
        parts.append(f"{form['start'].value()}–{form['end'].value()}")
    if offer.price and offer.split:
        parts.append(str(offer.price.amount))
        if offer.split.voucher.fen:
            paid = {"voucher": offer.split.voucher, "own": offer.split.own}
            parts.append(gettext("券抵扣 %(voucher)s，自付 %(own)s") % paid)
    parts += [reason["text"] for reason in offer.reasons[:1]]
    return HttpResponse(" · ".join(parts), content_type="text/plain; charset=utf-8")
