"""Write and publish calls with their forms; the only writer of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Reason, Refused, noop
from portal.kernel.period import Period
from portal.numbers.services import next_number
from scheduler.facilities.courses import ProposalKind
from scheduler.facilities.models import Facility, FacilityCourse, RunCycle
from scheduler.proposals import rules
from scheduler.proposals.models import CallForm, ProposalCall

__all__ = [
    "BadCall",
    "CallWanted",
    "ChangedSince",
    "FormWanted",
    "InUse",
    "NameTaken",
    "announce",
    "change",
    "publish",
    "stamp",
]

_ = noop

MOST_FORMS = 20
MOST_PAGES = 200
MOST_BYTES = 20_000_000
MOST_LETTERS = 20_000


class BadCall(Refused):
    code = "call.bad"
    message = _("征集还不能保存，原因如下。")


class InUse(Conflict):
    code = "call.in_use"
    message = _("已有申请用到这次征集：截止时间只能推后，课题类别和表格只能增加。")


class NameTaken(Conflict):
    code = "call.name_taken"
    message = _("该运行周期已有同名征集 %(number)s，内容不同。请换一个名称，或修改已有的征集。")


class ChangedSince(Conflict):
    """Somebody of the office has changed it since it was read: nothing was overwritten."""

    code = "call.changed_since"
    message = _("征集已被他人修改。请打开最新内容核对后再改；您的修改没有覆盖对方的。")


@dataclass(frozen=True, slots=True)
class FormWanted:
    """One thing asked of each proposal: `kind` pdf with `pages` and `size` (bytes), or text with `letters`, at most."""

    code: str
    name: str
    kind: rules.FormKind
    name_en: str = ""
    required: bool = True
    pages: int = 2
    size: int = 5_000_000
    letters: int = 2000


@dataclass(frozen=True, slots=True)
class CallWanted:
    """A call as the user office writes it. Shifts are limits for one request; `most_shifts` 0: none."""

    name: str
    during: Period
    kinds: Sequence[ProposalKind]
    name_en: str = ""
    notice: str = ""
    least_shifts: int = 1
    most_shifts: int = 0
    forms: Sequence[FormWanted] = field(default_factory=tuple)


def _wrong(facility: Facility, cycle: RunCycle, wanted: CallWanted) -> list[Reason]:
    found: list[Reason] = []
    if not wanted.name.strip():
        found.append(Reason("call.name", _("请填写名称。"), field="name"))
    if wanted.during.end > cycle.during.lower:
        text = _("截止时间须在运行周期 %(cycle)s 开始之前。")
        found.append(Reason("call.deadline", text, _("请提前截止时间。"), "closes_at", {"cycle": cycle.code}))
    offered = set(FacilityCourse.objects.filter(facility=facility, peer_review=True).values_list("kind", flat=True))
    missing = [kind.value for kind in wanted.kinds if kind.value not in offered]
    if not wanted.kinds or missing:
        text = _("征集须至少有一类本装置提供、需要评审的课题。")
        found.append(Reason("call.kinds", text, _("请从普通、长期、机时包等课题中选择。"), "kinds"))
    if wanted.least_shifts < 1 or (wanted.most_shifts and wanted.most_shifts < wanted.least_shifts):
        found.append(Reason("call.shifts", _("最多班次不能少于最少班次，最少为 1。"), field="most_shifts"))
    codes = [form.code for form in wanted.forms]
    if len(codes) > MOST_FORMS or len(set(codes)) != len(codes):
        found.append(Reason("call.form_codes", _("表格至多 20 个，代码不能重复。"), field="forms"))
    for at, form in enumerate(wanted.forms):
        limits = 1 <= form.pages <= MOST_PAGES and 1 <= form.size <= MOST_BYTES and 1 <= form.letters <= MOST_LETTERS
        if not limits or not form.name.strip():
            text = _("表格 %(form)s 的名称或上限有误：至多 200 页、20 MB、20000 字。")
            found.append(Reason("call.form_limits", text, "", f"forms.{at}", {"form": form.code}))
    return found


PARTS = ("name", "name_en", "required", "pages", "size", "letters")


def _hash(values: dict[str, Any], forms: list[list[Any]]) -> str:
    during = [at.astimezone(UTC).isoformat() for at in values["during"]]
    said = json.dumps(
        [{**values, "during": during, "kinds": sorted(values["kinds"])}, forms], ensure_ascii=False, sort_keys=True
    )
    return hashlib.sha256(said.encode()).hexdigest()[:20]


def stamp(call: ProposalCall) -> str:
    """Return what tells a call as it is from what it was before: given back on changing it. One query for its forms."""
    names = ("name", "name_en", "notice", "kinds", "least_shifts", "most_shifts")
    values = {name: getattr(call, name) for name in names}
    forms = sorted([form.code, form.kind, *(getattr(form, name) for name in PARTS)] for form in call.forms.all())
    return _hash({**values, "during": (call.during.lower, call.during.upper)}, forms)


def _stamp_of(wanted: CallWanted) -> str:
    forms = sorted([form.code, form.kind.value, *(getattr(form, name) for name in PARTS)] for form in wanted.forms)
    return _hash(_values(wanted), forms)


def _values(wanted: CallWanted) -> dict[str, Any]:
    return {
        "name": wanted.name.strip(),
        "name_en": wanted.name_en.strip(),
        "notice": wanted.notice.strip(),
        "during": (wanted.during.start, wanted.during.end),
        "kinds": [kind.value for kind in wanted.kinds],
        "least_shifts": wanted.least_shifts,
        "most_shifts": wanted.most_shifts,
    }


def _write_forms(call: ProposalCall, wanted: CallWanted) -> None:
    for place, form in enumerate(wanted.forms):
        said = {name: getattr(form, name) for name in PARTS}
        CallForm.objects.update_or_create(
            call=call, code=form.code, defaults={**said, "kind": form.kind.value, "place": place}
        )
    call.forms.exclude(code__in=[form.code for form in wanted.forms]).delete()


def _record(call: ProposalCall, *, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject=f"call:{call.number}",
        actor=actor,
        now=now,
        organisations=[call.facility.owner_id],
        data={"facility": call.facility.code, "cycle": call.cycle.code, "published": call.is_published},
    )


def _manage(actor: Actor, facility: Facility) -> None:
    actor.require(Permission.FACILITY_MANAGE)
    if facility.owner_id != actor.organisation_id:
        raise Forbidden


@transaction.atomic
def announce(*, actor: Actor, facility: Facility, cycle: RunCycle, wanted: CallWanted, now: datetime) -> ProposalCall:
    """Write a call for a cycle; nobody sees it before it is published. The same again is the same call: idempotent.

    Raises BadCall with everything that is wrong, NameTaken where the cycle has another call of the name, Forbidden.
    """
    _manage(actor, facility)
    Facility.objects.select_for_update(no_key=True).order_by("pk").get(pk=facility.pk)
    known = ProposalCall.objects.filter(facility=facility, cycle=cycle, name=wanted.name.strip()).first()
    if known is not None:
        if stamp(known) != _stamp_of(wanted):
            raise NameTaken(field="name", number=known.number)
        return known
    if found := _wrong(facility, cycle, wanted):
        raise BadCall(found)
    made = ProposalCall.objects.create(
        facility=facility,
        cycle=cycle,
        number=next_number(prefix="ZJ", now=now),
        created_by_id=actor.user_id,
        created_at=now,
        **_values(wanted),
    )
    _write_forms(made, wanted)
    made.refresh_from_db()
    _record(made, action="call.written", actor=actor, now=now)
    return made


def _lock(call: ProposalCall) -> ProposalCall:
    rows = ProposalCall.objects.select_for_update(no_key=True, of=("self",)).select_related("facility", "cycle")
    return rows.order_by("pk").get(pk=call.pk)


def _narrower(form: CallForm, wanted: FormWanted | None) -> bool:
    """Say whether what was complete under the form might not be under the new one."""
    return (
        wanted is None
        or wanted.kind.value != form.kind
        or wanted.pages < form.pages
        or wanted.size < form.size
        or wanted.letters < form.letters
        or (wanted.required and not form.required)
    )


@transaction.atomic
def change(
    *, actor: Actor, call: ProposalCall, wanted: CallWanted, now: datetime, seen: str | None = None
) -> ProposalCall:
    """Change a call. Once proposals use it, the deadline may only be put off, kinds and
    forms only added to, limits only widened: what was complete stays so.

    `seen` is the `stamp` of what was read. Raises ChangedSince, BadCall with everything that is wrong, NameTaken, InUse,
    Forbidden.
    """
    locked = _lock(call)
    _manage(actor, locked.facility)
    if seen is not None and seen != stamp(locked):
        raise ChangedSince(field="stamp")
    name = wanted.name.strip()
    others = ProposalCall.objects.filter(facility=locked.facility, cycle=locked.cycle, name=name)
    if other := others.exclude(pk=locked.pk).first():
        raise NameTaken(field="name", number=other.number)
    if found := _wrong(locked.facility, locked.cycle, wanted):
        raise BadCall(found)
    if locked.proposals.exists():
        kept = set(locked.kinds) <= {kind.value for kind in wanted.kinds}
        forms = {form.code: form for form in wanted.forms}
        known = {form.code for form in locked.forms.all()}
        fewer = any(_narrower(form, forms.get(form.code)) for form in locked.forms.all())
        more = any(form.required for code, form in forms.items() if code not in known)
        tighter = wanted.least_shifts > locked.least_shifts or (
            wanted.most_shifts > 0 and not 0 < locked.most_shifts <= wanted.most_shifts
        )
        if not kept or fewer or more or tighter or wanted.during.end < locked.during.upper:
            raise InUse
    for name, value in _values(wanted).items():
        setattr(locked, name, value)
    locked.save()
    _write_forms(locked, wanted)
    locked.refresh_from_db()
    _record(locked, action="call.changed", actor=actor, now=now)
    return locked


@transaction.atomic
def publish(*, actor: Actor, call: ProposalCall, now: datetime) -> ProposalCall:
    """Show a call to everybody; it takes proposals from its opening to its very end. Twice changes nothing."""
    locked = _lock(call)
    _manage(actor, locked.facility)
    if not locked.is_published:
        locked.is_published = True
        locked.save(update_fields=["is_published"])
        _record(locked, action="call.published", actor=actor, now=now)
    return locked
