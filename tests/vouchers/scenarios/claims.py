"""Claims, settlement and claw-back in the figures of the published cases: L3 to L5, L8 to L10, S8 and S9."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from portal.audit.models import Record
from portal.kernel.money import Money
from portal.organisations.rules import Kind, Role
from tests import make
from tests.vouchers.claims import making
from tests.vouchers.scenarios import scenario
from vouchers.charges import refunding
from vouchers.charges import services as charges
from vouchers.charges.models import Charge
from vouchers.claims import deciding, paying, rules, services
from vouchers.claims.models import PaymentRun, RedemptionClaim
from vouchers.evidence.services import Upload
from vouchers.flags.models import Flag
from vouchers.ledger import queries as ledger
from vouchers.recoveries import services as recoveries
from vouchers.recoveries.models import Recovery
from vouchers.settlements import files, queries
from vouchers.settlements import services as settlements
from vouchers.wallets import expiry
from vouchers.wallets.models import Voucher

yuan = making.yuan


def balance(kind: str) -> int:
    return sum(row.balance_fen for row in ledger.trial_balance() if row.kind.value == kind)


def held(voucher: Voucher) -> tuple[int, int]:
    found = ledger.balances(account_ids=[voucher.account_id])[voucher.account_id]
    return found.available_fen, found.held_fen


def charge(w: make.World, voucher: Voucher, price: str, *, provider: Any = None) -> Charge:
    bill = charges.Bill(
        subject=f"booking:{make.key()[:20]}",
        service="compute",
        payer_id=w.enterprise.pk,
        provider_id=(provider or w.lab).pk,
        price=yuan(price),
        quote={},
    )
    return charges.hold(bill=bill, vouchers=[voucher], actor=w.owner, now=make.NOW)


def captured(w: make.World, voucher: Voucher, price: str, *, used: str = "", provider: Any = None) -> Charge:
    made = charge(w, voucher, price, provider=provider)
    return charges.capture(charge_id=made.pk, actual=yuan(used or price), measured={}, actor=w.operator, now=make.NOW)


def paid(w: make.World, payee: Any, *, now: datetime = make.NOW) -> Any:
    batch = settlements.draft(actor=w.finance, payee=payee, now=now)
    settlements.approve(actor=w.finance_approver, batch=batch, now=now)
    return settlements.mark_paid(actor=w.finance, batch=batch, bank_reference=f"TR-{batch.number}", now=now)


@scenario("L3c")
def less_used_than_contracted(w: make.World) -> str:
    """150,000 of voucher on a contract of 300,000; 200,000 are used: 100,000 are claimed, 50,000 are free again."""
    version = make.programme(w, evidence=[{"stage": "claim", "doc": "用量清单"}])
    voucher = make.voucher(w, version, items={"compute": yuan("300000")})
    assert voucher.face_fen == 15_000_000
    made = captured(w, voucher, "300000", used="200000")

    line = services.Line(what="算力", amount=yuan("100000"), charge=made.number)
    wanted = services.Wanted(amount=yuan("100000"), lines=[line])
    claim = services.draft(actor=w.lab_owner, wanted=wanted, now=make.NOW, key=make.key())
    upload = Upload("用量.png", making.PNG)
    services.attach(actor=w.lab_owner, claim=claim, document="用量清单", upload=upload, now=make.NOW)
    claim = services.file(actor=w.lab_owner, claim=claim, now=make.NOW)
    assert (claim.amount_fen, held(voucher)) == (10_000_000, (5_000_000, 0))
    return "claim ¥100,000.00, released ¥50,000.00"


@scenario("L4")
def lines_a_fen_short(w: make.World) -> str:
    """A claim of 150,000 whose lines sum to 149,999.99 is refused at filing, and nothing is held."""
    voucher = make.voucher(w, making.reimbursing(w), items={"compute": yuan("300000")})
    lines = [making.line("100000", base="200000"), making.line("49999.99", base="100000")]
    claim = making.drafted(w, voucher, "150000", *lines)
    with pytest.raises(rules.ClaimRefused) as refused:
        services.file(actor=w.owner, claim=claim, now=make.NOW)
    (reason,) = refused.value.reasons
    assert (reason.code, reason.params["gap"]) == ("claim.sum", "¥0.01")
    assert held(voucher) == (15_000_000, 0)
    return "Σ ¥149,999.99 ≠ ¥150,000.00"


def awarded(w: make.World, version: Any, **contract: Any) -> RedemptionClaim:
    """Grant an award, claim it, approve it and pay it."""
    case = make.passed(w, make.application(w, version, **contract))
    make.passed(w, case, by=w.approver)
    (claim,) = paying.open_awards(now=make.NOW)
    making.approved(w, claim)
    paid(w, w.enterprise)
    claim.refresh_from_db()
    assert claim.state == "settled"
    return claim


def ruled(w: make.World, case: Recovery, receivable: str, *, heard: bool = True, **more: Any) -> Recovery:
    """Hear and decide a case, by two persons."""
    if heard:
        recoveries.hear(actor=w.reviewer, recovery=case, note="单位称用量填报有误，愿意退回。", now=make.NOW)
    ruling = recoveries.Ruling(receivable=yuan(receivable), reason="用量不实", **more)
    recoveries.decide(actor=w.reviewer, recovery=case, ruling=ruling, now=make.NOW)
    return recoveries.confirm(actor=w.approver, recovery=case, now=make.NOW)


@scenario("L5c")
def a_top_up_follows_what_it_tops_up(w: make.World) -> str:
    """The city takes back 50,000 of 200,000; of the district's 20 % on top, 10,000 are proposed and a person confirms."""
    line = {"id": "20%", "derived_from": "city-2026", "rate": "0.20"}
    make.programme(w, code="district-2026", lines=[line], redeem={"mode": "award"}, level="district")
    city = make.programme(w, code="city-2026", redeem={"mode": "award"}, level="city")
    base = awarded(w, city, items={"compute": yuan("400000")})
    topup = RedemptionClaim.objects.get(base=base)
    assert (base.approved_fen, topup.state, topup.amount_fen) == (20_000_000, "proposed", 4_000_000)
    paying.confirm_topup(actor=w.reviewer, claim=topup, now=make.NOW)
    deciding.approve(actor=w.approver, claim=topup, now=make.NOW)
    paid(w, w.enterprise)

    case = recoveries.open_case(actor=w.reviewer, breach=recoveries.Breach(text="用量虚报", claim=base), now=make.NOW)
    ruled(w, case, "50000")
    derived = Recovery.objects.get(base=case)
    assert (derived.state, derived.receivable_fen, derived.claim_id) == ("proposed", 1_000_000, topup.pk)
    assert balance("receivable_enterprise") == 5_000_000, "a proposal moves nothing"
    recoveries.accept(actor=w.reviewer, recovery=derived, now=make.NOW)
    ruled(w, derived, "10000")
    assert balance("receivable_enterprise") == 6_000_000
    return "city ¥50,000.00, district ¥10,000.00"


@scenario("L8c")
def a_contract_refunded_after_payment(w: make.World) -> str:
    """A corpus contract of 2,000,000 paid at 30 % is refunded by 40 %: the rules give 360,000, 240,000 are receivable."""
    version = make.programme(
        w,
        code="corpus-2026",
        cost={"include": ["corpus"]},
        lines=[{"id": "30%", "rate": "0.30"}],
        caps=[],
        redeem={"mode": "award"},
    )
    claim = awarded(w, version, items={"corpus": yuan("2000000")})
    assert claim.approved_fen == 60_000_000
    case = recoveries.reassess(actor=w.reviewer, claim=claim, items={"corpus": yuan("1200000")}, now=make.NOW)
    assert case is not None
    assert (case.state, case.receivable_fen, case.facts["after_fen"]) == ("proposed", 24_000_000, 36_000_000)
    assert balance("receivable_enterprise") == 0
    recoveries.accept(actor=w.reviewer, recovery=case, now=make.NOW)
    ruled(w, case, "240000")
    assert balance("receivable_enterprise") == 24_000_000
    return "¥600,000.00 → ¥360,000.00, receivable ¥240,000.00"


@scenario("L9")
def one_invoice_two_firms(w: make.World) -> str:
    """The same invoice in two claims of different firms: the second is blocked, both cases are flagged."""
    other = make.organisation(Kind.ENTERPRISE, name="宁波同票科技有限公司", sme=True)
    rival = replace(w, enterprise=other, owner=make.actor(other, Role.OWNER))
    version = making.reimbursing(w)
    mine, theirs = make.voucher(w, version), make.voucher(rival, version, number="HT-2026-002")
    first = making.filed(w, mine, "1000", making.line("1000", base="2000", invoice="25442000000012345678"))
    second = making.drafted(rival, theirs, "1000", making.line("1000", base="2000", invoice="2544 2000 0000 1234 5678"))
    with pytest.raises(rules.DuplicateInvoice):
        services.file(actor=rival.owner, claim=second, now=make.NOW)
    second.refresh_from_db()
    flagged = set(Flag.objects.filter(pattern="duplicate_invoice").values_list("subject", flat=True))
    assert (first.state, second.state) == ("checking", "draft")
    assert flagged == {f"claim:{first.number}", f"claim:{second.number}"}
    assert held(theirs) == (theirs.face_fen, 0)
    return f"{first.number} stands, {second.number} blocked"


@scenario("L10")
def one_run_a_quarter(w: make.World) -> str:
    """Claims of 2 January, 20 February and 31 March are paid in one run, after 31 March."""
    version = making.reimbursing(w, redeem={"mode": "reimburse", "cadence": "quarter"})
    voucher = make.voucher(w, version)
    days = [datetime(2027, *day, tzinfo=make.BEIJING) for day in ((1, 2, 9), (2, 20, 9), (3, 31, 23))]
    for day in days:
        making.approved(w, making.filed(w, voucher, "1000", now=day), now=day)
    end = datetime(2027, 4, 1, tzinfo=make.BEIJING)
    assert paying.open_runs(now=end - timedelta(seconds=1)) == []
    assert list(queries.due_to(w.enterprise.pk, now=end - timedelta(seconds=1))) == []
    (run,) = paying.open_runs(now=end)
    assert paying.open_runs(now=end + timedelta(hours=1)) == []
    assert (PaymentRun.objects.count(), run.claims.count()) == (1, 3)
    assert sum(due.amount_fen for due in queries.due_to(w.enterprise.pk, now=end)) == 300_000
    return f"{run.number}: 3 claims, ¥3,000.00"


@scenario("S8")
def a_voucher_taken_back(w: make.World) -> str:
    """Of 25,000, 5,000 are spent and settled and 2,000 held: 18,000 are taken, later 2,000, and 5,000 are receivable."""
    voucher = make.voucher(w, items={"compute": yuan("50000")})
    assert voucher.face_fen == 2_500_000
    captured(w, voucher, "10000")
    paid(w, w.lab)
    open_charge = charge(w, voucher, "4000")
    before = (balance("provider_payable"), balance("settled"))

    case = recoveries.open_case(
        actor=w.reviewer, breach=recoveries.Breach(text="转借账号", voucher=voucher), now=make.NOW
    )
    ruled(w, case, "5000", bar_years=3, publish=True)
    assert (balance("clawed_back"), held(voucher)) == (1_800_000 + 500_000, (0, 200_000))
    charges.release(charge_id=open_charge.pk, reason="取消", actor=w.operator, now=make.NOW)
    expiry.expire_overdue(now=make.NOW + timedelta(minutes=5))
    assert (balance("clawed_back"), held(voucher)) == (2_000_000 + 500_000, (0, 0))
    assert balance("receivable_enterprise") == 500_000
    assert (balance("provider_payable"), balance("settled")) == before
    w.enterprise.refresh_from_db()
    assert w.enterprise.facts["barred_until"] == "2029-11-25"
    return "unused ¥18,000.00 + ¥2,000.00, receivable ¥5,000.00"


PROVIDERS, CAPTURES = 3, 10


def _providers(w: make.World) -> list[Any]:
    return [w.lab, *(make.organisation(Kind.PROVIDER) for _each in range(PROVIDERS - 1))]


def _refund(provider: Any, made: Charge) -> None:
    refunding.refund(
        actor=make.actor(provider, Role.LAB_MANAGER),
        charge=made,
        amount=yuan("100"),
        reason="服务中断",
        now=make.NOW,
        key=make.key(),
    )


@scenario("S9")
def batches_with_refunds_and_a_rejected_line(w: make.World) -> str:
    """Three providers' captures and refunds: later refunds are taken off the next batch, a rejected line is in one later."""
    voucher, providers = make.voucher(w), _providers(w)
    made = {each.pk: [captured(w, voucher, "1000", provider=each) for _n in range(CAPTURES)] for each in providers}
    for each in providers[:2]:
        for row in made[each.pk][:2]:
            _refund(each, row)

    batches = [settlements.draft(actor=w.finance, payee=each, now=make.NOW) for each in providers]
    assert sum(batch.total_fen for batch in batches) == PROVIDERS * CAPTURES * 50_000 - 4 * 5_000
    for batch in batches:
        settlements.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    line = queries.lines_of(batches[0].pk).filter(charge=made[providers[0].pk][-1]).get()
    first = settlements.reject_line(actor=w.finance, batch=batches[0], line_id=line.pk, reason="账号有误", now=make.NOW)
    assert first.total_fen == CAPTURES * 50_000 - 2 * 5_000 - 50_000
    for batch in batches:
        settlements.mark_paid(actor=w.finance, batch=batch, bank_reference=f"TR-{batch.number}", now=make.NOW)

    for each in providers[1:]:
        for row in made[each.pk][3:5]:
            _refund(each, row)
        captured(w, voucher, "1000", provider=each)
    later = [paid(w, each) for each in providers]
    assert [batch.total_fen for batch in later] == [50_000, 40_000, 40_000]
    assert [row.amount_fen for row in queries.lines_of(later[1].pk)] == [50_000, -10_000]
    assert balance("provider_payable") == balance("receivable_provider") == 0

    lines = list(queries.lines_of(batches[1].pk))
    again = files.statement(batches[1], lines)
    assert files.statement(batches[1], lines) == again
    told = Record.objects.get(action="settlement.approved", subject=f"settlement:{batches[1].number}")
    assert told.data["sha256"] == files.digest(again)
    return f"first ¥{Money(sum(b.total_fen for b in batches)).yuan()}, next ¥{Money(sum(b.total_fen for b in later)).yuan()}"
