"""Recompute a decided lottery: that the secret is the one committed to, and that every lot and place follows from it."""

from __future__ import annotations

import csv
import io
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from vouchers.programmes.allocation import lot, lottery_order
from vouchers.rounds import access, queries, rules
from vouchers.rounds.models import Round


class Command(BaseCommand):
    """Verify a round's lottery, from the database or from what its public page gives away."""

    help = (
        "Recompute the lots of a decided round: by its number, or from a saved CSV with --file, --secret, --commitment."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("number", nargs="?", help="number of the round, such as R2611-000042")
        parser.add_argument("--file", type=Path, help="the round's list as downloaded: columns place, number, lot")
        parser.add_argument("--secret", help="the revealed secret, hexadecimal")
        parser.add_argument("--commitment", help="what was published before the intake closed, hexadecimal")
        parser.add_argument("--public-value", default="", help="the public value mixed in, if one was announced")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["number"]:
            round_ = access.public().filter(number=options["number"]).first()
            if round_ is None or round_.seed_revealed_at is None:
                raise CommandError("no decided lottery of that number")
            secret, published = bytes(round_.seed_secret or b""), round_.seed_commitment
            public_value, drawn = round_.public_value, _drawn(round_)
        else:
            if not (options["file"] and options["secret"] and options["commitment"]):
                raise CommandError("give a number, or --file, --secret and --commitment")
            secret, published = bytes.fromhex(options["secret"]), options["commitment"].strip().lower()
            public_value, drawn = options["public_value"], _read(options["file"])
        self._verify(secret, published, public_value, drawn)

    def _verify(self, secret: bytes, published: str, public_value: str, drawn: list[str]) -> None:
        if not rules.is_committed(secret, published):
            raise CommandError(f"the secret is not the one committed to: {rules.commitment(secret)} != {published}")
        seed = rules.seed_of(secret, public_value)
        for place, number in enumerate(drawn, start=1):
            self.stdout.write(f"{place:>5}  {number}  {lot(seed, number)}")
        wanted = lottery_order(seed, drawn)
        if wanted != drawn:
            at = next(at for at, (one, other) in enumerate(zip(wanted, drawn, strict=True)) if one != other)
            raise CommandError(f"place {at + 1} should be {wanted[at]}, not {drawn[at]}")
        self.stdout.write(f"ok: {len(drawn)} lots follow from the committed secret")


def _drawn(round_: Round) -> list[str]:
    assert queries.seed(round_) is not None
    return list(round_.awards.order_by("place").values_list("application__number", flat=True))


def _read(path: Path) -> list[str]:
    """Return the numbers of a downloaded list in the order of their places."""
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))[1:]
    return [row[1] for row in sorted(rows, key=lambda row: int(row[0]))]
