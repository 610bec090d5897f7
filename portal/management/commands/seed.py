"""Fill an empty portal with the demo province."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from portal.demo import (
    activity,
    applications,
    arranging,
    banking,
    beamtime,
    casework,
    claiming,
    computing,
    facilities,
    invoicing,
    kinds,
    lots,
    notices,
    operating,
    paying,
    people,
    prepaying,
    projects,
    shop,
    things,
    watching,
    writing,
)
from portal.organisations.models import Organisation


class Command(BaseCommand):
    help = "Fill an empty portal with a fictional province; --once does nothing when there is data already."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="do nothing when there is data already")

    def handle(self, *args: Any, once: bool = False, **options: Any) -> None:
        accounts = settings.STATE_DIR / "demo-accounts.txt"
        if Organisation.objects.exists():
            if not once:
                raise CommandError("the portal is not empty: seeding would mix fiction with facts")
            return
        now = timezone.now().replace(microsecond=0)
        with transaction.atomic():
            registered = people.register(now=now - timedelta(days=60))
            story = activity.Story(
                people=registered,
                programmes=things.publish_programmes(registered, now=now - timedelta(days=50)),
                instruments=things.publish_instruments(registered, now=now - timedelta(days=50)),
                partitions=things.register_clusters(registered, now=now - timedelta(days=50)),
                now=now,
            )
            activity.issue_vouchers(story)
            notices.show_notices(story)
            writing.write_next_year(story)
            activity.book(story)
            shop.buy(story, shop.sell(story))
            paying.bank_accounts(story)
            banking.pay_by_file(story, activity.pay_and_settle(story))
            applications.publish_templates(registered.actors["jiqun"], now=now - timedelta(days=45))
            computing.grant_quotas(story)
            computing.compute(story)
            activity.submit_jobs(story)
            operating.operate(story)
            lots.draw_lots(story)
            lots.open_ranking(story)
            casework.let_time_run(story)
            casework.ask_for_judgement(story)
            casework.grant_at_once(story)
            casework.grant_unasked(story)
            filed = claiming.claim_services(story)
            claiming.pay_claims(story, filed)
            claiming.take_back(story, filed)
            watching.watch(story)
            arranging.arrange(story)
            prepaying.ask_in_advance(story)
            banking.import_statement(story)
            invoicing.keep_books(story)
            kinds.publish_kinds(registered, now=now - timedelta(days=50))
            projects.run_projects(story)
            beamtime.live(registered, facilities.open_facility(registered, now=now), now=now)
            kinds.propose_one(registered, now=now - timedelta(days=1))
        settings.STATE_DIR.mkdir(parents=True, exist_ok=True)
        accounts.write_text(people.accounts_text(), encoding="utf-8")
        self.stdout.write(people.accounts_text())
