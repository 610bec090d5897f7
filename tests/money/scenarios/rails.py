"""Payments over rails: one charge, one booking and one refund, whatever is lost, repeated, late, forged or killed.

S11 and S12 speak to the sandbox payment server over HTTP, with the adapter that speaks to Stripe.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import stripe
from django.conf import settings
from django.db import connection
from django.test import override_settings

from integrations.stripe.rail import StripeRail
from portal.audit.models import Record
from portal.celery import app
from portal.kernel.actors import Actor
from portal.kernel.money import Money
from portal.organisations.models import Member
from tests import make
from tests.adapters.rails import RailBench, client_of, stripe_rail
from tests.money.scenarios import scenario
from tests.payserver import PayServer
from tests.scenarios import is_full
from tests.vouchers.payments import scripted
from vouchers.charges import refunding as charges
from vouchers.charges import services as billing
from vouchers.ledger import queries as ledger
from vouchers.payments import attempting, inbox, looking, rails, services
from vouchers.payments.models import Arrival, Payment
from vouchers.payments.ports import BadEvent, Method, SeenState
from vouchers.payments.rail_models import PaymentAttempt, PaymentEvent, RefundAttempt

SYSTEM = Actor.system("scenario")
SANDBOX: list[StripeRail] = []


def sandbox() -> StripeRail:
    """Return the adapter of the sandbox server that is running, for ``settings.PAYMENT_RAILS``."""
    return SANDBOX[-1]


@contextmanager
def stripe_at(server: PayServer) -> Iterator[RailBench]:
    """Let the sandbox server be the operator's only rail, called ``stripe``."""
    SANDBOX.append(stripe_rail(server.key, server.address))
    rails._made.cache_clear()
    with override_settings(PAYMENT_RAILS={"stripe": f"{__name__}.sandbox"}):
        yield RailBench(SANDBOX[-1], client_of(server.key, server.address))
    rails._made.cache_clear()


@contextmanager
def scripted_rail() -> Iterator[scripted.ScriptedRail]:
    with override_settings(PAYMENT_RAILS={scripted.CODE: scripted.PATH}):
        scripted.RAIL.reset()
        yield scripted.RAIL


def owed(w: make.World, fen: int, *, subject: str = "order:R") -> Payment:
    """Return what an enterprise owes for a service of this price."""
    bill = billing.Bill(subject, "compute", w.enterprise.pk, w.lab.pk, Money(fen), {})
    charge = billing.hold(bill=bill, vouchers=[], actor=w.owner, now=make.NOW)
    billing.capture(charge_id=charge.pk, actual=Money(fen), measured={}, actor=w.keeper, now=make.NOW)
    return Payment.objects.get(charge=charge)


def begin(
    w: make.World, payment: Payment, method: Method, *, rail: str = "stripe", key: str = "scenario-1", now: datetime
) -> PaymentAttempt:
    wanted = attempting.Wanted(rail, method, "https://portal.example/back")
    return attempting.start(actor=w.owner, payment=payment, wanted=wanted, key=key, now=now)


def clearing() -> int:
    """Return what the ledger says the gateways hold for us, in fen."""
    return sum(line.balance_fen for line in ledger.trial_balance() if line.kind == "gateway_clearing")


def deliver(rail: StripeRail, letters: list[dict[str, Any]], *, now: datetime) -> int:
    """Do what the webhook does, and process what it kept; return how many were refused."""
    refused = 0
    for letter in letters:
        body = letter["body"].encode() if isinstance(letter["body"], str) else letter["body"]
        try:
            event = rail.read_event(body, letter["headers"], now=now)
        except BadEvent:
            refused += 1
            continue
        inbox.store(rail="stripe", event=event, body=body, now=now)
        inbox.process(event_id=PaymentEvent.objects.get(provider_event_id=event.id).pk, now=now)
    return refused


@scenario("S11")
def notices_in_any_order_and_number(w: make.World, payserver: PayServer) -> str:
    """Succeeded five times, older after newer, a refund's second notice first, one fen less, forged, from the future."""
    now = datetime.now(UTC)
    payment = owed(w, 96_000)
    with stripe_at(payserver) as bench:
        attempt = begin(w, payment, Method.WECHAT_PAY, now=now)
        payserver.pay(attempt.provider_id)
        letters = payserver.letters()
        paid = [one for one in letters if '"payment_intent.succeeded"' in one["body"].replace('": "', '":"')]
        rest = [one for one in letters if one not in paid]
        sandboxed = sandbox()
        assert deliver(sandboxed, [*paid * 5, *rest], now=now) == 0
        charges.refund(
            actor=w.keeper, charge=payment.charge, amount=Money(36_000), reason="没测成", now=now, key="scenario-r1"
        )
        looking.look_at_due(now=now + timedelta(minutes=1))
        assert deliver(sandboxed, payserver.letters()[::-1] * 2, now=now) == 0
        twin = bench.charge(amount=95_999, number=attempt.number)
        deliver(sandboxed, payserver.letters(), now=now)
        forged = {**paid[0], "body": paid[0]["body"].replace("96000", "96001")}
        ahead = stripe.WebhookSignature.generate_signature_header(
            paid[0]["body"], payserver.secret, timestamp=int(now.timestamp()) + 400
        )
        late = {**paid[0], "headers": {"Stripe-Signature": ahead}}
        refused = deliver(sandboxed, [forged, late], now=now)
        held = sandboxed.balance_now().fen
    payment.refresh_from_db()
    refund = RefundAttempt.objects.get()
    assert (payment.state, payment.paid_fen, payment.paid_back_fen) == ("confirmed", 96_000, 36_000)
    assert (Arrival.objects.count(), refund.state, clearing()) == (1, "succeeded", 60_000)
    quarantined = PaymentEvent.objects.filter(state="quarantined")
    assert quarantined.filter(object_id=twin).exists()
    assert refused == 2
    return (
        f"{PaymentEvent.objects.count()} notices kept, {quarantined.count()} quarantined, {refused} refused; "
        f"one ¥960.00 in, one ¥360.00 back, {Money(held)} at the gateway with the stranger's ¥959.99 less its fees"
    )


KILLED = """
import os, signal, sys
import django
django.setup()
from datetime import UTC, datetime
from portal.organisations import access
from portal.organisations.models import Member
from vouchers.payments import attempting, arriving
from vouchers.payments.models import Payment
from vouchers.payments.ports import Method

what, payment_id, member_id = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def die(*args, **more):
    os.kill(os.getpid(), signal.SIGKILL)

payment, now = Payment.objects.get(pk=payment_id), datetime.now(UTC)
if what == "start":
    attempting.see = die
    wanted = attempting.Wanted("stripe", Method.WECHAT_PAY, "https://portal.example/back")
    actor = access.actor_for(Member.objects.get(pk=member_id))
    attempting.start(actor=actor, payment=payment, wanted=wanted, key="scenario-1", now=now)
else:
    post = arriving._post
    arriving._post = lambda *args, **more: (post(*args, **more), die())
    attempting.look(attempt=payment.attempts.get(), now=now)
"""


def killed_at(what: str, payment: Payment, actor: Actor, server: PayServer) -> None:
    """Let a worker ask the gateway, and kill it between the answer and our commit."""
    given = connection.settings_dict
    where = urlencode({"host": given["HOST"], "port": given["PORT"] or 5432}, safe="/")
    member = Member.objects.get(user_id=actor.user_id, organisation_id=actor.organisation_id)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, what, str(payment.pk), str(member.pk)],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DATABASE_URL": f"postgresql://{given['USER']}@/{given['NAME']}?{where}",
            "PGPASSWORD": given["PASSWORD"] or "",
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "GONGXIANG_DEBUG": "1",
            "GONGXIANG_STRIPE_KEY": server.key,
            "GONGXIANG_STRIPE_WEBHOOK_SECRET": server.secret,
            "GONGXIANG_STRIPE_API_BASE": server.address,
            "GONGXIANG_STRIPE_SANDBOX": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


@scenario("S12", commits=True)
def killed_between_the_answer_and_the_commit(payserver: PayServer) -> str:
    """The answer is lost after the act, the worker killed with SIGKILL, twice, Redis emptied: the janitor ends with one charge."""
    w = make.world()
    payment = owed(w, 96_000)
    with stripe_at(payserver):
        killed_at("start", payment, w.owner, payserver)
        attempt = PaymentAttempt.objects.get()
        assert (attempt.state, attempt.provider_id) == ("created", "")
        app.control.purge()
        payserver.fault("drop_after", method="POST", path="/v1/payment_intents$")
        asked = datetime.now(UTC)
        looking.look_at_due(now=asked + timedelta(seconds=15))
        looking.look_at_due(now=asked + timedelta(minutes=3))
        attempt.refresh_from_db()
        assert attempt.state == "requires_action"
        payserver.pay(attempt.provider_id)
        payserver.letters()  # none of them arrives
        killed_at("look", payment, w.owner, payserver)
        assert (Arrival.objects.count(), clearing()) == (0, 0)
        looking.look_at_due(now=asked + timedelta(minutes=9))
        looking.look_at_due(now=asked + timedelta(minutes=10))
        paid = [one for one in payserver.objects("payment_intent") if one["status"] == "succeeded"]
        intents = len(payserver.objects("payment_intent"))
    attempt.refresh_from_db()
    payment.refresh_from_db()
    assert (attempt.state, payment.state, clearing()) == ("succeeded", "confirmed", 96_000)
    assert (intents, len(paid), Arrival.objects.count()) == (1, 1, 1)
    return "2 workers killed, 1 answer dropped, no notice: 1 intent, 1 charge of ¥960.00, booked once within 10 minutes"


@scenario("M30", commits=True)
def two_hundred_pay_one_order() -> str:
    """200 people pay one order at once, and 200 notices of the one success come at once: one attempt, one arrival."""
    number = 200 if is_full() else 60
    w = make.world()
    payment = owed(w, 96_000)

    def pay(at: int) -> str:
        try:
            return begin(w, payment, Method.CARD, rail=scripted.CODE, key=f"scenario-{at:04d}", now=make.NOW).number
        finally:
            connection.close()

    def look(_at: int) -> str:
        try:
            return attempting.look(attempt=PaymentAttempt.objects.get(), now=make.NOW + timedelta(minutes=1)).state
        finally:
            connection.close()

    with scripted_rail() as rail, ThreadPoolExecutor(12) as pool:
        numbers = set(pool.map(pay, range(number)))
        rail.pay(numbers.copy().pop())
        states = set(pool.map(look, range(number)))
        with rail.gateway() as it:
            charged = len(it.payments)
    assert (len(numbers), states, charged) == (1, {"succeeded"}, 1)
    assert (PaymentAttempt.objects.count(), Arrival.objects.count(), clearing()) == (1, 1, 96_000)
    return f"{number} starts, 1 attempt, 1 payment at the gateway; {number} looks, 1 arrival of ¥960.00"


@scenario("M31")
def notices_of_every_kind_over_many_payments(w: make.World) -> str:
    """Notices repeated, reordered, lost, late and strange over many payments: gateway and ledger agree to the fen."""
    number = 100 if is_full() else 6
    dice, twice, told = random.Random(20261127), 0, 0
    with scripted_rail() as rail:
        for at in range(number):
            payment = owed(w, dice.randint(1, 500_000), subject=f"order:M31-{at}")
            rail.will("start", *dice.choice([[], ["lost"], ["away"]]))
            begin(w, payment, Method.CARD, rail=scripted.CODE, now=make.NOW)
            looking.look_at_due(now=make.NOW + timedelta(minutes=1))
            attempt = PaymentAttempt.objects.get(payment=payment)
            if by_bank := dice.random() < 0.3:
                services.confirm(actor=w.finance, payment=payment, bank_reference=f"B-{at}", now=make.NOW)
                twice += 1
            rail.will("refund", *dice.choice([[], ["lost"], ["away", "lost"]]))
            rail.pay(attempt.number, dice.choice([SeenState.PROCESSING, SeenState.SUCCEEDED]))
            rail.pay(attempt.number)
            notices = [scripted.notice(f"evt_{at}_{each}", attempt.provider_id) for each in range(3)]
            told += 6
            for notice in dice.choices([*notices, scripted.notice(f"evt_{at}_x", "pi_stranger")], k=6):
                inbox.store(rail=scripted.CODE, event=notice, body=b"", now=make.NOW)
            for event in PaymentEvent.objects.filter(state="stored").order_by("?"):
                inbox.process(event_id=event.pk, now=make.NOW + timedelta(minutes=2))
            for minute in (5, 20, 120, 1600):
                looking.look_at_due(now=make.NOW + timedelta(minutes=minute))
            payment.refresh_from_db()
            assert (payment.state, payment.paid_fen) == ("confirmed", payment.amount_fen)
            assert RefundAttempt.objects.filter(payment=payment, state="succeeded").count() == int(by_bank)
        held = rail.balance_now().fen
    assert held == clearing()
    assert not PaymentEvent.objects.filter(state="stored").exists()
    alarms = Record.objects.filter(action="payment.rail_alarm").count()
    assert alarms == 0
    return f"{number} payments, {told} notices, {twice} paid twice and refunded once, {Money(held)} on both sides"
