"""Import, publish and suspend programmes; the only writer of their tables."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import date, datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Invalid, Refused, noop
from portal.kernel.money import Money
from portal.kernel.states import next_state
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.programmes import documents, fairness, queries, states
from vouchers.programmes.models import Budget, CoLead, FairReview, Programme, ProgrammeVersion
from vouchers.programmes.terms import BEIJING

_ = noop

CODE = re.compile(r"[a-z0-9][a-z0-9-]{1,58}[a-z0-9]")
"""A programme's code is part of addresses and ledger owners."""


class SamePerson(Forbidden):
    code = "programme.same_person"
    message = _("导入人不能发布自己导入的政策。请由另一位同事复核并发布。")


class NotADraft(Conflict):
    code = "programme.not_a_draft"
    message = _("本版已发布，审查记录不能再更改。请导入新版后登记。")


class BadReview(Invalid):
    code = "programme.review_text"
    message = _("请填写公平竞争审查的单位、文号和结论，本项至多 %(limit)s 个字符。")


class ReviewInFuture(Invalid):
    code = "programme.review_day"
    message = _("公平竞争审查的日期不能晚于今天。")


class OtherDepartment(Conflict):
    code = "programme.other_department"
    message = _("政策代码“%(code)s”已由其他部门使用。请更换代码。")


class Unchanged(Conflict):
    code = "programme.unchanged"
    message = _("文件与现有第 %(number)s 版内容相同，无需再次导入。")


class BadCode(Invalid):
    code = "programme.code"
    message = _("政策代码“%(code)s”须为 3 到 60 个小写字母、数字或连字符，例如 hz-compute-2026。")


class BadBudget(Invalid):
    code = "programme.budget"
    message = _("预算金额须大于零。")


class BadYear(Invalid):
    code = "programme.fiscal_year"
    message = _("预算年度须在 2020 到 2100 之间。")


@transaction.atomic
def import_version(*, actor: Actor, raw: bytes, budget: Money, fiscal_year: int, now: datetime) -> ProgrammeVersion:
    """Store a programme file as the next draft version of its code.

    `budget` is what publishing adds to the pool of `fiscal_year`. Raises BadProgramme with every problem and its
    path, OtherDepartment, Unchanged, BadBudget, Forbidden.
    """
    actor.require(Permission.PROGRAMME_DRAFT)
    scheme = documents.admit(raw)
    if not CODE.fullmatch(scheme.code):
        raise BadCode(field="file", code=scheme.code)
    if budget.fen < 0:
        raise BadBudget(field="budget")
    if not 2020 <= fiscal_year <= 2100:
        raise BadYear(field="fiscal_year")
    assert actor.organisation_id is not None
    programme, _created = Programme.objects.select_for_update(no_key=True).get_or_create(
        code=scheme.code, defaults={"department_id": actor.organisation_id, "created_at": now}
    )
    if programme.department_id != actor.organisation_id:
        raise OtherDepartment(field="file", code=scheme.code)
    canonical = json.dumps(scheme.document, ensure_ascii=False, sort_keys=True)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    newest = programme.versions.order_by("-number").first()
    if newest is not None and newest.digest == digest and newest.state != states.VersionState.SUPERSEDED.value:
        raise Unchanged(field="file", number=newest.number)
    version = ProgrammeVersion.objects.create(
        programme=programme,
        number=newest.number + 1 if newest else 1,
        name=scheme.title("zh"),
        name_en=scheme.title("en"),
        document=scheme.document,
        digest=digest,
        budget_fen=budget.fen,
        fiscal_year=fiscal_year,
        imported_by_id=actor.person,
        imported_at=now,
    )
    _record(version, action="programme.imported", actor=actor, now=now)
    return version


def _record(version: ProgrammeVersion, *, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject=f"programme:{version.programme.code}",
        actor=actor,
        now=now,
        organisations=[version.programme.department_id],
        data={"version": version.number, "digest": version.digest, "budget_fen": version.budget_fen},
    )


def _lock(actor: Actor, version: ProgrammeVersion) -> ProgrammeVersion:
    Programme.objects.select_for_update(no_key=True).order_by("pk").get(pk=version.programme_id)
    locked = ProgrammeVersion.objects.select_related("programme", "imported_by").get(pk=version.pk)
    if locked.programme.department_id != actor.organisation_id:
        raise Forbidden
    return locked


@dataclass(frozen=True, slots=True)
class Review:
    """What a fair-competition review says: who reviewed, on which day, under which number, with which conclusion."""

    reviewer: str
    reviewed_on: date
    document_number: str
    opinion: str


@transaction.atomic
def record_fair_review(*, actor: Actor, version: ProgrammeVersion, review: Review, now: datetime) -> FairReview:
    """Record the fair-competition review of a draft, as a second person; a record made before is replaced.

    The conditions exposed at this moment are kept with it. Raises SamePerson, NotADraft, BadReview, Forbidden.
    Source: 公平竞争审查条例 (国务院令第 783 号): no policy on economic activity without a review.
    """
    actor.require(Permission.PROGRAMME_PUBLISH)
    locked = _lock(actor, version)
    if actor.user_id is None or actor.user_id == locked.imported_by_id:
        raise SamePerson
    if locked.state != states.VersionState.DRAFT.value:
        raise NotADraft
    for name in ("reviewer", "document_number", "opinion"):
        if not getattr(review, name).strip() or len(getattr(review, name)) > LONGEST[name]:
            raise BadReview(field=name, limit=LONGEST[name])
    if review.reviewed_on > now.astimezone(BEIJING).date():
        raise ReviewInFuture(field="reviewed_on")
    record, _created = FairReview.objects.update_or_create(
        version=locked,
        defaults={
            "reviewer": review.reviewer.strip(),
            "reviewed_on": review.reviewed_on,
            "document_number": review.document_number.strip(),
            "opinion": review.opinion.strip(),
            "exposed": [
                {
                    "path": one.path,
                    "condition": [one.condition.zh, one.condition.en],
                    "reason": [one.reason.zh, one.reason.en],
                }
                for one in fairness.exposed(documents.load(locked.document))
            ],
            "recorded_by_id": actor.person,
            "recorded_at": now,
        },
    )
    _record(locked, action="programme.fair_review", actor=actor, now=now)
    return record


LONGEST = {"reviewer": 120, "document_number": 120, "opinion": 4000}
"""Characters each text of a review may have."""


@transaction.atomic
def publish(*, actor: Actor, version: ProgrammeVersion, now: datetime) -> ProgrammeVersion:
    """Put a draft in force as a second person, and its budget into the pool; the version before is superseded.

    Raises SamePerson, InvalidTransition, Forbidden; Refused with every reason where the file does not say where its
    rules come from (title, number, issuer, lead, level, source, grade, time in force), the fair-competition review is
    missing, or periods overlap (`publication.obstacles`). Cases already submitted keep the version they were judged by.
    """
    actor.require(Permission.PROGRAMME_PUBLISH)
    locked = _lock(actor, version)
    if actor.user_id is None or actor.user_id == locked.imported_by_id:
        raise SamePerson
    state = next_state(states.TRANSITIONS, states.VersionState(locked.state), states.VersionAction.PUBLISH)
    if reasons := queries.missing_to_publish(locked, now=now):
        raise Refused(reasons)
    locked.state = state.value
    for old in locked.programme.versions.filter(state__in=["published", "suspended"]):
        old.state = next_state(states.TRANSITIONS, states.VersionState(old.state), states.VersionAction.SUPERSEDE).value
        old.save(update_fields=["state"])
    locked.published_by_id = actor.user_id
    locked.published_at = now
    locked.save()
    CoLead.objects.bulk_create(
        CoLead(version=locked, organisation=found, level=one.level or "", regions=list(one.regions))
        for one, found in queries.co_leads(documents.load(locked.document))
        if found is not None
    )
    _fund(locked, actor=actor)
    _record(locked, action="programme.published", actor=actor, now=now)
    return locked


def _fund(version: ProgrammeVersion, *, actor: Actor) -> None:
    """Open the pool of the fiscal year and appropriate the version's budget to it."""
    code, year = version.programme.code, version.fiscal_year
    owner = f"programme:{code}/{year}"
    pool = ledger.account(kind=AccountKind.BUDGET, owner=owner, programme=code, fiscal_year=year)
    Budget.objects.get_or_create(programme=version.programme, fiscal_year=year, defaults={"account_id": pool})
    if version.budget_fen:
        ledger.post(
            posting=Posting(
                kind=JournalKind.APPROPRIATE,
                key=f"programme:{code}/v{version.number}/appropriate",
                operations=[
                    TransferOp(AccountKey(AccountKind.APPROPRIATION, owner, code, year), pool, version.budget_fen)
                ],
                actor=f"{version.imported_by} #{version.imported_by_id}",
                approved_by=actor.signature,
                source_type="programme",
                source_id=code,
            )
        )


@transaction.atomic
def open_year(*, version: ProgrammeVersion, year: int, budget: Money) -> None:
    """Open the budget of a later year with what the published pools set aside for it, unless it is open already.

    Signed by the two who imported and published that text. Rivals wait for each other at the budget's own row.
    """
    code, owner = version.programme.code, f"programme:{version.programme.code}/{year}"
    if Budget.objects.filter(programme_id=version.programme_id, fiscal_year=year).exists():
        return
    pool = ledger.account(kind=AccountKind.BUDGET, owner=owner, programme=code, fiscal_year=year)
    _budget, created = Budget.objects.get_or_create(
        programme=version.programme, fiscal_year=year, defaults={"account_id": pool}
    )
    if created and budget:
        ledger.post(
            posting=Posting(
                kind=JournalKind.APPROPRIATE,
                key=f"programme:{code}/{year}/open",
                operations=[TransferOp(AccountKey(AccountKind.APPROPRIATION, owner, code, year), pool, budget.fen)],
                actor=f"{version.imported_by} #{version.imported_by_id}",
                approved_by=f"{version.published_by} #{version.published_by_id}",
                source_type="programme",
                source_id=code,
            )
        )


@transaction.atomic
def change_state(
    *, actor: Actor, version: ProgrammeVersion, action: states.VersionAction, now: datetime
) -> ProgrammeVersion:
    """Suspend or resume a published version, with effect at once. Raises InvalidTransition, Forbidden."""
    actor.require(Permission.PROGRAMME_PUBLISH)
    locked = _lock(actor, version)
    if action not in {states.VersionAction.SUSPEND, states.VersionAction.RESUME}:
        raise ValueError(action)
    locked.state = next_state(states.TRANSITIONS, states.VersionState(locked.state), action).value
    locked.save(update_fields=["state"])
    _record(locked, action=f"programme.{locked.state}", actor=actor, now=now)
    return locked
