"""Shares of the beam time: divided to the shift, kept to, and told."""

from __future__ import annotations

import random
from fractions import Fraction

from scheduler.beamtime import shares as standing
from scheduler.facilities.models import PoolShare
from scheduler.facilities.queries import shares_of_line
from scheduler.facilities.shares import Pool, apportioned, check_shares
from tests import beam
from tests.facilities.scenarios import scenario
from tests.scenarios import is_full


@scenario("P3")
def shares_add_up_to_the_shift() -> str:
    """Random shares of random cycles: parts add up to all shifts, none is a whole shift off; what is given is told so."""
    dice, rounds = random.Random(18), 10_000 if is_full() else 500
    for _ in range(rounds):
        cuts = sorted(dice.randint(0, 100) for _ in range(4))
        ends = [0, *cuts, 100]
        parts = {pool: Fraction(ends[at + 1] - ends[at], 100) for at, pool in enumerate(Pool)}
        check_shares(parts)
        shifts = dice.randint(1, 600)
        given = apportioned(shifts, parts)
        assert sum(given.values()) == shifts
        assert all(abs(given[pool] - shifts * part) < 1 for pool, part in parts.items())
    site = beam.site()
    PoolShare.objects.filter(facility=site.facility, pool="open").update(num=65)
    PoolShare.objects.create(facility=site.facility, pool="partner", num=5, den=100)
    wanted = {"open": 30, "industry": 12, "urgent": 9, "director": 3}
    for pool, number in wanted.items():
        left = number
        while left > 0:
            part = min(left, dice.choice([1, 2, 3]))
            beam.granted(site, shifts=part, pool=pool)
            left -= part
    [line] = [one for one in standing.standing_of(site.cycle) if one.beamline.code == "BL01"]
    told = {use.pool.value: use for use in line.pools}
    assert {pool: use.allocated for pool, use in told.items() if use.allocated} == wanted
    assert sum(use.given for use in told.values()) == 174
    assert told["urgent"].left == apportioned(174, shares_of_line(site.lines[0]))[Pool.URGENT] - 9
    return f"{rounds} divisions exact; of 174 shifts urgent has {told['urgent'].given}, {told['urgent'].left} are left"
