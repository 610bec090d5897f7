"""Payments over the scripted rail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import make
from tests.vouchers.payments import scripted
from vouchers.payments.models import Payment


@pytest.fixture
def rail(settings: Any) -> Iterator[scripted.ScriptedRail]:
    """Return the scripted gateway, new, as the operator's only rail."""
    settings.PAYMENT_RAILS = {scripted.CODE: scripted.PATH}
    scripted.RAIL.reset()
    yield scripted.RAIL
    scripted.RAIL.reset()


@pytest.fixture
def owed(w: make.World) -> Payment:
    """960 yuan, after two hours of use paid without a voucher."""
    make.measured(w, make.booking(w, make.instrument(w)))
    return Payment.objects.get()
