"""Allocation: laws that hold for every order and every shortage, and cases worked out by hand."""

import hashlib
import itertools
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.money import Money
from vouchers.programmes.allocation import (
    AwardOutcome,
    Claim,
    Why,
    allocate,
    lot,
    lottery_order,
)
from vouchers.programmes.schemes import PoolShort, Rounding
from vouchers.programmes.terms import AwardOrder, Leftovers

START = datetime(2026, 5, 6, 1, 0, tzinfo=UTC)
SEED = b"seed"
REGIONS = {"杭州": Fraction(1, 2), "宁波": Fraction(1, 3), "温州": Fraction(1, 6)}


@st.composite
def claim_lists(draw):
    count = draw(st.integers(0, 12))
    return [
        Claim(
            id=f"A{at:03d}",
            amount=Money(draw(st.integers(1, 10_000))),
            submitted_at=START + timedelta(milliseconds=draw(st.integers(0, 5))),
            score=draw(st.none() | st.fractions(0, 100, max_denominator=10)),
            region=draw(st.sampled_from(["杭州", "宁波", "温州", "嘉兴"])),
            floor=Money(draw(st.sampled_from([0, 0, 0, 50, 500]))),
        )
        for at in range(count)
    ]


pools = st.integers(0, 40_000).map(Money)
orders = st.sampled_from(list(AwardOrder))
shortages = st.sampled_from(list(PoolShort))
steps = st.sampled_from([Rounding(), Rounding(to=Money(100))])
leftover = st.sampled_from(list(Leftovers))


def run(order, pool, short, claims, rounding=None, leftovers=Leftovers.STAY):
    return allocate(
        order=order,
        pool=pool,
        short=short,
        claims=claims,
        quotas=REGIONS,
        seed=SEED,
        rounding=rounding,
        leftovers=leftovers,
    )


def made(*amounts, **more):
    return [
        Claim(f"A{at}", Money(amount), START + timedelta(milliseconds=at), **more)
        for at, amount in enumerate(amounts, 1)
    ]


def fens(allocation):
    return {award.id: award.amount.fen for award in allocation.awards}


@given(orders, pools, shortages, claim_lists(), steps, leftover)
def test_every_claim_is_answered_once_within_claim_and_pool_and_the_sums_are_exact(
    order, pool, short, claims, rounding, leftovers
):
    found = run(order, pool, short, claims, rounding, leftovers)
    assert sorted(found.order) == sorted(claim.id for claim in claims)
    assert [award.place for award in found.awards] == list(range(1, len(claims) + 1))
    asked = {claim.id: claim for claim in claims}
    for award in found.awards:
        claim = asked[award.id]
        assert 0 <= award.amount.fen <= claim.amount.fen
        assert not award.amount or award.amount >= claim.floor
        assert (award.outcome is AwardOutcome.FULL) == (award.amount == claim.amount)
        assert award.amount.fen % rounding.to.fen == 0 or award.amount == claim.amount
    assert found.total + found.left == pool
    assert found.left.fen >= 0


@given(orders, pools, shortages, claim_lists(), leftover, st.randoms())
def test_the_order_of_asking_never_matters(order, pool, short, claims, leftovers, random):
    shuffled = list(claims)
    random.shuffle(shuffled)
    assert run(order, pool, short, claims, leftovers=leftovers) == run(
        order, pool, short, shuffled, leftovers=leftovers
    )


@given(pools, shortages, claim_lists(), steps)
def test_what_a_region_leaves_obeys_the_key_to_the_fen(pool, short, claims, rounding):
    stays, shared = (run(AwardOrder.REGION_QUOTA, pool, short, claims, rounding, each) for each in Leftovers)
    region = {claim.id: claim.region for claim in claims}
    for name, share in REGIONS.items():
        own = sum(award.amount.fen for award in stays.awards if region[award.id] == name)
        assert own <= pool.share(share).fen
    for before, after in zip(stays.awards, shared.awards, strict=True):
        assert after.amount == before.amount or not before.amount
    assert stays.total + stays.left == shared.total + shared.left == pool
    if short is PoolShort.REJECT:
        unserved = [award for award in shared.awards if not award.amount and award.why is not Why.BELOW_FLOOR]
        assert all(award.asked > shared.left for award in unserved)


@given(orders, pools, st.integers(1, 5_000), shortages, claim_lists())
def test_more_money_never_means_less_awarded(order, pool, more, short, claims):
    less_pool = run(order, pool, short, claims)
    more_pool = run(order, pool + Money(more), short, claims)
    assert more_pool.total >= less_pool.total


@given(pools, st.integers(1, 5_000), claim_lists(), steps)
def test_prorated_or_queued_nobody_loses_by_more_money(pool, more, claims, rounding):
    for order, short in ((AwardOrder.ALL_THEN_PRORATE, PoolShort.REJECT), (AwardOrder.FIRST_COME, PoolShort.QUEUE)):
        before = run(order, pool, short, claims, rounding)
        after = run(order, pool + Money(more), short, claims, rounding)
        assert all(after.of(award.id).amount >= award.amount for award in before.awards)


@given(orders, shortages, claim_lists())
def test_a_pool_that_covers_all_pays_all(order, short, claims):
    claims = [claim for claim in claims if claim.amount >= claim.floor and claim.region != "嘉兴"]
    pool = Money(6 * sum(claim.amount.fen for claim in claims))
    found = run(order, pool, short, claims)
    assert all(award.outcome is AwardOutcome.FULL for award in found.awards)
    assert found.coefficient == 1


@given(pools, claim_lists())
def test_the_published_coefficient_recomputes_every_award(pool, claims):
    found = run(AwardOrder.ALL_THEN_PRORATE, pool, PoolShort.PRORATE, claims)
    for claim in claims:
        part = (claim.amount.fen * found.coefficient.numerator) // found.coefficient.denominator
        assert found.of(claim.id).amount.fen == (part if part >= claim.floor.fen else 0)


@given(pools, claim_lists())
def test_in_a_queue_nobody_is_overtaken(pool, claims):
    found = run(AwardOrder.FIRST_COME, pool, PoolShort.QUEUE, claims)
    standing = [award.outcome for award in found.awards if award.why is not Why.BELOW_FLOOR]
    assert standing == sorted(standing, key=lambda outcome: outcome is AwardOutcome.WAITS)


@given(pools, shortages, claim_lists())
def test_no_region_gets_more_than_its_quota(pool, short, claims):
    found = run(AwardOrder.REGION_QUOTA, pool, short, claims)
    for region, share in REGIONS.items():
        got = sum(found.of(claim.id).amount.fen for claim in claims if claim.region == region)
        assert got <= pool.fen * share
    assert all(found.of(claim.id).why is Why.NO_QUOTA for claim in claims if claim.region == "嘉兴")


def test_two_leads_a_millisecond_apart_never_get_more_than_the_pool():
    """Golden case L7: 400 万 left, two claims of 300 万."""
    claims = made(300_000_000, 300_000_000)
    pool = Money(400_000_000)
    assert fens(run(AwardOrder.FIRST_COME, pool, PoolShort.REJECT, claims)) == {"A1": 300_000_000, "A2": 0}
    assert fens(run(AwardOrder.FIRST_COME, pool, PoolShort.PARTIAL, claims)) == {"A1": 300_000_000, "A2": 100_000_000}
    queued = run(AwardOrder.FIRST_COME, pool, PoolShort.QUEUE, claims)
    assert queued.of("A2").outcome is AwardOutcome.WAITS
    assert queued.left == Money(100_000_000)


def test_a_prorated_round_to_the_fen():
    """100.00 yuan among 33.33, 66.67 and 100.00: k is a half, the odd fen stay in the pool."""
    found = run(AwardOrder.ALL_THEN_PRORATE, Money(10_000), PoolShort.REJECT, made(3333, 6667, 10_000))
    assert found.coefficient == Fraction(1, 2)
    assert fens(found) == {"A1": 1666, "A2": 3333, "A3": 5000}
    assert found.left == Money(1)


def test_a_prorated_award_below_its_floor_is_none_and_lifts_nobody():
    claims = [*made(1000), Claim("B", Money(1000), START, floor=Money(600))]
    found = run(AwardOrder.ALL_THEN_PRORATE, Money(1000), PoolShort.PRORATE, claims)
    assert fens(found) == {"A1": 500, "B": 0}
    assert found.of("B").why is Why.BELOW_FLOOR
    assert found.left == Money(500)


def test_ranks_go_by_score_then_submission_then_number():
    claims = [
        Claim("late", Money(5), START + timedelta(seconds=1), score=Fraction(90)),
        Claim("early", Money(5), START, score=Fraction(90)),
        Claim("best", Money(5), START + timedelta(hours=1), score=Fraction(181, 2)),
        Claim("none", Money(5), START),
        Claim("b", Money(5), START, score=Fraction(80)),
        Claim("a", Money(5), START, score=Fraction(80)),
    ]
    found = run(AwardOrder.RANKED, Money(10), PoolShort.REJECT, claims)
    assert found.order == ("best", "early", "late", "a", "b", "none")
    assert [award.amount.fen for award in found.awards] == [5, 5, 0, 0, 0, 0]
    assert found.of("late").why is Why.EXHAUSTED


def test_anybody_can_recompute_the_lots():
    ids = ["A2605-000001", "A2605-000002", "A2605-000003"]
    by_hand = sorted(ids, key=lambda number: hashlib.sha256(b"seed" + number.encode()).hexdigest())
    assert lottery_order(SEED, ids) == by_hand
    assert lot(SEED, ids[0]) == hashlib.sha256(b"seedA2605-000001").hexdigest()
    claims = [Claim(number, Money(5), START) for number in ids]
    found = run(AwardOrder.LOTTERY, Money(5), PoolShort.REJECT, claims)
    assert list(found.order) == by_hand
    assert found.of(by_hand[0]).amount == Money(5)


def test_another_seed_draws_another_order():
    ids = [f"A{at}" for at in range(30)]
    orders_drawn = {tuple(lottery_order(bytes([at]), ids)) for at in range(20)}
    assert len(orders_drawn) == 20


def test_what_a_region_leaves_stays_or_serves_the_others():
    claims = [
        Claim("hz", Money(200), START, region="杭州"),
        Claim("nb", Money(900), START, region="宁波"),
        Claim("jx", Money(300), START + timedelta(seconds=1), region="嘉兴"),
    ]
    stays = run(AwardOrder.REGION_QUOTA, Money(1200), PoolShort.REJECT, claims)
    assert fens(stays) == {"hz": 200, "nb": 0, "jx": 0}
    shared = run(AwardOrder.REGION_QUOTA, Money(1200), PoolShort.REJECT, claims, leftovers=Leftovers.SHARE)
    assert fens(shared) == {"hz": 200, "nb": 900, "jx": 0}
    assert shared.left == Money(100)


@pytest.mark.parametrize(
    "wrong",
    [
        {"order": AwardOrder.LOTTERY, "seed": None},
        {"pool": Money(-1)},
        {"quotas": {"杭州": Fraction(2, 3), "宁波": Fraction(1, 2)}},
        {"claims": made(1) + made(1)},
        {"claims": [Claim("A", Money(0), START)]},
    ],
)
def test_nonsense_is_refused(wrong):
    values = {
        "order": AwardOrder.FIRST_COME,
        "pool": Money(10),
        "short": PoolShort.REJECT,
        "claims": made(1),
        "quotas": {},
        "seed": SEED,
    }
    with pytest.raises(ValueError):
        allocate(**{**values, **wrong})


def test_a_queue_moves_up_in_order_when_money_returns():
    claims = made(300, 300, 50)
    first = run(AwardOrder.FIRST_COME, Money(400), PoolShort.QUEUE, claims)
    assert [award.outcome for award in first.awards] == [AwardOutcome.FULL, AwardOutcome.WAITS, AwardOutcome.WAITS]
    waiting = [claim for claim in claims if first.of(claim.id).outcome is AwardOutcome.WAITS]
    for returned, served in itertools.zip_longest((100, 200, 250), (0, 1, 2)):
        later = run(AwardOrder.FIRST_COME, Money(100 + returned), PoolShort.QUEUE, waiting)
        assert sum(award.outcome is AwardOutcome.FULL for award in later.awards) == served
