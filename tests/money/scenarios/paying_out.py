"""Money to providers that goes astray on its way: late from the bank, or lost and killed at a gateway; each fen once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.db import connection

from portal.kernel.errors import PortalError
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.organisations.models import Member
from tests import make
from tests.money.scenarios import rails as walks
from tests.money.scenarios import scenario
from tests.payserver import PayServer
from tests.scenarios import is_full
from tests.vouchers.payees import making as accounts
from tests.vouchers.scenarios.vouchers import of_kind
from tests.vouchers.settlements import ordered
from vouchers.payments.ports import Method
from vouchers.reconciliation import services as reconciliation
from vouchers.settlements import discrepancies, paying_out, services
from vouchers.settlements.order_models import Discrepancy
from vouchers.settlements.order_rules import AnswerOutcome
from vouchers.settlements.payout_models import RailPayout


@scenario("SP4")
def paid_after_it_had_failed(w: make.World) -> str:
    """A bank says "failed", a second batch is on its way, then it says "paid": nothing goes out twice, all is set off."""
    rounds = 20 if is_full() else 4
    held, netted = 0, 0
    for _each in range(rounds):
        batch = ordered.approved(w)
        order = ordered.exported(w, batch)
        ordered.imported(w, order, ordered.answer(order, ("1", "100.00", "失败", "账号已销户")))
        second = services.draft(actor=w.finance, payee=batch.payee, now=make.NOW)
        services.approve(actor=w.finance_approver, batch=second, now=make.NOW)
        ordered.imported(w, order, ordered.answer(order, ("1", "100.00", "成功", "")))
        case = Discrepancy.objects.get(order=order)
        discrepancies.correct(actor=w.finance, case=case, outcome=AnswerOutcome.PAID, text="已扣款", now=make.NOW)
        for act in (
            lambda second=second: ordered.exported(w, second),
            lambda second=second: services.mark_paid(actor=w.finance, batch=second, bank_reference="T", now=make.NOW),
            lambda case=case: discrepancies.close(actor=w.finance_approver, case=case, now=make.NOW),
        ):
            try:
                act()
            except PortalError:
                held += 1
        services.discard(actor=w.finance, batch=second, now=make.NOW)
        discrepancies.close(actor=w.finance_approver, case=case, now=make.NOW)
        last = services.draft(actor=w.finance, payee=batch.payee, now=make.NOW)
        services.approve(actor=w.finance_approver, batch=last, now=make.NOW)
        services.mark_paid(actor=w.finance, batch=last, bank_reference="", now=make.NOW)
        netted += last.total_fen == 0
    assert (held, netted) == (3 * rounds, rounds)
    figures = [of_kind(kind) for kind in ("cash_provider_payable", "receivable_provider", "settlement_clearing")]
    assert figures == [0, 0, 0]
    assert of_kind("bank_clearing") == 0, "what came in went out once"
    return f"{rounds} payments late, {held} steps held up, {Money(rounds * 10_000)} paid once, {netted} batches of zero"


KILLED = """
import os, signal, sys
import django
django.setup()
from datetime import datetime
from portal.organisations import access
from portal.organisations.models import Member
from vouchers.settlements import paying_out
from vouchers.settlements.models import SettlementBatch

def die(*args, **more):
    os.kill(os.getpid(), signal.SIGKILL)

paying_out.see = die
batch, member = SettlementBatch.objects.get(pk=int(sys.argv[1])), Member.objects.get(pk=int(sys.argv[2]))
paying_out.pay(actor=access.actor_for(member), batch=batch, now=datetime.fromisoformat(sys.argv[3]))
"""


def killed_at_payout(w: make.World, batch_id: int, server: PayServer, now: datetime) -> None:
    """Let a worker pay a batch over the gateway, and kill it between the answer and our commit."""
    given = connection.settings_dict
    where = urlencode({"host": given["HOST"], "port": given["PORT"] or 5432}, safe="/")
    member = Member.objects.get(user_id=w.finance.user_id, organisation_id=w.finance.organisation_id)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(batch_id), str(member.pk), now.isoformat()],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DATABASE_URL": f"postgresql://{given['USER']}@/{given['NAME']}?{where}",
            "PGPASSWORD": given["PASSWORD"] or "",
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "GONGXIANG_DEBUG": "1",
            "GONGXIANG_STRIPE_KEY": server.key,
            "GONGXIANG_STRIPE_WEBHOOK_SECRET": server.secret,
            "GONGXIANG_STRIPE_API_BASE": server.address,
            "GONGXIANG_STRIPE_SANDBOX": "1",
            "GONGXIANG_STRIPE_TRANSFERS": "1",
            "GONGXIANG_STRIPE_ACCOUNT": "acct_SandboxPlatform",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


@scenario("SP5", commits=True)
def a_payout_is_lost_and_its_worker_killed(payserver: PayServer) -> str:
    """Over the gateway: an answer dropped after the act, a worker killed with SIGKILL after it: two payouts, two transfers."""
    w, now = make.world(), datetime.now(UTC)
    payserver.order("terms", {"wallet_rate": 0})
    made = payserver.client.accounts.create({"type": "express", "country": "HK"})
    with walks.stripe_at(payserver):
        past = now - timedelta(days=10)
        accounts.in_force(w, w.lab, now=past, rail="stripe", number=made.id, cnaps="", bank="Stripe")
        for at, fault in enumerate(("dropped", "killed")):
            payment = walks.owed(w, 48_000, subject=f"order:R-{at}")
            attempt = walks.begin(w, payment, Method.WECHAT_PAY, key=f"scenario-{at}", now=now)
            payserver.pay(attempt.provider_id)
            walks.deliver(walks.sandbox(), payserver.letters(), now=now)
            batch = services.draft(actor=w.finance, payee=w.lab, now=now)
            services.approve(actor=w.finance_approver, batch=batch, now=now)
            if fault == "dropped":
                payserver.fault("drop_after", method="POST", path="/v1/transfers$")
                paying_out.pay(actor=w.finance, batch=batch, now=now)
            else:
                killed_at_payout(w, batch.pk, payserver, now)
        assert set(RailPayout.objects.values_list("state", flat=True)) == {"open"}
        assert of_kind("settlement_clearing") == 96_000
        for minutes in (1, 4, 30):
            paying_out.look_at_due(now=now + timedelta(minutes=minutes))
        later = now + timedelta(hours=1)
        during = Period(now - timedelta(days=1), later)
        check = reconciliation.pull(rail=walks.sandbox(), during=during, actor=w.finance, now=later)
        moved = payserver.objects("transfer")
    assert [one["amount"] for one in moved] == [48_000, 48_000]
    assert set(RailPayout.objects.values_list("state", flat=True)) == {"paid"}
    assert (walks.clearing(), of_kind("settlement_clearing"), of_kind("cash_provider_payable")) == (0, 0, 0)
    assert check.open_entries == 0
    return "1 answer dropped, 1 worker killed: 2 payouts, 2 transfers of ¥480.00, booked once, the gateway's report explained"
