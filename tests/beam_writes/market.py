"""Writes of the API about a large facility, with who may do them: market."""

from __future__ import annotations

from datetime import timedelta

from portal.kernel.money import Money
from scheduler.beamtime import quoting
from tests import beam
from tests.beam import Site
from tests.calling import Write
from tests.make import NOW

Q = "/beam-quotes/{beam-quote}"
WRITES: tuple[Write, ...] = (
    Write(
        "POST /beam-quotes",
        "office",
        {
            "proposal": "{quoted}",
            "cycle": "2027-I",
            "beamline": "BL02",
            "shifts": 6,
            "shift": {"yuan": "10000"},
            "valid_until": (NOW + timedelta(days=20)).isoformat(),
        },
    ),
    Write(f"POST {Q}/accept", "leader", {"shifts": 6, "shift": {"yuan": "10000"}}),
    Write(f"POST {Q}/decline", "leader", {"note": "预算已用完。"}),
    Write(f"POST {Q}/withdraw", "office", {"note": "价格有误。"}),
)


def things(site: Site) -> dict[str, str]:
    """Return one of everything these writes name, by placeholder."""
    waiting = beam.proposal(site, kind="proprietary", call=None, at=1)
    quoted = beam.request(beam.proposal(site, kind="proprietary", call=None, at=1))
    said = quoting.QuoteTerms(6, Money.from_yuan("10000"), NOW + timedelta(days=30))
    made = quoting.offer(actor=site.office, request=quoted, said=said, now=NOW)
    return {"beam-quote": str(made.pk), "quoted": waiting.number}
