"""Papers of what the demo firm paid: documents, and tax invoices in each state for it and its lab to look at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

from portal.demo.activity import BEIJING, Story
from portal.demo.asking import pdf
from portal.kernel.actors import Actor
from portal.kernel.money import Money
from vouchers.charges import refunding
from vouchers.charges.models import Charge
from vouchers.charges.rules import ChargeState
from vouchers.invoices import documents, issuing, replacing, rules, services, taxes
from vouchers.invoices.models import Fapiao

__all__ = ["keep_books"]

FIRM = "xinghe"
PROVIDERS = {"qianjiang": "shiyan", "zhisuan": "jiqun"}
"""Whose sales to the firm are billed, and who does it."""
GOODS = ("检验检测服务", "3040203000000000000")


class Desk:
    """The firm that asks and the provider that issues, with numbers no tax system has given."""

    def __init__(self, story: Story, provider: str, *, serials: count[int]) -> None:
        self.firm, self.seller = story.people.actors["qiye"], story.people.actors[PROVIDERS[provider]]
        self.now, self.serials = story.now - timedelta(hours=2), serials

    def ask(self, charge: Charge, *, title: str = "") -> Fapiao:
        known = services.own_buyer(actor=self.firm)
        buyer = rules.Buyer(title or charge.payer.name, known.credit_code, email="piaoju@example.com")
        return services.request(actor=self.firm, charge=charge, buyer=buyer, now=self.now)

    def issue(self, fapiao: Fapiao) -> Fapiao:
        on = self.now.astimezone(BEIJING).date()
        number = f"{on:%y}33200000{next(self.serials):010d}"
        fapiao.refresh_from_db()
        printed = rules.Printed(number, on, fapiao.amount_fen)
        file = pdf(f"数电发票-{number}.pdf")
        return issuing.issue(actor=self.seller, fapiao=fapiao, printed=printed, upload=file, now=self.now)

    def requested(self, charge: Charge) -> None:
        self.ask(charge)

    def issued(self, charge: Charge) -> None:
        self.issue(self.ask(charge))

    def refunded(self, charge: Charge) -> None:
        """Give a tenth back after it was issued: a credit note, and a red one that waits to be issued."""
        self.issued(charge)
        part = Money((charge.actual_fen or 0) // 10)
        refunding.refund(
            actor=self.seller, charge=charge, amount=part, reason="有一个样品没有测", now=self.now, key="demo-invoicing"
        )

    def replaced(self, charge: Charge) -> None:
        """Name the firm wrong, take it back in red, issue it anew."""
        wrong = self.issue(self.ask(charge, title="星河智能"))
        done = replacing.reissue(
            actor=self.seller,
            fapiao=wrong,
            buyer=rules.Buyer(charge.payer.name, charge.payer.credit_code),
            reason="抬头与营业执照不一致",
            now=self.now,
        )
        self.issue(done.red)
        self.issue(done.anew)

    def declined(self, charge: Charge) -> None:
        asked = self.ask(charge, title="星河")
        issuing.decline(actor=self.seller, fapiao=asked, reason="抬头与营业执照不一致，请改后重新申请。", now=self.now)

    def accepted(self, charge: Charge) -> None:
        issuing.accept(actor=self.seller, fapiao=self.ask(charge), now=self.now)

    def withdrawn(self, charge: Charge) -> None:
        services.withdraw(actor=self.firm, fapiao=self.ask(charge), now=self.now)


STEPS: tuple[Callable[[Desk, Charge], None], ...] = (
    *(Desk.issued, Desk.refunded, Desk.requested, Desk.declined, Desk.replaced),
    *(Desk.accepted, Desk.withdrawn),
)


def keep_books(story: Story) -> None:
    """State the tax, ask for and issue tax invoices of the firm's purchases, and make those purchases' documents.

    A charge a step; where a provider has sold the firm less, the last steps are left out.
    """
    serials = count(1)
    for provider in PROVIDERS:
        desk = Desk(story, provider, serials=serials)
        _state_tax(desk.seller, now=story.now - timedelta(days=50))
        charges = _charges(story, provider)
        for step, charge in zip(STEPS, charges, strict=False):
            step(desk, charge)
            documents.all_for(actor=desk.seller, charge=charge, now=story.now - timedelta(hours=1))


def _state_tax(seller: Actor, *, now: datetime) -> None:
    goods, category = GOODS
    services.state_tax(actor=seller, service="", rate=taxes.TaxRate.SERVICES, category=category, goods=goods, now=now)


def _charges(story: Story, provider: str) -> list[Charge]:
    """Return what a provider took from the firm, with an own share that stands and no batch that holds it."""
    organisations = story.people.organisations
    rows = Charge.objects.filter(
        payer=organisations[FIRM],
        provider=organisations[provider],
        state=ChargeState.CAPTURED.value,
        own_captured_fen__gt=0,
        own_refunded_fen=0,
        withheld_at=None,
        settlement_lines=None,
        redemption_lines=None,
    )
    return list(rows.select_related("payer", "provider").order_by("pk")[: len(STEPS)])
