"""Which facts a programme may ask an applicant for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vouchers.programmes.gates import admitted
from vouchers.programmes.predicates import Leaf, Operator, leaves
from vouchers.programmes.schemes import Programme, Same, YearBasis

__all__ = ["leaves_asked"]

SOME_DAY: Final = "2000-01-01"
"""Only says that a date is asked for."""


def leaves_asked(programme: Programme) -> Iterator[Leaf]:
    """Yield every condition on a fact the applicant may state, in reading order: what to ask, and what answers there are.

    Beside the conditions of the file: those its keys stand for (kinds of applicant, channel, service period, project).
    """
    if programme.applicant_kinds:
        yield from leaves(admitted(programme.applicant_kinds))
    for _where, condition in programme.predicates:
        yield from leaves(condition)
    if programme.channel:
        yield Leaf("contract.channel", Operator.IN, programme.channel)
    period = programme.cost.period
    if (period and period.starts) or programme.year_basis is YearBasis.SERVICE:
        yield Leaf("contract.service_from", Operator.AT_LEAST, SOME_DAY)
    if period and period.ends:
        yield Leaf("contract.service_to", Operator.AT_MOST, SOME_DAY)
    if programme.same is Same.PROJECT:
        yield Leaf("contract.project", Operator.EXISTS, True)
