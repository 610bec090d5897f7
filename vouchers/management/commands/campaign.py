"""``manage.py campaign``: issue an approved campaign, batch by batch; started again, it goes on where it ended."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from portal.kernel.actors import Actor
from portal.kernel.errors import PortalError
from vouchers.campaigns import services
from vouchers.campaigns.models import Campaign, CampaignBatch
from vouchers.wallets import codes


class Command(BaseCommand):
    help = (
        "Issue an approved campaign's vouchers in batches. Ended in whatever way, start it again: finished batches are "
        "left alone, an unfinished one has left nothing behind."
    )

    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("number", help="the campaign, such as E2611-000042")
        parser.add_argument("--batches", type=int, metavar="N", help="issue at most N batches")
        parser.add_argument(
            "--codes",
            type=Path,
            metavar="DIR",
            help="make a code for every voucher and write each batch's numbers and codes into a file of this folder",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        campaign = Campaign.objects.filter(number=options["number"]).first()
        if campaign is None:
            raise CommandError(f"there is no campaign {options['number']}")
        keep = _writer(options["codes"]) if options["codes"] else None
        try:
            for batch in services.issue(
                campaign=campaign,
                actor=Actor.system("campaign"),
                now=timezone.now(),
                keep=keep,
                most=options["batches"],
            ):
                left_out = f", {len(batch.left_out)} left out" if batch.left_out else ""
                self.stdout.write(f"batch {batch.number}: {batch.vouchers} vouchers{left_out}")
        except PortalError as error:
            raise CommandError(str(error)) from error


def _writer(folder: Path) -> services.Keep:
    """Return what writes a batch's codes to ``<campaign>-<batch>.csv``, readable by this user only, whole or not at all."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(batch: CampaignBatch, made: Sequence[tuple[str, str]]) -> None:
        path = folder / f"{batch.campaign.number}-{batch.number:05d}.csv"
        draft = path.with_suffix(".part")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["voucher", "code"])
            table.writerows((number, codes.pretty(code)) for number, code in made)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    return keep
