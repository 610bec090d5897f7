"""Ask for a dry run, run it, and divide a pool among what it would grant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db import transaction

from portal.kernel.actors import Actor
from portal.kernel.errors import Forbidden
from portal.kernel.states import next_state
from vouchers.dryruns import access, drawing, rules, uploads
from vouchers.dryruns.models import DryRun, DryRunCase
from vouchers.issuance.models import Application
from vouchers.issuance.rules import BEIJING
from vouchers.programmes import documents
from vouchers.programmes.access import catalogue, in_force, scheme_of
from vouchers.programmes.models import Programme, ProgrammeVersion
from vouchers.programmes.parsing import BadDocument
from vouchers.programmes.schemes import Programme as Scheme

__all__ = ["Past", "Rules", "Upload", "request", "run"]

BATCH = 200
LEFT_OUT = ("draft", "withdrawn")


@dataclass(frozen=True, slots=True)
class Past:
    """Applications under the programme with this code, submitted on these Beijing days, both included."""

    code: str
    starts: date
    ends: date


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of cases."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Rules:
    """What is tried: a document, and the number of its version if it is one."""

    document: dict[str, Any]
    version: ProgrammeVersion | None = None


@transaction.atomic
def request(
    *, actor: Actor, tried: Rules, source: Past | Upload, now: datetime, wake: Callable[[int], None] | None = None
) -> DryRun:
    """Store a dry run for a worker to do; `wake` is told its id once it is committed.

    Raises BadProgramme where the document is no programme yet, BadRange, NothingToRun, TooMany, BadCaseFile, Forbidden.
    """
    if not any(actor.may(permission) for permission in access.OFFICERS):
        raise Forbidden
    scheme = documents.load(tried.document)
    known = Programme.objects.filter(code=source.code if isinstance(source, Past) else scheme.code).first()
    if known is not None and known.department_id != actor.organisation_id:
        raise Forbidden
    values: dict[str, Any] = {}
    if isinstance(source, Past):
        count = _past(source.code, source.starts, source.ends).count() if source.starts <= source.ends else -1
        if count < 0:
            raise rules.BadRange(field="starts")
        values = {"starts": source.starts, "ends": source.ends, "total": count}
    else:
        cases = uploads.read_cases(source.content, source.name)
        values = {"uploaded": cases, "file_name": source.name[:120], "total": len(cases)}
    if not values["total"]:
        raise rules.NothingToRun(field="starts")
    if values["total"] > rules.MOST_CASES:
        raise rules.TooMany(field="starts", most=rules.MOST_CASES, count=values["total"])
    assert actor.organisation_id is not None
    made = DryRun.objects.create(
        department_id=actor.organisation_id,
        programme=known,
        document=dict(scheme.document),
        name=scheme.title("zh")[:160],
        name_en=scheme.title("en")[:200],
        version_number=tried.version.number if tried.version else None,
        requested_by_id=actor.person,
        requested_at=now,
        **values,
    )
    if wake is not None:
        transaction.on_commit(lambda: wake(made.pk))
    return made


def _past(code: str, starts: date, ends: date) -> Any:
    first = datetime.combine(starts, time(), BEIJING)
    after = datetime.combine(ends + timedelta(days=1), time(), BEIJING)
    return Application.objects.filter(
        version__programme__code=code, submitted_at__gte=first, submitted_at__lt=after
    ).exclude(state__in=LEFT_OUT)


def run(*, run_id: int, now: datetime) -> None:
    """Judge every case of a run and keep the answers. Safe to repeat: a run begun anew forgets what it had.

    Done or failed runs are left alone. A case whose facts cannot be read fails the run, naming the case.
    """
    begun = _begin(run_id)
    if begun is None:
        return
    scheme = rules.timeless(documents.load(begun.document))
    known = {**catalogue(), scheme.code: scheme}
    pairs: list[tuple[int, rules.Answer]] = []
    batch: list[DryRunCase] = []
    try:
        for question in _questions(begun, known):
            answer = rules.judge(scheme, question, known)
            pairs.append((question.before_fen, answer))
            batch.append(_case(begun, question, answer))
            if len(batch) >= BATCH:
                _keep(begun, batch, len(pairs))
                batch = []
        _keep(begun, batch, len(pairs))
    except BadDocument as error:
        _fail(begun, f"{question.number}: {error.problems[0].say('zh')}", now)
        return
    _finish(begun, rules.totals(pairs), now)


@transaction.atomic
def _begin(run_id: int) -> DryRun | None:
    found = DryRun.objects.select_for_update(no_key=True, of=("self",)).order_by("pk").filter(pk=run_id).first()
    if found is None or found.state in (rules.DryRunState.DONE.value, rules.DryRunState.FAILED.value):
        return None
    found.state = next_state(rules.TRANSITIONS, rules.DryRunState(found.state), rules.DryRunAction.START).value
    found.done = 0
    found.save(update_fields=["state", "done"])
    found.cases.all().delete()
    return found


def _questions(run_: DryRun, known: dict[str, Scheme]) -> Iterator[rules.Question]:
    if run_.uploaded is not None:
        baseline = _baseline(run_)
        for row in run_.uploaded:
            asked = rules.Question(row["number"], row["name"], row["request"], uploads.region_of(row["request"]))
            before = rules.judge(baseline, asked, known).after_fen if baseline else 0
            yield rules.Question(asked.number, asked.name, asked.request, asked.region, before_fen=before)
        return
    assert run_.programme is not None
    assert run_.starts is not None
    assert run_.ends is not None
    rows = _past(run_.programme.code, run_.starts, run_.ends).select_related("organisation").order_by("pk")
    for row in rows.iterator(chunk_size=BATCH):
        yield rules.Question(
            number=row.number,
            name=row.organisation.name,
            request=row.request,
            region=uploads.region_of(row.request),
            at=row.submitted_at,
            before_fen=row.computed_fen,
            score=row.score,
        )


def _baseline(run_: DryRun) -> Scheme | None:
    """Return the rules in force of the same programme: what cases from a file are compared with."""
    version = in_force().filter(programme=run_.programme).first() if run_.programme else None
    return rules.timeless(scheme_of(version)) if version else None


def _case(run_: DryRun, question: rules.Question, answer: rules.Answer) -> DryRunCase:
    return DryRunCase(
        run=run_,
        number=question.number,
        name=question.name[:160],
        region=question.region,
        submitted_at=question.at,
        score=question.score,
        before_fen=question.before_fen,
        after_fen=answer.after_fen,
        change_fen=answer.after_fen - question.before_fen,
        shift=rules.shift(question.before_fen, answer.after_fen).value,
        decision=answer.decision.value,
        rule=answer.rule[:40],
        lines=[line[:120] for line in answer.lines],
        missing=[path[:200] for path in answer.missing],
    )


def _keep(run_: DryRun, batch: list[DryRunCase], done: int) -> None:
    DryRunCase.objects.bulk_create(batch)
    DryRun.objects.filter(pk=run_.pk).update(done=done)


@transaction.atomic
def _finish(run_: DryRun, totals: rules.Totals, now: datetime) -> None:
    amounts = list(run_.cases.filter(after_fen__gt=0).values_list("after_fen", flat=True))
    run_.totals = totals.as_json()
    run_.charts = {tongue: drawing.drawings(totals, amounts, tongue) for tongue in ("zh", "en")}
    run_.state = next_state(rules.TRANSITIONS, rules.DryRunState(run_.state), rules.DryRunAction.FINISH).value
    run_.done, run_.finished_at = totals.cases, now
    run_.save(update_fields=["totals", "charts", "state", "done", "finished_at"])


@transaction.atomic
def _fail(run_: DryRun, problem: str, now: datetime) -> None:
    run_.state = next_state(rules.TRANSITIONS, rules.DryRunState(run_.state), rules.DryRunAction.FAIL).value
    run_.problem, run_.finished_at = problem[:300], now
    run_.save(update_fields=["state", "problem", "finished_at"])
