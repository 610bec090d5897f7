"""Fill in an application bit by bit, sign for it, and send it; nothing is judged or reserved before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.db import transaction

from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, InvalidTransition, Reason, Refused, noop
from portal.kernel.money import Money
from portal.numbers.services import next_number
from vouchers.evidence import access as evidence
from vouchers.evidence import services as files
from vouchers.evidence.models import EvidenceFile
from vouchers.issuance import automatic, cases, facts, queries, rules
from vouchers.issuance.models import Application
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.states import VersionState

_ = noop

UNDERTAKING = _(
    "本单位承诺：申报内容和所附材料真实、完整、合法；合同双方不存在应披露而未披露的关联关系；同一合同没有、也不会重复申领"
    "其他财政补助；接受核查和审计。如有虚假，愿退回资金，并承担相应法律责任。"
)
"""What whoever submits signs. Source: the truthfulness undertaking and the statement of non-relation the published
schemes ask for with every application."""


def subject_of(application: Application) -> str:
    """Return the case's name for evidence, flags and the trail."""
    return f"application:{application.number}"


def contract_of(application: Application) -> facts.Contract | None:
    """Return the contract a draft holds so far."""
    held = application.draft.get("contract")
    if not held:
        return None
    return facts.Contract(
        number=held["number"],
        provider=held["provider"],
        signed=date.fromisoformat(held["signed"]),
        months=held["months"],
        items={kind: Money.from_yuan(yuan) for kind, yuan in held["items"].items()},
        related=held["related"],
    )


def plain(contract: facts.Contract) -> dict[str, Any]:
    """Return a contract as a draft keeps it."""
    return {
        "number": contract.number.strip(),
        "provider": contract.provider.strip(),
        "signed": contract.signed.isoformat(),
        "months": contract.months,
        "items": {kind: amount.yuan() for kind, amount in contract.items.items()},
        "related": contract.related,
    }


def content_print(application: Application) -> str:
    """Return what a signature covers: the contract, the facts and the files, as one digest."""
    kept = evidence.files_of(subject_of(application)).values_list("purpose", "sha256")
    return idempotency.fingerprint({**application.draft, "files": sorted(map(list, kept))})


def is_signed(application: Application) -> bool:
    """Say whether what is filled in now is what was signed."""
    return application.undertaken_at is not None and application.undertaken_print == content_print(application)


def _draft(actor: Actor, application: Application) -> Application:
    """Lock an own draft. Raises InvalidTransition for a case that is no draft any more."""
    actor.require(Permission.APPLICATION_SUBMIT)
    locked = queries.locked(application)
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    if locked.state != rules.ApplicationState.DRAFT.value:
        raise InvalidTransition(state=locked.state, action=rules.ApplicationAction.SUBMIT.value)
    return locked


@transaction.atomic
def start(*, actor: Actor, version: ProgrammeVersion, now: datetime, key: str) -> Application:
    """Begin an application; it has its number from now on. Idempotent on (organisation, `key`). Raises NotOpen, KeyReused."""
    actor.require(Permission.APPLICATION_SUBMIT)
    if version.state != VersionState.PUBLISHED.value:
        raise rules.NotOpen
    print_ = idempotency.fingerprint({"draft": version.programme_id})
    made, created = Application.objects.get_or_create(
        organisation_id=actor.acting_for,
        key=key,
        defaults={
            "number": next_number(prefix="A", now=now),
            "version": version,
            "fiscal_year": version.fiscal_year,
            "request": {},
            "decision": {},
            "state": rules.ApplicationState.DRAFT.value,
            "fingerprint": print_,
            "started_at": now,
        },
    )
    if created:
        cases.record(made, action="application.started", actor=actor, now=now)
    else:
        idempotency.check_replay(stored=made.fingerprint, asked=print_)
    return made


@transaction.atomic
def fill_contract(*, actor: Actor, application: Application, contract: facts.Contract, now: datetime) -> Application:
    """Keep the contract with a draft. Raises Refused with everything that is wrong with it."""
    locked = _draft(actor, application)
    if reasons := facts.contract_reasons(contract, today=now.astimezone(rules.BEIJING).date()):
        raise Refused(reasons)
    locked.draft = {**locked.draft, "contract": plain(contract)}
    locked.contract_number = contract.number.strip()
    locked.save(update_fields=["draft", "contract_number"])
    return locked


@transaction.atomic
def fill_facts(*, actor: Actor, application: Application, stated: Mapping[str, Any]) -> Application:
    """Keep further facts by path with a draft; what was stated before and is not now is forgotten."""
    locked = _draft(actor, application)
    locked.draft = {**locked.draft, "stated": dict(stated)}
    locked.save(update_fields=["draft"])
    return locked


@transaction.atomic
def attach(
    *, actor: Actor, application: Application, purpose: str, upload: files.Upload, now: datetime
) -> EvidenceFile:
    """Keep a file with an own draft, or with a case that waits for its applicant. Raises BadFile, TooManyFiles."""
    locked = _open_for_files(actor, application)
    return files.store(actor=actor, subject=subject_of(locked), purpose=purpose, upload=upload, now=now)


@transaction.atomic
def detach(*, actor: Actor, application: Application, file: EvidenceFile, now: datetime) -> None:
    """Take a mistaken file out of an own draft, or of a case that waits for its applicant."""
    locked = _open_for_files(actor, application)
    if file.subject == subject_of(locked):
        files.withdraw(actor=actor, file=file, now=now)


def _open_for_files(actor: Actor, application: Application) -> Application:
    actor.require(Permission.APPLICATION_SUBMIT)
    locked = queries.locked(application)
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    if locked.state not in {rules.ApplicationState.DRAFT.value, rules.ApplicationState.SUPPLEMENT.value}:
        raise InvalidTransition(state=locked.state, action=rules.ApplicationAction.COMPLETE.value)
    return locked


@transaction.atomic
def sign(*, actor: Actor, application: Application, now: datetime) -> Application:
    """Sign the undertaking for what the draft holds now. A later change needs a new signature."""
    locked = _draft(actor, application)
    put_signature(locked, actor=actor, now=now)
    locked.save()
    cases.record(locked, action="application.undertaken", actor=actor, now=now)
    return locked


def put_signature(application: Application, *, actor: Actor, now: datetime) -> None:
    """Write who signed what, and when, without saving."""
    application.undertaking = UNDERTAKING
    application.undertaken_by_id = actor.user_id
    application.undertaken_at = now
    application.undertaken_print = content_print(application)


@transaction.atomic
def send(*, actor: Actor, application: Application, now: datetime) -> Application:
    """Submit a draft: its version is frozen, its time taken to the millisecond, the rules decide.

    Idempotent: a case that was sent already is returned as it is. Raises DraftIncomplete, UndertakingMissing,
    EvidenceMissing, NotOpen, DeadlinePassed, NotYetOpen, and Refused with every failing test; the draft then stays.
    """
    actor.require(Permission.APPLICATION_SUBMIT)
    cases.lock_applicant(actor.acting_for)
    locked = queries.locked(application)
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    if locked.state != rules.ApplicationState.DRAFT.value:
        if locked.submitted_at is None:
            raise InvalidTransition(state=locked.state, action=rules.ApplicationAction.SUBMIT.value)
        return locked
    submit_draft(locked, actor=actor, now=now)
    return locked


def submit_draft(application: Application, *, actor: Actor, now: datetime) -> None:
    """Submit a locked draft of a locked organisation."""
    contract = contract_of(application)
    if contract is None:
        raise rules.DraftIncomplete
    application.version = _version(application)
    application.fiscal_year = application.version.fiscal_year
    refuse_closed(application.version, now=now)
    if not is_signed(application):
        raise rules.UndertakingMissing(field="undertaking")
    today = now.astimezone(rules.BEIJING).date()
    if reasons := facts.contract_reasons(contract, today=today):
        raise Refused(reasons)
    application.request = queries.request_for(
        organisation_id=application.organisation_id,
        version=application.version,
        contract=contract,
        stated=application.draft.get("stated") or {},
        now=now,
    )
    if missing := missing_evidence(application, application.request):
        raise rules.EvidenceMissing(missing)
    application.submitted_by_id = actor.user_id
    cases.decide(application, action=rules.ApplicationAction.SUBMIT, actor=actor, now=now)
    automatic.run(application, now=now)


def _version(application: Application) -> ProgrammeVersion:
    """Return the version in force: a draft begun under an older one is judged by the rules of the day it is sent."""
    version = (
        ProgrammeVersion.objects.select_related("programme")
        .filter(programme_id=application.version.programme_id, state=VersionState.PUBLISHED.value)
        .first()
    )
    if version is None:
        raise rules.NotOpen
    return version


def refuse_closed(version: ProgrammeVersion, *, now: datetime) -> None:
    """Raises DeadlinePassed or NotYetOpen outside the programme's intake windows, exact to the second and beyond."""
    windows = queries.terms(version).windows
    if not windows or any(now in window for window in windows):
        return
    ahead = sorted(window.starts for window in windows if window.starts > now)
    over = sorted(window.ends for window in windows if window.ends is not None and window.ends <= now)
    if over:
        raise rules.DeadlinePassed(deadline=rules.in_beijing(over[-1]), received=rules.in_beijing(now))
    raise rules.NotYetOpen(opens=rules.in_beijing(ahead[0]))


def missing_evidence(application: Application, request: Mapping[str, Any]) -> list[Reason]:
    """Return what the programme asks for and the case does not hold. One query."""
    held = set(evidence.files_of(subject_of(application)).values_list("purpose", flat=True))
    return [
        Reason(
            "application.evidence",
            _("缺少材料：%(doc)s。"),
            _("请上传后再提交。"),
            field="evidence",
            params={"doc": term.doc},
        )
        for term in queries.evidence_asked(application.version, request)
        if term.doc not in held
    ]
