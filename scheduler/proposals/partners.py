"""What a partner may ask of a run cycle: its share of the beamline it helped to pay for, divided among its uses.

Sources: partner time at Diamond (each use has its limit, E5) and HLS (the partner keeps a share, E6).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fractions import Fraction

from django.db.models import Sum

from portal.kernel.errors import Reason, noop
from scheduler.facilities import queries, shares
from scheduler.facilities.models import Partner, RunCycle
from scheduler.proposals import rules
from scheduler.proposals.models import BeamProposal, BeamRequest

__all__ = ["allocated", "is_first", "kept", "wrong"]

_ = noop

GONE = [
    rules.BeamProposalState.RETURNED.value,
    rules.BeamProposalState.NOT_FEASIBLE.value,
    rules.BeamProposalState.REFUSED.value,
    rules.BeamProposalState.WITHDRAWN.value,
]
"""States in which what a proposal still asks for takes nothing of the use: one returned is judged anew when it is sent."""
STANDS = [rules.RequestState.OPEN.value, rules.RequestState.ALLOCATED.value, rules.RequestState.SERVED.value]


def kept(partner: Partner, cycle: RunCycle) -> int:
    """Return how many shifts of its beamline the partner keeps in a cycle, rounded down. Five queries.

    Its share is of the shifts on days its agreement is valid: none of a cycle that begins after it has ended.
    """
    first, end = partner.valid.lower, partner.valid.upper
    offered = [
        one
        for one in queries.user_shifts(cycle, [partner.beamline])[partner.beamline_id]
        if (first is None or one.day >= first) and (end is None or one.day < end)
    ]
    return shares.most_own(len(offered), share=Fraction(partner.num, partner.den))


def allocated(partner: Partner, cycle: RunCycle) -> int:
    """Return how many shifts of a cycle the partner has been given. One query."""
    rows = BeamRequest.objects.filter(
        proposal__partner=partner, cycle=cycle, allocations__isnull=False, allocations__ended_at__isnull=True
    )
    return int(rows.aggregate(all=Sum("allocations__shifts"))["all"] or 0)


def is_first(partner: Partner, cycle: RunCycle, *, further: int) -> bool:
    """Say whether `further` shifts still come before open requests: together with what it has, within its share (E6)."""
    return allocated(partner, cycle) + further <= kept(partner, cycle)


def wrong(proposal: BeamProposal, asked: Sequence[BeamRequest], *, today: date) -> list[Reason]:
    """Return what keeps a partner's proposal from being sent: its agreement is over on `today` (the facility's local day),
    another beamline, more for a use than its limit (E5).

    What was sent and still stands, allocated or had for the same use in the same cycle counts. Other kinds have nothing wrong here.
    """
    partner, part = proposal.partner, proposal.partner_part
    if partner is None:
        return []
    found = []
    first, end = partner.valid.lower, partner.valid.upper
    if (first is not None and today < first) or (end is not None and today >= end):
        text = _("合作协议现在无效。")
        found.append(Reason("proposal.no_partner", text, _("请联系用户办公室，或选择其他课题类别。"), "kind"))
    for at, one in enumerate(asked):
        if one.beamline_id != partner.beamline_id:
            text = _("合作方机时只在线站 %(line)s。")
            line = {"line": partner.beamline.code}
            found.append(Reason("proposal.partner_line", text, _("请改为该线站。"), f"requests.{at}.beamline", line))
        elif part is not None:
            before = BeamRequest.objects.filter(
                proposal__partner=partner, proposal__partner_part=part, cycle=one.cycle, state__in=STANDS
            ).filter(proposal__sent_at__isnull=False)
            before = before.exclude(state=rules.RequestState.OPEN.value, proposal__state__in=GONE)
            had = before.exclude(proposal=proposal).aggregate(all=Sum("shifts"))["all"] or 0
            most = kept(partner, one.cycle) * part.num // part.den
            if had + one.shifts > most:
                text = _("“%(part)s”本周期最多 %(most)s 个班次，已申请 %(had)s 个。")
                params = {"part": part.name, "most": most, "had": had}
                remedy = _("请减到上限以内，或用于其他用途。")
                found.append(Reason("facility.partner_part", text, remedy, f"requests.{at}.shifts", params))
    return found
