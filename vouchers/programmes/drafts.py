"""Write a programme in the editor: start, save, discard, finish. A draft may be incomplete; a version never is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Invalid, noop
from portal.kernel.money import Money
from vouchers.programmes import access, services
from vouchers.programmes.longhand import opened
from vouchers.programmes.models import ProgrammeDraft, ProgrammeVersion
from vouchers.programmes.parsing import MAX_BYTES

_ = noop

BEIJING = ZoneInfo("Asia/Shanghai")


class DraftChanged(Conflict):
    """Somebody saved since this page was shown."""

    code = "programme.draft_changed"
    message = _("%(person)s已于 %(time)s 改过这份编制稿。您填写的内容仍在下面；核对后再次保存，就以您的内容为准。")


class DraftTooLarge(Invalid):
    code = "programme.draft_too_large"
    message = _("编制稿不能超过 %(limit)s KiB。请缩短文字或删去多余的行。")


def _lock(actor: Actor, draft: ProgrammeDraft, revision: int) -> ProgrammeDraft:
    actor.require(Permission.PROGRAMME_DRAFT)
    access.get_draft(actor, draft.pk)
    locked = ProgrammeDraft.objects.select_for_update(no_key=True, of=("self",)).order_by("pk").get(pk=draft.pk)
    if locked.revision != revision:
        at = locked.updated_at.astimezone(BEIJING)
        raise DraftChanged(person=str(locked.edited_by), time=f"{at:%H:%M}")
    return locked


def _names(document: Mapping[str, Any]) -> dict[str, str]:
    """Return what lists call the draft by, cut to what the columns hold."""
    name = document.get("name")
    both = name if isinstance(name, dict) else {"zh": name, "en": name}
    return {
        "code": str(document.get("code") or "")[:60],
        "name": str(both.get("zh") or "")[:160],
        "name_en": str(both.get("en") or "")[:200],
    }


def _check_size(document: Mapping[str, Any]) -> None:
    if len(json.dumps(document, ensure_ascii=False).encode()) > MAX_BYTES:
        raise DraftTooLarge(limit=MAX_BYTES // 1024)


@transaction.atomic
def start(*, actor: Actor, origin: ProgrammeVersion | None, now: datetime) -> ProgrammeDraft:
    """Begin a programme, empty or with the rules of the version `origin`, which itself never changes.

    Raises Forbidden; also where `origin` belongs to another department and is no model to copy (its code is taken out
    then, because a code belongs to one department for ever).
    """
    actor.require(Permission.PROGRAMME_DRAFT)
    document = opened(origin.document) if origin else {}
    is_own = origin is not None and origin.programme.department_id == actor.organisation_id
    if not is_own:
        document.pop("code", None)
    assert actor.organisation_id is not None
    draft = ProgrammeDraft.objects.create(
        department_id=actor.organisation_id,
        origin=origin,
        document=document,
        **_names(document),
        started_by_id=actor.person,
        edited_by_id=actor.person,
        started_at=now,
        updated_at=now,
    )
    _record(draft, action="programme.draft_started", actor=actor, now=now)
    return draft


@transaction.atomic
def save(
    *, actor: Actor, draft: ProgrammeDraft, revision: int, document: Mapping[str, Any], now: datetime
) -> ProgrammeDraft:
    """Store the document as far as it is written; right or wrong is asked when it is finished.

    `revision` is the one the change was made on. Raises DraftChanged, DraftTooLarge, Forbidden, NotFound. Saves are not
    recorded one by one: the draft says who edited last, and the version made of it is recorded with its digest.
    """
    locked = _lock(actor, draft, revision)
    _check_size(document)
    if locked.document == document:
        return locked
    for key, value in {"document": dict(document), **_names(document)}.items():
        setattr(locked, key, value)
    locked.revision += 1
    locked.edited_by_id = actor.person
    locked.updated_at = now
    locked.save()
    return locked


@transaction.atomic
def discard(*, actor: Actor, draft: ProgrammeDraft, revision: int, now: datetime) -> None:
    """Throw a draft away. Raises DraftChanged, Forbidden, NotFound."""
    locked = _lock(actor, draft, revision)
    _record(locked, action="programme.draft_discarded", actor=actor, now=now)
    locked.delete()


@transaction.atomic
def finish(
    *, actor: Actor, draft: ProgrammeDraft, revision: int, budget: Money, fiscal_year: int, now: datetime
) -> ProgrammeVersion:
    """Make the draft a version, by the same rules as a file that is imported, and close it.

    Raises BadProgramme with every problem and its path, DraftChanged, and what `services.import_version` raises.
    """
    locked = _lock(actor, draft, revision)
    raw = json.dumps(locked.document, ensure_ascii=False).encode()
    version = services.import_version(actor=actor, raw=raw, budget=budget, fiscal_year=fiscal_year, now=now)
    locked.delete()
    return version


def _record(draft: ProgrammeDraft, *, action: str, actor: Actor, now: datetime) -> None:
    origin = draft.origin
    audit.record(
        action=action,
        subject=f"draft:{draft.pk}",
        actor=actor,
        now=now,
        organisations=[draft.department_id],
        data={"name": draft.name, "from": f"{origin.programme.code} v{origin.number}" if origin else ""},
    )
