from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.money import Money
from portal.tables.values import Row, Table
from tests.vouchers.offers.goods import RECORDS, TOKENS
from vouchers.offers import rules, usage
from vouchers.offers.rules import OfferKind, SaleChannel

NOW = datetime(2026, 11, 25, tzinfo=UTC)
TODAY = NOW.date()


def codes(reasons):
    return [reason.code for reason in reasons]


def test_every_ground_against_a_voucher_is_given_at_once():
    purchase = rules.Purchase(SaleChannel.DIRECT, model_filed=False, related=True, provider={})
    terms = rules.Terms(
        frozenset({"contract.channel", "contract.model_filed", "provider.kind", "contract.tier"}),
        related_forbidden=True,
    )
    found = codes(rules.programme_reasons(purchase, terms=terms, voucher="V1"))
    assert found == ["order.related", "order.channel", "order.not_filed", "order.provider", "order.purchase"]
    assert rules.programme_reasons(purchase, terms=rules.Terms(frozenset(), False), voucher="V1") == []


def lacking(kind=OfferKind.CORPUS, channel=SaleChannel.DIRECT, purposes=(), has_usage=False, stated=False):
    return codes(
        rules.delivery_reasons(kind=kind, channel=channel, purposes=purposes, has_usage=has_usage, stated=stated)
    )


def test_what_lacks_before_delivery():
    assert lacking() == ["order.no_proof"]
    assert lacking(purposes=["delivery_proof"]) == []
    assert lacking(has_usage=True) == []
    assert lacking(kind=OfferKind.MODEL_API) == ["order.no_usage", "order.no_proof"]
    assert lacking(kind=OfferKind.MODEL_API, purposes=["delivery_proof"]) == ["order.no_usage"]
    assert lacking(channel=SaleChannel.DATA_EXCHANGE, purposes=["delivery_proof"]) == ["order.no_certificate"]
    assert lacking(has_usage=True, stated=True) == ["order.stated_twice"]


moments = st.integers(-100, 100).map(lambda hours: NOW + timedelta(hours=hours))


@given(moments, st.none() | moments, moments)
def test_silence_counts_only_after_the_deadline_and_two_days_after_notice(accept_by, noticed_at, now):
    accepted = rules.is_accepted_by_silence(accept_by=accept_by, noticed_at=noticed_at, now=now)
    assert accepted == (noticed_at is not None and now >= accept_by and now - noticed_at >= timedelta(days=2))
    if rules.notice_due(accept_by=accept_by, noticed_at=noticed_at, now=now):
        assert not accepted


def table(*rows, totals=()):
    made = [Row(at, values) for at, values in enumerate(rows, 2)]
    return Table(rows=tuple(made), totals=tuple(Row(99, values) for values in totals))


def row(reference="a", quantity=1, **more):
    return {"day": TODAY, "reference": reference, "quantity": Fraction(quantity), **more}


def read(found, items=(TOKENS,)):
    return usage.read(found, items, since=TODAY, today=TODAY)


def faults(found, items=(TOKENS,)):
    return [(problem.row, problem.column, problem.reason.code) for problem in read(found, items).problems]


def test_the_item_may_be_left_out_where_there_is_one():
    assert read(table(row())).lines[0].code == "tokens"
    assert faults(table(row()), (TOKENS, RECORDS)) == [(2, "item", "usage.item_missing")]
    assert read(table(row(item="Annotated Records")), (TOKENS, RECORDS)).lines[0].code == "record"
    assert faults(table(row(item="别的"))) == [(2, "item", "usage.item_unknown")]


def test_another_unit_is_a_fault_and_every_name_of_the_right_one_is_taken():
    assert faults(table(row(unit="次"))) == [(2, "unit", "usage.unit")]
    for name in ("百万词元", "百万Token", "million tokens", "million_tokens"):
        assert faults(table(row(unit=name))) == []


def test_a_reference_twice_and_days_out_of_reach():
    late = row("b") | {"day": TODAY + timedelta(days=1)}
    early = row("c") | {"day": TODAY - timedelta(days=1)}
    assert faults(table(row(), row(), late, early)) == [
        (3, "reference", "usage.twice"),
        (4, "day", "usage.day"),
        (5, "day", "usage.day"),
    ]


def test_totals_that_are_not_the_sum_are_faults():
    lines = (row("a", 2, amount=Money(100)), row("b", 3, amount=Money(50)))
    assert faults(table(*lines, totals=[{"quantity": Fraction(5), "amount": Money(150)}])) == []
    assert faults(table(*lines, totals=[{"quantity": Fraction(6), "amount": Money(151)}])) == [
        (99, "quantity", "usage.total"),
        (99, "amount", "usage.total"),
    ]


values = st.builds(
    usage.UsageValue,
    row=st.integers(1, 9),
    day=st.just(TODAY),
    reference=st.sampled_from("ab"),
    code=st.sampled_from(["x", "y"]),
    quantity=st.integers(0, 5).map(lambda n: Fraction(n, 10)),
    tokens_in=st.none() | st.integers(0, 2),
)


@given(values, values)
def test_a_digest_tells_lines_apart_by_everything_but_their_row(one, other):
    def content(line):
        return (line.reference, line.code, line.quantity, line.tokens_in)

    assert (one.digest == other.digest) == (content(one) == content(other))


@given(st.lists(values))
def test_sums_lose_nothing(lines):
    assert sum(line.quantity for line in usage.summed(lines)) == sum(line.quantity for line in lines)
