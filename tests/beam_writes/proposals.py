"""Writes of the API about a large facility, with who may do them: calls, proposals, their teams, the office's desk."""

from __future__ import annotations

from scheduler.proposals import access, team
from scheduler.proposals.models import TeamMember
from tests import beam, make
from tests.beam import Site
from tests.calling import Write

TEAM = "leader"
CALL = {
    "name": "第二轮",
    "opens_at": "2026-11-25T10:00:00+08:00",
    "closes_at": "2026-12-25T10:00:00+08:00",
    "kinds": ["standard"],
}
SUBMITTERS = "leader grader owner researcher"
"""Whoever may propose: of enterprises the owner and researchers, of providers the researchers."""
EVERYBODY = (
    "officer publisher reviewer approver finance finance_approver auditor third keeper lab_owner operator owner researcher "
    "seller office planner scientist safety director leader grader"
)
"""An invitation may be answered by anybody who holds its link."""

WRITES: tuple[Write, ...] = (
    Write("POST /calls", "office", {**CALL, "facility": "{facilitie}", "cycle": "2027-I"}),
    Write("PUT /calls/{call}", "office", CALL),
    Write("POST /calls/{call}/publish", "office"),
    Write(
        "POST /beam-proposals",
        SUBMITTERS,
        {"facility": "{facilitie}", "kind": "rapid", "title": "新样品"},
    ),
    Write("PUT /beam-proposals/{beam-proposal}", TEAM, {"version": 1, "summary": "改"}),
    Write("POST /beam-proposals/{beam-proposal}/submit", TEAM),
    Write("POST /beam-proposals/{beam-proposal}/withdraw", TEAM, {}),
    Write("POST /beam-proposals/{beam-proposal}/team", TEAM, {"name": "李四", "email": "li@example.com"}),
    Write("DELETE /beam-proposals/{beam-proposal}/files/1", TEAM),
    Write("DELETE /beam-proposals/{beam-proposal}/team/1", TEAM),
    Write("POST /beam-proposals/{beam-proposal}/team/1/again", TEAM),
    Write("POST /beam-proposals/{beam-proposal}/team/1/lead", TEAM),
    Write("POST /beam-proposals/{beam-proposal}/carry-over", TEAM, {"cycle": "2027-I"}),
    Write("POST /beam-proposals/invitations/accept", EVERYBODY, {"secret": "{team-secret}"}),
    Write("POST /beam-proposals/invitations/decline", EVERYBODY, {"secret": "{team-secret}"}),
    Write("POST /proposal-desk/{proposal-desk}/admit", "office"),
    Write("POST /proposal-desk/{proposal-desk}/return", "office", {"note": "请补充"}),
)


def things(site: Site) -> dict[str, str]:
    """Return one of everything these writes name, by placeholder."""
    site.call.forms.create(code="1", name="实验方法", kind="pdf", required=False)
    draft = beam.proposal(site, state="draft")
    member = TeamMember.objects.create(
        pk=1, proposal=draft, name="李四", email="li@example.com", invited_at=make.NOW, digest="0"
    )
    member.digest = access.digest(team.secret_of(member))
    member.save()
    return {
        "call": site.call.number,
        "beam-proposal": draft.number,
        "proposal-desk": beam.proposal(site, state="submitted").number,
        "team-secret": team.secret_of(member),
    }
