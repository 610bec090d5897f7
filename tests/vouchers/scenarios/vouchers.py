"""Spending vouchers to the fen: split tender, races, expiry under an open order, refunds that restore the split."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from fractions import Fraction

from django.db import connection

from portal.kernel.errors import PortalError
from portal.kernel.money import Money
from tests import make
from tests.vouchers.scenarios import scenario
from vouchers.charges import proposing, refunding, services
from vouchers.charges.models import Charge, ChargeProposal
from vouchers.ledger import queries as ledger
from vouchers.wallets import expiry, rules
from vouchers.wallets.models import Voucher


def granted(w: make.World, yuan: int, *, share: str = "0.50", number: str = "HT-1", **changes) -> Voucher:
    """Grant a voucher of whole `yuan` under a programme of its own that pays `share` of each bill."""
    values = {
        "code": f"test-{number.lower()}",
        "lines": [{"id": "rate", "rate": share}],
        "caps": [{"window": "year", "amount": yuan}],
        **changes,
    }
    items = values.pop("items", {"compute": Money.from_yuan(str(yuan * 10))})
    return make.voucher(w, make.programme(w, **values), number=number, items=items)


def bill(w: make.World, fen: int, *, subject: str = "job:J-1") -> services.Bill:
    return services.Bill(subject, "compute", w.enterprise.pk, w.lab.pk, Money(fen), {"unit": "card_hour"})


def bought(w: make.World, vouchers: list[Voucher], fen: int, *, now=make.NOW, subject: str = "job:J-1") -> Charge:
    """Hold a price and take it in full."""
    held = services.hold(bill=bill(w, fen, subject=subject), vouchers=vouchers, actor=w.researcher, now=now)
    return services.capture(charge_id=held.pk, actual=Money(fen), measured={}, actor=w.keeper, now=now)


def of_kind(kind: str) -> int:
    return sum(line.balance_fen for line in ledger.trial_balance() if line.kind == kind)


def left(voucher: Voucher) -> int:
    return ledger.balances(account_ids=[voucher.account_id])[voucher.account_id].available_fen


@scenario("S1")
def split_tender(w: make.World) -> str:
    """A bill of ¥12,345.67 on a voucher of ¥50,000 that pays half: the public share rounds down to the fen."""
    voucher = granted(w, 50_000)
    charge = bought(w, [voucher], 1_234_567)

    assert (charge.voucher_captured_fen, charge.own_captured_fen) == (617_283, 617_284)
    assert left(voucher) == 4_382_717
    assert of_kind("provider_payable") == 617_283
    assert of_kind("budget") == 95_000_000
    assert ledger.unaccounted_fen() == 0
    return "voucher ¥6,172.83 + own ¥6,172.84"


@scenario("S2")
def less_used_than_booked(w: make.World) -> str:
    """4 hours at ¥800 are held at 30 %; 2 h 37 min are used: what was not used is given back at once."""
    voucher = granted(w, 50_000, share="0.30")
    held = services.hold(bill=bill(w, 320_000), vouchers=[voucher], actor=w.researcher, now=make.NOW)
    assert held.voucher_held_fen == 96_000

    cost = Money(80_000).times(Fraction(157, 60))
    done = services.capture(charge_id=held.pk, actual=cost, measured={}, actor=w.keeper, now=make.NOW)
    assert cost.fen == 209_333
    assert (done.voucher_captured_fen, done.own_captured_fen) == (62_799, 146_534)
    assert held.voucher_held_fen - done.voucher_captured_fen == 33_201
    return "captured ¥627.99, released ¥332.01"


@scenario("S4", commits=True)
def two_hundred_redemptions_at_once() -> str:
    """200 redemptions of ¥100 race for a voucher of ¥10,000 on 16 connections: exactly 100 succeed."""
    w = make.world()
    voucher = granted(w, 10_000, share="1.00")

    def redeem(at: int) -> str:
        try:
            bought(w, [voucher], 10_000, subject=f"job:R-{at}")
        except PortalError as error:
            return error.code
        finally:
            connection.close()
        return "paid"

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(redeem, range(200)))

    assert outcomes.count("paid") == 100
    assert set(outcomes) - {"paid"} <= {"refused", "ledger.insufficient"}
    assert left(voucher) == 0
    assert Charge.objects.filter(voucher=voucher, state="captured").count() == 100
    return "100 paid, 100 refused, ¥0.00 left"


@scenario("S6")
def expiry_under_an_open_order(w: make.World) -> str:
    """A voucher of ¥3,000 ends at midnight while ¥1,000 are held: the hold survives, the rest lapses, so does what comes back."""
    voucher = granted(w, 3_000, share="1.00", validity={"length": 7, "from": "issue", "on_expiry": "carry"})
    midnight = voucher.valid_until
    Voucher.objects.filter(pk=voucher.pk).update(carried_at=make.NOW)  # the one carry there is has been used
    late = midnight - timedelta(minutes=10)
    held = services.hold(bill=bill(w, 100_000), vouchers=[voucher], actor=w.researcher, now=late)

    assert expiry.expire_overdue(now=midnight) == 1
    balance = ledger.balances(account_ids=[voucher.account_id])[voucher.account_id]
    assert (of_kind("expired"), balance.held_fen, balance.available_fen) == (200_000, 100_000, 0)
    again = services.plan(
        vouchers=[Voucher.objects.get(pk=voucher.pk)], price=Money(100), service="compute", now=midnight
    )
    assert {reason.code for reason in again.reasons} >= {"voucher.not_valid", "voucher.not_active"}

    done = midnight + timedelta(minutes=90)
    services.capture(charge_id=held.pk, actual=Money(80_000), measured={}, actor=w.keeper, now=done)
    assert expiry.expire_overdue(now=done) == 1
    assert (of_kind("provider_payable"), of_kind("expired")) == (80_000, 220_000)
    assert ledger.balances(account_ids=[voucher.account_id])[voucher.account_id].posted_fen == 0
    return "¥800.00 paid, ¥2,200.00 lapsed"


@scenario("S7")
def refund_in_three_parts(w: make.World) -> str:
    """The bill of S1 is refunded in three parts, the last after the voucher's end: every fen returns where it came from."""
    voucher = granted(w, 50_000, validity={"length": 12, "from": "issue", "on_expiry": "carry"})
    Voucher.objects.filter(pk=voucher.pk).update(carried_at=make.NOW)
    charge = bought(w, [voucher], 1_234_567)
    after = voucher.valid_until
    made = []
    for at, amount in enumerate((411_522, 411_522, 411_523)):
        now = after if at == 2 else make.NOW
        charge.refresh_from_db()
        asked = proposing.refund_or_propose(
            actor=w.lab_owner,
            charge=charge,
            amount=Money(amount),
            grounds=refunding.Grounds("设备故障", "equipment"),
            now=now,
            key=f"key-{at:08d}",
        )
        if isinstance(asked, ChargeProposal):  # ¥10,000 of one bill are one person's limit: the third part passes it
            asked = proposing.approve(actor=w.keeper, proposal=asked, now=now).refund
        made.append(asked)

    assert [row.voucher_fen for row in made] == [205_760, 205_761, 205_762]
    assert [row.own_fen for row in made] == [205_762, 205_761, 205_761]
    assert [row.lapsed_fen for row in made] == [0, 0, 205_762]
    charge.refresh_from_db()
    assert (charge.voucher_refunded_fen, charge.own_refunded_fen) == (617_283, 617_284)
    assert charge.payment.state == "cancelled"
    assert of_kind("provider_payable") == of_kind("cash_provider_payable") == of_kind("cash_due") == 0
    assert of_kind("expired") == 4_382_717 + 205_760 + 205_761 + 205_762
    assert left(voucher) == 0
    return "¥6,172.83 to the voucher's side, ¥6,172.84 to the payer"


@scenario("L2")
def the_last_day_of_february(w: make.World) -> str:
    """A voucher of three months issued on 30 November ends on 28 February, and its value is back in the pool."""
    issued = datetime(2017, 11, 30, 10, tzinfo=rules.BEIJING)
    until = rules.valid_until(issued, months=3)
    assert until.isoformat() == "2018-03-01T00:00:00+08:00"

    voucher = granted(w, 3_000, validity={"length": 3, "from": "issue", "on_expiry": "return"})
    pool = of_kind("budget")
    assert expiry.expire_overdue(now=voucher.valid_until - timedelta(seconds=1)) == 0
    assert expiry.expire_overdue(now=voucher.valid_until) == 1
    assert of_kind("budget") - pool == 300_000
    assert of_kind("expired") == 0
    return "last day 2018-02-28; ¥3,000.00 back in the pool"


@scenario("L3")
def half_of_what_was_used(w: make.World) -> str:
    """A voucher of ¥150,000 on a contract of ¥300,000, of which ¥200,000 is used: ¥100,000 is paid, ¥50,000 released."""
    voucher = granted(w, 150_000, items={"compute": Money.from_yuan("300000")})
    held = services.hold(bill=bill(w, 30_000_000), vouchers=[voucher], actor=w.researcher, now=make.NOW)
    assert (held.voucher_held_fen, left(voucher)) == (15_000_000, 0)

    done = services.capture(charge_id=held.pk, actual=Money(20_000_000), measured={}, actor=w.keeper, now=make.NOW)
    assert done.voucher_captured_fen == 10_000_000
    assert left(voucher) == 5_000_000
    return "claim ¥100,000.00, released ¥50,000.00"


@scenario("V1")
def two_vouchers_on_one_bill(w: make.World) -> str:
    """Two vouchers of one programme pay one bill, the first to end first, together no more than their share of it."""
    version = make.programme(w, per_contract_count=9, caps=[{"window": "year", "amount": 100_000}])
    first = make.voucher(w, version, number="HT-1", items={"compute": Money.from_yuan("600")})
    second = make.voucher(w, version, number="HT-2", now=make.NOW + timedelta(days=3))
    now = make.NOW + timedelta(days=4)
    charge = bought(w, [second, first], 100_001, now=now)

    parts = [(part.voucher.number, part.captured_fen) for part in charge.parts.order_by("pk")]
    assert parts == [(first.number, 30_000), (second.number, 20_000)]
    assert charge.own_captured_fen == 50_001

    made = refunding.refund(
        actor=w.lab_owner, charge=charge, amount=Money(33_333), reason="少测一半", now=now, key="refund-0001"
    )
    assert (made.voucher_fen, made.own_fen) == (16_666, 16_667)
    assert [part.refunded_fen for part in charge.parts.order_by("pk")] == [10_000, 6_666]
    return "¥300.00 + ¥200.00 + own ¥500.01"
