"""Endpoints around the decision: drafts, evidence, appeals, recusal, drawing anew, many cases at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpResponse
from django.utils import timezone
from ninja import File, Form, Router, Schema, Status, UploadedFile
from pydantic import Field

from portal.http import explain
from portal.kernel.actors import Permission
from portal.organisations import access as people
from portal.wire import (
    ActorRequest,
    Block,
    Facts,
    Flag,
    IdempotencyKey,
    Line,
    MoneyIn,
    Number,
    StrictIn,
    Whole,
    key_from,
    problems,
)
from vouchers.evidence import access as evidence
from vouchers.evidence import rules as file_rules
from vouchers.evidence import services as files
from vouchers.evidence.models import EvidenceFile
from vouchers.issuance import access, appeals, assigning, automatic, bulk, drafts, services
from vouchers.issuance.api import ApplicationDetailOut, AssessIn, ContractIn, detailed
from vouchers.issuance.models import Application, Recusal
from vouchers.issuance.reviewing import Verdict
from vouchers.programmes import access as programmes

casework = Router(tags=["applications"])
grants = Router(tags=["programmes"])


class DraftIn(StrictIn):
    """`programme` is the programme's code."""

    programme: Number


class StatedIn(StrictIn):
    """All further facts by path; what is not among them is forgotten."""

    stated: Facts


class GroundsIn(StrictIn):
    """The grounds, for the other side to read."""

    note: Annotated[Block, Field(max_length=600)]


class GrantIn(AssessIn):
    """`credit_code` names the enterprise that need not apply."""

    credit_code: Number


class RecheckIn(StrictIn):
    """What the check afterwards found; `note` is a must where the case is not sound."""

    sound: Flag
    note: Annotated[Block, Field(max_length=300)] = ""


class ReasonIn(StrictIn):
    """Why; only the department reads it, except where the endpoint says otherwise."""

    reason: Annotated[Block, Field(max_length=300)]


class RecusalIn(ReasonIn):
    """`credit_code` names the organisation all of whose cases the caller keeps away from."""

    credit_code: Number


class RecusalOut(Schema):
    """A declaration to keep away from one case, or from all of an organisation's; `lifted_at` ended it."""

    id: int
    person: str
    organisation: str | None = None
    application: str | None = None
    reason: str
    at: datetime
    lifted_at: datetime | None = None
    lifted_reason: str = ""


class FileIn(StrictIn):
    """`purpose` is the document asked for, in the programme's own words."""

    purpose: Annotated[Line, Field(max_length=300)]


class FileOut(Schema):
    """A file kept with a case."""

    id: int
    purpose: str
    name: str
    media_type: str
    size: int
    sha256: str
    uploaded_at: datetime


class DecideIn(StrictIn):
    """One of several decisions; see `pass`, `return` and `refuse`."""

    number: Number
    act: Literal["pass", "return", "refuse"]
    amount: MoneyIn | None = None
    note: Annotated[Block, Field(max_length=300)] = ""
    score: Annotated[Whole, Field(ge=0, le=100)] | None = None
    seen: Annotated[str, Field(max_length=40)] = ""

    def value(self) -> bulk.Item:
        amount = self.amount.value() if self.amount else None
        return bulk.Item(self.number, self.act, Verdict(amount, self.note, self.score, seen=self.seen))


class DecisionsIn(StrictIn):
    """At most 50 decisions."""

    decisions: Annotated[list[DecideIn], Field(min_length=1, max_length=bulk.MOST)]


class DecidedOut(Schema):
    """What became of one case: its state now, or `code` and `detail` of what went wrong."""

    number: str
    done: bool
    state: str = ""
    code: str = ""
    detail: str = ""


def _act(request: ActorRequest, number: str, act: Callable[[Application, datetime], object]) -> dict[str, Any]:
    act(access.get_application(request.actor, number), timezone.now())
    return detailed(access.get_application(request.actor, number))


@casework.post("/drafts", response={201: ApplicationDetailOut, **problems(404, 409)})
def start_draft(request: ActorRequest, payload: DraftIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Begin an application that is filled in bit by bit; nothing is judged before it is submitted."""
    version = programmes.get_version(request.actor, payload.programme)
    made = drafts.start(actor=request.actor, version=version, now=timezone.now(), key=key_from(key))
    return Status(201, detailed(access.get_application(request.actor, made.number)))


@casework.post("/decisions", response={200: list[DecidedOut], **problems()})
def decide_each(request: ActorRequest, payload: DecisionsIn) -> list[dict[str, Any]]:
    """Decide several cases, each with its own reason. Every case stands for itself: look at each `done`."""
    items = [each.value() for each in payload.decisions]
    found = bulk.decide_each(actor=request.actor, items=items, now=timezone.now())
    return [_told(result) for result in found]


def _told(result: bulk.Result) -> dict[str, Any]:
    if result.error is not None:
        problem = explain(result.error)
        return {"number": result.number, "done": False, "code": problem.code, "detail": problem.text}
    return {"number": result.number, "done": True, "state": result.application.state if result.application else ""}


@casework.post("/recusals", response={201: RecusalOut, **problems(404, 409)})
def recuse_from_organisation(request: ActorRequest, payload: RecusalIn) -> Status[dict[str, Any]]:
    """Declare that the caller keeps away from all cases of an organisation; what they hold is drawn anew."""
    made = assigning.recuse(
        actor=request.actor,
        application=None,
        organisation=people.by_credit_code(payload.credit_code),
        reason=payload.reason,
        now=timezone.now(),
    )
    return Status(201, _recusal(made))


@casework.get("/recusals", response={200: list[RecusalOut], **problems()})
def list_recusals(request: ActorRequest) -> list[dict[str, Any]]:
    """List the caller's recusals, the newest first; an approver those of the whole department."""
    return [_recusal(each) for each in access.recusals(request.actor).order_by("-pk")[:500]]


@casework.post("/recusals/{recusal}/lift", response={200: RecusalOut, **problems(404, 409)})
def lift_recusal(request: ActorRequest, recusal: int, payload: ReasonIn) -> dict[str, Any]:
    """End a recusal of one of the department's people, with a reason; never one's own."""
    found = access.get_recusal(request.actor, recusal)
    return _recusal(assigning.lift(actor=request.actor, recusal=found, reason=payload.reason, now=timezone.now()))


def _recusal(made: Recusal) -> dict[str, Any]:
    return {
        "id": made.pk,
        "person": str(made.person),
        "organisation": made.organisation.name if made.organisation else None,
        "application": made.application.number if made.application else None,
        "reason": made.reason,
        "at": made.at,
        "lifted_at": made.withdrawn_at,
        "lifted_reason": made.withdrawn_reason,
    }


@casework.put("/{number}/contract", response={200: ApplicationDetailOut, **problems(404, 409)})
def fill_contract(request: ActorRequest, number: Number, payload: ContractIn) -> dict[str, Any]:
    """Keep the contract with a draft."""
    return _act(
        request,
        number,
        lambda case, now: drafts.fill_contract(
            actor=request.actor, application=case, contract=payload.value(), now=now
        ),
    )


@casework.put("/{number}/facts", response={200: ApplicationDetailOut, **problems(404, 409)})
def fill_facts(request: ActorRequest, number: Number, payload: StatedIn) -> dict[str, Any]:
    """Keep further facts with a draft."""
    return _act(
        request,
        number,
        lambda case, _now: drafts.fill_facts(actor=request.actor, application=case, stated=payload.stated),
    )


@casework.post("/{number}/sign", response={200: ApplicationDetailOut, **problems(404, 409)})
def sign(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Sign the undertaking for what the draft holds now; a later change needs a new signature."""
    return _act(request, number, lambda case, now: drafts.sign(actor=request.actor, application=case, now=now))


@casework.post("/{number}/submit", response={200: ApplicationDetailOut, **problems(404, 409)})
def submit_draft(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Submit a signed draft. Doing so twice submits once."""
    return _act(request, number, lambda case, now: drafts.send(actor=request.actor, application=case, now=now))


@casework.post("/{number}/recheck", response={200: ApplicationDetailOut, **problems(404, 409)})
def recheck(request: ActorRequest, number: Number, payload: RecheckIn) -> dict[str, Any]:
    """Record what the check afterwards of a case found that the machine granted and the lot drew."""
    return _act(
        request,
        number,
        lambda case, now: automatic.recheck(
            actor=request.actor, application=case, is_sound=payload.sound, note=payload.note, now=now
        ),
    )


@grants.post("/{code}/grants", response={201: ApplicationDetailOut, **problems(404, 409)})
def grant_unasked(request: ActorRequest, code: Number, payload: GrantIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Put an enterprise forward that need not apply (免申即享); an approver has the last word."""
    request.actor.require(Permission.APPLICATION_REVIEW)
    wanted = services.Wanted(
        version=programmes.get_version(request.actor, code), contract=payload.contract.value(), stated=payload.stated
    )
    made = services.grant_unasked(
        actor=request.actor,
        organisation=people.by_credit_code(payload.credit_code),
        wanted=wanted,
        now=timezone.now(),
        key=key_from(key),
    )
    return Status(201, detailed(access.get_application(request.actor, made.number)))


def _file(file: EvidenceFile) -> dict[str, Any]:
    return {
        "id": file.pk,
        "purpose": file.purpose,
        "name": file.name,
        "media_type": file.media_type,
        "size": file.size,
        "sha256": file.sha256,
        "uploaded_at": file.uploaded_at,
    }


@casework.get("/{number}/files", response={200: list[FileOut], **problems(404)})
def list_files(request: ActorRequest, number: Number) -> list[dict[str, Any]]:
    """List the files kept with a case."""
    case = access.get_application(request.actor, number)
    return [_file(file) for file in evidence.files_of(drafts.subject_of(case))]


@casework.post("/{number}/files", response={201: FileOut, **problems(404, 409)})
def attach_file(
    request: ActorRequest, number: Number, payload: Form[FileIn], file: File[UploadedFile]
) -> Status[dict[str, Any]]:
    """Keep a file with a draft, or with a case returned to its applicant. The same bytes are kept once."""
    case = access.get_application(request.actor, number)
    upload = files.Upload(file.name or "file", file.read(file_rules.MAX_BYTES + 1))
    kept = drafts.attach(
        actor=request.actor, application=case, purpose=payload.purpose, upload=upload, now=timezone.now()
    )
    return Status(201, _file(kept))


@casework.get("/{number}/files/{file}", response={200: None, **problems(404)})
def read_file(request: ActorRequest, number: Number, file: int) -> HttpResponse:
    """Return the bytes of a file, as a download of the kind recognised when it was uploaded."""
    case = access.get_application(request.actor, number)
    kept = evidence.get_file(drafts.subject_of(case), file)
    answer = HttpResponse(files.read(file=kept), content_type=kept.media_type)
    answer["Content-Disposition"] = "attachment"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


@casework.delete("/{number}/files/{file}", response={204: None, **problems(404, 409)})
def detach_file(request: ActorRequest, number: Number, file: int) -> Status[None]:
    """Take a mistaken file out of a draft; it stays on record."""
    case = access.get_application(request.actor, number)
    kept = evidence.get_file(drafts.subject_of(case), file)
    drafts.detach(actor=request.actor, application=case, file=kept, now=timezone.now())
    return Status(204, None)


@casework.post("/{number}/appeal", response={200: ApplicationDetailOut, **problems(404, 409)})
def appeal(request: ActorRequest, number: Number, payload: GroundsIn) -> dict[str, Any]:
    """Appeal against a refusal or a noticed result, once and in time."""
    return _act(
        request,
        number,
        lambda case, now: appeals.appeal(actor=request.actor, application=case, note=payload.note, now=now),
    )


@casework.post("/{number}/appeal/admit", response={200: ApplicationDetailOut, **problems(404, 409)})
def admit_appeal(request: ActorRequest, number: Number, payload: GroundsIn) -> dict[str, Any]:
    """Let an appealed case be decided anew from the first stage, by other people."""
    return _act(
        request,
        number,
        lambda case, now: appeals.admit(actor=request.actor, application=case, note=payload.note, now=now),
    )


@casework.post("/{number}/appeal/ask", response={200: ApplicationDetailOut, **problems(404, 409)})
def ask_in_appeal(request: ActorRequest, number: Number, payload: ReasonIn) -> dict[str, Any]:
    """Ask the applicant for more before the appeal is decided; `reason` says for what, and the applicant reads it."""
    return _act(
        request,
        number,
        lambda case, now: appeals.ask(actor=request.actor, application=case, note=payload.reason, now=now),
    )


@casework.post("/{number}/appeal/dismiss", response={200: ApplicationDetailOut, **problems(404, 409)})
def dismiss_appeal(request: ActorRequest, number: Number, payload: GroundsIn) -> dict[str, Any]:
    """Turn an appeal down, with a reason the applicant reads."""
    return _act(
        request,
        number,
        lambda case, now: appeals.dismiss(actor=request.actor, application=case, note=payload.note, now=now),
    )


@casework.post("/{number}/recuse", response={200: ApplicationDetailOut, **problems(404, 409)})
def recuse(request: ActorRequest, number: Number, payload: ReasonIn) -> dict[str, Any]:
    """Declare that the caller keeps away from this case; if they hold it, it is drawn anew."""
    return _act(
        request,
        number,
        lambda case, now: assigning.recuse(
            actor=request.actor, application=case, organisation=None, reason=payload.reason, now=now
        ),
    )


@casework.post("/{number}/reassign", response={200: ApplicationDetailOut, **problems(404, 409)})
def reassign(request: ActorRequest, number: Number, payload: ReasonIn) -> dict[str, Any]:
    """Have a case drawn anew among the others who may take it."""
    return _act(
        request,
        number,
        lambda case, now: assigning.reassign(actor=request.actor, application=case, reason=payload.reason, now=now),
    )
