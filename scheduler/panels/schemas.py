"""Shapes of judging on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from ninja import Schema
from pydantic import Field

from portal.http import explain_reason
from portal.kernel.errors import Reason
from portal.wire import Block, DecimalText, Flag, Line, Number, ReasonOut, StrictIn, Whole
from scheduler.panels import rounds, rules
from scheduler.panels.models import Appeal, Assessment, Grading, RankedRequest, Ranking

Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Note = Annotated[Block, Field(max_length=rounds.NOTE)]
Text = Annotated[Block, Field(max_length=rounds.TEXT)]
Shifts = Annotated[Whole, Field(ge=0, le=999)]
Version = Annotated[Whole, Field(ge=1, le=2_000_000_000)]
MOST: Final = 500


class AssessmentIn(StrictIn):
    """A finding. `to_team` is read by the team and is needed where it did not pass; `note` is for the staff."""

    kind: rules.AssessmentKind
    passed: Flag
    safety_class: rules.SafetyClass | None = None
    shifts: Annotated[Whole, Field(ge=1, le=999)] | None = None
    note: Note = ""
    to_team: Note = ""


class AssessmentOut(Schema):
    """A finding as staff read it."""

    kind: rules.AssessmentKind
    kind_label: str
    round_no: int
    passed: bool
    safety_class: str
    shifts: int | None
    note: str
    to_team: str
    by: str
    at: datetime


class ToAssessOut(Schema):
    """A proposal that waits for findings, and those there are."""

    number: str
    title: str
    kind: str
    organisation: str
    facility: str
    state: str
    findings: list[AssessmentOut]


class TargetIn(StrictIn):
    """Which part of the shifts a group should get where grades are equal: `num` ÷ `den`."""

    group: Annotated[Line, Field(min_length=1, max_length=40)]
    num: Annotated[Whole, Field(ge=0, le=10_000)]
    den: Annotated[Whole, Field(ge=1, le=10_000)]


class PanelIn(StrictIn):
    """A panel of a call."""

    call: Number
    name: Annotated[Line, Field(min_length=1, max_length=80)]
    name_en: Annotated[Line, Field(max_length=120)] = ""
    targets: Annotated[list[TargetIn], Field(max_length=40)] = []


class TargetsIn(StrictIn):
    """A panel's balance anew."""

    targets: Annotated[list[TargetIn], Field(max_length=40)]


class SeatIn(StrictIn):
    """A registered person, by user name or mail, and her name: both must be hers."""

    person: Annotated[Line, Field(min_length=1, max_length=160)]
    name: Annotated[Line, Field(min_length=1, max_length=160)]
    is_chair: Flag = False


class SeatOut(Schema):
    """A reviewer of a panel."""

    id: int
    name: str
    is_chair: bool


class UnseatIn(StrictIn):
    """Which reviewer goes, by the number of her seat."""

    panelist: Id


class AskIn(StrictIn):
    """Which reviewer grades which proposal."""

    proposal: Number
    panelist: Id


class TakeBackIn(StrictIn):
    """Which question to a reviewer is taken back."""

    grading: Id


class PanelGradingOut(Schema):
    """A reviewer's part, as the office reads it."""

    id: int
    panelist: int
    reviewer: str
    state: rules.GradingState
    grade: str | None
    to_panel: str
    parties: list[str]
    recused_note: str


class BondOut(Schema):
    """Why a reviewer may not grade a proposal."""

    panelist: int
    reasons: list[ReasonOut]


class JudgedOut(Schema):
    """A proposal before a panel. `is_hidden`: the reader is bound to it and is shown neither reviewers nor grades."""

    number: str
    title: str
    organisation: str
    state: str
    round_no: int
    owed: list[str]
    is_hidden: bool
    gradings: list[PanelGradingOut]
    conflicts: list[BondOut]


class PanelRowOut(Schema):
    """A panel in a list."""

    id: int
    name: str
    name_en: str
    facility: str
    call: str
    targets: dict[str, list[int]]


class PanelOut(PanelRowOut):
    """A panel with its reviewers, proposals, conflicts found out."""

    panelists: list[SeatOut]
    proposals: list[JudgedOut]


class GradeIn(StrictIn):
    """A grade on the facility's scale; `to_team` is told to the team without the reviewer's name."""

    grade: Annotated[str, DecimalText(digits=4, places=2, signed=True)]
    to_panel: Text = ""
    to_team: Text


class RecuseIn(StrictIn):
    """Why one steps back; the user office reads it."""

    note: Annotated[Block, Field(min_length=1, max_length=300)]


class ReviewAskedOut(Schema):
    """What a reviewer was asked. Where she has to step back, `conflicts` say why and nothing else of it is shown."""

    id: int
    number: str
    title: str
    summary: str
    organisation: str
    facility: str
    panel: str
    state: rules.GradingState
    grade: str | None
    to_panel: str
    to_team: str
    conflicts: list[ReasonOut]


class RankIn(StrictIn):
    """For which beamline to rank, how many shifts to give (null: what the open pool has left), whom to leave for later."""

    beamline: Number
    shifts: Shifts | None = None
    without: Annotated[list[Number], Field(max_length=MOST)] = []


class RankedIn(StrictIn):
    """A request in its place, known by its proposal; what it gets, or whether it waits on the reserve list."""

    number: Number
    shifts: Shifts
    on_reserve: Flag = True
    moved_note: Annotated[Block, Field(max_length=500)] = ""
    to_team: Note = ""


class ArrangeIn(StrictIn):
    """The whole list in its order, of the version that was read."""

    version: Version
    rows: Annotated[list[RankedIn], Field(min_length=1, max_length=MOST)]


class RankingStepIn(StrictIn):
    """A step of the list that was read in this version."""

    version: Version
    note: Note = ""


class RankedOut(Schema):
    """A request in its place and why it stands there."""

    place: int
    number: str
    title: str
    grade: str
    aged: str
    waited: int
    by: rules.TieBreak
    has_had: int
    wanted: int
    shifts: int
    on_reserve: bool
    moved_note: str
    to_team: str


class RankingRowOut(Schema):
    """A panel's list in a list."""

    id: int
    panel: str
    beamline: str
    cycle: str
    state: rules.RankingState
    shifts: int
    version: int
    note: str
    proposed_by: str
    decided_by: str


class RankingOut(RankingRowOut):
    """A panel's list for one beamline. `hidden`: how many rows are not shown, since the caller has to step back from them."""

    rows: list[RankedOut]
    hidden: int


class AppealIn(StrictIn):
    """Against the refusal of which proposal, and why."""

    proposal: Number
    text: Annotated[Text, Field(min_length=1)]


class AppealAnswerIn(StrictIn):
    """Whether the appeal is right, and why."""

    uphold: Flag
    text: Annotated[Text, Field(min_length=1)]


class AppealOut(Schema):
    """An appeal and its answer."""

    id: int
    proposal: str
    state: rules.AppealState
    text: str
    at: datetime
    answer: str
    answered_at: datetime | None


class PlaceOut(Schema):
    """Where a request of the team stood on a list and what it got."""

    beamline: str
    cycle: str
    place: int
    grade: str
    by: rules.TieBreak
    shifts: int
    on_reserve: bool
    to_team: str


class AnswerOut(Schema):
    """What a team is told of its proposal."""

    number: str
    state: str
    note: str
    findings: list[str]
    comments: list[str]
    places: list[PlaceOut]
    may_appeal: bool


def grade_text(hundredths: int | None) -> str | None:
    """Return a grade as people write it: 450 is ``4.50``."""
    return None if hundredths is None else f"{hundredths / 100:.2f}"


def told(reasons: list[Reason]) -> list[dict[str, str]]:
    return [explain_reason(one) for one in reasons]


def assessment_out(row: Assessment) -> dict[str, Any]:
    names = ("kind", "round_no", "passed", "safety_class", "shifts", "note", "to_team", "at")
    return {**{name: getattr(row, name) for name in names}, "kind_label": row.get_kind_display(), "by": str(row.by)}


def grading_out(row: Grading) -> dict[str, Any]:
    names = ("state", "to_panel", "parties", "recused_note")
    said = {name: getattr(row, name) for name in names}
    return {
        **said,
        "id": row.pk,
        "panelist": row.panelist_id,
        "reviewer": str(row.panelist.user),
        "grade": grade_text(row.grade_c),
    }


def ranked_out(row: RankedRequest) -> dict[str, Any]:
    names = ("place", "by", "has_had", "shifts", "on_reserve", "moved_note", "to_team")
    return {
        **{name: getattr(row, name) for name in names},
        "number": row.request.proposal.number,
        "title": row.request.proposal.title,
        "grade": grade_text(row.grade_c),
        "aged": grade_text(row.aged_c),
        "waited": row.request.waited,
        "wanted": row.request.shifts,
    }


def ranking_out(row: Ranking) -> dict[str, Any]:
    names = ("state", "shifts", "version", "note")
    return {
        **{name: getattr(row, name) for name in names},
        "id": row.pk,
        "panel": row.panel.name,
        "beamline": row.beamline.code,
        "cycle": row.panel.call.cycle.code,
        "proposed_by": str(row.proposed_by or ""),
        "decided_by": str(row.decided_by or ""),
    }


def appeal_out(row: Appeal) -> dict[str, Any]:
    names = ("state", "text", "at", "answer", "answered_at")
    return {**{name: getattr(row, name) for name in names}, "id": row.pk, "proposal": row.proposal.number}
