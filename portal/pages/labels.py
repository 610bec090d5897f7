"""Words for codes: what a person reads where a record holds a state, a role or a unit.

No page shows a code. Each kind has one table, code → (tone, label); ``tests/portal/pages/test_labels.py`` holds the
tables against the enums, so that a new state without words fails the build and not the reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import noop

__all__ = ["LABELS", "Tone", "label_of"]

_ = noop
Tone = str
"""``ok`` done well, ``go`` under way, ``wait`` needs somebody, ``bad`` went wrong, empty: at rest."""

LABELS: Final[Mapping[str, Mapping[str, tuple[Tone, str]]]] = MappingProxyType(
    {
        "booking": {
            "requested": ("wait", _("待确认")),
            "confirmed": ("ok", _("已确认")),
            "in_use": ("go", _("使用中")),
            "completed": ("ok", _("已完成")),
            "declined": ("bad", _("未接受")),
            "cancelled": ("", _("已取消")),
            "lapsed": ("", _("逾期失效")),
        },
        "job": {
            "pending": ("wait", _("待提交")),
            "submitting": ("wait", _("提交中")),
            "unknown": ("wait", _("正在核实")),
            "placed": ("wait", _("已送达集群")),
            "rejected": ("bad", _("集群未接受")),
            "queued": ("wait", _("排队中")),
            "starting": ("go", _("启动中")),
            "running": ("go", _("运行中")),
            "suspended": ("wait", _("已挂起")),
            "finishing": ("go", _("收尾中")),
            "succeeded": ("ok", _("已完成")),
            "failed": ("bad", _("运行失败")),
            "timed_out": ("bad", _("超过时限")),
            "cancelled": ("", _("已取消")),
            "out_of_memory": ("bad", _("内存不足")),
            "interrupted": ("bad", _("被中断")),
            "launch_failed": ("bad", _("启动失败")),
            "lost": ("bad", _("下落不明")),
        },
        "publish": {
            "draft": ("", _("草稿")),
            "published": ("ok", _("已开放")),
            "suspended": ("wait", _("暂停开放")),
        },
        "category": {
            "analytical": ("", _("分析仪器")),
            "physical": ("", _("物理性能测试仪器")),
            "metrology": ("", _("计量仪器")),
            "electronic": ("", _("电子测量仪器")),
            "marine": ("", _("海洋仪器")),
            "earth": ("", _("地球探测仪器")),
            "atmosphere": ("", _("大气探测仪器")),
            "special": ("", _("特种检测仪器")),
            "laser": ("", _("激光器")),
            "process": ("", _("工艺试验仪器")),
            "computer": ("", _("计算机及其配套设备")),
            "astronomy": ("", _("天文仪器")),
            "medical": ("", _("医学科研仪器")),
            "nuclear": ("", _("核仪器")),
            "other": ("", _("其他仪器")),
        },
        "unit": {
            "hour": ("", _("小时")),
            "card_hour": ("", _("卡时")),
            "core_hour": ("", _("核时")),
        },
        "organisation": {
            "enterprise": ("", _("企业")),
            "provider": ("", _("提供单位")),
            "department": ("", _("主管部门")),
        },
        "role": {
            "owner": ("", _("单位管理员")),
            "researcher": ("", _("研究人员")),
            "lab_manager": ("", _("仪器管理员")),
            "cluster_operator": ("", _("集群管理员")),
            "programme_officer": ("", _("项目经办")),
            "programme_publisher": ("", _("项目发布")),
            "reviewer": ("", _("审核员")),
            "approver": ("", _("审批员")),
            "finance_officer": ("", _("财务经办")),
            "finance_approver": ("", _("财务复核")),
            "auditor": ("", _("审计员")),
        },
    }
)


def label_of(kind: str, code: str) -> tuple[Tone, str]:
    """Return (tone, Chinese label) of a code. Raises KeyError for a kind or code without words."""
    return LABELS[kind][str(code)]
