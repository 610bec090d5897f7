"""From application to decision: who comes first, what one second costs, and who may not decide."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections

from portal.kernel.errors import PortalError
from portal.kernel.money import Money
from tests import make
from tests.vouchers.scenarios import scenario
from vouchers.issuance import automatic, lapsing, reviewing, rules, services
from vouchers.issuance.models import Application, Assignment
from vouchers.issuance.reviewing import Verdict
from vouchers.ledger import queries as ledger
from vouchers.programmes.models import Budget
from vouchers.wallets.models import Voucher

MILLION = 1_000_000


def _left(version: object) -> int:
    account_id = Budget.objects.get(programme=version.programme).account_id
    return ledger.balances(account_ids=[account_id])[account_id].available_fen


def _two_leads(pool_short: str) -> list[int]:
    """Let two national leads submit one millisecond apart, at the same time; return what each reserved, yuan."""
    w = make.world()
    version = make.programme(
        w,
        code=f"l7-{pool_short}",
        budget=str(4 * MILLION),
        pool_short=pool_short,
        caps=[],
        in_force=["2026-01-01", None],
    )
    owners = [make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER) for _lead in range(2)]

    def lead(at: int) -> int:
        contract = make.contract(f"NAT-{at}", items={"compute": Money.from_yuan(6 * MILLION)})
        wanted = services.Wanted(version=version, contract=contract, stated={})
        try:
            now = make.NOW + timedelta(milliseconds=at)
            case = services.submit(actor=owners[at], wanted=wanted, now=now, key=make.key())
            return case.amount_fen // 100 if case.reserve_hold_id else 0
        except PortalError:
            return 0
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as threads:
        got = sorted(threads.map(lead, range(2)), reverse=True)
    assert _left(version) == (4 * MILLION - sum(got)) * 100
    return got


@scenario("L7", commits=True)
def parallel_national_leads() -> str:
    """Two leads entitled to 3 million each submit together on a pool of 4: never 6, by whichever rule of shortage."""
    assert _two_leads("partial") == [3 * MILLION, MILLION]
    assert _two_leads("reject") == [3 * MILLION, 0]
    assert _two_leads("queue") == [3 * MILLION, 0]
    return "partial 300+100, reject 300, queue 300+0 waiting (万元)"


@scenario("A1")
def deadline_by_one_second(w: make.World) -> str:
    """A submission one second after the deadline is refused with both times; one microsecond before it, taken."""
    version = make.programme(w, windows=[{"from": "2026-11-01T00:00:00+08:00", "to": "2026-11-25T17:00:00+08:00"}])
    deadline = datetime(2026, 11, 25, 9, tzinfo=UTC)
    with pytest.raises(rules.DeadlinePassed) as refused:
        make.application(w, version, now=deadline + timedelta(seconds=1))
    assert refused.value.params == {"deadline": "2026-11-25 17:00:00", "received": "2026-11-25 17:00:01"}
    assert not Application.objects.exists()
    assert make.application(w, version, now=deadline - timedelta(microseconds=1)).state == "review"
    return "17:00:01 refused, 16:59:59.999 taken"


@scenario("A2")
def own_company_case(w: make.World) -> str:
    """A reviewer who belongs to the applicant is never drawn and cannot decide, at any stage, by any door."""
    insider = make.actor(w.department, make.roles.Role.REVIEWER, make.roles.Role.APPROVER)
    make.Member.objects.create(user_id=insider.user_id, organisation=w.enterprise, roles=[])
    version = make.programme(w)
    for at in range(5):
        case = make.application(w, version, number=f"HT-{at}", items={"compute": Money.from_yuan("1000")})
        assert [each.person_id for each in Assignment.objects.filter(application=case)] == [w.reviewer.user_id]
        for act in (reviewing.pass_stage, reviewing.return_case, reviewing.refuse):
            with pytest.raises(rules.SamePerson):
                act(actor=insider, application=case, verdict=Verdict(note="同意"), now=make.NOW)
    case = make.passed(w, case)
    with pytest.raises(rules.SamePerson):
        make.passed(w, case, by=insider)
    return "5 cases, 15 attempts refused"


@scenario("A3", commits=True)
def two_approvers() -> str:
    """Two approvers press in the same second: one voucher, and the other is told who came first has decided."""
    w = make.world()
    case = make.passed(w, make.application(w, make.programme(w)))
    seen = reviewing.seen_of(case)
    rivals = [w.approver, make.actor(w.department, make.roles.Role.APPROVER)]

    def press(someone: object) -> str:
        try:
            verdict = Verdict(seen=seen)
            return reviewing.pass_stage(actor=someone, application=case, verdict=verdict, now=make.NOW).state
        except PortalError as error:
            return error.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(press, rivals)) == ["conflict.transition", "issued"]
    assert Voucher.objects.count() == 1
    return "1 issued, 1 conflict"


@scenario("A4")
def clock_stands_and_lapses(w: make.World) -> str:
    """While the applicant is asked the clock stands; an answer after the last second counts as withdrawal."""
    version = make.programme(w, supplement_days=3)
    case = make.returned(w, make.application(w, version), note="请补充合同盖章页")
    late = case.due_at
    assert late == datetime(2026, 11, 30, 16, tzinfo=UTC)
    with pytest.raises(rules.SupplementLate):
        services.complete(actor=w.owner, application=case, stated={}, now=late)
    assert (lapsing.lapse_overdue(now=late - timedelta(seconds=1)), lapsing.lapse_overdue(now=late)) == (0, 1)
    assert _left(version) == 100_000_000
    return "3 working days, to 2026-12-01 00:00 Beijing"


@scenario("A5")
def instant_enjoyment(w: make.World) -> str:
    """即申即享 runs every stage with automatic hands in one second, and draws its share for a check afterwards."""
    version = make.programme(w, automation="instant", audit={"sample_rate": "0.50"}, budget="1000000", caps=[])
    cases = [
        make.application(w, version, number=f"HT-{at}", items={"compute": Money.from_yuan("1000")}) for at in range(40)
    ]
    assert {case.state for case in cases} == {"issued"}
    assert all(case.decisions.count() == 2 for case in cases)
    sampled = sum(case.sampled for case in cases)
    assert 8 <= sampled <= 32
    assert automatic.ACTOR.is_system
    return f"40 issued, {sampled} drawn for a check"
