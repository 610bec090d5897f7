"""The worked examples: split tender, metered use, replays, refunds, clawback, settlement; and what the words mean."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from psycopg.types.json import Jsonb

from portal.kernel.idempotency import KeyReused
from portal.kernel.money import Money
from tests.vouchers.ledger.world import Programme, open_account, post, posting
from vouchers.ledger import queries, rules, services
from vouchers.ledger.chart import AccountKind, JournalKind
from vouchers.ledger.models import Account, Hold, HoldOpen, Journal, Transfer
from vouchers.ledger.rules import AccountKey, HoldOp, Outcome, ResolveOp, TransferOp

NOW = datetime(2026, 6, 30, 15, 50, tzinfo=UTC)
"""23:50 in Shanghai, ten minutes before the half-year ends."""

pytestmark = pytest.mark.django_db


def available(account: int) -> int:
    return queries.balances(account_ids=[account])[account].available_fen


def held_and_own(programme: Programme, voucher: int, price: Money, share: Fraction) -> tuple[int, int]:
    """Hold both parts of a price in one journal."""
    part = price.share(share)
    made = post(
        JournalKind.HOLD,
        HoldOp(voucher, programme.payable, part.fen),
        HoldOp(programme.cash_due, programme.cash_payable, (price - part).fen),
    )
    return made.hold_ids


def test_split_tender() -> None:
    programme = Programme(budget_fen=100_000_000)
    voucher = programme.issue(5_000_000)
    price, share = Money.from_yuan("12345.67"), Fraction(1, 2)
    part, own = held_and_own(programme, voucher, price, share)
    assert (available(voucher), available(programme.budget)) == (4_382_717, 95_000_000)
    post(JournalKind.CAPTURE, ResolveOp(part, Outcome.CAPTURED, 617_283), ResolveOp(own, Outcome.CAPTURED, 617_284))
    assert available(voucher) == 4_382_717
    assert available(programme.payable) == 617_283
    assert available(programme.cash_payable) == 617_284
    assert queries.balances(account_ids=[programme.cash_due])[programme.cash_due].posted_fen == 617_284
    assert queries.verify() == []
    assert queries.unaccounted_fen() == 0


def test_metered_use_captures_less_than_was_held() -> None:
    programme, rate, share = Programme(), Money(80_000), Fraction(3, 10)
    voucher = programme.issue(500_000)
    held = rate.times(Fraction(4)).share(share)
    hold = programme.hold(voucher, held.fen)
    cost = rate.times(Fraction(157, 60))
    assert (held.fen, cost.fen, cost.share(share).fen) == (96_000, 209_333, 62_799)
    programme.capture(hold, cost.share(share).fen)
    assert (cost - cost.share(share)).fen == 146_534
    assert available(voucher) == 500_000 - 62_799
    assert queries.balances(account_ids=[voucher])[voucher].held_fen == 0


def test_a_key_posts_once_and_answers_the_same_for_ever() -> None:
    programme = Programme()
    voucher = programme.issue(1_000)
    asked = posting(JournalKind.HOLD, HoldOp(voucher, programme.payable, 600, 60), key="once")
    first = services.post(posting=asked)
    again = services.post(posting=asked)
    assert (again.journal_id, again.hold_ids, again.replayed) == (first.journal_id, first.hold_ids, True)
    with pytest.raises(KeyReused):
        post(JournalKind.HOLD, HoldOp(voucher, programme.payable, 601, 60), key="once")
    assert Journal.objects.filter(key="once").count() == 1
    assert available(voucher) == 400


def test_a_replay_is_answered_even_when_the_money_is_gone() -> None:
    programme = Programme()
    voucher = programme.issue(1_000)
    programme_hold = posting(JournalKind.HOLD, HoldOp(voucher, programme.payable, 1_000), key="all of it")
    services.post(posting=programme_hold)
    assert services.post(posting=programme_hold).replayed


def test_a_refused_key_fails_for_ever_and_a_new_one_succeeds() -> None:
    programme = Programme()
    voucher = programme.issue(100)
    asked = posting(JournalKind.HOLD, HoldOp(voucher, programme.payable, 101), key="poor")
    with pytest.raises(rules.InsufficientFunds) as refused:
        services.post(posting=asked)
    assert refused.value.params["available_fen"] == 100
    assert refused.value.params["needed_fen"] == 101
    assert str(refused.value) == "ledger.insufficient: 余额不足：可用 ¥1.00，需要 ¥1.01。"
    post(JournalKind.ISSUE, TransferOp(programme.budget, voucher, 1_000))
    with pytest.raises(rules.InsufficientFunds) as again:
        services.post(posting=asked)
    assert again.value.params == refused.value.params
    with pytest.raises(KeyReused):
        services.post(posting=posting(JournalKind.HOLD, HoldOp(voucher, programme.payable, 5), key="poor"))
    assert not services.post(posting=replace(asked, key="rich")).replayed


def test_what_was_undone_was_never_refused_and_a_mistake_of_the_program_may_be_mended() -> None:
    programme = Programme()
    voucher = programme.issue(100)
    asked = posting(JournalKind.HOLD, HoldOp(voucher, programme.payable, 101), key="undone")
    with pytest.raises(rules.InsufficientFunds), transaction.atomic():
        services.post(posting=asked)
    astray = posting(JournalKind.HOLD, HoldOp(programme.budget, programme.payable, 1), key="astray")
    with pytest.raises(rules.FlowNotAllowed):
        services.post(posting=astray)
    post(JournalKind.ISSUE, TransferOp(programme.budget, voucher, 1))
    mended = posting(JournalKind.HOLD, HoldOp(voucher, programme.payable, 1), key="astray")
    assert not services.post(posting=mended).replayed
    post(JournalKind.ISSUE, TransferOp(programme.budget, voucher, 1))
    assert not services.post(posting=asked).replayed


def test_expiry_leaves_an_open_hold_alone() -> None:
    programme = Programme()
    voucher = programme.issue(300_000)
    hold = programme.hold(voucher, 100_000, ttl_s=7_800, now=NOW)
    post(
        JournalKind.EXPIRE, TransferOp(voucher, programme.expired, available(voucher)), now=NOW + timedelta(minutes=10)
    )
    balance = queries.balances(account_ids=[voucher])[voucher]
    assert (available(programme.expired), balance.held_fen, balance.available_fen) == (200_000, 100_000, 0)
    with pytest.raises(rules.InsufficientFunds):
        programme.hold(voucher, 1)
    programme.capture(hold, 80_000, now=NOW + timedelta(minutes=100))
    post(JournalKind.EXPIRE, TransferOp(voucher, programme.expired, available(voucher)))
    assert (available(programme.payable), available(programme.expired), available(voucher)) == (80_000, 220_000, 0)
    services.close_account(account_id=voucher, now=NOW)
    with pytest.raises(rules.AccountClosed):
        post(JournalKind.REFUND, TransferOp(programme.payable, voucher, 1, refunds_hold=hold))
    post(JournalKind.REFUND, TransferOp(programme.payable, programme.expired, 1, refunds_hold=hold))
    assert queries.verify() == []


def test_refunds_in_three_parts_return_the_original_split() -> None:
    programme = Programme()
    voucher = programme.issue(5_000_000)
    part, own = held_and_own(programme, voucher, Money(1_234_567), Fraction(1, 2))
    post(JournalKind.CAPTURE, ResolveOp(part, Outcome.CAPTURED, 617_283), ResolveOp(own, Outcome.CAPTURED, 617_284))
    for to, from_voucher, from_own in (
        (voucher, 205_760, 205_762),
        (voucher, 205_761, 205_761),
        (programme.expired, 205_762, 205_761),
    ):
        post(
            JournalKind.REFUND,
            TransferOp(programme.payable, to, from_voucher, refunds_hold=part),
            TransferOp(programme.cash_payable, programme.cash_due, from_own, refunds_hold=own),
        )
    assert (available(programme.payable), available(programme.cash_payable)) == (0, 0)
    assert (available(voucher), available(programme.expired)) == (5_000_000 - 205_762, 205_762)
    with pytest.raises(rules.RefundExceedsCapture):
        post(JournalKind.REFUND, TransferOp(programme.payable, voucher, 1, refunds_hold=part))


def test_clawback_takes_what_is_free_and_charges_what_was_spent() -> None:
    programme = Programme()
    voucher = programme.issue(2_500_000)
    programme.capture(programme.hold(voucher, 500_000), 500_000)
    hold = programme.hold(voucher, 200_000)
    with pytest.raises(rules.InsufficientFunds):
        post(JournalKind.CLAW_UNUSED, TransferOp(voucher, programme.clawed_back, 1_800_001))
    post(JournalKind.CLAW_UNUSED, TransferOp(voucher, programme.clawed_back, 1_800_000))
    post(JournalKind.RELEASE, ResolveOp(hold, Outcome.RELEASED))
    post(JournalKind.CLAW_UNUSED, TransferOp(voucher, programme.clawed_back, 200_000))
    post(JournalKind.CLAW_SPENT, TransferOp(programme.receivable_enterprise, programme.clawed_back, 500_000))
    assert (available(voucher), available(programme.clawed_back)) == (0, 2_500_000)
    assert (available(programme.receivable_enterprise), available(programme.payable)) == (500_000, 500_000)
    assert queries.verify() == []


def test_a_batch_is_opened_rejected_opened_again_and_paid() -> None:
    programme = Programme()
    voucher = programme.issue(10_000)
    hold = programme.hold(voucher, 9_000)
    programme.capture(hold, 9_000)
    post(JournalKind.BATCH_OPEN, TransferOp(programme.payable, programme.clearing, 9_000))
    with pytest.raises(rules.InsufficientFunds):
        post(JournalKind.REFUND, TransferOp(programme.payable, voucher, 500, refunds_hold=hold))
    post(JournalKind.REFUND, TransferOp(programme.receivable, voucher, 500, refunds_hold=hold))
    post(JournalKind.BATCH_REJECTED, TransferOp(programme.clearing, programme.payable, 9_000))
    post(
        JournalKind.BATCH_OPEN,
        TransferOp(programme.payable, programme.receivable, 500),
        TransferOp(programme.payable, programme.clearing, 8_500),
    )
    post(JournalKind.BATCH_PAID, TransferOp(programme.clearing, programme.settled, 8_500))
    assert [available(a) for a in (programme.payable, programme.clearing, programme.settled, programme.receivable)] == [
        0, 0, 8_500, 0,
    ]  # fmt: skip
    assert queries.verify() == []


def test_a_reservation_becomes_a_voucher_in_one_round_trip_each() -> None:
    programme = Programme(budget_fen=1_000)
    budget = AccountKey(AccountKind.BUDGET, "P", "P", 2026)
    voucher = AccountKey(AccountKind.VOUCHER, "voucher:V1", "P", 2026)
    with CaptureQueriesContext(
        connection,
    ) as trips:
        reserved = post(JournalKind.RESERVE, HoldOp(budget, voucher, 700)).hold_ids[0]
        with pytest.raises(rules.InsufficientFunds):
            post(JournalKind.RESERVE, HoldOp(budget, AccountKey(AccountKind.VOUCHER, "voucher:V2", "P", 2026), 301))
        post(JournalKind.ISSUE, ResolveOp(reserved, Outcome.CAPTURED, 500))
    assert len(trips) == 3
    account = services.account(kind=AccountKind.VOUCHER, owner="voucher:V1", programme="P", fiscal_year=2026)
    assert (available(account), available(programme.budget)) == (500, 500)


def test_a_refused_application_gives_its_reservation_back() -> None:
    programme = Programme(budget_fen=1_000)
    voucher = open_account(AccountKind.VOUCHER, "voucher:V1")
    reserved = post(JournalKind.RESERVE, HoldOp(programme.budget, voucher, 700)).hold_ids[0]
    assert queries.balances(account_ids=[voucher])[voucher].incoming_fen == 700
    post(JournalKind.RELEASE, ResolveOp(reserved, Outcome.RELEASED))
    assert (available(programme.budget), available(voucher)) == (1_000, 0)
    services.close_account(account_id=voucher, now=NOW)


def test_a_reversal_mirrors_once() -> None:
    programme = Programme(budget_fen=1_000)
    first = open_account(AccountKind.VOUCHER, "1")
    second = open_account(AccountKind.VOUCHER, "2")
    issued = post(
        JournalKind.ISSUE, TransferOp(programme.budget, first, 300), TransferOp(programme.budget, second, 200)
    )
    post(JournalKind.REVERSE, reverses=issued.journal_id)
    assert [available(a) for a in (programme.budget, first, second)] == [1_000, 0, 0]
    with pytest.raises(rules.AlreadyReversed):
        post(JournalKind.REVERSE, reverses=issued.journal_id)


def test_a_capture_is_not_reversed_but_refunded() -> None:
    programme = Programme()
    captured = programme.capture(programme.hold(programme.issue(100), 100), 100)
    with pytest.raises(rules.BadPosting):
        post(JournalKind.REVERSE, reverses=captured.journal_id)


def test_a_thousand_vouchers_in_one_journal() -> None:
    programme = Programme(budget_fen=10_000_000)
    vouchers = [open_account(AccountKind.VOUCHER, f"bulk:{n}") for n in range(1_000)]
    post(JournalKind.ISSUE, *(TransferOp(programme.budget, voucher, 10_000) for voucher in vouchers))
    assert available(programme.budget) == 0
    with pytest.raises(rules.InsufficientFunds):
        post(JournalKind.ISSUE, TransferOp(programme.budget, vouchers[0], 1))
    assert Transfer.objects.filter(journal__kind="issue").count() == 1_000
    assert queries.unaccounted_fen() == 0


def test_an_account_is_opened_once() -> None:
    wanted = {"kind": AccountKind.VOUCHER, "owner": "v", "programme": "P", "fiscal_year": 2026}
    assert services.account(**wanted) == services.account(**wanted)
    assert services.account(**(wanted | {"fiscal_year": 2027})) != services.account(**wanted)
    assert Account.objects.filter(owner="v").count() == 2
    with pytest.raises(ValueError, match="programme"):
        services.account(kind=AccountKind.VOUCHER, owner="v")


def test_closing_needs_an_empty_account_and_happens_once() -> None:
    programme = Programme()
    voucher = programme.issue(5)
    with pytest.raises(rules.AccountNotEmpty):
        services.close_account(account_id=voucher, now=NOW)
    post(JournalKind.EXPIRE, TransferOp(voucher, programme.expired, 5))
    services.close_account(account_id=voucher, now=NOW)
    services.close_account(account_id=voucher, now=NOW + timedelta(days=1))
    assert Account.objects.get(pk=voucher).closed_at == NOW


def test_the_database_clock_judges_deadlines_when_nobody_gives_the_time() -> None:
    programme = Programme()
    voucher = programme.issue(100)
    hold = programme.hold(voucher, 100, ttl_s=1)
    written = Hold.objects.select_related("journal").get(pk=hold)
    assert written.expires_at - written.journal.recorded_at == timedelta(seconds=1)
    with pytest.raises(rules.HoldExpired):
        programme.capture(hold, 100, now=written.expires_at)
    programme.capture(hold, 100, now=written.expires_at - timedelta(microseconds=1))


def test_the_sweeper_ends_what_is_due_oldest_first_and_nothing_else() -> None:
    programme = Programme()
    voucher = programme.issue(1_000)
    late, later = (programme.hold(voucher, 100, ttl_s=ttl, now=NOW) for ttl in (60, 30))
    kept = [programme.hold(voucher, 100, ttl_s=ttl, now=NOW) for ttl in (61, None)]
    at = NOW + timedelta(seconds=60)
    assert services.release_overdue(now=at, limit=1) == [later]
    assert services.release_overdue(now=at) == [late]
    assert services.release_overdue(now=at) == []
    assert sorted(HoldOpen.objects.values_list("pk", flat=True)) == sorted(kept)
    assert available(voucher) == 800
    assert queries.verify() == []


def test_a_value_date_is_kept_apart_from_the_time_of_recording() -> None:
    programme = Programme()
    paid_on = datetime(2026, 6, 1, tzinfo=UTC)
    made = post(JournalKind.CASH_IN, TransferOp(programme.bank, programme.cash_due, 5), effective_at=paid_on, now=NOW)
    journal = Journal.objects.get(pk=made.journal_id)
    assert (journal.effective_at, journal.recorded_at) == (paid_on, NOW)


def test_a_posting_is_one_round_trip_however_many_legs() -> None:
    programme = Programme()
    voucher = programme.issue(10_000)
    with CaptureQueriesContext(connection) as trips:
        made = post(JournalKind.HOLD, *(HoldOp(voucher, programme.payable, 10) for _ in range(50)))
        post(JournalKind.CAPTURE, *(ResolveOp(hold, Outcome.CAPTURED, 3) for hold in made.hold_ids))
    assert len(trips) == 2
    assert available(voucher) == 10_000 - 150


def test_a_request_that_carries_what_its_kind_may_not_is_refused() -> None:
    """The function itself checks, whoever calls it."""
    programme = Programme()
    voucher = programme.issue(10)
    with connection.cursor() as cursor:
        for extra in (
            {"holds": [{"debit": voucher, "credit": programme.payable, "amount": 1}]},
            {"kind": "gift"},
            {"transfers": []},
            {"transfers": [{"debit": voucher, "credit": programme.expired}]},
            {"transfers": [{"debit": voucher, "credit": programme.expired, "amount": 0}]},
            {"transfers": [{"debit": -1, "credit": programme.expired, "amount": 1}]},
        ):
            request = {
                "kind": "expire", "key": "raw", "fingerprint": "00", "actor": "a", "source_type": "t", "source_id": "1",
                "transfers": [{"debit": voucher, "credit": programme.expired, "amount": 1}],
            } | extra  # fmt: skip
            cursor.execute("SELECT ledger_post(%s)->>'error'", [Jsonb(request)])
            assert cursor.fetchone() == ("bad_request",), extra
