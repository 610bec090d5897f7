"""What a shift is quoted at: by the shift, by the hour, or as the facility's price list has it."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

from portal.kernel.errors import Invalid, noop
from portal.kernel.money import Money
from scheduler.facilities.models import Beamline, Facility
from scheduler.resources import queries as prices

__all__ = ["NoPrice", "TwoPrices", "listed", "of_hour", "shift_price"]

_ = noop


class TwoPrices(Invalid):
    code = "beam_quote.two_prices"
    message = _("每班价格与每小时价格只能填一个。")


class NoPrice(Invalid):
    code = "beam_quote.no_price"
    message = _("线站 %(line)s 没有企业价格，请填写每班或每小时价格。")


def of_hour(facility: Facility, hour: Money) -> Money:
    """Return what a shift of this facility costs at `hour` an hour, rounded half up to the fen."""
    return hour.times(Fraction(facility.length_min, 60))


def listed(beamline: Beamline, *, now: datetime) -> Money | None:
    """Return what an hour of a beamline costs enterprises by the price list; None where it has no price. One query."""
    rate = prices.rates_of_resources([beamline.pk], at=now).get(beamline.pk)
    return None if rate is None else Money(rate.amount_fen)


def shift_price(beamline: Beamline, *, shift: Money | None, hour: Money | None, now: datetime) -> Money:
    """Return the price of a shift that was said by the shift or by the hour; neither: that of the price list.

    Raises TwoPrices for both, NoPrice where the list has none.
    """
    if shift is not None and hour is not None:
        raise TwoPrices(field="hour")
    if shift is not None:
        return shift
    per_hour = hour if hour is not None else listed(beamline, now=now)
    if per_hour is None:
        raise NoPrice(field="shift", line=beamline.code)
    return of_hour(beamline.facility, per_hour)
