"""Rivals for one voucher: who gives up a price and holds another in one transaction waits for, and never against, the rest."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connection, transaction

from portal.kernel.money import Money
from tests import make
from vouchers.charges import services as charges
from vouchers.charges.models import Charge
from vouchers.ledger import verification

pytestmark = pytest.mark.django_db(transaction=True)
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def bill(w: make.World, subject: str) -> charges.Bill:
    return charges.Bill(subject, "compute", w.enterprise.pk, w.lab.pk, Money(10_000), {}, None)


def waits() -> bool:
    """Say whether another connection waits for a lock, or comes to within two seconds."""
    for _look in range(40):
        with connection.cursor() as cursor:
            cursor.execute(WAITING)
            if cursor.fetchone()[0]:
                return True
        time.sleep(0.05)
    return False


def test_a_price_replaced_and_another_held_by_the_same_voucher_at_once_do_not_block_each_other():
    w = make.world()
    voucher = make.voucher(w, make.programme(w))
    old = charges.hold(bill=bill(w, "booking:OLD"), vouchers=[voucher], actor=w.owner, now=make.NOW)
    released, ended = threading.Event(), []

    def rival() -> None:
        released.wait(10)
        try:
            charges.hold(bill=bill(w, "booking:RIVAL"), vouchers=[voucher], actor=w.owner, now=make.NOW)
        except Exception as error:
            ended.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=rival)
    thread.start()
    with transaction.atomic():
        charges.release(charge_id=old.pk, reason="replaced", actor=w.owner, now=make.NOW)
        released.set()
        assert waits()
        charges.hold_again(
            charge_id=old.pk, price=Money(20_000), quote={}, ends_at=make.NOW, actor=w.owner, now=make.NOW
        )
    thread.join()
    assert ended == []
    states = dict(Charge.objects.values_list("subject", "state").filter(state="held"))
    assert states == {"booking:OLD": "held", "booking:RIVAL": "held"}
    assert verification.verify() == []
