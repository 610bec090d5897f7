"""Look at a lab's instrument list before it is taken, and take it: all rows or none; the same list again changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from django.db import transaction
from django.utils import translation

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Reason, Refused, noop
from portal.numbers.services import PORTAL_ZONE
from portal.tables.reading import read_table
from portal.tables.values import Limits
from scheduler.catalogue import rules
from scheduler.resources import access, entries, profile
from scheduler.resources import services as resources
from scheduler.resources.models import Instrument, Resource

__all__ = ["LIST_LIMITS", "Fault", "Line", "Look", "look", "take"]

_ = noop

LIST_LIMITS = Limits(rows=2000)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in a row of the file, `column` as people are told it; row 0 is the file as a whole."""

    row: int
    column: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Line:
    """What taking one row would do: enter a new instrument (`resource` None), or change some of a known one's fields."""

    row: int
    values: entries.InstrumentValues
    resource: Resource | None
    changed: Sequence[str]
    """Titles of the columns that say something else than is known."""


@dataclass(frozen=True, slots=True)
class Look:
    """What taking a list would do. Nothing can be taken while there are `faults`."""

    new: Sequence[Line]
    changed: Sequence[Line]
    same: int
    faults: Sequence[Fault]
    ignored: Sequence[str]
    """Headings that no column answers to."""


def _words() -> Mapping[str, Mapping[str, str]]:
    """Return, for each column of choices, the code of every word for it in both languages, and of the code itself."""
    choices = {
        "kind": [(kind.value, Resource.Kind(kind.value).label) for kind in entries.CATALOGUED],
        "category": Instrument.Category.choices,
        "source": Instrument.Source.choices,
        "purpose": Instrument.Purpose.choices,
        "running_state": Instrument.RunningState.choices,
        "share_mode": Instrument.ShareMode.choices,
    }
    found: dict[str, dict[str, str]] = {name: {} for name in choices}
    for language in ("zh-hans", "en"):
        with translation.override(language):
            for name, pairs in choices.items():
                for code, label in pairs:
                    found[name] |= {str(label).casefold(): code, code: code}
    return found


def _values_of(resource: Resource) -> entries.InstrumentValues:
    """Return what is stored of an instrument as the values that would store it again."""
    facts = resource.instrument
    profiled = profile.Profile(**{name: getattr(facts, name) for name in rules.PROFILE})
    on_facts = set(resources.FACTS)
    names = [field.name for field in fields(entries.InstrumentValues) if field.name not in {"profile", "modes"}]
    stored = {name: getattr(facts if name in on_facts else resource, name) for name in names}
    return entries.InstrumentValues(**stored, modes=tuple(resource.modes), profile=profiled)


def look(*, actor: Actor, content: bytes, name: str, now: datetime) -> Look:
    """Read a list and say what taking it would do to the actor's catalogue; writes nothing. Raises BadTable, Forbidden.

    Rows and instruments are matched by the lab's internal number.
    """
    actor.require(Permission.INSTRUMENT_MANAGE)
    table = read_table(content, name, rules.COLUMNS, limits=LIST_LIMITS)
    known = {row.internal_no: row for row in access.own_instruments(actor).exclude(internal_no="").order_by("pk")}
    titles = {column.key: column.title for column in rules.COLUMNS}
    words, today = _words(), now.astimezone(PORTAL_ZONE).date()
    faults = [Fault(problem.row, titles[problem.column], problem.reason) for problem in table.problems]
    unread: dict[int, set[str]] = {}
    for problem in table.problems:
        unread.setdefault(problem.row, set()).add(problem.column)
    new, changed, same, seen = [], [], 0, dict[str, int]()
    for row in sorted((*table.rows, *table.faulty), key=lambda row: row.number):
        number = row.values["internal_no"]
        resource = known.get(number)
        before = _values_of(resource) if resource else rules.NEW
        values, reasons = rules.said(row.values, words, before)
        bad = unread.get(row.number, set())
        known_bad = {*bad, *(reason.field for reason in reasons)}
        reasons += [one for one in entries.refusals(values, today=today) if _column(one) not in known_bad]
        if number in seen:
            reasons.append(_twice(number, seen[number]))
        if number is not None:
            seen.setdefault(number, row.number)
        if reasons or bad:
            faults += [Fault(row.number, titles.get(_column(reason), ""), reason) for reason in reasons]
        elif resource is None:
            new.append(Line(row.number, values, None, ()))
        elif values == before:
            same += 1
        else:
            changed.append(Line(row.number, values, resource, _differing(before, values, titles)))
    faults.sort(key=lambda fault: fault.row)
    return Look(new, changed, same, faults[: LIST_LIMITS.problems], table.ignored)


def _column(reason: Reason) -> str:
    return "value" if reason.field == "original_value_fen" else reason.field


def _twice(number: str, first: int) -> Reason:
    return Reason(
        "list.twice",
        _("内部编号“%(number)s”在第 %(first)s 行已出现过。"),
        _("每台仪器只保留一行。"),
        field="internal_no",
        params={"number": number, "first": first},
    )


def _differing(
    before: entries.InstrumentValues, after: entries.InstrumentValues, titles: Mapping[str, str]
) -> list[str]:
    flat_before, flat_after = ({**asdict(values), **asdict(values.profile)} for values in (before, after))
    for flat in (flat_before, flat_after):
        flat["value"] = flat["original_value_fen"]
    return [title for key, title in titles.items() if flat_before.get(key) != flat_after.get(key)]


@transaction.atomic
def take(*, actor: Actor, content: bytes, name: str, now: datetime) -> Look:
    """Take a list: enter what is new as drafts, change what differs, all or nothing; return what was done.

    Idempotent: the same list again changes nothing. Raises BadTable, Refused with every fault.
    """
    done = look(actor=actor, content=content, name=name, now=now)
    if done.faults:
        raise Refused([fault.reason for fault in done.faults])
    for line in sorted(done.changed, key=lambda line: line.resource.pk if line.resource else 0):
        assert line.resource is not None
        resources.change_instrument(actor=actor, resource=line.resource, values=line.values, now=now)
    for line in done.new:
        resources.create_instrument(actor=actor, values=line.values, now=now)
    if done.new or done.changed:
        audit.record(
            action="catalogue.imported",
            subject=f"organisation:{actor.organisation_id}",
            actor=actor,
            now=now,
            data={"new": len(done.new), "changed": len(done.changed), "same": done.same},
        )
    return done
