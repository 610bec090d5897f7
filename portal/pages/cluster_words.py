"""Words for what clusters are and need, and for what was done to them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

from portal.kernel.errors import noop
from scheduler.clusters.keeping import Act
from scheduler.clusters.rules import AlertKind, RotationStep

__all__ = [
    "ACTS",
    "ALERTS",
    "CHANNELS",
    "CIRCUITS",
    "CLUSTER_ACTIONS",
    "EVERYWHERE",
    "MILD",
    "OF_JOBS",
    "PLACES",
    "SIGNERS",
    "STEPS",
    "STUCK",
]

_ = noop

CLUSTER_ACTIONS: Final[Mapping[str, Promise]] = MappingProxyType(
    {
        "maintenance.announced": pgettext_lazy("record", "公告集群维护"),
        "maintenance.finished": pgettext_lazy("record", "提前结束集群维护"),
        "maintenance.called_off": pgettext_lazy("record", "取消集群维护"),
        "incident.opened": pgettext_lazy("record", "集群故障开始"),
        "incident.closed": pgettext_lazy("record", "集群故障恢复"),
        "incident.noted": pgettext_lazy("record", "填写故障说明"),
        "orphan.found": pgettext_lazy("record", "发现无主作业"),
        "orphan.taken_off": pgettext_lazy("record", "请求终止无主作业"),
        "partition.changed": pgettext_lazy("record", "修改分区"),
        "partition.price_set": pgettext_lazy("record", "公布分区价格"),
        "partition.price_withdrawn": pgettext_lazy("record", "撤回分区价格"),
        "job.operator_acted": pgettext_lazy("record", "运维处理作业"),
        "credentials.tested": pgettext_lazy("record", "测试集群凭据"),
        "rotation.begun": pgettext_lazy("record", "开始密钥轮换"),
        "rotation.stepped": pgettext_lazy("record", "完成密钥轮换的一步"),
    }
)

ALERTS: Final[Mapping[AlertKind, str]] = MappingProxyType(
    {
        AlertKind.AWAY: _("集群连不上：作业既不能送达也不能核对。请检查控制服务和网络。"),
        AlertKind.ACCOUNTING: _("记账服务连不上：作业照常运行，但无法最终结算，也无法确认提交是否丢失。"),
        AlertKind.STALE: _("很久没有收到集群的状态：平台的巡检可能没有运行。"),
        AlertKind.UNRESOLVED: _("有作业超过 15 分钟仍未查清下落。平台不会重复提交；请检查控制与记账服务。"),
        AlertKind.UNKNOWN_STATE: _("集群报告了平台不认识的作业状态，已保持原状态。"),
        AlertKind.DUPLICATE: _("同一作业在集群上不止一份；多余的已请求终止，请核对。"),
        AlertKind.UNCONFIRMED: _("有作业结束已久，记账仍没有确认。"),
        AlertKind.QUARANTINE: _("有运行记录无法计价，已隔离，等待处理。"),
        AlertKind.DRIFT: _("集群上的限额与平台设定不一致。"),
        AlertKind.ORPHAN: _("集群上有带本平台标记、平台却没有记录的作业。请核对后再决定是否终止。"),
        AlertKind.HELD: _("有作业在集群上被挂起，不会自行开始。"),
        AlertKind.STUCK: _("有作业停在应当自动通过的一步，或很久没有核对到。"),
        AlertKind.REFUSED: _("集群没有接受平台设定的限额，账户可能超用。"),
        AlertKind.UNMANAGED: _("最近 7 天有未经平台的运行：已计量并列为应付，不从券中扣除。"),
        AlertKind.AUDIT: _("最近一次三方核对有差异：平台、集群记账与账本不一致。"),
        AlertKind.BREAKER: _("集群连续没有应答，平台已暂停调用，正在定时试探。"),
        AlertKind.MAINTENANCE: _("已公告维护：期间不接收作业。"),
    }
)
"""What needs a person, and what to do about it."""

PLACES: Final[Mapping[AlertKind, tuple[str, str]]] = MappingProxyType(
    {
        AlertKind.AWAY: ("cluster_health", _("健康")),
        AlertKind.ACCOUNTING: ("cluster_health", _("健康")),
        AlertKind.STALE: ("cluster_health", _("健康")),
        AlertKind.BREAKER: ("cluster_health", _("健康")),
        AlertKind.UNRESOLVED: ("cluster_doubts", _("不明作业与告警")),
        AlertKind.UNKNOWN_STATE: ("cluster_doubts", _("不明作业与告警")),
        AlertKind.DUPLICATE: ("cluster_doubts", _("不明作业与告警")),
        AlertKind.UNCONFIRMED: ("cluster_doubts", _("不明作业与告警")),
        AlertKind.AUDIT: ("cluster_reconcile", _("作业对账")),
        AlertKind.STUCK: ("cluster_reconcile", _("作业对账")),
        AlertKind.HELD: ("cluster_reconcile", _("作业对账")),
        AlertKind.ORPHAN: ("cluster_reconcile", _("作业对账")),
        AlertKind.QUARANTINE: ("quarantine", _("待定价的运行")),
        AlertKind.DRIFT: ("cluster_limits", _("账户与上限")),
        AlertKind.REFUSED: ("cluster_limits", _("账户与上限")),
        AlertKind.UNMANAGED: ("unmanaged_runs", _("未经平台的运行")),
        AlertKind.MAINTENANCE: ("cluster_maintenance", _("维护")),
    }
)
"""Where it is solved: the page's name, and what it is called. Pages of all clusters take no code (`EVERYWHERE`)."""
EVERYWHERE: Final = frozenset({"quarantine", "unmanaged_runs"})
OF_JOBS: Final = frozenset(
    {
        AlertKind.UNRESOLVED,
        AlertKind.UNKNOWN_STATE,
        AlertKind.DUPLICATE,
        AlertKind.UNCONFIRMED,
        AlertKind.AUDIT,
        AlertKind.STUCK,
        AlertKind.HELD,
    }
)
"""Alerts that name jobs: each leads to what the cluster was asked and answered about it."""
MILD: Final = frozenset({AlertKind.UNMANAGED})
"""What is to be known rather than mended."""

CIRCUITS: Final[Mapping[str, str]] = MappingProxyType(
    {"closed": _("接通"), "open": _("断开，暂不调用"), "half_open": _("正在试探")}
)
"""How the calls to a cluster stand (`scheduler.jobs.breaker`)."""

CHANNELS: Final[Mapping[str, str]] = MappingProxyType({"control": _("调度"), "accounting": _("记账")})

STUCK: Final[Mapping[str, str]] = MappingProxyType(
    {
        "waiting": _("一直没有送出"),
        "unresolved": _("送出后没有回执"),
        "not_released": _("已送达但没有放行"),
        "held": _("在集群上被挂起"),
        "unseen": _("很久没有核对"),
    }
)
"""Why a job is stuck."""

ACTS: Final[Mapping[Act, str]] = MappingProxyType(
    {Act.ASK: _("再次核对"), Act.RETRY: _("立即重试"), Act.ADOPT: _("查找并接管")}
)

SIGNERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "signer": _("独立签名进程"),
        "key_file": _("本机私钥文件（RS256）"),
        "shared_key": _("集群共享密钥（仅限开发）"),
        "none": _("不需要凭据（本机运行器）"),
    }
)
"""How the portal proves itself to a cluster."""

STEPS: Final[Mapping[RotationStep, tuple[str, str]]] = MappingProxyType(
    {
        RotationStep.CREATED: (_("生成新密钥"), _("在签名主机上生成，私钥不离开该主机。")),
        RotationStep.PUBLISHED: (_("公布新公钥"), _("把新公钥加入集群的 JWKS 文件，旧公钥保留。")),
        RotationStep.RELOADED: (_("集群重新读取"), _("让控制与记账服务都重新读取 JWKS 文件。")),
        RotationStep.SWITCHED: (_("改用新密钥签名"), _("签名进程换用新的 key id。")),
        RotationStep.TESTED: (_("测试凭据"), _("用本页的按钮测试，集群须应答正常。")),
        RotationStep.WITHDRAWN: (_("撤下旧公钥"), _("从 JWKS 删除旧公钥并重新读取，销毁旧私钥。")),
    }
)
"""The steps of a rotation: what, and how."""
