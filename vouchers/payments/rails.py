"""Which payment rails the operator has, by `settings.PAYMENT_RAILS`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import cast

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from portal.kernel.errors import Unavailable, noop
from vouchers.payments.ports import Rail
from vouchers.payments.rail_rules import NoSuchRail

__all__ = ["NotStarted", "rail", "rails"]

_ = noop
logger = structlog.get_logger("payments")


class NotStarted(Unavailable):
    """The operator's settings of a rail are wrong: nothing was asked of the gateway, and bank transfer goes on."""

    code = "payment.rail_not_started"
    message = _("这种支付方式暂时不可用，请改用对公转账，或稍后再试。")


@cache
def _made(path: str) -> Rail:
    return cast("Callable[[], Rail]", import_string(path))()


def rail(code: str) -> Rail:
    """Return the adapter of a rail, one a process. Raises NoSuchRail, NotStarted where its settings are wrong."""
    path = settings.PAYMENT_RAILS.get(code)
    if path is None:
        raise NoSuchRail(field="rail")
    try:
        return _made(path)
    except ImproperlyConfigured as error:
        logger.error("payments.rail_not_started", rail=code, error=str(error))
        raise NotStarted(field="rail") from error


def rails() -> list[Rail]:
    """Return every rail that is configured and starts, in the order of the settings."""
    started = []
    for code in settings.PAYMENT_RAILS:
        try:
            started.append(rail(code))
        except NotStarted:
            continue
    return started
