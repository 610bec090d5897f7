"""Two act at once, on real PostgreSQL with committed rows: exactly one takes effect and the other is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.db import connections

from portal.kernel.errors import PortalError
from portal.organisations import rules as roles
from scheduler.beamtime import granting
from scheduler.beamtime.models import BeamAllocation
from scheduler.panels import assessing, grading, ranking
from scheduler.panels.models import Appeal, Assessment, Ranking
from tests import beam, make
from tests.scheduler.panels.test_judging import K, drafted, finding, graded, proposed, seat_of

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*acts: Callable[[], object]) -> list[str]:
    """Do all at once in threads of their own; return the codes of what was refused, "" for what was done."""
    ready, told = threading.Barrier(len(acts)), [""] * len(acts)

    def run(at: int) -> None:
        ready.wait(timeout=10)
        try:
            acts[at]()
        except PortalError as error:
            told[at] = error.code
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return told


def test_two_directors_decide_one_list_once():
    s = beam.site()
    graded(s)
    row = proposed(s)
    other = make.actor(s.owner, roles.Role.FACILITY_DIRECTOR)

    def decide(who):
        return lambda: granting.decide_list(actor=who, ranking=row, version=row.version, now=make.NOW)

    told = at_once(decide(s.director), decide(other))
    assert sorted(told) == ["", "panel.changed"]
    assert BeamAllocation.objects.count() == 1


def test_a_grade_that_comes_while_the_list_is_drafted_is_in_it_or_refused():
    s = beam.site()
    made = graded(s, "4.0")
    row = made.gradings.get(panelist=seat_of(s, 0))
    given = grading.GradeGiven(Decimal("3.0"), to_team="更低。")
    told = at_once(
        lambda: grading.grade(actor=s.graders[0], grading=row, given=given, now=make.NOW), lambda: drafted(s)
    )
    listed = Ranking.objects.get().rows.get().grade_c
    row.refresh_from_db()
    assert (told, listed, row.grade_c) in [(["", ""], 350, 300), (["panel.ranked", ""], 400, 400)]


def test_two_arrange_one_list_and_the_second_is_told():
    s = beam.site()
    one = graded(s)
    row = drafted(s)

    def arrange(who, note):
        rows = [ranking.Row(one.number, 3, moved_note=note)]
        return lambda: ranking.arrange(actor=who, ranking=row, rows=rows, version=row.version, now=make.NOW)

    assert sorted(at_once(arrange(s.office, "办公室"), arrange(s.graders[0], "组长"))) == ["", "panel.changed"]


def test_two_of_the_staff_file_one_finding():
    s = beam.site()
    made = beam.proposal(s, state="admitted")
    other = make.actor(s.owner, roles.Role.BEAMLINE_SCIENTIST)

    def assess(who, note):
        return lambda: assessing.assess(actor=who, proposal=made, finding=finding(K.TECHNICAL, note=note), now=make.NOW)

    assert sorted(at_once(assess(s.scientist, "一"), assess(other, "二"))) == ["", "panel.assessed"]
    assert Assessment.objects.count() == 1


def test_two_of_a_team_appeal_once():
    from scheduler.panels import appeals

    s = beam.site()
    made = beam.proposal(s, state="refused")

    def appeal():
        appeals.appeal(actor=s.leader, proposal=made, text="请再看。", now=make.NOW)

    assert sorted(at_once(appeal, appeal)) == ["", "appeal.open"]
    assert Appeal.objects.count() == 1


def test_two_panels_do_not_give_the_same_shifts_twice():
    s = beam.site()
    one = graded(s, shifts=120)
    first = proposed(s)
    one.refresh_from_db()
    panel = s.panel
    s.panel = type(panel).objects.create(facility=s.facility, call=s.call, name="第二组", created_at=make.NOW)
    for who in s.graders:
        s.panel.panelists.create(user_id=who.user_id)
    graded(s, shifts=30)
    second = proposed(s, shifts=30)

    def decide(row):
        return lambda: granting.decide_list(actor=s.director, ranking=row, version=row.version, now=make.NOW)

    assert sorted(at_once(decide(first), decide(second))) == ["", "panel.decision"]
    assert sum(BeamAllocation.objects.values_list("shifts", flat=True)) in {120, 30}
