"""Words of large facilities, and for the roles people have in organisations."""

from __future__ import annotations

from typing import Any

from django.db.models import TextChoices

from portal.kernel.errors import noop
from scheduler.beamtime.models import BeamLoss, BeamQuote, BeamVisit, Compensation, ScheduleDraft
from scheduler.facilities.models import Facility, MachinePeriod
from scheduler.panels.models import Appeal, Assessment, Grading, Ranking
from scheduler.proposals.models import BeamProposal, BeamRequest, CallForm, TeamMember

__all__ = ["FORMS", "PLAIN", "STATES"]

_ = noop

ROLES: Any = {
    "owner": _("单位管理员"),
    "researcher": _("研究人员"),
    "lab_manager": _("仪器管理员"),
    "cluster_operator": _("集群管理员"),
    "service_manager": _("服务管理员"),
    "programme_officer": _("项目经办"),
    "programme_publisher": _("项目发布"),
    "reviewer": _("初审员"),
    "expert": _("评审专家"),
    "approver": _("审批员"),
    "finance_officer": _("财务经办"),
    "finance_approver": _("财务复核"),
    "auditor": _("审计员"),
    "claim_auditor": _("第三方审计员"),
    "user_officer": _("用户办公室"),
    "beam_planner": _("排班员"),
    "beamline_scientist": _("线站科学家"),
    "safety_officer": _("安全员"),
    "facility_director": _("装置主任"),
}
POOLS: Any = {
    "open": _("开放课题"),
    "partner": _("合作方"),
    "industry": _("产业付费"),
    "urgent": _("紧急"),
    "director": _("主任基金机时"),
}
HAZARDS: Any = {
    "toxic": _("有毒"),
    "flammable": _("易燃"),
    "explosive": _("易爆"),
    "corrosive": _("腐蚀性"),
    "radioactive": _("放射性"),
    "biological": _("生物危害"),
    "nano": _("纳米粉体"),
    "pressure": _("高压"),
    "cryogenic": _("低温"),
    "magnetic": _("强磁"),
}
SAFETY: Any = {"green": _("绿色：无须附加条件"), "amber": _("黄色：附条件"), "red": _("红色：须先做风险评估")}
TIES: Any = {"grade": _("按评分"), "balance": _("同分，按平衡要求"), "order": _("同分，按提交先后")}
FORMS: Any = {"sample": _("样品单"), "safety": _("安全审查")}
"""Papers of a visit."""
PLAIN: Any = {"role": ROLES, "pool": POOLS, "beam_hazard": HAZARDS, "safety_class": SAFETY, "tie_break": TIES}
STATES: dict[str, tuple[type[TextChoices], dict[str, str]]] = {
    "beam_proposal": (
        BeamProposal.State,
        {
            "ok": "accepted closed",
            "go": "admitted feasible graded",
            "wait": "draft submitted returned",
            "bad": "refused not_feasible",
        },
    ),
    "beam_kind": (BeamProposal.Kind, {}),
    "beam_request": (BeamRequest.State, {"ok": "served", "go": "allocated", "wait": "open reserve", "bad": "refused"}),
    "team_member": (TeamMember.State, {"ok": "joined", "wait": "invited", "bad": "declined"}),
    "form_kind": (CallForm.Kind, {}),
    "machine_mode": (
        MachinePeriod.Mode,
        {"ok": "user", "go": "study warm_up", "wait": "maintenance", "bad": "shutdown"},
    ),
    "report_rule": (Facility.ReportRule, {}),
    "grade_direction": (Facility.Best, {}),
    "assessment": (Assessment.Kind, {}),
    "grading": (Grading.State, {"ok": "graded", "wait": "asked"}),
    "ranking": (Ranking.State, {"ok": "decided", "go": "proposed", "wait": "draft"}),
    "appeal": (Appeal.State, {"ok": "upheld", "wait": "open"}),
    "schedule_draft": (
        ScheduleDraft.State,
        {"ok": "adopted", "go": "solving drafted", "wait": "queued", "bad": "failed"},
    ),
    "visit": (
        BeamVisit.State,
        {"ok": "closed", "go": "scheduled ready running", "wait": "offered done", "bad": "cancelled missed"},
    ),
    "beam_loss": (BeamLoss.Cause, {}),
    "compensation": (Compensation.State, {"ok": "granted", "wait": "listed"}),
    "beam_quote": (BeamQuote.State, {"ok": "settled", "go": "accepted", "wait": "offered", "bad": "expired"}),
}
