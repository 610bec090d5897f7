"""An outage: what it takes, what it leaves, what is held instead, and who may choose until when."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail

from portal.kernel.errors import Forbidden
from portal.kernel.period import Period
from portal.organisations.models import Member, User
from scheduler.availability import services as availability
from scheduler.availability.models import BLOCKING, Claim
from scheduler.bookings import services as bookings
from scheduler.catalogue import withdrawing
from scheduler.displacements import notifying, rules, services
from scheduler.displacements.models import Displacement
from scheduler.displacements.rules import OptionKind as K
from tests import make, standing
from tests.bookings.scenarios.racing import no_overlap

HOUR = timedelta(hours=1)


def build():
    """A booking for tomorrow 09:00-11:00 on one of two instruments alike, paid half by a voucher."""
    w = make.world()
    w.sem, w.twin = make.instrument(w), make.instrument(w)
    w.made = make.booking(w, w.sem, pay_with=make.voucher(w))
    return w


_standing, _own, scene = standing.fixtures(build, "scene")


def fail(w, period=None, *, now=make.NOW, key="outage-1", **more):
    said = services.Declared(period or make.slot(1, "08:00", "20:00"), "真空泵故障", **more)
    return services.declare(actor=w.keeper, resource=w.sem, declared=said, now=now, key=key)


def row_of(made):
    return Displacement.objects.select_related("booking").get(booking=made)


def options_of(made):
    return {option.kind: option for option in row_of(made).options.all()}


def test_three_options_are_held_and_the_money_waits(scene):
    outage = fail(scene)
    scene.made.refresh_from_db()
    assert (scene.made.state, scene.made.sequence, scene.made.charge.state) == ("displaced", 1, "held")
    found = options_of(scene.made)
    assert set(found) == {"later", "twin", "refund"}
    assert (found["twin"].resource, found["twin"].starts_at) == (scene.twin, scene.made.starts_at)
    assert found["later"].starts_at == outage.ends_at
    held = Claim.objects.filter(state="held", booking=None)
    assert held.count() == 2
    assert {claim.hold_until for claim in held} == {min(outage.answer_by, scene.made.starts_at), outage.answer_by}
    assert Claim.objects.filter(resource=scene.sem, state="outage").count() == 1


@pytest.mark.parametrize("kind", [K.LATER, K.TWIN])
def test_the_chosen_time_is_taken_over_at_the_old_price(scene, kind):
    fail(scene)
    option = options_of(scene.made)[kind.value]
    for _twice in range(2):
        services.choose(actor=scene.owner, displacement=row_of(scene.made), kind=kind, now=make.NOW + HOUR)
    made = type(scene.made).objects.get(pk=scene.made.pk)
    assert (made.state, made.sequence, made.uid) == ("confirmed", 2, scene.made.uid)
    assert (made.resource, made.starts_at) == (option.resource, option.starts_at)
    assert (made.charge.price_fen, made.charge.voucher_held_fen) == (96000, 48000)
    [claim] = made.claims.all()
    assert (claim.state, claim.hold_until, claim.resource) == ("confirmed", None, option.resource)
    assert not Claim.objects.filter(state="held").exists()
    with pytest.raises(rules.AlreadyAnswered):
        services.choose(actor=scene.owner, displacement=row_of(made), kind=K.REFUND, now=make.NOW + HOUR)


def test_the_money_is_given_back_by_choice_or_at_the_deadline(scene):
    second = make.booking(scene, scene.sem, period=make.slot(1, "12:00", "14:00"))
    outage = fail(scene)
    services.choose(actor=scene.researcher, displacement=row_of(scene.made), kind=K.REFUND, now=make.NOW)
    assert services.close_due(now=outage.answer_by - HOUR) == 0
    with pytest.raises(rules.AlreadyAnswered):
        services.choose(actor=scene.owner, displacement=row_of(second), kind=K.TWIN, now=outage.answer_by)
    assert services.close_due(now=outage.answer_by) == 1
    for made, state in ((scene.made, "refunded"), (second, "lapsed")):
        made.refresh_from_db()
        assert (made.state, made.charge.state, row_of(made).state) == ("cancelled", "released", state)
    assert not Claim.objects.filter(state="held").exists()


def test_a_hold_that_has_ended_cannot_be_chosen_and_blocks_nobody(scene):
    fail(scene, hours=72)
    late = options_of(scene.made)["twin"].held_until
    with pytest.raises(rules.OptionGone):
        services.choose(actor=scene.owner, displacement=row_of(scene.made), kind=K.TWIN, now=late)
    other = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER)
    wanted = bookings.Wanted(resource=scene.twin, period=make.slot(1, "10:00", "12:00"), title="观察")
    taken = bookings.request_booking(actor=other, wanted=wanted, now=late, key="other-key-1")
    assert taken.state == "requested"
    no_overlap()


def test_what_lies_beside_the_outage_keeps_its_time(scene):
    scene.sem.setup_s = scene.sem.cleanup_s = 1800
    scene.sem.save()
    beside = make.booking(scene, scene.sem, period=make.slot(2))
    availability.block_for_maintenance(
        actor=scene.keeper, resource=scene.sem, period=make.slot(2, "14:00", "15:00"), note="保养", now=make.NOW
    )
    fail(scene, make.slot(2, "11:00", "16:00"))
    beside.refresh_from_db()
    assert beside.state == "requested"
    assert beside.claims.get().blocked.upper == beside.ends_at
    assert Claim.objects.filter(resource=scene.sem, state="outage").count() == 3
    no_overlap()


def test_a_session_ends_where_a_coming_outage_begins(scene):
    bookings.confirm(actor=scene.keeper, booking=scene.made, now=make.NOW)
    begun = scene.made.starts_at
    bookings.start_session(actor=scene.keeper, booking=scene.made, started_at=begun, now=begun)
    outage = fail(scene, make.slot(1, "10:00", "12:00"), now=begun + timedelta(minutes=30))
    scene.made.refresh_from_db()
    assert (scene.made.state, scene.made.ends_at, outage.sessions_ended) == ("in_use", outage.starts_at, 1)
    ended = outage.starts_at
    bookings.finish_session(actor=scene.keeper, booking=scene.made, ended_at=ended, now=ended)
    scene.made.refresh_from_db()
    assert scene.made.charge.actual_fen == 48000


def test_time_held_without_a_booking_is_given_up(scene):
    wanted = bookings.Wanted(resource=scene.sem, period=make.slot(1, "15:00", "16:00"), title="保留")
    held = bookings.hold(actor=scene.researcher, wanted=wanted, now=make.NOW, key="held-key-1")
    fail(scene)
    held.refresh_from_db()
    assert (held.state, held.charge.state) == ("lapsed", "released")
    assert Displacement.objects.count() == 1


def test_one_message_for_each_person_whatever_the_number_of_bookings(scene):
    make.booking(scene, scene.sem, period=make.slot(1, "12:00", "14:00"))
    person = make.user_of(scene.researcher)
    person.email = "lin@example.com"
    person.save()
    fail(scene)
    assert notifying.send_due(now=make.NOW) == 1
    assert notifying.send_due(now=make.NOW) == 0
    [message] = mail.outbox
    assert message.to == ["lin@example.com"]
    assert message.body.count("取消预约，费用全部退回") == 2
    assert "请在 2026-11-26 10:00" in message.body


def test_who_has_left_is_told_nothing_and_one_bad_address_keeps_no_other_waiting(scene):
    others = [make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER) for _ in range(2)]
    for at, someone in enumerate(others):
        make.booking(scene, scene.sem, by=someone, period=make.slot(1, f"{12 + 2 * at}:00", f"{14 + 2 * at}:00"))
    emails = ("left@example.com", "bad@example.com\nBcc: all@example.com", "lin@example.com")
    for someone, email in zip((scene.researcher, *others), emails, strict=True):
        User.objects.filter(pk=someone.user_id).update(email=email)
    fail(scene)
    Member.objects.filter(user_id=scene.researcher.user_id).update(left_at=make.NOW)
    assert notifying.send_due(now=make.NOW) == 3
    assert [message.to for message in mail.outbox] == [["lin@example.com"]]


def test_what_was_withdrawn_meanwhile_is_offered_no_more(scene):
    fail(scene)
    plan = withdrawing.Plan("已报废，不再开放")
    withdrawing.withdraw(actor=scene.keeper, resource=scene.twin, plan=plan, seen=[], now=make.NOW)
    with pytest.raises(rules.OptionGone):
        services.choose(actor=scene.owner, displacement=row_of(scene.made), kind=K.TWIN, now=make.NOW)
    services.choose(actor=scene.owner, displacement=row_of(scene.made), kind=K.LATER, now=make.NOW)


def test_an_outage_ends_early_and_opens_the_rest(scene):
    outage = fail(scene)
    services.end_outage(actor=scene.keeper, outage=outage, now=outage.starts_at + HOUR)
    assert (
        not Claim.objects.filter(resource=scene.sem, state__in=BLOCKING, blocked__endswith__gt=outage.starts_at + HOUR)
        .exclude(state="held")
        .exists()
    )
    with pytest.raises(rules.NothingToEnd):
        services.end_outage(actor=scene.keeper, outage=outage, now=outage.starts_at + HOUR)


def test_repeating_a_declaration_changes_nothing(scene):
    assert fail(scene) == fail(scene)
    assert Displacement.objects.count() == 1


def test_nobody_declares_or_chooses_for_others(scene):
    said = services.Declared(make.slot(), "真空泵故障")
    stranger = make.actor(make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.LAB_MANAGER)
    with pytest.raises(Forbidden):
        services.declare(actor=stranger, resource=scene.sem, declared=said, now=make.NOW, key="outage-9")
    fail(scene)
    rival = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER)
    with pytest.raises(Forbidden):
        services.choose(actor=rival, displacement=row_of(scene.made), kind=K.REFUND, now=make.NOW)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"reason": " "}, rules.ReasonMissing),
        ({"hours": 73}, rules.BadAnswerTime),
        ({"period": Period(make.NOW - HOUR, make.NOW)}, rules.OutageOver),
        ({"period": Period(make.NOW, make.NOW + rules.LONGEST + HOUR)}, rules.OutageTooLong),
    ],
)
def test_what_cannot_be_declared(w, change, error):
    resource = make.instrument(w)
    said = services.Declared(**{"period": make.slot(), "reason": "真空泵故障", **change})
    with pytest.raises(error):
        services.declare(actor=w.keeper, resource=resource, declared=said, now=make.NOW, key="outage-1")
