"""Rounds, lotteries, public notices and objections, with the figures the published rules give."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from django.db import connections

from portal.kernel.errors import PortalError
from portal.kernel.money import Money
from portal.organisations.rules import Role
from portal.workdays import queries as calendar
from tests import make
from tests.vouchers.scenarios import scenario
from vouchers.issuance import queries as issuance
from vouchers.issuance import services as applications
from vouchers.issuance.models import Application
from vouchers.notices import objecting, rules, services
from vouchers.notices.objecting import Statement, Verdict
from vouchers.rounds import queries, waiting
from vouchers.wallets.models import Voucher

WAN = 1_000_000
"""10,000 yuan in fen."""
LEAD = {"caps": [{"window": "year", "amount": 3000000}], "lines": [{"id": "lead", "rate": "0.50"}]}


def state_of(case: Application) -> str:
    return Application.objects.values_list("state", flat=True).get(pk=case.pk)


@scenario("L1")
def a_notice_over_the_national_holiday(w: make.World) -> str:
    """A notice of five working days published on Monday 2025-09-29 ends with Monday 2025-10-13, make-up Saturday counted."""
    days = calendar.workdays()
    published = datetime(2025, 9, 29, 1, tzinfo=UTC)
    last, over = rules.end_of(published, working_days=5, calendar=days)

    assert last == date(2025, 10, 13)
    assert over == datetime(2025, 10, 13, 16, tzinfo=UTC)
    counted = [day for at in range(1, 15) if days.is_working_day(day := date(2025, 9, 29) + timedelta(days=at))][:5]
    assert counted == [date(2025, 9, 30), *(date(2025, 10, day) for day in (9, 10, 11, 13))]
    return "30 Sep, 9, 10, 11, 13 Oct"


@scenario("R0", commits=True)
def two_leads_at_the_same_moment() -> str:
    """A pool of 4 million, two leads entitled to 3 million each at once: one whole, the other refused, never 6 million."""
    w = make.world()
    version = make.programme(w, budget="4000000", pool_short="reject", **LEAD)
    owners = [make.applicant("甲单位"), make.applicant("乙单位")]

    def submit(owner: object) -> int:
        try:
            case = applications.submit(
                actor=owner,
                wanted=applications.Wanted(
                    version=version, contract=make.contract(items={"compute": Money(600 * WAN)}), stated={}
                ),
                now=make.NOW,
                key=make.key(),
            )
            return case.amount_fen
        except PortalError:
            return 0
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        granted = sorted(pool.map(submit, owners))

    assert granted == [0, 300 * WAN]
    assert issuance.pool_of(version) == Money(100 * WAN)
    return "¥3,000,000.00 + ¥0.00"


@scenario("R1")
def a_batch_serves_two_leads_from_one_pool(w: make.World) -> str:
    """The same two leads in one ranked round: the better has 3 million, the other the last million, together 4."""
    version = make.programme(w, budget="4000000", order="ranked", pool_short="partial", **LEAD)
    opened = make.round_of(w, version)
    second = make.waiting(w, version, "3000000", score=80)
    first = make.waiting(w, version, "3000000", score=95)
    done = make.decided(w, opened)

    awards = {award.application_id: award.amount_fen for award in done.awards.all()}
    assert awards == {first.pk: 300 * WAN, second.pk: 100 * WAN}
    assert issuance.pool_of(version) == Money(0)
    return "¥3,000,000.00 + ¥1,000,000.00"


@scenario("R2")
def anybody_recomputes_a_lottery(w: make.World) -> str:
    """A lottery's lots follow from the secret committed to before intake closed, recomputed with nothing but SHA-256."""
    version = make.programme(w, budget="100000", order="lottery", pool_short="reject")
    opened = make.round_of(w, version, public_source="上证指数收盘价")
    published_before = opened.seed_commitment
    numbers = [make.waiting(w, version, "30000").number for _ in range(6)]
    done = make.decided(w, opened, public_value="3412.55")

    secret = bytes(done.seed_secret)
    assert hashlib.sha256(secret).hexdigest() == published_before
    seed = hashlib.sha256(secret + b"3412.55").digest()
    by_hand = sorted(numbers, key=lambda number: hashlib.sha256(seed + number.encode()).hexdigest())
    assert list(done.awards.order_by("place").values_list("application__number", flat=True)) == by_hand
    assert sum(done.awards.values_list("amount_fen", flat=True)) == 9 * WAN
    return f"{by_hand[0]} first of 6"


@scenario("R3")
def a_prorated_round_is_exact(w: make.World) -> str:
    """100,000.00 yuan for claims of 200,000.00: k = 1/2 for everybody, the odd fen stays in the pool."""
    version = make.programme(w, budget="100000", order="all_then_prorate", pool_short="prorate")
    opened = make.round_of(w, version)
    for yuan in ("33333.33", "66666.67", "100000"):
        make.waiting(w, version, yuan)
    done = make.decided(w, opened)

    assert queries.coefficient(done) == Fraction(1, 2)
    assert sorted(done.awards.values_list("amount_fen", flat=True)) == [1_666_666, 3_333_333, 5_000_000]
    assert issuance.pool_of(version) == Money(1)
    return "k = 1/2, ¥0.01 left"


@scenario("R4")
def an_objection_blocks_one_item(w: make.World) -> str:
    """Of three noticed cases one is objected to: two have their vouchers when the notice ends, the third when it is heard."""
    version = make.programme(w, notice={"min_working_days": 5})
    cases = [make.waiting(w, version, "10000") for _ in range(3)]
    notice = make.noticed(w, version)
    objection = objecting.file(
        item=notice.items.get(application=cases[1]),
        statement=Statement("张三", "138-0000-0000", "申报材料与事实不符，请予核查。"),
        key=make.key(),
        now=make.NOW + timedelta(days=1),
    )
    assert notice.ends_at is not None
    services.close_due(now=notice.ends_at)

    assert [state_of(case) for case in cases] == ["issued", "objection", "issued"]
    judge = make.actor(w.department, Role.APPROVER, name="纪检")
    objecting.decide(
        actor=judge, objection=objection, verdict=Verdict.REJECT, reason="经核查不属实", now=notice.ends_at
    )
    assert [state_of(case) for case in cases] == ["issued"] * 3
    assert Voucher.objects.count() == 3
    return "2 on time, 1 after hearing"


@scenario("R5")
def a_queue_moves_up_in_order(w: make.World) -> str:
    """Money that comes back serves the queue in order: the next whole claim, never a smaller one behind it."""
    version = make.programme(w, budget="100000", pool_short="queue")
    owner = make.applicant()
    first = applications.submit(
        actor=owner,
        wanted=applications.Wanted(
            version=version, contract=make.contract(items={"compute": Money(16 * WAN)}), stated={}
        ),
        now=make.NOW,
        key=make.key(),
    )
    second, third = make.waiting(w, version, "60000"), make.waiting(w, version, "10000")
    assert [state_of(second), state_of(third)] == ["waiting", "waiting"]
    assert waiting.promote_all(now=make.NOW) == 0

    applications.withdraw(actor=owner, application=first, now=make.NOW)
    assert waiting.promote_all(now=make.NOW) == 2
    assert [state_of(second), state_of(third)] == ["issued", "issued"]
    return "2 of 2 served"
