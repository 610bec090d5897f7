"""Tell finance that something of the rails needs a person: on the record, in the log, and by whatever the operator set."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

import structlog
from django.conf import settings
from django.utils.module_loading import import_string

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import noop

__all__ = ["SYSTEM", "tell"]

_ = noop
logger = structlog.get_logger("payments")

SYSTEM = Actor.system(_("支付"))


def tell(*, what: str, about: str, now: datetime, **data: Any) -> None:
    """Say `what` (a translatable Chinese sentence) is wrong `about` one thing; in the transaction that finds it."""
    logger.warning("payments.alarm", what=what, about=about, **data)
    audit.record(action="payment.rail_alarm", subject=about, actor=SYSTEM, now=now, data={"what": what, **data})
    for path in settings.PAYMENT_ALARMS:
        cast("Callable[..., object]", import_string(path))(what=what, about=about, now=now)
