"""Who had a hand in a panel's list, as the trail knows: none of them decides it, whoever proposes it."""

from __future__ import annotations

from collections.abc import Sequence

from portal.audit.models import Record
from scheduler.panels.models import Ranking

__all__ = ["authors"]


def authors(lists: Sequence[Ranking]) -> dict[int, set[int]]:
    """Return who drafted, arranged or proposed each list so far, by its key. One query."""
    known = {one.pk: ({one.proposed_by_id} if one.proposed_by_id is not None else set()) for one in lists}
    acts = Record.objects.filter(
        subject__in={f"panel:{one.panel_id}" for one in lists},
        action__in=["ranking.drafted", "ranking.arranged", "ranking.proposed"],
        data__ranking__in=list(known),
        actor_user_id__isnull=False,
    )
    for pk, who in acts.values_list("data__ranking", "actor_user_id"):
        known[pk].add(int(who or 0))
    return known
