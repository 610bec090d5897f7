"""What a newcomer meets at the demo light source, at whatever hour it was seeded."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from portal.audit.models import Record
from portal.demo import beamtime, facilities, people
from scheduler.availability.models import SpecialOpening
from scheduler.beamtime import reserving
from scheduler.beamtime.models import BeamQuote, BeamVisit, Compensation, ScheduleDraft
from scheduler.facilities.models import Beamline, RunCycle
from scheduler.panels.models import Grading, Ranking
from scheduler.proposals.models import BeamProposal, ProposalCall, TeamMember

pytestmark = pytest.mark.django_db

MOMENTS = (datetime(2026, 12, 31, 16, 0, 5, tzinfo=UTC), datetime(2026, 11, 27, 15, 59, 59, tzinfo=UTC))
"""Five seconds into a day and a year in Beijing, and a second before a day is over."""


@pytest.fixture(params=MOMENTS, ids=["midnight", "late"])
def now(request: pytest.FixtureRequest) -> datetime:
    moment: datetime = request.param
    registered = people.register(now=moment - timedelta(days=60))
    beamtime.live(registered, facilities.open_facility(registered, now=moment), now=moment)
    return moment


def test_a_newcomer_sees_every_step_of_a_living_cycle(now: datetime) -> None:
    states = Counter(BeamProposal.objects.values_list("state", flat=True))
    assert states == {
        "accepted": 6, "closed": 1, "refused": 1, "not_feasible": 1,
        "feasible": 2, "graded": 1, "admitted": 2, "returned": 1, "submitted": 1, "draft": 1,
    }  # fmt: skip
    refused = BeamProposal.objects.filter(state__in=["refused", "not_feasible"])
    assert all(one.decision_note for one in refused), "whoever is refused is told why"
    assert set(Grading.objects.values_list("state", flat=True)) == {"asked", "graded", "recused"}
    assert Counter(Ranking.objects.values_list("state", flat=True)) == {"decided": 3, "proposed": 1}
    assert TeamMember.objects.get(state="invited").proposal.state == "draft"
    [opened] = [one for one in ProposalCall.objects.all() if one.during.lower <= now < one.during.upper]
    assert opened.panels.get().name == "材料科学评审组"
    assert_visits(now)
    assert_market(now)


def assert_visits(now: datetime) -> None:
    assert ScheduleDraft.objects.get().state == "adopted"
    found = {(one.beamline.code, one.state): one for one in BeamVisit.objects.select_related("beamline")}
    assert set(found) == {
        ("BL01", "closed"), ("BL01", "done"), ("BL02", "scheduled"), ("BL02", "declined"), ("BL02", "offered"),
        ("BL03", "running"), ("BL03", "ready"),
    }  # fmt: skip
    running = found["BL03", "running"].during
    assert running.lower <= now < running.upper
    short = found["BL01", "done"]
    assert short.lost_min == 270
    assert short.report_due is not None
    assert short.report_due > now
    assert Compensation.objects.get(visit=short).state == "listed"
    assert found["BL02", "offered"].answer_by > now, "time given back goes to the reserve list by itself"
    cycle, line = RunCycle.objects.get(during__contains=now), Beamline.objects.get(code="BL02")
    assert not list(reserving.waiting(cycle, line))


def assert_market(now: datetime) -> None:
    quote = BeamQuote.objects.select_related("request__proposal").get()
    assert quote.state == "offered"
    assert quote.valid_until > now
    assert quote.request.proposal.is_confidential
    released = SpecialOpening.objects.filter(is_released=True)
    assert {one.resource.beamline.code for one in released.select_related("resource__beamline")} == {
        "BL01",
        "BL02",
        "BL03",
    }
    records = "".join(str(data) for data in Record.objects.values_list("data", flat=True))
    assert quote.request.proposal.title not in records


def test_seeding_again_changes_nothing() -> None:
    people.register(now=MOMENTS[0])
    call_command("seed", once=True, stdout=StringIO())
    assert not BeamProposal.objects.exists()
    with pytest.raises(CommandError, match="not empty"):
        call_command("seed", stdout=StringIO())
