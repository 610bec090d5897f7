"""The scenarios S1–S8, S13 and S14 on the ledger itself: money in fen, card-hours in thousandths.

Where the same scenario is also told through bookings, wallets or claims, the one here carries the prefix L.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from django.db import connection, transaction

from portal.kernel.actors import Actor
from portal.kernel.money import Money
from tests.vouchers.ledger.test_concurrency import at_once
from tests.vouchers.ledger.world import Programme, open_account, post, posting
from tests.vouchers.scenarios import scenario
from vouchers.ledger import queries, rules, seals, services, verification
from vouchers.ledger.chart import AccountKind, JournalKind
from vouchers.ledger.models import Journal, Transfer
from vouchers.ledger.rules import HoldOp, Outcome, ResolveOp, TransferOp
from vouchers.ledger.units import mch_between

J, K = JournalKind, AccountKind
CHINA_MIDNIGHT = datetime(2026, 6, 30, 16, tzinfo=UTC)
"""30 June, 24:00 in China."""


def left(account: int) -> int:
    return queries.balances(account_ids=[account])[account].available_fen


def posted(account: int) -> int:
    return queries.balances(account_ids=[account])[account].posted_fen


def in_full(programme: Programme, voucher: int, voucher_fen: int, cash_fen: int) -> tuple[int, int]:
    """Hold both shares of an order and capture them whole; return the two holds."""
    held = post(
        J.HOLD,
        HoldOp(voucher, programme.payable, voucher_fen),
        HoldOp(programme.cash_due, programme.cash_payable, cash_fen),
    ).hold_ids
    post(
        J.CAPTURE,
        ResolveOp(held[0], Outcome.CAPTURED, voucher_fen),
        ResolveOp(held[1], Outcome.CAPTURED, cash_fen),
    )
    return held[0], held[1]


@scenario("LS1")
def s01(db: None) -> str:
    """A bill of ¥12,345.67 is split in halves, the odd fen to the payer, and every account says so."""
    programme = Programme(budget_fen=100_000_000)
    voucher = programme.issue(5_000_000)
    order = Money.from_yuan("12345.67")
    share = order.share(Fraction(1, 2)).fen
    in_full(programme, voucher, share, order.fen - share)

    assert (share, order.fen - share) == (617_283, 617_284)
    assert left(voucher) == 4_382_717
    assert posted(programme.payable) == 617_283
    assert left(programme.budget) == 95_000_000
    assert sum(line.debit_fen - line.credit_fen for line in queries.trial_balance()) == 0
    return "voucher ¥6,172.83, cash ¥6,172.84"


@scenario("LS2")
def s02(db: None) -> str:
    """Four hours are held at ¥800 and 30 %, 2 h 37 min are used: the difference is free again at once."""
    programme = Programme()
    voucher = programme.issue(1_000_000)
    hourly, ratio = Money(80_000), Fraction(3, 10)
    held = hourly.times(Fraction(4)).share(ratio).fen
    hold = programme.hold(voucher, held)
    cost = hourly.times(Fraction(157, 60))
    captured = cost.share(ratio).fen
    programme.capture(hold, captured)

    assert (held, cost.fen, captured, cost.fen - captured, held - captured) == (
        96_000,
        209_333,
        62_799,
        146_534,
        33_201,
    )
    assert left(voucher) == 1_000_000 - 62_799
    return "held ¥960.00, captured ¥627.99, released ¥332.01"


@scenario("S3")
def s03(db: None) -> str:
    """Card-hours are charged in segments that add up exactly, on accounts that count nothing else."""
    given = {"programme": "H", "fiscal_year": 2026, "unit": "MCH"}
    source, pool, voucher, payable = (
        services.account(kind=kind, owner="h", **given)
        for kind in (K.APPROPRIATION, K.BUDGET, K.VOUCHER, K.PROVIDER_PAYABLE)
    )
    post(J.APPROPRIATE, TransferOp(source, pool, 20_000))
    post(J.ISSUE, TransferOp(pool, voucher, 20_000))
    seconds = (0, 8 * 5_437, 8 * (5_437 + 2_600))
    charges = [mch_between(before, after) for before, after in pairwise(seconds)]
    for charge in charges:
        hold = post(J.HOLD, HoldOp(voucher, payable, charge)).hold_ids[0]
        post(J.CAPTURE, ResolveOp(hold, Outcome.CAPTURED, charge))

    assert charges == [12_082, 5_778]
    assert (posted(payable), left(voucher)) == (17_860, 2_140)
    return "12.082 + 5.778 card-hours, 2.14 left"


@scenario("LS4", commits=True)
def s04() -> str:
    """Two hundred redemptions of ¥100 fight for a voucher of ¥10,000 on 16 connections: exactly a hundred win."""
    programme = Programme(budget_fen=1_000_000)
    voucher = programme.issue(1_000_000)

    def redeem(number: int) -> str:
        hold = HoldOp(voucher, programme.payable, 10_000)
        held = services.post(posting=posting(J.HOLD, hold, key=f"s4:{number}")).hold_ids[0]
        taken = ResolveOp(held, Outcome.CAPTURED, 10_000)
        services.post(posting=posting(J.CAPTURE, taken, key=f"s4:{number}/taken"))
        return "paid"

    outcomes = Counter(at_once(redeem, 200))
    assert outcomes == {"paid": 100, "ledger.insufficient": 100}
    assert left(voucher) == 0
    assert posted(programme.payable) == 1_000_000
    return "100 paid, 100 refused, 0 deadlocks"


@scenario("S5", commits=True)
def s05() -> str:
    """One key sent fifty times at once is one journal; another amount is an error; a refused key fails for ever, a new one not."""
    programme = Programme()
    voucher = programme.issue(1_000)
    asked = posting(J.HOLD, HoldOp(voucher, programme.payable, 1_000), key="s5")
    answers = at_once(lambda _n: services.post(posting=asked), 50)
    assert len({(one.journal_id, one.hold_ids) for one in answers}) == 1
    assert Counter(one.replayed for one in answers) == {False: 1, True: 49}
    with pytest.raises(rules.PortalError, match="idempotency"):
        services.post(posting=posting(J.HOLD, HoldOp(voucher, programme.payable, 1_001), key="s5"))

    poor = posting(J.HOLD, HoldOp(voucher, programme.payable, 5), key="s5/poor")
    said = at_once(lambda _n: refusal_of(poor), 50)
    assert {(code, params["available_fen"], params["needed_fen"]) for code, params in said} == {
        ("ledger.insufficient", 0, 5)
    }
    post(J.ISSUE, TransferOp(programme.budget, voucher, 5))
    assert refusal_of(poor) == said[0]
    assert not Journal.objects.filter(key="s5/poor").exists()
    with pytest.raises(rules.PortalError, match="idempotency"):
        services.post(posting=posting(J.HOLD, HoldOp(voucher, programme.payable, 4), key="s5/poor"))
    fresh = posting(J.HOLD, HoldOp(voucher, programme.payable, 5), key="s5/new")
    assert not services.post(posting=fresh).replayed
    assert left(voucher) == 0
    return "1 journal for 50 calls; 51 refusals of one key alike"


def refusal_of(asked: rules.Posting) -> tuple[str, dict[str, object]]:
    with pytest.raises(rules.InsufficientFunds) as refused:
        services.post(posting=asked)
    return refused.value.code, dict(refused.value.params)


@scenario("LS6")
def s06(db: None) -> str:
    """A voucher lapses at midnight with a hold open: the free part goes at once, the held part is used, the rest follows."""
    programme = Programme()
    voucher = programme.issue(300_000)
    opened = CHINA_MIDNIGHT - timedelta(minutes=10)
    hold = programme.hold(voucher, 100_000, ttl_s=130 * 60, now=opened)
    post(J.EXPIRE, TransferOp(voucher, programme.expired, left(voucher)), now=CHINA_MIDNIGHT)
    balance = queries.balances(account_ids=[voucher])[voucher]
    assert (posted(programme.expired), balance.held_fen, balance.available_fen) == (200_000, 100_000, 0)
    with pytest.raises(rules.InsufficientFunds):
        programme.hold(voucher, 1, now=CHINA_MIDNIGHT + timedelta(seconds=30))

    programme.capture(hold, 80_000, now=CHINA_MIDNIGHT + timedelta(minutes=90))
    post(J.EXPIRE, TransferOp(voucher, programme.expired, left(voucher)), now=CHINA_MIDNIGHT + timedelta(minutes=91))
    assert (posted(programme.payable), posted(programme.expired), posted(voucher)) == (80_000, 220_000, 0)
    return "¥800.00 used, ¥2,200.00 lapsed"


@scenario("LS7")
def s07(db: None) -> str:
    """The order of S1 is refunded in three parts, the last after the voucher lapsed: both shares come back exactly."""
    programme = Programme()
    voucher = programme.issue(5_000_000)
    whole, share = 1_234_567, 617_283
    holds = in_full(programme, voucher, share, whole - share)
    given: list[tuple[int, int]] = []
    refunded = 0
    for number, part in enumerate((411_522, 411_522, 411_523)):
        refunded += part
        own = refunded * share // whole - sum(one for one, _cash in given)
        given.append((own, part - own))
        if number == 2:
            post(J.EXPIRE, TransferOp(voucher, programme.expired, left(voucher)))
        target = programme.expired if number == 2 else voucher
        post(
            J.REFUND,
            TransferOp(programme.payable, target, own, refunds_hold=holds[0]),
            TransferOp(programme.cash_payable, programme.cash_due, part - own, refunds_hold=holds[1]),
        )

    assert [own for own, _cash in given] == [205_760, 205_761, 205_762]
    assert [cash for _own, cash in given] == [205_762, 205_761, 205_761]
    assert (posted(programme.payable), posted(programme.cash_payable), posted(voucher)) == (0, 0, 0)
    with pytest.raises(rules.RefundExceedsCapture):
        post(J.REFUND, TransferOp(programme.receivable, programme.expired, 1, refunds_hold=holds[0]))
    return "¥6,172.83 and ¥6,172.84 in three parts"


@scenario("LS8")
def s08(db: None) -> str:
    """A voucher of ¥25,000 is clawed back: the free part at once, the held part later, the spent part as a debt."""
    programme = Programme()
    voucher = programme.issue(2_500_000)
    programme.capture(programme.hold(voucher, 500_000), 500_000)
    post(J.BATCH_OPEN, TransferOp(programme.payable, programme.clearing, 500_000))
    post(J.BATCH_PAID, TransferOp(programme.clearing, programme.settled, 500_000))
    hold = programme.hold(voucher, 200_000)

    post(J.CLAW_UNUSED, TransferOp(voucher, programme.clawed_back, left(voucher)))
    assert posted(programme.clawed_back) == 1_800_000
    assert queries.balances(account_ids=[voucher])[voucher].held_fen == 200_000
    post(J.RELEASE, ResolveOp(hold, Outcome.RELEASED))
    post(J.CLAW_UNUSED, TransferOp(voucher, programme.clawed_back, left(voucher)))
    post(J.CLAW_SPENT, TransferOp(programme.receivable_enterprise, programme.clawed_back, 500_000))
    assert posted(programme.clawed_back) == 2_500_000
    assert posted(programme.receivable_enterprise) == 500_000
    assert (posted(programme.settled), posted(programme.receivable)) == (500_000, 0)

    bank = services.account(kind=K.BANK_CLEARING, owner="bank:main", programme="P", fiscal_year=2026)
    post(J.CASH_IN, TransferOp(bank, programme.receivable_enterprise, 500_000))
    post(J.RECYCLE, TransferOp(programme.clawed_back, programme.budget, 2_500_000))
    assert posted(programme.receivable_enterprise) == 0
    assert left(programme.budget) == 100_000_000
    return "¥18,000.00 + ¥2,000.00 free, ¥5,000.00 owed"


def tamper(sql: str, *values: object) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, values)


@scenario("S13", commits=True)
def s13() -> str:
    """One fen is slipped into 4,000 transfers, and a chain rewritten to fit: the first names its row, the second its head."""
    programme = Programme()
    vouchers = [open_account(K.VOUCHER, f"s13:{n}") for n in range(500)]
    for _ in range(8):
        post(J.ISSUE, *(TransferOp(programme.budget, voucher, 1) for voucher in vouchers))
        while seals.seal(now=CHINA_MIDNIGHT):
            pass
    head = str(seals.export_head())
    assert seals.check(head=head).violations == ()
    victim = Transfer.objects.order_by("pk")[2_345].pk
    tamper("UPDATE ledger_transfer SET amount = amount + 1 WHERE id = %s", victim)
    (found,) = seals.check().violations
    assert found.detail == f"transfer {victim} was changed"
    assert "balance_is_sum_of_transfers" in {one.check for one in verification.verify()}

    kept = int(found.subject.removeprefix("seal "))
    tamper("DELETE FROM ledger_seal WHERE n >= %s", kept)
    while seals.seal(now=CHINA_MIDNIGHT):
        pass
    assert seals.check().violations == ()
    (rewritten,) = seals.check(head=head).violations
    assert rewritten.check == "seals_head"
    tamper("UPDATE ledger_transfer SET amount = amount - 1 WHERE id = %s", victim)
    return f"{found.subject}, transfer {victim} named"


@scenario("S14", commits=True)
def s14() -> str:
    """The trial balance of 31 December is printed on three days while posting goes on: three times the same."""
    new_year = rules.year_ends_at(2026)
    programme = Programme()
    programme.hold(programme.issue(1_000), 400)
    services.close_year(
        fiscal_year=2026, proposed_by="officer #1", actor=Actor.system("approver"), now=new_year + timedelta(minutes=1)
    )
    printed = []
    for day in (1, 2, 31):
        printed.append(queries.trial_balance(programme="P", at=new_year))
        now = new_year + timedelta(days=day)
        post(J.ISSUE, TransferOp(programme.budget, programme.vouchers[0], 10 * day), now=now)
        with pytest.raises(rules.PeriodClosed):
            post(
                J.ISSUE,
                TransferOp(programme.budget, programme.vouchers[0], 7),
                now=now,
                effective_at=new_year - timedelta(seconds=1),
            )
    assert printed[0] == printed[1] == printed[2]
    assert {line.kind for line in printed[0]} >= {K.APPROPRIATION, K.BUDGET, K.VOUCHER}
    assert queries.trial_balance(programme="P", at=new_year + timedelta(days=40)) != printed[0]
    return "three equal reports, late postings refused"
