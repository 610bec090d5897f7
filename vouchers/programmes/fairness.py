"""Conditions that a fair-competition review must look at: those that favour local suppliers or local payers. Pure.

Source: 公平竞争审查条例（国务院令第 783 号，2024-08-01 起施行）: policy may not limit or favour suppliers by their place, nor give
selective fiscal rewards without a legal basis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vouchers.programmes import names
from vouchers.programmes.conditions import join, leaf
from vouchers.programmes.predicates import leaf_paths, leaves
from vouchers.programmes.schemes import Programme
from vouchers.programmes.words import Words

__all__ = ["Exposure", "exposed"]

W = Words

REASONS: Final[Mapping[str, Words]] = {
    "provider.region": W("限定服务机构所在地，可能排斥外地经营者", "limits providers by place and may shut out others"),
    "provider.city": W("限定服务机构所在地，可能排斥外地经营者", "limits providers by place and may shut out others"),
    "provider.local": W("限定本地服务机构，可能排斥外地经营者", "limits providers by place and may shut out others"),
    "provider.recognised": W(
        "限定名录内机构，入库条件须公开且不得限定地域",
        "limits providers to a roster, whose terms must be public and open",
    ),
    "contract.centre": W("指定特定经营者提供的服务", "names particular suppliers"),
    "contract.facility": W("按设施类别给予不同待遇", "treats suppliers differently by class of facility"),
    "contract.channel": W("限定采购渠道", "limits the channel of purchase"),
    "applicant.social_insurance_local": W(
        "以本地缴纳社保为条件，属于选择性奖励", "rewards local social insurance, a selective benefit"
    ),
    "applicant.tax_local": W("以本地纳税为条件，属于选择性奖励", "rewards local tax, a selective benefit"),
    "applicant.region": W("限定申请人注册地，须有合法依据", "limits applicants by place, which needs a legal basis"),
    "applicant.city": W("限定申请人所在地，须有合法依据", "limits applicants by place, which needs a legal basis"),
}


@dataclass(frozen=True, slots=True)
class Exposure:
    """A condition to be reviewed: where it stands, what it says, why it is exposed."""

    path: str
    condition: Words
    reason: Words


def exposed(programme: Programme) -> tuple[Exposure, ...]:
    """Return the conditions a fair-competition review must answer, in reading order."""
    found = []
    with names.declared(programme.facts):
        for where, condition in programme.predicates:
            for (below, fact), test in zip(leaf_paths(condition), leaves(condition), strict=True):
                if fact in REASONS:
                    value = list(test.value) if isinstance(test.value, tuple) else test.value
                    found.append(Exposure(f"{where}{below}", leaf(fact, test.operator, value), REASONS[fact]))
    if programme.provider_roster:
        roster = W(f"名录“{programme.provider_roster}”", f"the roster “{programme.provider_roster}”")
        found.append(Exposure("provider.roster", roster, REASONS["provider.recognised"]))
    if programme.channel:
        channels = join(names.value(channel) for channel in programme.channel)
        said = W("采购渠道限于：%(channels)s", "to be bought through: %(channels)s").fill(channels=channels)
        found.append(Exposure("channel", said, REASONS["contract.channel"]))
    return tuple(found)
