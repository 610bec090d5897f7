"""Which payment rails the operator has, by `settings.PAYMENT_RAILS`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import cast

from django.conf import settings
from django.utils.module_loading import import_string

from vouchers.payments.ports import Rail
from vouchers.payments.rail_rules import NoSuchRail

__all__ = ["rail", "rails"]


@cache
def _made(path: str) -> Rail:
    return cast("Callable[[], Rail]", import_string(path))()


def rail(code: str) -> Rail:
    """Return the adapter of a rail, one a process. Raises NoSuchRail."""
    path = settings.PAYMENT_RAILS.get(code)
    if path is None:
        raise NoSuchRail(field="rail")
    return _made(path)


def rails() -> list[Rail]:
    """Return every rail that is configured, in the order of the settings."""
    return [rail(code) for code in settings.PAYMENT_RAILS]
