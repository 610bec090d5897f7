"""Shapes of the endpoints of bank statements."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from ninja import Schema
from pydantic import Field

from portal.wire import Block, Cursor, Line, MoneyIn, MoneyOut, StrictIn
from vouchers.banking.rules import LineState, MatchState, PartKind

Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Code = Annotated[Line, Field(min_length=1, max_length=20)]


class BankAccountOut(Schema):
    code: str
    holder: str
    bank: str
    number: str


class StatementReasonOut(Schema):
    code: str
    text: str
    remedy: str


class StatementRowOut(Schema):
    """One row of the file: `verdict` is new, known, faulty or conflict."""

    row: int
    verdict: str
    reference: str
    booked_on: date | None
    amount: MoneyOut | None
    name: str
    memo: str
    reasons: list[StatementReasonOut]


class StatementPreviewOut(Schema):
    """What taking the file would do. With `faulty` rows or `gaps` it is taken only with ``accept``."""

    layout: str
    encoding: str
    new: int
    known: int
    faulty: int
    notes: int
    incoming: MoneyOut
    outgoing: MoneyOut
    gaps: list[StatementReasonOut]
    rows: list[StatementRowOut]
    known_import: int | None


class StatementImportOut(Schema):
    """A statement that was taken. `looked` of `new` lines have been looked through, `matched` of them matched."""

    id: int
    account: str
    name: str
    sha256: str
    layout: str
    encoding: str
    starts_on: date | None
    ends_on: date | None
    opening: MoneyOut | None
    closing: MoneyOut | None
    new: int
    known: int
    faulty: int
    gaps: int
    looked: int
    matched: int
    imported_at: datetime
    finished_at: datetime | None


class MatchPartOut(Schema):
    kind: PartKind
    amount: MoneyOut
    payment: str
    batch: str
    rail: str
    line: int | None
    payer: str
    """A credit code: whose unapplied money goes back, or which payee pays back."""
    recovery: str = ""


class BankMatchOut(Schema):
    id: int
    state: MatchState
    reasons: list[str]
    proposer: str
    proposed_at: datetime
    note: str
    doubt: str
    parts: list[MatchPartOut]


class MatchSuggestionOut(Schema):
    """What a line may be, and why: reasons are codes, the strongest first."""

    reasons: list[str]
    certain: bool
    parts: list[MatchPartOut]


class StatementLineOut(Schema):
    """One line. `amount` is positive for money that came in; `hint` the best suggestion when it was last looked at."""

    id: int
    account: str
    reference: str
    booked_on: date
    value_on: date | None
    amount: MoneyOut
    balance: MoneyOut | None
    name: str
    counter_account: str
    counter_bank: str
    memo: str
    state: LineState
    hint: str


class StatementLineWholeOut(StatementLineOut):
    matches: list[BankMatchOut]
    suggestions: list[MatchSuggestionOut]


class LineDirection(StrEnum):
    IN = "in"
    OUT = "out"


class StatementLineFilter(Cursor):
    state: LineState | None = None
    direction: LineDirection | None = None
    upload: Id | None = None
    since: date | None = None
    until: date | None = None
    hinted: bool = False
    q: Annotated[Line, Field(max_length=60)] = ""


class MatchPartIn(StrictIn):
    """`target`: a payment's number or reference, a batch's or order line's number, a gateway's code, a line's id, a payer's or payee's
    credit code or name, a recovery's number. No amount: the whole.
    """

    kind: PartKind
    target: Annotated[Line, Field(max_length=60)] = ""
    amount: MoneyIn | None = None


class LineMatchIn(StrictIn):
    parts: Annotated[list[MatchPartIn], Field(min_length=1, max_length=50)]
    note: Annotated[Block, Field(max_length=200)] = ""


class MatchNoteIn(StrictIn):
    """Why."""

    note: Annotated[Block, Field(max_length=200)]


class StatementTakeForm(Schema):
    accept: bool = False
    layout: Annotated[Line, Field(max_length=20)] = ""
