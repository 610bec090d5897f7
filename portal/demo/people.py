"""Register the demo province's organisations and the accounts a newcomer signs in with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from stdnum.cn import uscc

from portal.demo.catalogue import ENTERPRISES, LABS, OrganisationEntry
from portal.kernel.actors import Actor
from portal.organisations import access, services
from portal.organisations.models import Member, Organisation, User
from portal.organisations.rules import Kind, Role

PASSWORD = "gongxiang-2026"  # noqa: S105  printed for everybody: demo data only
DEPARTMENT = OrganisationEntry(
    "kejiting", "省科技主管部门（演示）", "Provincial science and technology department (demo)", "杭州", {}
)
CITY = OrganisationEntry("shikeji", "设区市科技局（演示）", "City science and technology bureau (demo)", "宁波", {})
FACILITY = OrganisationEntry("zhijiang", "之江光源研究院（演示）", "Zhijiang Light Source Institute (demo)", "杭州", {})
UNIVERSITY = OrganisationEntry(
    "donghai", "东海大学材料学院（演示）", "Donghai University, materials (demo)", "宁波", {}
)
ACCOUNTS: tuple[tuple[str, str, str, str, tuple[Role, ...], str], ...] = (
    (
        "qiye",
        "赵明远",
        "xinghe",
        "enterprise",
        (Role.OWNER, Role.RESEARCHER),
        "企业管理员：申请券、预约、提交作业、付款",
    ),
    ("yanfa", "林若溪", "xinghe", "enterprise", (Role.RESEARCHER,), "企业研发人员：预约仪器、提交作业"),
    (
        "shiyan",
        "吴启航",
        "qianjiang",
        "provider",
        (Role.LAB_MANAGER, Role.SERVICE_MANAGER, Role.OWNER),
        "实验室：发布仪器与服务、确认预约、处理订单",
    ),
    (
        "jiqun",
        "冯立",
        "zhisuan",
        "provider",
        (Role.CLUSTER_OPERATOR, Role.SERVICE_MANAGER, Role.OWNER),
        "集群运维：查看集群与作业、模型服务订单",
    ),
    ("zhengce", "陈知行", "kejiting", "department", (Role.PROGRAMME_OFFICER,), "政策人员：导入政策"),
    ("fabu", "沈嘉禾", "kejiting", "department", (Role.PROGRAMME_PUBLISHER,), "发布人员：复核并发布政策"),
    ("chushen", "李思远", "kejiting", "department", (Role.REVIEWER,), "初审人员"),
    ("shenpi", "王以宁", "kejiting", "department", (Role.APPROVER,), "审批人员"),
    ("fushen", "何若谷", "kejiting", "department", (Role.APPROVER,), "第二位审批人员：申诉、异议、须由两人办理的事项"),
    ("zhuanjia1", "方清源", "kejiting", "department", (Role.EXPERT,), "评审专家：为抽到的申请打分"),
    ("zhuanjia2", "程砚秋", "kejiting", "department", (Role.EXPERT,), "评审专家"),
    ("zhuanjia3", "陆观澜", "kejiting", "department", (Role.EXPERT,), "评审专家"),
    ("sanfang", "郑衡", "kejiting", "department", (Role.CLAIM_AUDITOR,), "第三方审计：核查抽中的申领"),
    ("caiwu", "钱学章", "kejiting", "department", (Role.FINANCE_OFFICER,), "财务：确认到账、编制结算"),
    ("fuhe", "孙怀谨", "kejiting", "department", (Role.FINANCE_APPROVER,), "财务复核：审批结算"),
    (
        "bangong",
        "许知微",
        "zhijiang",
        "provider",
        (Role.USER_OFFICER, Role.OWNER),
        "大装置用户办公室：征集、线站、份额",
    ),
    ("paiban", "顾长庚", "zhijiang", "provider", (Role.BEAM_PLANNER,), "大装置排班：运行计划与机时表"),
    (
        "xianzhan",
        "温景行",
        "zhijiang",
        "provider",
        (Role.BEAMLINE_SCIENTIST, Role.LAB_MANAGER),
        "线站科学家：技术审查、到访、企业付费机时",
    ),
    ("anquan", "严守正", "zhijiang", "provider", (Role.SAFETY_OFFICER,), "大装置安全审查"),
    ("zhuren", "陶望舒", "zhijiang", "provider", (Role.FACILITY_DIRECTOR,), "大装置主任：批准机时"),
    ("pingshen", "卫东篱", "donghai", "provider", (Role.RESEARCHER,), "课题评审人（高校），也可提交课题"),
    ("pingshen2", "白简", "qianjiang", "provider", (Role.RESEARCHER,), "第二位课题评审人"),
    ("keti", "苏映雪", "donghai", "provider", (Role.RESEARCHER,), "高校课题负责人：申请机时、答复安排、到访、提交报告"),
    ("shenji", "周鉴", "kejiting", "department", (Role.AUDITOR, Role.OWNER), "审计：查看审计记录与总账"),
)
"""User name, name, organisation, kind, roles, what the account is for."""


@dataclass
class People:
    """The registered organisations by key, and an actor per account and organisation."""

    organisations: dict[str, Organisation] = field(default_factory=dict)
    actors: dict[str, Actor] = field(default_factory=dict)


def _credit_code(serial: int, *, kind: str) -> str:
    body = {"department": "11330000", "provider": "12330000", "enterprise": "91330100"}[kind] + f"MA{serial:07d}"
    return str(body + uscc.calc_check_digit(body))


def _user(username: str, name: str, password: str) -> User:
    email = f"{username}@demo.invalid"
    user = User.objects.create(username=username, display_name=name, email=email, password=password)
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    return user


def register(*, now: datetime) -> People:
    """Register everybody. Each organisation has a clerk account of its own that made the registration."""
    people = People()
    hashed = make_password(PASSWORD)
    entries: Iterable[tuple[OrganisationEntry, Kind]] = [
        (DEPARTMENT, Kind.DEPARTMENT),
        *((entry, Kind.PROVIDER) for entry in LABS),
        *((entry, Kind.ENTERPRISE) for entry in ENTERPRISES),
        (CITY, Kind.DEPARTMENT),
        (FACILITY, Kind.PROVIDER),
        (UNIVERSITY, Kind.PROVIDER),
    ]
    for serial, (entry, kind) in enumerate(entries, start=260001):
        clerk = _user(f"clerk-{entry.key}", "登记员", hashed)
        organisation = services.register(
            user=clerk,
            kind=kind,
            names={"zh": entry.name, "en": entry.name_en},
            credit_code=_credit_code(serial, kind=kind.value),
            city=entry.city,
            now=now,
            facts=entry.facts,
        )
        people.organisations[entry.key] = organisation
        member = Member.objects.select_related("user", "organisation").get(user=clerk)
        member.roles = sorted(role.value for role in _clerk_roles(kind))
        member.save(update_fields=["roles"])
        people.actors[f"clerk-{entry.key}"] = access.actor_for(member)
    for username, name, key, _kind, roles, _purpose in ACCOUNTS:
        member = Member.objects.create(
            user=_user(username, name, hashed),
            organisation=people.organisations[key],
            roles=sorted(role.value for role in roles),
        )
        people.actors[username] = access.actor_for(member)
    return people


def _clerk_roles(kind: Kind) -> tuple[Role, ...]:
    if kind is Kind.PROVIDER:
        return (Role.OWNER, Role.LAB_MANAGER, Role.CLUSTER_OPERATOR, Role.SERVICE_MANAGER)
    return (Role.OWNER, Role.RESEARCHER) if kind is Kind.ENTERPRISE else (Role.OWNER,)


def accounts_text() -> str:
    """Return the table of accounts that the launcher prints."""
    lines = [f"演示账号（密码均为 {PASSWORD}）· demo accounts, one password for all:"]
    lines += [f"  {username:<9} {purpose}" for username, _name, _key, _kind, _roles, purpose in ACCOUNTS]
    return "\n".join(lines) + "\n"
