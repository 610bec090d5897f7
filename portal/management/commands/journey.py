"""Walk the main job against the running portal and check the ledger."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from portal.demo.journey import Journey, JourneyFailed


class Command(BaseCommand):
    help = "Walk from programme to settlement against a running demo portal; ends with the ledger check."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--url", default=os.environ.get("GONGXIANG_URL", "http://127.0.0.1:8000"), help="where the portal answers"
        )
        parser.add_argument("--wait", type=int, default=120, help="seconds the job may take")

    def handle(self, *args: Any, url: str, wait: int, **options: Any) -> None:
        try:
            missing = Journey(
                url=url, say=self.stdout.write, now=timezone.now().replace(microsecond=0), wait_s=wait
            ).run()
        except (JourneyFailed, OSError) as error:
            raise CommandError(str(error)) from error
        if missing:
            raise CommandError(f"{missing} fen or violations: run manage.py audit")
