"""The open statistics by month: three stages, twelve months, and nobody's business by itself or by subtraction."""

from datetime import date, timedelta

from django.urls import reverse

from portal.pages.statistics_months import chart_of, told
from portal.reports import months
from portal.reports.months import Cell, Month, Stage
from tests import make
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from tests.vouchers.claims import making as claims
from vouchers.settlements import services as settlements


def sums(found):
    return {stage.value: found[-1].cells[stage].fen for stage in Stage}


def month(number, *sizes):
    """Return a month whose stages have so many organisations, each with one yuan."""
    cells = {stage: Cell(size * 100, set(range(size))) for stage, size in zip(Stage, sizes, strict=True)}
    return Month(date(2026, number, 1), cells)


def test_the_last_twelve_months_end_with_the_present_one_in_beijing():
    found = months.firsts(make.NOW)
    assert (len(found), found[0], found[-1]) == (12, date(2025, 12, 1), date(2026, 11, 1))


def test_vouchers_charges_and_paid_batches_count_in_their_months(w):
    make.measured(w, make.booking(w, make.instrument(w), pay_with=make.voucher(w, make.programme(w, in_force=LONG))))
    later = make.NOW.replace(day=29)
    assert sums(months.months(now=later, least=1)) == {"awarded": 10_000_000, "redeemed": 48_000, "settled": 0}
    batch = settlements.draft(actor=w.finance, payee=w.lab, now=later)
    settlements.approve(actor=w.finance_approver, batch=batch, now=later)
    settlements.mark_paid(actor=w.finance, batch=batch, bank_reference="TR-1", now=later)
    found = months.months(now=later, least=1)
    assert sums(found) == {"awarded": 10_000_000, "redeemed": 48_000, "settled": 48_000}
    assert found[-1].cells[Stage.REDEEMED].organisations == {w.enterprise.pk}
    assert sums(months.months(now=later, least=2)) == {"awarded": 10_000_000, "redeemed": 0, "settled": 0}
    assert sums(months.months(now=later.replace(year=2027, month=10), least=1)[:1]) == sums(found)
    assert sums(months.months(now=later.replace(year=2027, month=11), least=1)[:1]) == dict.fromkeys(sums(found), 0)


def test_what_is_paid_back_and_paid_as_money_counts_when_approved(w):
    voucher = make.voucher(w, claims.reimbursing(w, in_force=LONG))
    claims.approved(w, claims.filed(w, voucher, "1000"))
    claims.filed(w, voucher, "200")
    assert sums(months.months(now=make.NOW, least=1)) == {"awarded": 10_000_000, "redeemed": 100_000, "settled": 0}


def test_a_cell_of_few_is_left_out_and_no_subtraction_tells_it():
    rows = told([month(1, 3, 2, 0), month(2, 4, 5, 0), month(3, 3, 3, 2), month(4, 0, 9, 1)], least=3)
    assert [row.fen[Stage.AWARDED] for row in rows] == [300, 400, 300, 0]
    assert [row.fen[Stage.REDEEMED] for row in rows] == [None, 500, None, 900]
    assert [row.fen[Stage.SETTLED] for row in rows] == [0, 0, None, None]


def test_months_stand_in_their_order_whatever_is_left_out():
    drawn = chart_of(told([month(1, 3, 2, 3), month(2, 1, 5, 3), month(3, 1, 2, 3), month(4, 3, 9, 3)], least=3))
    assert list(dict.fromkeys(point.label for point in drawn.points)) == ["26-01", "26-02", "26-03", "26-04"]
    assert [name for name, _tone in drawn.tones] == ["核定", "核销", "兑付"]


def test_strangers_read_and_take_away_the_months_of_three_and_more(w, client, clock):
    assert "近 12 个月没有发放过支持资金" in text_of(client.get(reverse("statistics_monthly")))
    before = make.NOW - timedelta(days=5)
    version = make.programme(w, order="ranked", in_force=LONG, now=before)
    opened = make.round_of(w, version, closes_at=make.NOW - timedelta(days=1), now=before)
    for score in (70, 80, 90):
        make.waiting(w, version, "10000", score=score, now=before)
    make.decided(w, opened)
    response = client.get(reverse("statistics_monthly"))
    assert "2026-11 ¥30,000.00 ¥0.00 ¥0.00" in text_of(response)
    assert "<svg" in response.content.decode()
    assert raw_codes(text_of(response)) == []
    csv = client.get(reverse("statistics_monthly"), {"format": "csv"}).content.decode("utf-8-sig").splitlines()
    assert (csv[0], csv[-1], len(csv)) == ("月份,核定（元）,核销（元）,兑付（元）", "2026-11,30000.00,0.00,0.00", 13)
    assert reverse("statistics_monthly") in client.get(reverse("statistics")).content.decode()


def test_one_enterprises_month_is_told_to_nobody(w, client, clock):
    voucher = make.voucher(w, claims.reimbursing(w, in_force=LONG))
    claims.approved(w, claims.filed(w, voucher, "12345"))
    enter(client, w.auditor)
    response = client.get(reverse("statistics_monthly"))
    csv = client.get(reverse("statistics_monthly"), {"format": "csv"}).content.decode("utf-8-sig")
    assert csv.splitlines()[-1] == "2026-11,,0.00,0.00"
    assert "2026-11 不公布" in text_of(response)
    for said in (text_of(response), csv):
        assert "12,345" not in said
        assert "100,000" not in said


def test_the_months_ask_a_fixed_number_of_queries(w, django_assert_num_queries):
    version = make.programme(w, in_force=LONG)
    make.voucher(w, version)
    with django_assert_num_queries(8):
        months.months(now=make.NOW, least=1)
    make.voucher(w, version, number="HT-3")
    with django_assert_num_queries(8):
        months.months(now=make.NOW, least=1)
