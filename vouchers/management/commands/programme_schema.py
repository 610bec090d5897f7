"""``manage.py programme_schema``: print the JSON Schema of programme files. Needs no database."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from vouchers.programmes.json_schema import FILE, programme_schema


class Command(BaseCommand):
    """Print the schema, or bring the published file up to date."""

    help = "Print the JSON Schema (draft 2020-12) of programme files; --write stores it where it is published from."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--write", action="store_true", help=f"write {FILE.name} instead of printing")

    def handle(self, *_args: Any, **options: Any) -> None:
        text = json.dumps(programme_schema(), ensure_ascii=False, indent=2) + "\n"
        if options["write"]:
            FILE.write_text(text, encoding="utf-8")
        else:
            self.stdout.write(text, ending="")
