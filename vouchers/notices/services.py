"""Draft, publish and close notices; the only writer of notices and their items."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, InvalidTransition, PortalError
from portal.kernel.money import Money
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from portal.workdays import queries as calendar
from vouchers.issuance import cases
from vouchers.issuance import queries as issuance
from vouchers.issuance.models import Application
from vouchers.issuance.rules import ApplicationAction, ApplicationState
from vouchers.notices import rules
from vouchers.notices.keeping import ACTOR, RUNNING, drop, grant_item, locked_items, move_item, record, settle_round
from vouchers.notices.models import Notice, NoticeItem
from vouchers.notices.queries import waiting
from vouchers.programmes.access import scheme_of
from vouchers.programmes.models import ProgrammeVersion
from vouchers.rounds import keeping as rounds
from vouchers.rounds.models import Round
from vouchers.rounds.rules import RoundAction, RoundState

__all__ = ["close_due", "default_title", "discard", "draft", "preview", "publish"]


def _lock(notice: Notice) -> Notice:
    return (
        Notice.objects.select_for_update(no_key=True, of=("self",))
        .select_related("version", "version__programme", "round", "drafted_by", "published_by")
        .order_by("pk")
        .get(pk=notice.pk)
    )


def _move(notice: Notice, action: rules.NoticeAction) -> None:
    notice.state = next_state(rules.TRANSITIONS, rules.NoticeState(notice.state), action).value


@transaction.atomic
def draft(
    *, actor: Actor, version: ProgrammeVersion, round_: Round | None = None, title: str = "", now: datetime
) -> Notice:
    """Draft a notice of every decided case of a version, or of one round, that no notice carries yet.

    Locks the version: of two drafts at once the second finds nothing. Raises NothingToNotice, Forbidden.
    """
    actor.require(Permission.APPLICATION_REVIEW)
    if version.programme.department_id != actor.organisation_id:
        raise Forbidden
    ProgrammeVersion.objects.select_for_update(no_key=True).order_by("pk").get(pk=version.pk)
    found = list(waiting(version, round_).select_for_update(no_key=True, of=("self",)).order_by("pk"))
    if not found:
        raise rules.NothingToNotice
    terms = scheme_of(version).terms
    notice = Notice.objects.create(
        number=next_number(prefix="N", now=now),
        version=version,
        round=round_,
        title=title.strip()[:160] or _title(version, round_),
        fields=list(rules.may_print(terms.notice.fields, terms.confidential_fields)),
        working_days=max(1, issuance.notice_days(version)),
        objection_to=terms.notice.objection_to[:200],
        drafted_by_id=actor.person,
        drafted_at=now,
    )
    NoticeItem.objects.bulk_create(
        NoticeItem(notice=notice, application=row, position=at, amount_fen=row.amount_fen)
        for at, row in enumerate(found, start=1)
    )
    record(notice, action="notice.drafted", actor=actor, now=now, items=len(found))
    return notice


def default_title(*, version: ProgrammeVersion, round_: Round | None, name: str = "") -> str:
    """Return a notice's title in the language in force; `name` is what the programme is called in it."""
    programme = name or version.name
    if round_ is None:
        return gettext("%(programme)s拟支持名单公示") % {"programme": programme}
    return gettext("%(programme)s第 %(serial)s 批拟支持名单公示") % {"programme": programme, "serial": round_.serial}


def _title(version: ProgrammeVersion, round_: Round | None) -> str:
    with translation.override("zh-hans"):
        return default_title(version=version, round_=round_)[:160]


@transaction.atomic
def discard(*, actor: Actor, notice: Notice, now: datetime) -> Notice:
    """Give up a draft; its cases may go into another one. Raises InvalidTransition, Forbidden."""
    actor.require(Permission.APPLICATION_REVIEW)
    locked = _lock(notice)
    if locked.version.programme.department_id != actor.organisation_id:
        raise Forbidden
    _move(locked, rules.NoticeAction.DISCARD)
    locked.save()
    for item in locked.items.select_for_update(no_key=True).filter(state__in=RUNNING).order_by("pk"):
        move_item(item, rules.ItemAction.DROP, now=now)
    record(locked, action="notice.discarded", actor=actor, now=now)
    return locked


@transaction.atomic
def publish(*, actor: Actor, notice: Notice, now: datetime) -> Notice:
    """Publish a draft as a second person: its period begins, what it prints is frozen.

    Cases that were withdrawn in between leave it. Raises SamePerson, NothingToNotice, InvalidTransition, Forbidden.
    """
    actor.require(Permission.APPLICATION_APPROVE)
    locked = _lock(notice)
    if locked.version.programme.department_id != actor.organisation_id:
        raise Forbidden
    _move(locked, rules.NoticeAction.PUBLISH)
    if actor.person == locked.drafted_by_id:
        raise rules.SamePerson
    locked.published_by_id = actor.person
    locked.published_at = now
    days = calendar.workdays()
    locked.last_day, locked.ends_at = rules.end_of(now, working_days=locked.working_days, calendar=days)
    locked.is_estimated = days.estimated_within(now.astimezone(rules.BEIJING).date(), locked.last_day)
    locked.save()
    if not _show_items(locked, actor=actor, now=now):
        raise rules.NothingToNotice
    if locked.round is not None and locked.round.state == RoundState.DECIDED.value:
        round_ = rounds.lock(locked.round)
        rounds.move(round_, RoundAction.NOTICE)
        round_.save(update_fields=["state"])
    record(locked, action="notice.published", actor=actor, now=now, last_day=locked.last_day.isoformat())
    return locked


def _show_items(notice: Notice, *, actor: Actor, now: datetime) -> int:
    """Freeze what each item prints and take its case to `noticed`; return how many there are."""
    shown = 0
    for item in locked_items(notice):
        application = item.application
        if application.state != ApplicationState.DECIDED.value:
            move_item(item, rules.ItemAction.DROP, now=now)
            continue
        item.amount_fen = application.amount_fen
        item.printed = preview(notice=notice, application=application)
        item.save(update_fields=["amount_fen", "printed"])
        cases.move(application, ApplicationAction.NOTICE)
        application.save(update_fields=["state"])
        cases.record(application, action="application.noticed", actor=actor, now=now, notice=notice.number)
        shown += 1
    return shown


def preview(*, notice: Notice, application: Application) -> dict[str, Any]:
    """Return what the notice prints, or would print now, of a case."""
    return rules.printed(notice.fields, _values(application))


def _values(application: Application) -> Mapping[str, Any]:
    contract = application.request.get("contract") or {}
    return {
        "number": application.number,
        "applicant": application.organisation.name,
        "programme": application.version.name,
        "provider": (application.request.get("provider") or {}).get("name"),
        "project": contract.get("project") or contract.get("title"),
        "base": (application.decision or {}).get("base"),
        "amount": Money(application.amount_fen).yuan(),
    }


def close_due(*, now: datetime) -> int:
    """End every notice whose period is over and grant its undisputed items; return how many notices ended.

    Run by the clock, each notice in its own transaction; correctness never depends on the hour it runs at, only what is
    granted waits for it. An item that cannot be granted yet (its holder holds too much, say) stops no other: it stays
    noticed and is tried again with every run.
    """
    due = Notice.objects.filter(state=rules.NoticeState.PUBLISHED.value, ends_at__lte=now).order_by("pk")
    ended = 0
    for notice in due:
        try:
            _close(notice, now=now)
        except InvalidTransition:
            continue
        ended += 1
    held = Notice.objects.filter(state=rules.NoticeState.CLOSED.value, items__state=rules.ItemState.NOTICED.value)
    for notice in held.distinct().order_by("pk"):
        _grant_held(notice, now=now)
    return ended


@transaction.atomic
def _grant_held(notice: Notice, *, now: datetime) -> None:
    locked = _lock(notice)
    if _grant_undisputed(locked, now=now):
        settle_round(locked, now=now)


@transaction.atomic
def _close(notice: Notice, *, now: datetime) -> None:
    locked = _lock(notice)
    _move(locked, rules.NoticeAction.CLOSE)
    locked.closed_at = now
    locked.save(update_fields=["state", "closed_at"])
    granted = _grant_undisputed(locked, now=now)
    held = locked.items.filter(state=rules.ItemState.NOTICED.value).count()
    record(locked, action="notice.closed", actor=ACTOR, now=now, granted=granted, **({"held": held} if held else {}))
    settle_round(locked, now=now)


def _grant_undisputed(notice: Notice, *, now: datetime) -> int:
    """Grant what nobody disputes of a locked notice, drop what has left it; return how many items changed."""
    changed = 0
    for item in locked_items(notice):
        if item.application.state == ApplicationState.OBJECTION.value:
            continue
        if item.application.state != ApplicationState.NOTICED.value:
            drop(item, now=now)
            changed += 1
            continue
        try:
            with transaction.atomic():
                grant_item(item, actor=ACTOR, now=now)
        except PortalError:
            continue
        changed += 1
    return changed
