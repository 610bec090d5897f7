"""A table of proposals: looked at, taken in line by line, the faulty lines told."""

from __future__ import annotations

import csv
import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from portal.organisations import rules as roles
from scheduler.facilities.models import FacilityCourse
from scheduler.proposals.models import BeamProposal
from tests import beam, make
from tests.calling import Caller

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

HEAD = (
    "题目",
    "摘要",
    "单位",
    "负责人账号",
    "线站",
    "班次数",
    "希望日期",
    "不便日期",
    "样品",
    "样品数量",
    "危险性",
    "防护与处置",
    "实验后去向",
)


def table(site, count, **faults):
    """Return a table of so many proposals; `faults` by line number (from 0) replace cells by heading."""
    organisation = BeamProposal(organisation_id=site.leader.organisation_id).organisation
    leader = make.user_of(site.leader).username
    out = io.StringIO()
    writer = csv.DictWriter(out, HEAD)
    writer.writeheader()
    for n in range(count):
        line = {
            "题目": f"课题 {n}",
            "摘要": "结构演化",
            "单位": organisation.credit_code,
            "负责人账号": leader,
            "线站": f"BL0{n % 2 + 1}",
            "班次数": 3 * (n % 5 + 1),
            "希望日期": "2027-01-10；2027-01-11",
            "样品": "电池",
            "样品数量": "3 片",
            "危险性": "易燃",
            "防护与处置": "手套箱",
            "实验后去向": "带回",
        }
        writer.writerow({**line, **faults.get(f"line{n}", {})})
    return out.getvalue().encode()


def sent(caller, site, content, verb=""):
    return caller.upload(f"/calls/{site.call.number}/import{verb}", file=SimpleUploadedFile("list.csv", content))


def test_forty_proposals_are_looked_at_and_taken_in_once():
    site = beam.site()
    office = Caller(site.office)
    content = table(site, 40)
    looked = sent(office, site, content, "/preview")
    assert (looked.status, looked.body["good"], looked.body["bad"]) == (200, 40, 0)
    assert BeamProposal.objects.count() == 0
    taken = sent(office, site, content).body
    assert (taken["good"], len({row["number"] for row in taken["rows"]})) == (40, 40)
    assert sent(office, site, content).body["rows"] == taken["rows"]
    found = BeamProposal.objects.all()
    assert {row.state for row in found} == {"submitted"}
    assert sorted(row.sent_order for row in found) == list(range(1, 41))
    assert (found[0].samples.get().hazards, found[0].requests.get().good) == (
        ["flammable"],
        ["2027-01-10", "2027-01-11"],
    )


def test_faulty_lines_are_told_with_all_that_is_wrong_and_keep_no_other_from_coming():
    site = beam.site()
    faults = {
        "line0": {"班次数": "7"},
        "line1": {"单位": "没有这家单位"},
        "line2": {"负责人账号": "nobody", "线站": "BL99", "希望日期": "元旦", "危险性": "奇怪"},
        "line3": {"班次数": "很多"},
        "line4": {"防护与处置": "", "不便日期": "2027-01-10"},
    }
    body = sent(Caller(site.office), site, table(site, 7, **faults)).body
    assert (body["good"], body["bad"]) == (2, 5)
    told = [[reason["code"] for reason in row["reasons"]] for row in body["rows"]]
    assert told[0] == ["proposal.shifts_multiple"]
    assert told[1] == ["import.organisation"]
    assert told[2] == ["import.leader", "proposal.unknown", "import.day", "import.hazard"]
    assert len(told[3]) == 1
    assert sorted(told[4]) == ["proposal.dates_both", "proposal.empty"]
    assert BeamProposal.objects.count() == 2


def test_only_the_user_office_of_the_facility_brings_proposals_in():
    site = beam.site()
    for someone in (site.leader, site.planner, beam.site().office):
        for verb in ("", "/preview"):
            assert sent(Caller(someone), site, table(site, 1), verb).status in {403, 404}
    assert sent(Caller(site.office), site, b"%PDF-1.7").code == "table.unreadable"


def test_what_a_facility_keeps_confidential_is_so_when_it_is_brought_in_by_a_table():
    site = beam.site()
    courses = FacilityCourse.objects.filter(facility=site.facility, kind="standard")
    courses.update(peer_review=False, confidential=True)
    assert sent(Caller(site.office), site, table(site, 1)).body["good"] == 1
    made = BeamProposal.objects.get()
    assert made.is_confidential
    assert Caller(site.office).get(f"/beam-proposals/{made.number}").status == 200
    colleague = make.actor(made.organisation, roles.Role.RESEARCHER)
    for who in (site.planner, site.director, colleague):
        assert Caller(who).get(f"/beam-proposals/{made.number}").status == 404
