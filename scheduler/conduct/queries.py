"""Read a lab's rule, where organisations stand under it, and whom it suspends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import DateTimeField, DurationField, Exists, ExpressionWrapper, F, OuterRef, Q, Value

from portal.kernel.errors import Reason, noop
from portal.organisations.models import Organisation
from scheduler.conduct import rules
from scheduler.conduct.models import ConductRule, Violation
from scheduler.resources.models import Resource

__all__ = [
    "absent",
    "judges",
    "own_standings",
    "refusals",
    "rule_of",
    "standing_of",
    "standing_on",
    "standings",
    "thresholds_of",
]

_ = noop

NONE = rules.Standing()


def thresholds_of(row: ConductRule) -> rules.Thresholds:
    """Return a row as the rules' value."""
    return rules.Thresholds(
        grace_min=row.grace_min,
        ratio_percent=row.ratio_percent,
        points={kind: int(row.points.get(kind.value, 0)) for kind in rules.ViolationKind},
        warn_at=row.warn_at,
        watch_at=row.watch_at,
        suspend_at=row.suspend_at,
        window_days=row.window_days,
        suspend_days=row.suspend_days,
    )


def rule_of(owner_id: int) -> rules.Thresholds | None:
    """Return a lab's rule; None where it has none. One query."""
    row = next(iter(ConductRule.objects.raw("SELECT * FROM conduct_rule WHERE owner_id = %s", [owner_id])), None)
    return thresholds_of(row) if row else None


def judges(owner_id: int, starts_at: datetime) -> rules.Thresholds | None:
    """Return the rule under which a booking that begins then is judged: not the bookings from before it. One query."""
    row = ConductRule.objects.filter(pk=owner_id, set_at__lte=starts_at).first()
    return thresholds_of(row) if row else None


def standings(*, owner_id: int, at: datetime) -> Mapping[int, rules.Standing]:
    """Return where organisations stand at a lab, by id; who is not in it has no points. Two queries."""
    rule = rule_of(owner_id)
    if rule is None:
        return {}
    found: dict[int, list[rules.Counted]] = defaultdict(list)
    for organisation_id, moment, points in _counting(Q(owner_id=owner_id), rule, at):
        found[organisation_id].append(rules.Counted(moment, points))
    return {pk: rule.standing(counted, at=at) for pk, counted in found.items()}


def standing_of(*, owner_id: int, organisation_id: int, at: datetime) -> rules.Standing:
    """Return where one organisation stands at a lab. Two queries, one where the lab has no rule."""
    rule = rule_of(owner_id)
    if rule is None:
        return NONE
    rows = _counting(Q(owner_id=owner_id, organisation_id=organisation_id), rule, at)
    return rule.standing([rules.Counted(moment, points) for _pk, moment, points in rows], at=at)


def _counting(whose: Q, rule: rules.Thresholds, at: datetime) -> Sequence[tuple[int, datetime, int]]:
    reach = timedelta(days=rule.window_days + rule.suspend_days)
    rows = Violation.objects.filter(whose, at__gt=at - reach).exclude(state=rules.ViolationState.LIFTED.value)
    return list(rows.order_by("at").values_list("organisation_id", "at", "points"))


def standing_on(*, resource: Resource, organisation_id: int | None, at: datetime) -> rules.Standing:
    """Return where an organisation stands at the lab of an instrument; nobody stands well."""
    if organisation_id is None:
        return NONE
    return standing_of(owner_id=resource.owner_id, organisation_id=organisation_id, at=at)


def refusals(standing: rules.Standing, *, zone: str) -> Sequence[Reason]:
    """Return why a lab takes no booking of who stands so; nothing when it does."""
    if standing.until is None:
        return ()
    return [
        Reason(
            "booking.suspended",
            _("贵单位在该实验室的违约记分已达 %(points)s 分，预约暂停到 %(until)s 为止。"),
            _("对记分有异议的，请在“违约记录”中申诉，撤销后立即恢复；也可以选择其他实验室的仪器，或等到暂停期满。"),
            field="instrument",
            params={
                "points": standing.points,
                "until": f"{standing.until.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}",
            },
        )
    ]


def absent(*, now: datetime) -> Exists:
    """Return which bookings' grace is over by their lab's rule, as a condition on bookings."""
    grace = ExpressionWrapper(F("grace_min") * Value(timedelta(minutes=1)), output_field=DurationField())
    void_at = ExpressionWrapper(OuterRef("starts_at") + grace, output_field=DateTimeField())
    rules_of = ConductRule.objects.filter(owner=OuterRef("resource__owner"), set_at__lte=OuterRef("starts_at"))
    return Exists(rules_of.annotate(void_at=void_at).filter(void_at__lte=now))


def own_standings(*, organisation_id: int, at: datetime) -> list[tuple[Organisation, rules.Standing]]:
    """Return where an organisation stands at every lab that counts anything for it, by the lab's name. Two queries."""
    counted: dict[int, list[rules.Counted]] = defaultdict(list)
    labs: dict[int, Organisation] = {}
    rows = Violation.objects.filter(organisation_id=organisation_id).exclude(state=rules.ViolationState.LIFTED.value)
    for row in rows.select_related("owner"):
        counted[row.owner_id].append(rules.Counted(row.at, row.points))
        labs[row.owner_id] = row.owner
    known = {row.pk: thresholds_of(row) for row in ConductRule.objects.filter(pk__in=labs)}
    return [
        (lab, known[pk].standing(counted[pk], at=at))
        for pk, lab in sorted(labs.items(), key=lambda item: item[1].name)
        if pk in known
    ]
