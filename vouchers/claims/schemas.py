"""What the endpoints of claims take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from ninja import Schema
from pydantic import Field

from portal.wire import Block, Cursor, Day, Line, MoneyIn, MoneyOut, Number, StrictIn
from vouchers.claims import services
from vouchers.claims.printed import InvoiceMark
from vouchers.claims.rules import MAX_LINES, ClaimState
from vouchers.programmes.terms import RedeemMode


class LineIn(StrictIn):
    """One row: a paid invoice, or a charge the claimant served (`charge`). `base` is what was invoiced."""

    what: Annotated[Line, Field(min_length=1, max_length=120)]
    amount: MoneyIn
    base: MoneyIn | None = None
    day: Day | None = None
    invoice: Annotated[Line, Field(max_length=40)] = ""
    reference: Annotated[Line, Field(max_length=80)] = ""
    charge: Annotated[Line, Field(max_length=50)] = ""

    def value(self) -> services.Line:
        return services.Line(
            what=self.what,
            amount=self.amount.value(),
            base=self.base.value() if self.base else None,
            day=self.day,
            invoice=self.invoice,
            reference=self.reference,
            charge=self.charge,
        )


class ClaimIn(StrictIn):
    """What is claimed. With `voucher`, what was paid in full is paid back; without, the lines name charges."""

    amount: MoneyIn
    voucher: Annotated[Line, Field(max_length=24)] = ""
    lines: Annotated[list[LineIn], Field(max_length=MAX_LINES)]

    def value(self) -> services.Wanted:
        return services.Wanted(
            amount=self.amount.value(), voucher=self.voucher, lines=[line.value() for line in self.lines]
        )


class ClaimVerdictIn(StrictIn):
    """`amount` below what was asked needs a `note`; left out, all of it is passed."""

    amount: MoneyIn | None = None
    note: Annotated[Block, Field(max_length=600)] = ""


class ClaimNoteIn(StrictIn):
    """The reason, which the claimant reads."""

    note: Annotated[Block, Field(max_length=300)]


class RunIn(StrictIn):
    """The programme whose approved claims are to be paid now."""

    programme: Number


class ClaimPartOut(Schema):
    """What one payer bears."""

    payer: str
    amount: MoneyOut


class ClaimLineOut(Schema):
    """One row of a claim. `invoice_mark` says what this portal knows of its invoice by now; null where it names none."""

    what: str
    day: str | None
    invoice: str
    invoice_mark: InvoiceMark | None
    reference: str
    charge: str | None
    base: MoneyOut
    amount: MoneyOut


class ClaimFileOut(Schema):
    """A document kept with a claim; its bytes are at ``/claims/{number}/files/{id}``."""

    id: int
    document: str
    name: str
    media_type: str
    size: int
    sha256: str
    uploaded_at: datetime


class ClaimOut(Schema):
    """A claim. `eligible_at` is from when it may be put into a settlement batch."""

    number: str
    mode: RedeemMode
    state: ClaimState
    state_label: str
    programme: str
    programme_name: str
    claimant: str
    payee: str
    amount: MoneyOut
    checked: MoneyOut | None
    approved: MoneyOut | None
    note: str
    sampled: bool
    filed_at: datetime | None
    approved_at: datetime | None
    eligible_at: datetime | None
    settled_at: datetime | None


class ClaimDetailOut(ClaimOut):
    """A claim with its lines, documents and payers. `missing` are the documents still to be brought."""

    voucher: str | None
    application: str | None
    base: str | None
    lines: list[ClaimLineOut]
    parts: list[ClaimPartOut]
    files: list[ClaimFileOut]
    missing: list[str]
    sample_seed: str
    finding: str


class RunOut(Schema):
    """A payment run; without a window it was called by hand."""

    number: str
    programme: str
    starts_at: datetime | None
    ends_at: datetime | None
    opened_at: datetime


class ClaimFilter(Cursor):
    """``?desk=true`` lists the department's cases instead of the caller's own."""

    state: ClaimState | None = None
    desk: bool = False
