"""What the API of calls and proposals takes and gives."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import Field

from portal.wire import Block, Cursor, Day, Flag, Line, Moment, Number, ReasonOut, StrictIn, Whole
from scheduler.proposals import calls, drafting, rules

KindCode = Literal["standard", "long_term", "block", "urgent", "rapid", "partner", "proprietary"]
"""Values of `ProposalKind`; the document knows another enumeration of that name."""
HazardCode = Literal[
    "toxic",
    "flammable",
    "explosive",
    "corrosive",
    "radioactive",
    "biological",
    "nano",
    "pressure",
    "cryogenic",
    "magnetic",
]
"""Values of `rules.Hazard`."""
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Code = Annotated[Line, Field(min_length=1, max_length=24, pattern=r"^[A-Za-z0-9_-]+$")]
Shifts = Annotated[Whole, Field(ge=1, le=999)]
Days = Annotated[list[Day], Field(max_length=drafting.MOST_DATES)]


class CallFormIn(StrictIn):
    """Something asked of each proposal: a PDF of at most `pages` and `size` (bytes), or a text of at most `letters`."""

    code: Code
    name: Annotated[Line, Field(min_length=1, max_length=80)]
    name_en: Annotated[Line, Field(max_length=120)] = ""
    kind: rules.FormKind
    required: Flag = True
    pages: Annotated[Whole, Field(ge=1, le=calls.MOST_PAGES)] = 2
    size: Annotated[Whole, Field(ge=1, le=calls.MOST_BYTES)] = 5_000_000
    letters: Annotated[Whole, Field(ge=1, le=calls.MOST_LETTERS)] = 2000

    def value(self) -> calls.FormWanted:
        return calls.FormWanted(**self.model_dump())


class CallIn(StrictIn):
    """A call for one run cycle, open from `opens_at` to before `closes_at`: who comes at that very second is late."""

    name: Annotated[Line, Field(min_length=1, max_length=120)]
    name_en: Annotated[Line, Field(max_length=160)] = ""
    notice: Annotated[Block, Field(max_length=3000)] = ""
    opens_at: Moment
    closes_at: Moment
    kinds: Annotated[list[KindCode], Field(min_length=1, max_length=7)]
    least_shifts: Shifts = 1
    most_shifts: Annotated[Whole, Field(ge=0, le=999)] = 0
    forms: Annotated[list[CallFormIn], Field(max_length=calls.MOST_FORMS)] = []


class ChangedCallIn(CallIn):
    """A call as it is to be; `stamp` as it was read: refused where somebody has changed it since."""

    stamp: Annotated[Line, Field(max_length=20)] | None = None


class NewCallIn(CallIn):
    """A call, with the facility and the run cycle it is for, by code."""

    facility: Code
    cycle: Annotated[Line, Field(min_length=1, max_length=16)]


class CallFormOut(Schema):
    """One form with its limits."""

    code: str
    name: str
    name_en: str
    kind: rules.FormKind
    required: bool
    pages: int
    size: int
    letters: int


class CallOut(Schema):
    """A call; `state` is ``draft``, ``coming``, ``open`` or ``closed``. `stamp` is given back on changing it."""

    number: str
    facility: str
    cycle: str
    name: str
    name_en: str
    notice: str
    opens_at: datetime
    closes_at: datetime
    state: str
    stamp: str
    kinds: list[KindCode]
    least_shifts: int
    most_shifts: int
    forms: list[CallFormOut]


class BeginProposalIn(StrictIn):
    """A draft: under a `call`, or of a kind that needs none (urgent, rapid, partner, proprietary) at a `facility`."""

    facility: Code
    kind: KindCode
    title: Annotated[Line, Field(min_length=1, max_length=200)]
    call: Number | None = None
    partner_part: Annotated[Line, Field(max_length=24)] = ""


class BeamSampleIn(StrictIn):
    """A sample and what is dangerous about it; what is empty keeps the proposal from being sent, not from being kept."""

    name: Annotated[Line, Field(max_length=120)] = ""
    amount: Annotated[Line, Field(max_length=60)] = ""
    afterwards: Annotated[Line, Field(max_length=200)] = ""
    substance: Annotated[Line, Field(max_length=200)] = ""
    form: Annotated[Line, Field(max_length=60)] = ""
    hazards: Annotated[list[HazardCode], Field(max_length=10)] = []
    handling: Annotated[Line, Field(max_length=500)] = ""

    def value(self) -> drafting.SampleWanted:
        return drafting.SampleWanted(
            **self.model_dump(exclude={"hazards"}), hazards=[rules.Hazard(one) for one in self.hazards]
        )


class BeamRequestIn(StrictIn):
    """Shifts on a beamline in a cycle; `reason` where the number is no multiple; `good` and `bad` are local days."""

    beamline: Annotated[Line, Field(min_length=1, max_length=16)]
    cycle: Annotated[Line, Field(min_length=1, max_length=16)]
    shifts: Shifts
    reason: Annotated[Line, Field(max_length=300)] = ""
    good: Days = []
    bad: Days = []
    devices: Annotated[list[Annotated[Line, Field(max_length=16)]], Field(max_length=20)] = []
    setup: Annotated[Line, Field(max_length=60)] = ""
    by_mail: Flag = False

    def value(self) -> drafting.RequestWanted:
        return drafting.RequestWanted(**self.model_dump())


class SaveProposalIn(StrictIn):
    """What the team wrote, finished or not; parts left out stay as they are. `version` is the one that was read."""

    version: Annotated[Whole, Field(ge=1, le=2**31 - 1)]
    title: Annotated[Line, Field(max_length=200)] | None = None
    summary: Annotated[Block, Field(max_length=3000)] | None = None
    urgency: Annotated[Block, Field(max_length=1000)] | None = None
    no_samples: Flag | None = None
    texts: Annotated[dict[Code, Annotated[Block, Field(max_length=100_000)]], Field(max_length=calls.MOST_FORMS)] = {}
    samples: Annotated[list[BeamSampleIn], Field(max_length=drafting.MOST_SAMPLES)] | None = None
    requests: Annotated[list[BeamRequestIn], Field(max_length=drafting.MOST_REQUESTS)] | None = None

    def value(self) -> drafting.Content:
        return drafting.Content(
            title=self.title,
            summary=self.summary,
            urgency=self.urgency,
            no_samples=self.no_samples,
            texts=self.texts,
            samples=None if self.samples is None else [one.value() for one in self.samples],
            requests=None if self.requests is None else [one.value() for one in self.requests],
        )


class TeamMemberIn(StrictIn):
    """Whom to ask into the team; the link goes to `email`."""

    name: Annotated[Line, Field(min_length=1, max_length=60)]
    email: Annotated[Line, Field(min_length=3, max_length=160)]


class InvitationAnswerIn(StrictIn):
    """The secret at the end of the link that was mailed."""

    secret: Annotated[Line, Field(min_length=1, max_length=100)]


class ProposalNoteIn(StrictIn):
    """Why; the team reads it."""

    note: Annotated[Block, Field(max_length=500)] = ""


class CarryOverIn(StrictIn):
    """The run cycle in which a long-term or block proposal goes on, by code."""

    cycle: Annotated[Line, Field(min_length=1, max_length=16)]


class TeamMemberOut(Schema):
    """Somebody of the team. The address is for the team only and empty for others."""

    id: int
    name: str
    email: str
    organisation: str
    is_leader: bool
    state: rules.InvitationState


class BeamSampleOut(Schema):
    """A sample as declared."""

    name: str
    amount: str
    afterwards: str
    substance: str
    form: str
    hazards: list[HazardCode]
    handling: str


class BeamRequestOut(Schema):
    """Beam time asked for, and what became of it. `offers`: the numbers of shifts that can be given instead (E1)."""

    beamline: str
    cycle: str
    state: rules.RequestState
    state_label: str
    shifts: int
    offers: list[int]
    reason: str
    good: list[date]
    bad: list[date]
    devices: list[str]
    setup: str
    by_mail: bool
    waited: int


class FormAnswerOut(Schema):
    """What was handed in for one form: `text`, or a file with its pages."""

    form: str
    text: str
    name: str
    pages: int
    size: int
    sha256: str
    at: datetime


class BeamProposalRowOut(Schema):
    """A proposal as lists show it."""

    number: str
    facility: str
    call: str | None
    kind: KindCode
    state: rules.BeamProposalState
    state_label: str
    title: str
    organisation: str
    is_confidential: bool
    shifts: int
    sent_at: datetime | None


class BeamProposalOut(BeamProposalRowOut):
    """A whole proposal. `wanting`: what keeps it from being sent; `owed`: visits whose report was owed when it was sent."""

    summary: str
    urgency: str
    no_samples: bool
    partner_part: str
    version: int
    return_note: str
    decision_note: str
    owed: list[str]
    team: list[TeamMemberOut]
    samples: list[BeamSampleOut]
    requests: list[BeamRequestOut]
    answers: list[FormAnswerOut]
    wanting: list[ReasonOut]


class BeamProposalFilter(Cursor):
    """``?state=submitted&kind=standard&facility=zj1&call=…``."""

    state: rules.BeamProposalState | None = None
    kind: KindCode | None = None
    facility: Annotated[Line, Field(max_length=24)] | None = None
    call: Annotated[Line, Field(max_length=24)] | None = None


class ImportedRowOut(Schema):
    """What became, or would become, of one line of a file: `number` of the proposal made, or `reasons` against it."""

    row: int
    title: str
    number: str
    reasons: list[ReasonOut]


class ProposalImportOut(Schema):
    """A file's result: nothing is made by a preview; the lines that can be are made by the import."""

    rows: list[ImportedRowOut]
    good: int
    bad: int
