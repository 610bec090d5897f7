"""Endpoints that help to submit: a script's directives beside a form, and one wish on every partition."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from django.utils.translation import gettext
from ninja import Router, Schema
from pydantic import Field

from portal.http import explain_reason
from portal.kernel.actors import Permission
from portal.wire import ActorRequest, MoneyOut, Number, ReasonOut, StrictIn, Whole, money, problems
from scheduler.jobs import choices
from scheduler.jobs.api import Count, JobQuoteIn
from scheduler.jobs.directives import Treatment, compare, offered_by
from scheduler.jobs.rules import Ask
from scheduler.resources import access as resources
from vouchers.wallets import access as wallet

router = Router(tags=["jobs"])


class DirectiveOut(Schema):
    """One option of a script's ``#SBATCH`` lines, and what becomes of it."""

    line: int
    written: str
    outcome: Treatment
    field: str
    text: str


class DirectivesOut(Schema):
    """A script read beside the fields. `sent` and `script` are what goes out with ``directives: script``."""

    directives: list[DirectiveOut]
    conflicts: int
    unsupported: int
    invalid: int
    sent: dict[str, Any]
    script: str


class ChoicesIn(StrictIn):
    """A wish to lay on every partition."""

    cards: Count = 0
    cpus: Count = 1
    memory_mb: Count = 1000
    time_limit_s: Annotated[Whole, Field(ge=60, le=10**8)]
    vouchers: Annotated[list[Number], Field(max_length=10)] = []
    shorten: bool = False


class JobWaitOut(Schema):
    """Waiting of `sample` jobs of about this size in the last 30 days; null where they are too few to say."""

    sample: int
    p50_s: int | None
    p90_s: int | None


class ChoiceOut(Schema):
    """One partition as an answer. `price` is what would be held.

    `cards_idle` and `idle_as_of` are null where nobody counted lately. `fits_now`: enough was free then for all tasks, and
    nobody waited; another may be faster.
    """

    cluster: str
    partition: str
    card_type: str
    fits: bool
    cheapest: bool
    price: MoneyOut | None
    time_limit_s: int
    longest_s: int | None
    wait: JobWaitOut
    cards_idle: int | None
    idle_as_of: datetime | None
    fits_now: bool
    reasons: list[ReasonOut]


def told(message: str, params: Mapping[str, Any]) -> str:
    """Return a template in the reader's language, filled in."""
    return gettext(message) % params if message and params else gettext(message) if message else ""


@router.post("/directives", response={200: DirectivesOut, **problems(404)})
def check_directives(request: ActorRequest, payload: JobQuoteIn) -> dict[str, Any]:
    """Read a script's directives beside the fields given. Nothing is held or sent."""
    request.actor.require(Permission.JOB_SUBMIT)
    partition = resources.get_partition(payload.cluster, payload.partition)
    offered = offered_by(partition.cluster.features) & JobQuoteIn.model_fields.keys()
    diff = compare(payload.script, payload.form(), card_type=partition.card_type, offered=offered)
    return {
        "directives": [
            {
                "line": item.line,
                "written": item.written,
                "outcome": item.outcome,
                "field": item.field,
                "text": told(item.message, item.params),
            }
            for item in diff.items
        ],
        "conflicts": len(diff.conflicts),
        "unsupported": len(diff.unsupported),
        "invalid": len(diff.invalid),
        "sent": diff.sent.as_json(),
        "script": diff.script,
    }


@router.post("/choices", response={200: list[ChoiceOut], **problems(404)})
def compare_partitions(request: ActorRequest, payload: ChoicesIn) -> list[dict[str, Any]]:
    """Lay one wish on every partition: price, longest limit, waiting so far, and the cheapest that fits."""
    actor = request.actor
    actor.require(Permission.JOB_SUBMIT)
    partitions = [partition for cluster in resources.clusters() for partition in cluster.partitions.all()]
    ask = Ask(payload.cards, payload.cpus, payload.memory_mb, payload.time_limit_s, "")
    found = choices.side_by_side(
        partitions,
        ask=ask,
        vouchers=wallet.get_vouchers(actor, payload.vouchers),
        now=timezone.now(),
        shorten=payload.shorten,
    )
    return [_choice(choice) for choice in found]


def _choice(choice: choices.Choice) -> dict[str, Any]:
    wait = choice.wait
    half, most = (wait.half, wait.most) if wait.says else (None, None)
    return {
        "cluster": choice.partition.cluster.code,
        "partition": choice.partition.name,
        "card_type": choice.partition.card_type,
        "fits": choice.fits,
        "cheapest": choice.is_cheapest,
        "price": money(choice.price.amount) if choice.price else None,
        "time_limit_s": choice.limit_s,
        "longest_s": None if choice.longest_minutes is None else choice.longest_minutes * 60,
        "wait": {
            "sample": wait.sample,
            "p50_s": int(half.total_seconds()) if half is not None else None,
            "p90_s": int(most.total_seconds()) if most is not None else None,
        },
        "cards_idle": choice.room.cards if choice.room else None,
        "idle_as_of": choice.room.as_of if choice.room else None,
        "fits_now": choice.fits_now,
        "reasons": [explain_reason(reason) for reason in choice.reasons],
    }
