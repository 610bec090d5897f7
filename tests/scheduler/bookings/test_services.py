"""Bookings on real PostgreSQL: who may, what is refused and why, what happens to time and money."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from portal.kernel.errors import Forbidden, InvalidTransition, Refused
from portal.kernel.idempotency import KeyReused
from portal.kernel.period import Period
from scheduler.availability.models import Claim
from scheduler.bookings import entering, lapsing, rules, services
from scheduler.bookings.models import Booking
from scheduler.resources import services as resources
from tests import make
from vouchers.charges.models import Charge
from vouchers.ledger import queries as ledger


def codes(error: pytest.ExceptionInfo[Refused]) -> list[str]:
    return [reason.code for reason in error.value.reasons]


class TestRequesting:
    def test_holds_the_time_with_its_buffers_and_the_price(self, w):
        resource = make.instrument(w, setup_s=900, cleanup_s=1800)

        made = make.booking(w, resource, period=make.slot(start="09:00", end="11:00"))

        claim = Claim.objects.get(booking=made)
        assert claim.blocked.lower == make.slot(start="08:45", end="11:30").start
        assert claim.blocked.upper == make.slot(start="08:45", end="11:30").end
        assert (made.state, claim.state) == ("requested", "held")
        assert made.charge.own_held_fen == 96000

    def test_names_every_reason_at_once_with_free_alternatives(self, w):
        resource = make.instrument(w, max_duration_s=2 * 3600)
        make.booking(w, resource, period=make.slot(start="09:00", end="11:00"))

        with pytest.raises(Refused) as refused:
            make.booking(w, resource, period=make.slot(start="07:10", end="10:10"))

        assert codes(refused) == ["booking.too_long", "booking.grid", "availability.closed", "booking.taken"]
        assert all(reason.remedy for reason in refused.value.reasons)
        offered = refused.value.data["alternatives"]
        assert len(offered) == 3
        for period in offered:
            make.booking(w, resource, period=period) if period is offered[0] else None
        assert Booking.objects.count() == 2

    def test_refuses_what_is_taken_without_a_lock_and_in_few_queries(self, w):
        resource = make.instrument(w)
        make.booking(w, resource)
        with CaptureQueriesContext(connection) as asked, pytest.raises(Refused) as refused:
            make.booking(w, resource)
        assert (codes(refused), len(refused.value.data["alternatives"])) == (["booking.taken"], 3)
        assert not [one for one in asked.captured_queries if "advisory" in one["sql"]]
        assert len(asked) <= 16

    def test_changes_nothing_when_refused(self, w):
        resource = make.instrument(w)
        version = resource.calendar_version
        with pytest.raises(Refused):
            make.booking(w, resource, period=make.slot(start="05:00", end="07:00"))

        resource.refresh_from_db()
        assert resource.calendar_version == version
        assert not Booking.objects.exists()
        assert not Charge.objects.exists()
        assert ledger.unaccounted_fen() == 0

    @pytest.mark.parametrize(
        ("period", "code"),
        [
            (Period(make.NOW - timedelta(hours=1), make.NOW + timedelta(hours=1)), "booking.past"),
            (make.slot(days=70), "booking.horizon"),
            (make.slot(start="09:00", end="09:30"), "booking.too_short"),
            (make.slot(start="21:00", end="23:00"), "availability.closed"),
        ],
    )
    def test_refuses_what_breaks_a_limit(self, w, period, code):
        with pytest.raises(Refused) as refused:
            make.booking(w, make.instrument(w), period=period)
        assert code in codes(refused)

    def test_counts_elapsed_time_across_a_clock_change(self, w):
        """01:30-03:30 in New York on 14 March 2027 is one hour: the clock jumps from 02:00 to 03:00."""
        now = datetime(2027, 3, 10, 12, 0, tzinfo=UTC)
        resource = make.instrument(w, zone="America/New_York", opens=(0, 1440), min_duration_s=2 * 3600, now=make.NOW)
        over_the_gap = Period(datetime(2027, 3, 14, 6, 30, tzinfo=UTC), datetime(2027, 3, 14, 7, 30, tzinfo=UTC))

        with pytest.raises(Refused) as refused:
            make.booking(w, resource, period=over_the_gap, now=now)

        assert codes(refused) == ["booking.too_short"]

    def test_repeats_nothing_for_the_same_key(self, w):
        resource = make.instrument(w)
        wanted = services.Wanted(resource=resource, period=make.slot(), title="观察")
        first = services.request_booking(actor=w.researcher, wanted=wanted, now=make.NOW, key="same-key-1")

        again = services.request_booking(actor=w.researcher, wanted=wanted, now=make.NOW, key="same-key-1")

        assert again.pk == first.pk
        assert Booking.objects.count() == 1

    def test_refuses_the_same_key_for_another_request(self, w):
        resource = make.instrument(w)
        wanted = services.Wanted(resource=resource, period=make.slot(), title="观察")
        services.request_booking(actor=w.researcher, wanted=wanted, now=make.NOW, key="same-key-1")
        other = services.Wanted(resource=resource, period=make.slot(days=2), title="观察")

        with pytest.raises(KeyReused):
            services.request_booking(actor=w.researcher, wanted=other, now=make.NOW, key="same-key-1")

    def test_says_how_much_a_small_voucher_lacks(self, w):
        voucher = make.voucher(w, items={"instrument_use": make.Money.from_yuan("1000")})
        with pytest.raises(Refused) as refused:
            make.booking(w, make.instrument(w), period=make.slot(start="09:00", end="13:00"), pay_with=voucher)

        (reason,) = refused.value.reasons
        assert reason.code == "voucher.too_small"
        assert reason.params == {"available": "¥500.00", "needed": "¥960.00"}

    @pytest.mark.parametrize("who", ["keeper", "reviewer", "auditor"])
    def test_is_the_enterprises_alone(self, w, who):
        resource = make.instrument(w)
        with pytest.raises(Forbidden):
            services.request_booking(
                actor=getattr(w, who),
                wanted=services.Wanted(resource=resource, period=make.slot(), title="观察"),
                now=make.NOW,
                key=make.key(),
            )


class TestDeciding:
    def test_gives_time_and_money_back_when_declined(self, w):
        voucher = make.voucher(w)
        made = make.booking(w, make.instrument(w), pay_with=voucher)

        services.decline(actor=w.keeper, booking=made, note="样品含溴，仪器不便接收", now=make.NOW)

        made.refresh_from_db()
        assert made.state == "declined"
        assert ledger.balances(account_ids=[voucher.account_id])[voucher.account_id].held_fen == 0
        assert Claim.objects.get(booking=made).state == "released"
        make.booking(w, made.resource)

    def test_is_refused_to_another_lab(self, w):
        made = make.booking(w, make.instrument(w))
        stranger = make.actor(make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.LAB_MANAGER)

        with pytest.raises(Forbidden):
            services.confirm(actor=stranger, booking=made, now=make.NOW)

    def test_happens_once(self, w):
        made = make.booking(w, make.instrument(w))
        services.confirm(actor=w.keeper, booking=made, now=make.NOW)

        with pytest.raises(InvalidTransition):
            services.confirm(actor=w.keeper, booking=made, now=make.NOW)

    def test_lapses_when_nobody_decided_before_the_start(self, w):
        made = make.booking(w, make.instrument(w))

        assert lapsing.lapse_overdue(now=made.starts_at) == 1
        assert lapsing.lapse_overdue(now=made.starts_at) == 0

        made.refresh_from_db()
        assert (made.state, made.charge.state) == ("lapsed", "released")

    def test_may_not_be_undone_by_the_payer_once_the_slot_has_begun(self, w):
        made = make.booking(w, make.instrument(w))
        services.confirm(actor=w.keeper, booking=made, now=make.NOW)
        with pytest.raises(rules.AlreadyStarted):
            services.cancel(actor=w.researcher, booking=made, now=made.starts_at)
        made.refresh_from_db()
        assert (made.state, made.charge.state) == ("confirmed", "held")

    def test_ends_as_missed_when_nobody_came(self, w):
        made = make.booking(w, make.instrument(w))
        services.confirm(actor=w.keeper, booking=made, now=make.NOW)
        with pytest.raises(rules.NotYetStarted):
            services.miss(actor=w.keeper, booking=made, now=make.NOW)

        services.miss(actor=w.keeper, booking=made, now=made.starts_at)

        made.refresh_from_db()
        assert (made.state, Charge.objects.get(pk=made.charge_id).state) == ("no_show", "released")

    def test_ends_as_missed_by_itself_a_week_after_its_end(self, w):
        made = make.booking(w, make.instrument(w))
        services.confirm(actor=w.keeper, booking=made, now=make.NOW)
        assert lapsing.lapse_overdue(now=made.ends_at + timedelta(days=6)) == 0
        assert lapsing.lapse_overdue(now=made.ends_at + timedelta(days=7)) == 1
        assert Charge.objects.get(pk=made.charge_id).state == "released"


class TestMeasuring:
    def test_captures_the_actual_amount_and_waives_what_exceeds_the_hold(self, w):
        voucher = make.voucher(w)
        made = make.booking(w, make.instrument(w), pay_with=voucher)

        done = make.measured(w, made, end=made.ends_at + timedelta(minutes=30))

        charge = Charge.objects.get(pk=done.charge_id)
        assert (charge.actual_fen, charge.waived_fen) == (96000, 24000)
        assert charge.voucher_captured_fen == charge.own_captured_fen == 48000

    @pytest.mark.parametrize(
        ("started", "error"),
        [(timedelta(hours=-3), rules.SessionOutOfReach), (timedelta(hours=3), rules.SessionOutOfReach)],
    )
    def test_refuses_times_far_from_the_booking(self, w, started, error):
        made = make.booking(w, make.instrument(w))
        services.confirm(actor=w.keeper, booking=made, now=make.NOW)

        with pytest.raises(error):
            services.start_session(
                actor=w.keeper,
                booking=made,
                started_at=made.starts_at + started,
                now=made.ends_at + timedelta(days=1),
            )

    def test_refuses_the_future(self, w):
        made = make.booking(w, make.instrument(w))
        services.confirm(actor=w.keeper, booking=made, now=make.NOW)
        with pytest.raises(rules.SessionInFuture):
            services.start_session(actor=w.keeper, booking=made, started_at=made.starts_at, now=make.NOW)


def race(contenders: int, act) -> list[object]:
    """Run `act(n)` in threads released together; return each one's value or exception."""
    gate = threading.Barrier(contenders)

    def one(number: int) -> object:
        gate.wait()
        try:
            return act(number)
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(contenders) as pool:
        return list(pool.map(one, range(contenders)))


@pytest.mark.django_db(transaction=True)
class TestRacing:
    def test_who_is_too_late_at_the_lock_gives_it_back_before_the_reasons_are_put_together(self, monkeypatch):
        w = make.world()
        resource = make.instrument(w)
        make.booking(w, resource)
        first = iter([entering.Glance(0, is_known=False, is_taken=False)])
        look, explain = entering._glance, entering._explain
        locks: list[int] = []

        def count(*args, **kwargs):
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
                locks.extend(cursor.fetchone())
            explain(*args, **kwargs)

        monkeypatch.setattr(entering, "_glance", lambda *args, **kwargs: next(first, None) or look(*args, **kwargs))
        monkeypatch.setattr(entering, "_explain", count)
        with CaptureQueriesContext(connection) as asked, pytest.raises(Refused):
            make.booking(w, resource)
        assert [one for one in asked.captured_queries if "pg_advisory_xact_lock" in one["sql"]]
        assert locks == [0]

    def test_of_32_rivals_exactly_one_gets_the_slot_and_the_others_get_alternatives(self):
        w = make.world()
        resource = make.instrument(w)
        rivals = [
            make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER) for _ in range(4)
        ]

        def act(number: int) -> object:
            return services.request_booking(
                actor=rivals[number % 4],
                wanted=services.Wanted(resource=resource, period=make.slot(), title="抢同一时段"),
                now=make.NOW,
                key=f"race-key-{number}",
            )

        outcomes = race(32, act)

        won = [outcome for outcome in outcomes if isinstance(outcome, Booking)]
        lost = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        assert len(won) == 1
        assert len(lost) == 31
        assert all([r.code for r in error.reasons] == ["booking.taken"] for error in lost)
        assert all(len(error.data["alternatives"]) == 3 for error in lost)
        assert Claim.objects.filter(state="held").count() == 1
        assert ledger.unaccounted_fen() == 0

    def test_would_double_book_without_the_constraint_and_the_lock(self, monkeypatch):
        """The negative control: the same race, our two guards removed, must oversell, or the test above proves nothing."""
        w = make.world()
        resource = make.instrument(w)
        monkeypatch.setattr(resources, "lock", lambda **_: None)
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE claim DROP CONSTRAINT claim_no_overlap")
        try:
            outcomes = race(
                16,
                lambda number: services.request_booking(
                    actor=w.researcher,
                    wanted=services.Wanted(resource=resource, period=make.slot(), title="无保护"),
                    now=make.NOW,
                    key=f"race-key-{number}",
                ),
            )
            assert len([outcome for outcome in outcomes if isinstance(outcome, Booking)]) > 1
        finally:
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM claim")
                cursor.execute(
                    "ALTER TABLE claim ADD CONSTRAINT claim_no_overlap EXCLUDE USING gist"
                    " (resource_id WITH =, unit_no WITH =, blocked WITH &&)"
                    " WHERE (state IN ('held', 'confirmed', 'in_use', 'outage', 'external')) DEFERRABLE"
                )

    def test_the_database_itself_refuses_an_overlap(self):
        w = make.world()
        made = make.booking(w, make.instrument(w))
        span = (made.starts_at, made.ends_at)
        with pytest.raises(IntegrityError, match="claim_no_overlap"), transaction.atomic():
            Claim.objects.create(resource=made.resource, during=span, blocked=span, state="outage")


def test_a_day_of_bookings_back_to_back_fits(w):
    """Half-open periods: 09:00-11:00 and 11:00-13:00 do not meet."""
    resource = make.instrument(w)
    for hour in range(8, 22, 2):
        make.booking(w, resource, period=make.slot(start=f"{hour:02}:00", end=f"{hour + 2:02}:00"))
    assert Booking.objects.count() == 7
    assert make.NOW.date() == date(2026, 11, 25)
