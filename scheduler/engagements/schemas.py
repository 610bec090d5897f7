"""What the API of engagements takes and gives."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from ninja import Schema
from pydantic import Field

from portal.wire import Block, Cursor, Day, Line, MoneyIn, MoneyOut, Number, ReasonOut, StrictIn, Whole
from scheduler.engagements import rules
from vouchers.charges.api import ChargeOut

Note = Annotated[Block, Field(max_length=400)]
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Position = Annotated[int, Field(ge=1, le=32_000)]
Version = Annotated[Whole, Field(ge=1, le=32_000)]
Vouchers = Annotated[list[Number], Field(max_length=10)]


class EngagementIn(StrictIn):
    """What technical service is wanted of an `instrument`, pilot line or concept service; only the two parties read it."""

    instrument: Number
    title: Annotated[Line, Field(min_length=1, max_length=120)]
    description: Annotated[Block, Field(min_length=1, max_length=2000)]
    wanted: Annotated[Block, Field(min_length=1, max_length=1000)]
    wanted_by: Day


class MilestoneIn(StrictIn):
    """One milestone as quoted; `due_on` is a local day of the lab."""

    name: Annotated[Line, Field(min_length=1, max_length=60)]
    deliverable: Annotated[Line, Field(min_length=1, max_length=300)]
    due_on: Day
    price: MoneyIn


class EngagementQuoteIn(StrictIn):
    """A lab's plan; a delivery nobody answers counts as accepted after `acceptance_days`."""

    milestones: Annotated[list[MilestoneIn], Field(min_length=1, max_length=rules.MOST_MILESTONES)]
    acceptance_days: Annotated[Whole, Field(ge=1, le=rules.MOST_ACCEPTANCE_DAYS)] = rules.ACCEPTANCE_DAYS
    note: Note = ""


class EngagementNoteIn(StrictIn):
    """Why; the other party reads it."""

    note: Note = ""


class EngagementAcceptIn(StrictIn):
    """The `version` and total `price` one saw, so that a changed quote is not accepted unseen, and what to pay with."""

    version: Version
    price: MoneyIn
    vouchers: Vouchers = []


class QuotedMilestoneOut(Schema):
    """One milestone as quoted."""

    position: int
    name: str
    deliverable: str
    due_on: date
    price: MoneyOut


class EngagementQuoteOut(Schema):
    """One quote; `answer` is what the enterprise said against it."""

    version: int
    state: rules.QuoteState
    state_label: str
    milestones: list[QuotedMilestoneOut]
    price: MoneyOut
    acceptance_days: int
    note: str
    quoted_at: datetime
    open_until: datetime
    answer: str
    answered_at: datetime | None


class DeliveredFileOut(Schema):
    """A delivered file: `delivery` 1 is the first, 2 what was delivered after the first return."""

    id: int
    delivery: int
    name: str
    size: int
    sha256: str
    uploaded_at: datetime


class MilestoneOut(QuotedMilestoneOut):
    """One agreed milestone; `deemed_at` is when its delivery counts as accepted if nobody answers."""

    state: rules.MilestoneState
    state_label: str
    delivery_note: str
    delivered_at: datetime | None
    deemed_at: datetime | None
    return_note: str
    accepted_at: datetime | None
    is_deemed: bool
    dispute_note: str
    disputed_at: datetime | None
    ruling_note: str
    ruled_at: datetime | None
    charge: ChargeOut | None
    files: list[DeliveredFileOut]


class MilestoneRulingIn(StrictIn):
    """How much of the milestone's price counts: null is all of it, zero nothing; and why, for both parties to read."""

    amount: MoneyIn | None = None
    note: Note = ""


class MilestoneRulingOut(QuotedMilestoneOut):
    """A disputed milestone as the department sees it; `counted` is what was taken of its price."""

    number: str
    organisation: str
    lab: str
    state: rules.MilestoneState
    state_label: str
    delivery_note: str
    return_note: str
    dispute_note: str
    disputed_at: datetime | None
    ruling_note: str
    ruled_at: datetime | None
    counted: MoneyOut | None
    files: list[DeliveredFileOut]


class EngagementRowOut(Schema):
    """One engagement."""

    number: str
    instrument: str
    lab: str
    organisation: str
    title: str
    description: str
    wanted: str
    wanted_by: date
    state: rules.EngagementState
    state_label: str
    note: str
    created_at: datetime
    updated_at: datetime


class EngagementOut(EngagementRowOut):
    """One engagement with its quotes and milestones."""

    quotes: list[EngagementQuoteOut]
    milestones: list[MilestoneOut]


class PaymentPartOut(Schema):
    """What one voucher would pay of a milestone."""

    voucher: str
    amount: MoneyOut


class MilestonePaymentOut(Schema):
    """How one milestone would be paid."""

    name: str
    price: MoneyOut
    voucher: MoneyOut
    own: MoneyOut
    parts: list[PaymentPartOut]


class PaymentPlanOut(Schema):
    """How an open quote would be paid; with any `reasons` it cannot be accepted so."""

    version: int
    price: MoneyOut
    voucher: MoneyOut
    own: MoneyOut
    milestones: list[MilestonePaymentOut]
    reasons: list[ReasonOut]


class PayWith(Schema):
    """``?voucher=V…&voucher=V…`` are the vouchers to pay with; none: all is paid oneself."""

    voucher: Vouchers = []


class EngagementFilter(Cursor):
    """``?state=requested`` is what the lab has to quote."""

    state: rules.EngagementState | None = None
