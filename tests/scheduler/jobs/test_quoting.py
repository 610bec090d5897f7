"""Quotes: what is held covers what the cluster can cost, and never a minute more than the vouchers buy."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.jobs import learning, ports, quoting, rules, services
from scheduler.resources.models import Rate
from tests import make
from tests.calling import Caller
from vouchers.charges import rules as charge_rules

SCRIPT = "#!/bin/bash\necho ok\n"


def ask(minutes: int, *, cards: int = 8) -> rules.Ask:
    return rules.Ask(cards=cards, cpus=8, memory_mb=1000, time_limit_s=minutes * 60, script=SCRIPT)


def lot(number: int, *, fen: int, share: Fraction) -> charge_rules.Lot:
    valid = Period(make.NOW, make.slot(days=number + 2).end)
    return charge_rules.Lot(charge_rules.Terms(f"V{number}", f"p{number % 2}", share, valid, frozenset()), Money(fen))


SHARES = st.sampled_from([Fraction(1, 2), Fraction(1, 3), Fraction(7, 10), Fraction(1)])


@given(
    lots=st.lists(st.tuples(st.integers(0, 10**6), SHARES), min_size=1, max_size=4),
    fen=st.integers(1, 5000),
    count=st.integers(1, 64),
    guard_s=st.integers(0, 600),
    most=st.integers(1, 3000),
)
def test_the_longest_limit_is_carried_and_one_minute_more_is_not(lots, fen, count, guard_s, most):
    made = [lot(at, fen=have, share=share) for at, (have, share) in enumerate(lots)]
    size = quoting._Tariff(Rate(unit="card_hour", amount_fen=fen), count, guard_s, most * 60)

    longest = size.longest_minutes(made)

    assert 0 <= longest <= most
    assert longest == 0 or quoting._carried(size.price(longest * 60).amount, made)
    assert longest == most or not quoting._carried(size.price((longest + 1) * 60).amount, made)


@pytest.mark.django_db
class TestQuoting:
    def test_holds_the_guard_with_the_limit(self, w):
        partition = make.partition(w, guard_s=90)
        quote = quoting.quote(partition, ask=ask(60), vouchers=[], now=make.NOW)
        assert (quote.price.amount.fen, quote.limit_s, quote.guard_s) == (61 * 120 + 60, 3600, 90)

    def test_shortens_only_when_asked_to(self, w):
        partition, voucher = make.partition(w, guard_s=120), make.voucher(w, items={"compute": Money(10_000)})
        kept = quoting.quote(partition, ask=ask(600), vouchers=[voucher], now=make.NOW)
        assert [reason.code for reason in kept.reasons] == ["voucher.too_small"]
        assert (kept.longest_minutes, kept.is_shortened) == (81, False)
        cut = quoting.quote(partition, ask=ask(600), vouchers=[voucher], now=make.NOW, shorten=True)
        assert (cut.limit_s, list(cut.reasons), cut.split.own.fen) == (81 * 60, [], 4980)

    def test_shortens_to_what_the_partition_allows(self, w):
        partition = make.partition(w, max_time_s=7200)
        cut = quoting.quote(partition, ask=ask(600), vouchers=[], now=make.NOW, shorten=True)
        assert (cut.limit_s, list(cut.reasons), cut.is_shortened) == (7200, [], True)

    def test_never_makes_a_limit_of_nothing_into_one(self, w):
        quote = quoting.quote(make.partition(w), ask=ask(0), vouchers=[], now=make.NOW, shorten=True)
        assert [reason.code for reason in quote.reasons] == ["job.time_limit"]
        assert quote.price.amount.fen == 0

    def test_the_same_key_is_the_same_job_whatever_the_balance_became(self, w):
        partition, voucher = make.partition(w, guard_s=120), make.voucher(w, items={"compute": Money(10_000)})
        wanted = services.Wanted(partition=partition, title="训练", ask=ask(600), vouchers=[voucher], shorten=True)
        first, again = (
            services.submit(actor=w.researcher, wanted=wanted, now=make.NOW, key="one-key-1", dispatch=lambda _: None)
            for _time in range(2)
        )
        assert (first.pk, first.time_limit_s) == (again.pk, 81 * 60)

    @pytest.mark.usefixtures("clock")
    def test_says_over_http_what_the_balance_buys(self, w):
        partition, voucher = make.partition(w, guard_s=120), make.voucher(w, items={"compute": Money(10_000)})
        body = {
            "cluster": partition.cluster.code,
            "partition": partition.name,
            "cards": 8,
            "time_limit_s": 36_000,
            "script": SCRIPT,
            "voucher": voucher.number,
            "shorten": True,
        }
        answer = Caller(w.researcher).post("/jobs/quote", body).body
        assert (answer["acceptable"], answer["time_limit_s"], answer["guard_s"]) == (True, 4860, 120)
        assert (answer["longest_s"], answer["shortened"], answer["price"]["fen"]) == (4860, True, 9960)


@dataclass
class Saying:
    """A cluster that says what it can do."""

    guard_s: int

    def capabilities(self) -> ports.Capabilities:
        return ports.Capabilities("c1", "22.05", "v0.0.38", frozenset({ports.Feature.ARRAYS}), self.guard_s)


@pytest.mark.django_db
def test_keeps_what_a_cluster_says_of_itself(w):
    cluster = make.partition(w).cluster
    cluster.capabilities = {}
    assert (cluster.guard_s, cluster.features) == (120, frozenset())
    learning.learn(cluster, Saying(guard_s=75))
    assert (cluster.guard_s, cluster.features) == (75, {"arrays"})
