"""Write open time of what an older version left without: ``manage.py open_time``, after ``migrate``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from scheduler.availability import upkeep


class Command(BaseCommand):
    """Fill in what is missing and say of how many; repeating it changes nothing."""

    help = "Write open time of instruments that have hours and none written ahead, so that none is closed after an upgrade."

    def handle(self, *_args: Any, **_options: Any) -> None:
        filled = upkeep.fill(now=timezone.now())
        self.stdout.write(f"open time written: {filled}")
