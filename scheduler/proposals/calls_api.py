"""Endpoints of calls: everybody reads those that are published, a user office writes its own."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from ninja import File, Query, Router, Status, UploadedFile

from portal.http import explain_reason
from portal.kernel.period import Period
from portal.wire import ActorRequest, Cursor, Number, PageOut, paged, problems
from scheduler.facilities.courses import ProposalKind
from scheduler.proposals import access, calls, importing, queries
from scheduler.proposals.models import ProposalCall
from scheduler.proposals.schemas import CallIn, CallOut, ChangedCallIn, NewCallIn, ProposalImportOut

router = Router(tags=["beam proposals"])


def call_of(call: ProposalCall) -> dict[str, Any]:
    """Return a call as `CallOut`."""
    names = ("number", "name", "name_en", "notice", "kinds", "least_shifts", "most_shifts")
    parts = ("code", "name", "name_en", "kind", "required", "pages", "size", "letters")
    return {
        **{name: getattr(call, name) for name in names},
        "facility": call.facility.code,
        "cycle": call.cycle.code,
        "opens_at": call.during.lower,
        "closes_at": call.during.upper,
        "state": access.state_of(call, now=timezone.now()),
        "stamp": calls.stamp(call),
        "forms": [{name: getattr(form, name) for name in parts} for form in call.forms.all()],
    }


def _wanted(payload: CallIn) -> calls.CallWanted:
    return calls.CallWanted(
        name=payload.name,
        name_en=payload.name_en,
        notice=payload.notice,
        during=Period(payload.opens_at, payload.closes_at),
        kinds=[ProposalKind(kind) for kind in payload.kinds],
        least_shifts=payload.least_shifts,
        most_shifts=payload.most_shifts,
        forms=[form.value() for form in payload.forms],
    )


@router.get("", response={200: PageOut[CallOut], **problems()})
def list_calls(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:  # noqa: ARG001  everybody sees the same
    """List the published calls."""
    return paged(access.published_calls().prefetch_related("forms"), wanted, call_of)


@router.get("/{number}", response={200: CallOut, **problems(404)})
def get_call(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one call: a published one, or a draft of the caller's own user office."""
    return call_of(access.readable_call(request.actor, number))


@router.post("", response={201: CallOut, **problems(404, 409)})
def write_call(request: ActorRequest, payload: NewCallIn) -> Status[dict[str, Any]]:
    """Write a call with its forms, as the user office; nobody sees it before it is published."""
    facility = access.get_managed(request.actor, payload.facility)
    cycle = queries.get_cycle(facility, payload.cycle)
    made = calls.announce(
        actor=request.actor, facility=facility, cycle=cycle, wanted=_wanted(payload), now=timezone.now()
    )
    return Status(201, call_of(made))


@router.put("/{number}", response={200: CallOut, **problems(404, 409)})
def change_call(request: ActorRequest, number: Number, payload: ChangedCallIn) -> dict[str, Any]:
    """Change a call; once proposals use it, the deadline is only put off, kinds and forms only added to."""
    call = access.get_call_to_manage(request.actor, number)
    changed = calls.change(
        actor=request.actor, call=call, wanted=_wanted(payload), seen=payload.stamp, now=timezone.now()
    )
    return call_of(changed)


@router.post("/{number}/publish", response={200: CallOut, **problems(404, 409)})
def publish_call(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Show a call to everybody."""
    call = access.get_call_to_manage(request.actor, number)
    return call_of(calls.publish(actor=request.actor, call=call, now=timezone.now()))


def _imported(lines: list[importing.Line]) -> dict[str, Any]:
    return {
        "rows": [
            {
                "row": one.row,
                "title": one.title,
                "number": one.number,
                "reasons": [explain_reason(reason) for reason in one.reasons],
            }
            for one in lines
        ],
        "good": sum(not one.reasons for one in lines),
        "bad": sum(bool(one.reasons) for one in lines),
    }


def _sent(request: ActorRequest, number: str, file: UploadedFile) -> dict[str, Any]:
    return {
        "actor": request.actor,
        "call": access.get_call_to_manage(request.actor, number),
        "content": file.read(importing.LIMITS.size + 1),
        "name": file.name or "file",
        "now": timezone.now(),
    }


@router.post("/{number}/import/preview", response={200: ProposalImportOut, **problems(404, 409)})
def preview_proposals(request: ActorRequest, number: Number, file: File[UploadedFile]) -> dict[str, Any]:
    """Say line by line what a table of proposals (xlsx or CSV) would do, as the user office; nothing is kept."""
    return _imported(importing.look(**_sent(request, number, file)))


@router.post("/{number}/import", response={200: ProposalImportOut, **problems(404, 409)})
def import_proposals(request: ActorRequest, number: Number, file: File[UploadedFile]) -> dict[str, Any]:
    """Take in every line that has no fault, as the user office; the same line twice is one proposal."""
    return _imported(importing.take(**_sent(request, number, file)))
