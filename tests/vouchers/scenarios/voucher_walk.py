"""From application to settlement in the smallest form: the figures every other scenario builds on."""

from tests import make
from tests.vouchers.scenarios import scenario
from vouchers.wallets.models import Voucher


@scenario("W1")
def a_contract_becomes_a_voucher(w: make.World) -> str:
    """A contract of 200,000 yuan at 50 % becomes a voucher of 100,000 yuan, decided by two people."""
    voucher = make.voucher(w)

    assert voucher.face_fen == 10_000_000
    assert Voucher.objects.filter(holder=w.enterprise).count() == 1
    return "¥100,000.00"
