"""The national platform's fields as the API takes and gives them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

from ninja import Schema
from pydantic import BeforeValidator, Field

from portal.wire import Block, Line, StrictIn, Whole
from scheduler.resources.models import Instrument
from scheduler.resources.profile import EMPTY, LENGTHS, Profile, Purpose, RunningState, ShareMode, Source

__all__ = ["ProfileIn", "ProfileOut", "profile_shown"]


def _iso_only(value: object) -> object:
    """Take a day as text only: a bare number is no date."""
    if not isinstance(value, str):
        raise ValueError("a day is text as ISO 8601")  # noqa: TRY004 - pydantic reports ValueError as 422
    return value


PastDay = Annotated[date, BeforeValidator(_iso_only)]
"""A day as ISO 8601; other than `portal.wire.Day` it may lie before 2000."""
YearHours = Annotated[Whole, Field(ge=0, le=8784)]


class ProfileIn(StrictIn):
    """An instrument as the national platform describes it. `class_code` has two, four or six digits."""

    class_code: Annotated[Line, Field(max_length=LENGTHS["class_code"])] = ""
    source: Source = Source.PURCHASED
    purpose: Purpose = Purpose.GENERAL
    running_state: RunningState = RunningState.NORMAL
    share_mode: ShareMode = ShareMode.OUTSIDE
    fields_of_science: Annotated[Line, Field(max_length=LENGTHS["fields_of_science"])] = ""
    country: Annotated[Line, Field(max_length=LENGTHS["country"])] = ""
    in_service_on: PastDay | None = None
    attached_to: Annotated[Line, Field(max_length=LENGTHS["attached_to"])] = ""
    funding_source: Annotated[Line, Field(max_length=LENGTHS["funding_source"])] = ""
    specs: Annotated[Block, Field(max_length=LENGTHS["specs"])] = ""
    opening_rules: Annotated[Block, Field(max_length=LENGTHS["opening_rules"])] = ""
    service_content: Annotated[Block, Field(max_length=LENGTHS["service_content"])] = ""
    typical_results: Annotated[Block, Field(max_length=LENGTHS["typical_results"])] = ""
    yearly_hours: YearHours = 0
    yearly_service_hours: YearHours = 0
    customs_no: Annotated[Line, Field(max_length=LENGTHS["customs_no"])] = ""
    customs_on: PastDay | None = None
    customs_item: Annotated[Line, Field(max_length=LENGTHS["customs_item"])] = ""
    customs_name: Annotated[Line, Field(max_length=LENGTHS["customs_name"])] = ""

    def value(self) -> Profile:
        return Profile(**self.model_dump(mode="json", exclude={"in_service_on", "customs_on"}), **self._days())

    def _days(self) -> dict[str, Any]:
        return {"in_service_on": self.in_service_on, "customs_on": self.customs_on}


class ProfileOut(Schema):
    """An instrument as the national platform describes it. Hours are those the lab states of its last full year."""

    class_code: str
    source: Source
    purpose: Purpose
    running_state: RunningState
    share_mode: ShareMode
    fields_of_science: str
    country: str
    in_service_on: date | None
    attached_to: str
    funding_source: str
    specs: str
    opening_rules: str
    service_content: str
    typical_results: str
    yearly_hours: int
    yearly_service_hours: int
    customs_no: str
    customs_on: date | None
    customs_item: str
    customs_name: str


def profile_shown(facts: Instrument) -> dict[str, Any]:
    """Return an instrument's profile as `ProfileOut`."""
    return {name: getattr(facts, name) for name in asdict(EMPTY)}
