"""``manage.py payment_rails``: each payment rail, its account, sandbox or live, its balance, and whether its notices arrive."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from portal.http import explain
from portal.kernel.errors import PortalError
from vouchers.payments import rail_rules, rails
from vouchers.payments.ports import Rail
from vouchers.payments.rail_models import PaymentAttempt, PaymentEvent

LATE: Final = timedelta(minutes=15)
"""How long after a payment ended its notice may be on the way, and how long one may lie unprocessed."""


class Command(BaseCommand):
    """Look at every payment rail. Reads only. Exit status 0 when all is well, 1 when something needs a person."""

    help = "Say whether each payment rail answers, whose account it is and whether its notices arrive."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--lang", choices=["zh", "en"], default="zh")

    def handle(self, *_args: Any, **options: Any) -> None:
        troubles = 0
        with override("en" if options["lang"] == "en" else "zh-hans"):
            if not settings.PAYMENT_RAILS:
                self.stdout.write(_("没有开通支付机构，只收对公转账。"))
            for code in settings.PAYMENT_RAILS:
                troubles += self.show(code)
        if troubles:
            sys.exit(1)

    def show(self, code: str) -> int:
        """Print a rail and return how many troubles it has."""
        try:
            rail = rails.rail(code)
        except (rails.NotStarted, ImportError) as error:
            self.stdout.write(f"{code}  ✗ {error.__cause__ or error}")
            return 1
        can = rail.capabilities
        world = _("沙箱，不发生真实收付") if can.sandbox else _("正式，真实收付")
        self.stdout.write(f"{code}  {world}  {', '.join(method.value for method in can.methods)}")
        troubles = [*self.answers(rail), *self.notices(code)]
        for trouble in troubles:
            self.stdout.write(f"  ✗ {trouble}")
        return len(troubles)

    def answers(self, rail: Rail) -> list[str]:
        """Ask the gateway who we are and what it holds; print it, return what is wrong."""
        try:
            holder, held = rail.holder(), rail.balance_now()
        except PortalError as error:
            return [explain(error).text]
        self.stdout.write("  " + _("账户 %(account)s %(country)s，余额 %(balance)s") % {
            "account": holder.account, "country": holder.country, "balance": held
        })  # fmt: skip
        wrong = []
        if not holder.is_expected:
            wrong.append(_("密钥属于另一个账户：请核对密钥与账户设置。"))
        if not holder.may_charge:
            wrong.append(_("支付机构尚未允许该账户收款。"))
        return wrong

    def notices(self, code: str) -> list[str]:
        """Print when the last notice came, return what is wrong with them."""
        now = timezone.now()
        events = PaymentEvent.objects.filter(rail=code)
        last = events.order_by("-received_at").first()
        words = _("尚未收到通知")
        if last is not None:
            words = _("最近一次通知 %(type)s，收到于 %(at)s") % {
                "type": last.type,
                "at": timezone.localtime(last.received_at).isoformat(" ", "seconds"),
            }
        self.stdout.write(f"  {words}")
        wrong = []
        paid = PaymentAttempt.objects.filter(
            rail=code, state=rail_rules.AttemptState.SUCCEEDED.value, ended_at__lt=now - LATE
        ).order_by("-ended_at").first()  # fmt: skip
        if paid is not None and paid.ended_at is not None and (last is None or last.received_at < paid.ended_at - LATE):
            wrong.append(_("款项已到，通知没有到：请核对支付机构后台登记的通知地址和签名密钥。"))
        stuck = events.filter(state=rail_rules.EventState.STORED.value, received_at__lt=now - LATE).count()
        if stuck:
            wrong.append(_("%(count)s 条通知未处理：请检查后台任务进程。") % {"count": stuck})
        if doubtful := events.filter(state=rail_rules.EventState.QUARANTINED.value).count():
            wrong.append(_("%(count)s 条通知待人工核对。") % {"count": doubtful})
        return wrong
