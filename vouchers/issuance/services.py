"""Apply, bring what is missing, withdraw: what the applicant does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Refused
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from portal.organisations import access as people
from portal.organisations.models import Organisation
from vouchers.issuance import appeals, automatic, cases, drafts, facts, queries, rules
from vouchers.issuance.models import Application
from vouchers.programmes.decisions import Decision
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.states import VersionState
from vouchers.programmes.terms import Automation


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an enterprise applies with: a contract, and further facts by path."""

    version: ProgrammeVersion
    contract: facts.Contract
    stated: Mapping[str, Any]


def assess(*, actor: Actor, wanted: Wanted, now: datetime) -> Decision:
    """Say what the rules would decide now, changing nothing. Raises Refused for a contract that is not one."""
    actor.require(Permission.APPLICATION_SUBMIT)
    return queries.decide(wanted.version, _request(actor.acting_for, wanted, now))


def _request(organisation_id: int, wanted: Wanted, now: datetime) -> dict[str, Any]:
    today = now.astimezone(rules.BEIJING).date()
    if reasons := facts.contract_reasons(wanted.contract, today=today):
        raise Refused(reasons)
    return queries.request_for(
        organisation_id=organisation_id,
        version=wanted.version,
        contract=wanted.contract,
        stated=wanted.stated,
        now=now,
    )


@transaction.atomic
def submit(*, actor: Actor, wanted: Wanted, now: datetime, key: str) -> Application:
    """Submit at once: the rules decide, and what they grant is reserved in the pool, first come first served.

    Whoever submits so signs the undertaking with it. Idempotent on (organisation, `key`). Locks the organisation: its
    caps are judged by all it holds, so its applications are decided one after the other. Facts missing → state
    `supplement`, nothing reserved yet. Raises what `drafts.send` raises, and KeyReused.
    """
    actor.require(Permission.APPLICATION_SUBMIT)
    cases.lock_applicant(actor.acting_for)
    request = _request(actor.acting_for, wanted, now)
    print_ = idempotency.fingerprint(
        {"version": wanted.version.pk, "contract": request["contract"], "stated": dict(wanted.stated)}
    )
    if existing := Application.objects.filter(organisation_id=actor.acting_for, key=key).first():
        idempotency.check_replay(stored=existing.fingerprint, asked=print_)
        return existing
    if wanted.version.state != VersionState.PUBLISHED.value:
        raise rules.NotOpen
    application = Application(
        organisation_id=actor.acting_for,
        key=key,
        number=next_number(prefix="A", now=now),
        version=wanted.version,
        contract_number=wanted.contract.number.strip(),
        request=request,
        decision={},
        fiscal_year=wanted.version.fiscal_year,
        state=rules.ApplicationState.DRAFT.value,
        draft={"contract": drafts.plain(wanted.contract), "stated": dict(wanted.stated)},
        fingerprint=print_,
        started_at=now,
    )
    drafts.put_signature(application, actor=actor, now=now)
    application.save()
    drafts.submit_draft(application, actor=actor, now=now)
    return application


def check_unasked(*, actor: Actor, version: ProgrammeVersion) -> None:
    """Say whether the actor may put enterprises forward under the version. Raises Forbidden, NeedsApplication, NotOpen."""
    _own_unasked(actor, version)
    if version.state != VersionState.PUBLISHED.value:
        raise rules.NotOpen


def _own_unasked(actor: Actor, version: ProgrammeVersion) -> None:
    actor.require(Permission.APPLICATION_REVIEW)
    if version.programme.department_id != actor.organisation_id:
        raise Forbidden
    if queries.terms(version).automation is not Automation.NO_APPLICATION:
        raise rules.NeedsApplication


def assess_unasked(*, actor: Actor, organisation: Organisation, wanted: Wanted, now: datetime) -> Decision:
    """Say what the rules would decide of an enterprise that need not apply, changing nothing.

    Raises what `grant_unasked` raises, but tells a refusal by the rules as their decision.
    """
    check_unasked(actor=actor, version=wanted.version)
    if people.belongs(user_id=actor.person, organisation_id=organisation.pk):
        raise rules.SamePerson
    return queries.decide(wanted.version, _request(organisation.pk, wanted, now))


@transaction.atomic
def grant_unasked(
    *, actor: Actor, organisation: Organisation, wanted: Wanted, now: datetime, key: str, reason: str = ""
) -> Application:
    """Put an enterprise forward that need not apply (免申即享): the rules decide, an approver has the last word.

    The person putting it forward counts as the one who submitted; `reason` is what it rests on, for the trail.
    Idempotent on (organisation, `key`). Raises NeedsApplication, NotOpen, SamePerson for a member of the enterprise, and
    Refused with every failing test.
    """
    version = wanted.version
    _own_unasked(actor, version)
    if people.belongs(user_id=actor.person, organisation_id=organisation.pk):
        raise rules.SamePerson
    cases.lock_applicant(organisation.pk)
    if existing := Application.objects.filter(organisation=organisation, key=key).first():
        idempotency.check_replay(stored=existing.fingerprint, asked=_unasked_print(wanted))
        return existing
    check_unasked(actor=actor, version=version)
    application = Application.objects.create(
        organisation=organisation,
        key=key,
        number=next_number(prefix="A", now=now),
        version=version,
        contract_number=wanted.contract.number.strip(),
        request=_request(organisation.pk, wanted, now),
        decision={},
        fiscal_year=version.fiscal_year,
        state=rules.ApplicationState.DRAFT.value,
        fingerprint=_unasked_print(wanted),
        submitted_by_id=actor.user_id,
        started_at=now,
    )
    cases.decide(application, action=rules.ApplicationAction.SUBMIT, actor=actor, now=now, put_forward=reason[:300])
    automatic.run(application, now=now, is_asked=False)
    return application


def _unasked_print(wanted: Wanted) -> str:
    return idempotency.fingerprint(
        {"unasked": wanted.version.pk, "contract": drafts.plain(wanted.contract), "stated": dict(wanted.stated)}
    )


@transaction.atomic
def complete(
    *, actor: Actor, application: Application, stated: Mapping[str, Any], now: datetime, answer: str = ""
) -> Application:
    """Bring missing facts; the rules decide anew by the version the case was submitted under. Raises SupplementLate.

    What was asked inside an appeal goes back to it with the `answer` in words, and nothing is judged yet.
    """
    actor.require(Permission.APPLICATION_SUBMIT)
    cases.lock_applicant(application.organisation_id)
    locked = queries.locked(application)
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    next_state(rules.TRANSITIONS, rules.ApplicationState(locked.state), rules.ApplicationAction.COMPLETE)
    if locked.due_at is not None and now >= locked.due_at:
        raise rules.SupplementLate(deadline=rules.in_beijing(locked.due_at))
    locked.request = queries.with_facts(locked, stated=stated)
    if missing := drafts.missing_evidence(locked, locked.request):
        raise rules.EvidenceMissing(missing)
    if appeals.is_asked(locked):
        return appeals.resume(locked, action="application.appeal_answered", actor=actor, now=now, note=answer)
    if locked.stopped_at is not None:
        locked.stopped_s += max(0, int((now - locked.stopped_at).total_seconds()))
        locked.stopped_at = now
    locked.turn += 1
    cases.decide(locked, action=rules.ApplicationAction.COMPLETE, actor=actor, now=now)
    automatic.run(locked, now=now)
    return locked


@transaction.atomic
def withdraw(*, actor: Actor, application: Application, now: datetime) -> Application:
    """Withdraw an application before it is granted; its reservation is released. Raises InvalidTransition, Forbidden."""
    actor.require(Permission.APPLICATION_SUBMIT)
    locked = queries.locked(application)
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    cases.move(locked, rules.ApplicationAction.WITHDRAW)
    cases.unreserve(locked, actor=actor)
    cases.leave_stages(locked)
    locked.decided_at = now
    locked.save()
    cases.record(locked, action="application.withdrawn", actor=actor, now=now)
    return locked
