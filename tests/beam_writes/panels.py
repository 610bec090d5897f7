"""Writes of the API about a large facility, with who may do them: panels."""

from __future__ import annotations

from scheduler.panels.models import Appeal, Grading, RankedRequest, Ranking
from tests import beam, make
from tests.beam import Site
from tests.calling import Write

STEP = {"version": 1}
WRITES: tuple[Write, ...] = (
    Write("POST /assessments/{assessment}", "scientist", {"kind": "technical", "passed": True}),
    Write("POST /panels", "office", {"call": "{call-of-panel}", "name": "第二评审组"}),
    Write("PUT /panels/{panel}/targets", "office", {"targets": []}),
    Write("POST /panels/{panel}/seat", "office", {"person": "{person-to-seat}", "name": "课题负责人"}),
    Write("POST /panels/{panel}/unseat", "office", {"panelist": 1}),
    Write("POST /panels/{panel}/ask", "office", {"proposal": "{proposal-to-ask}", "panelist": 1}),
    Write("POST /panels/{panel}/take-back", "office", {"grading": 1}),
    Write("POST /panels/{panel}/rank", "office", {"beamline": "BL02"}),
    Write("POST /reviews/{review}/grade", "grader", {"grade": "4.5", "to_team": "很好。"}),
    Write("POST /reviews/{review}/recuse", "grader", {"note": "同一项目"}),
    Write("PUT /rankings/{ranking}/rows", "office", {**STEP, "rows": [{"number": "P-1", "shifts": 0}]}),
    Write("POST /rankings/{ranking}/propose", "office", STEP),
    Write("POST /rankings/{ranking}/send-back", "director", {**STEP, "note": "请重排"}),
    Write("POST /rankings/{ranking}/discard", "office", STEP),
    Write("POST /rankings/{ranking}/decide", "director", STEP),
    Write("POST /grants/{grant}", "director", {"beamline": "BL01", "shifts": 3, "to_team": "应急。"}),
    Write("POST /appeals", "leader", {"proposal": "{proposal-refused}", "text": "请再看。"}),
    Write("POST /appeals/{appeal}/answer", "office director", {"uphold": False, "text": "维持。"}),
)


def things(site: Site) -> dict[str, str]:
    """Return one of everything these writes name, by placeholder. Seat 1 and question 1 are another's than the grader's."""
    ready, refused = beam.proposal(site), beam.proposal(site, state="refused")
    seats = list(site.panel.panelists.order_by("pk"))
    spare = make.actor(make.organisation(beam.roles.Kind.PROVIDER), beam.roles.Role.RESEARCHER)
    seat = site.panel.panelists.create(pk=1, user_id=spare.user_id)
    Grading.objects.create(pk=1, panelist=seat, proposal=beam.proposal(site))
    ranking = Ranking.objects.create(panel=site.panel, beamline=site.lines[0], shifts=6)
    listed = beam.request(beam.proposal(site, state="graded"))
    RankedRequest.objects.create(ranking=ranking, request=listed, place=1, grade_c=400, aged_c=400, by="grade")
    appeal = Appeal.objects.create(
        proposal=beam.proposal(site, state="refused"), text="请再看。", by_id=site.leader.person, at=make.NOW
    )
    return {
        "assessment": beam.proposal(site, state="admitted").number,
        "call-of-panel": site.call.number,
        "panel": str(site.panel.pk),
        "person-to-seat": make.user_of(site.leader).username,
        "proposal-to-ask": ready.number,
        "review": str(Grading.objects.create(panelist=seats[1], proposal=ready).pk),
        "ranking": str(ranking.pk),
        "grant": beam.proposal(site, kind="urgent", call=None).number,
        "proposal-refused": refused.number,
        "appeal": str(appeal.pk),
    }
