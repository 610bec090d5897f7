"""What the running cluster must answer: daemons, tokens, clocks, accounts, partitions."""

from __future__ import annotations

from fractions import Fraction

from integrations.slurm.doctor.checking import Level, Verdict, check, grade
from integrations.slurm.doctor.snapshot import PartitionFacts, PortalPartition, Snapshot, Unseen
from portal.kernel.errors import noop as _

YEAR_AND_A_MONTH_S = 395 * 86_400


@check(
    "versions",
    title=_("REST 接口版本"),
    need=_("slurmrestd 提供本平台会用的版本（v0.0.38，v0.0.40 至 v0.0.45）"),
    fix=_("升级 slurmrestd，或用 -s/-d 选项打开相应版本"),
)
def versions(s: Snapshot) -> Verdict:
    offered = s.need("offered")
    return grade(holds=bool(set(offered) & set(s.portal.versions)), seen=", ".join(offered) or "-")


@check(
    "controller",
    title=_("slurmctld 在运行"),
    need=_("ping 答复 UP"),
    fix=_("systemctl status slurmctld；看它的日志"),
)
def controller(s: Snapshot) -> Verdict:
    state = s.need("controller")
    return grade(holds=state == "UP", seen=state)


@check(
    "accounting",
    title=_("slurmdbd 可达"),
    need=_("记账查询得到干净的答复"),
    fix=_("systemctl status slurmdbd；检查它与 MariaDB 的连接、防火墙端口 6819"),
)
def accounting(s: Snapshot) -> Verdict:
    state = s.need("accounting")
    return grade(holds=state == "UP", seen=state)


@check(
    "queue",
    title=_("待入账的消息"),
    need=_("dbd_agent_queue_size 为 0；过 10,000 会丢弃"),
    fix=_("恢复 slurmdbd 后它会自行清空；一直增长则检查数据库的速度"),
)
def queue(s: Snapshot) -> Verdict:
    size = s.need("queue")
    level = Level.WARNING if size < 1000 else Level.FAULT
    return grade(holds=size == 0, seen=f"dbd_agent_queue_size={size}", otherwise=level)


@check(
    "skew",
    title=_("两边的时钟"),
    need=_("集群与门户的时钟相差不到 5 秒；超过 30 秒令牌会被拒"),
    fix=_("两边都运行 chrony 或 systemd-timesyncd"),
)
def skew(s: Snapshot) -> Verdict:
    off = s.need("skew_s")
    level = Level.WARNING if abs(off) <= 30 else Level.FAULT
    return grade(holds=abs(off) < 5, seen=f"{off:+.1f} s", otherwise=level)


@check(
    "token",
    title=_("令牌被接受"),
    need=_("读取账号的令牌得到两个守护进程的答复"),
    fix=_("核对 jwks.json 的 kid、alg、n、e 与签发进程的一致，slurmctld 与 slurmdbd 都已重启"),
)
def token(s: Snapshot) -> Verdict:
    said = s.need("token")
    return grade(holds=said == "accepted", seen=said)


@check(
    "expired",
    title=_("过期的令牌被拒"),
    need=_("过期的令牌得不到数据"),
    fix=_("检查集群的时钟；确认 slurmrestd 以 -a rest_auth/jwt 运行"),
)
def expired(s: Snapshot) -> Verdict:
    said = s.need("expired")
    return grade(holds=said == "refused", seen=said)


@check(
    "forged",
    title=_("伪造的令牌被拒"),
    need=_("别的密钥签的令牌得不到数据"),
    fix=_("slurmrestd 必须以 -a rest_auth/jwt 运行，不得用 rest_auth/local 对外服务"),
)
def forged(s: Snapshot) -> Verdict:
    said = s.need("forged")
    return grade(holds=said == "refused", seen=said)


@check(
    "singleton",
    title=_("同名作业不并行（实测）"),
    need=_("同名的第二个作业等待第一个（dependency=singleton）；用 --probe 实测"),
    fix=_("检查 DependencyParameters 与 JobSubmitPlugins 是否改动了依赖"),
)
def singleton(s: Snapshot) -> Verdict:
    said = s.need("singleton")
    return grade(holds=said == "waits", seen=said)


@check(
    "deny_on_limit",
    title=_("超限即拒"),
    need=_("作业用的 QOS 有 DenyOnLimit"),
    fix=_("sacctmgr modify qos 名称 set Flags+=DenyOnLimit"),
)
def deny_on_limit(s: Snapshot) -> Verdict:
    wanted = s.portal.qos or "normal"
    found = next((one for one in s.need("qos") if one.name == wanted), None)
    if found is None:
        return Level.FAULT, f"-{wanted}"
    return grade(
        holds="denyonlimit" in found.flags, seen=f"{wanted}: {','.join(sorted(found.flags))}", otherwise=Level.WARNING
    )


@check(
    "reader",
    title=_("读取账号不是管理员"),
    need=_("读取账号在记账库里，AdminLevel 不是 Administrator，也不是 root 或 SlurmUser"),
    fix=_("sacctmgr modify user 读取账号 set AdminLevel=Operator 或 None"),
)
def reader(s: Snapshot) -> Verdict:
    name = s.portal.reader
    level = s.need("admins").get(name, "unknown")
    return grade(holds=level in {"none", "operator"} and name not in {"root", "slurm"}, seen=f"{name}: {level}")


@check(
    "operator",
    title=_("运维账号是 Operator"),
    need=_("写限额的账号 AdminLevel=Operator（集群配置 operator）"),
    fix=_("sacctmgr modify user 运维账号 set AdminLevel=Operator，并在集群配置里写 operator"),
)
def operator(s: Snapshot) -> Verdict:
    if not s.portal.operator:
        raise Unseen("config: operator")
    level = s.need("admins").get(s.portal.operator, "unknown")
    return grade(holds=level == "operator", seen=f"{s.portal.operator}: {level}")


@check(
    "job_users",
    title=_("作业账号在记账库里"),
    need=_("每个作业账号至少属于一个 Slurm 账户，并且不是管理员"),
    fix=_("sacctmgr add user 账号 Account=账户；sacctmgr modify user 账号 set AdminLevel=None"),
)
def job_users(s: Snapshot) -> Verdict:
    admins, belongs = s.need("admins"), {user for _account, user in s.need("associations")}
    bad = [name for name in s.portal.users if name not in belongs or admins.get(name) != "none"]
    return grade(holds=not bad, seen=f"-{','.join(bad)}" if bad else ",".join(s.portal.users))


@check(
    "accounts",
    title=_("账户的名字"),
    need=_("账户以小写字母开头：22.05 把 007 或 no 读成数字或真值"),
    fix=_("sacctmgr 重新建立名字合规的账户，迁走用户"),
)
def accounts(s: Snapshot) -> Verdict:
    names = {account for account, _user in s.need("associations")} | set(s.portal.accounts)
    bad = sorted(name for name in names if not name[:1].isalpha() or name.lower() in {"no", "yes", "true", "false"})
    return grade(holds=not bad, seen=",".join(bad or sorted(names)[:8]))


def _pairs(s: Snapshot) -> list[tuple[PortalPartition, PartitionFacts | None]]:
    facts = {one.name: one for one in s.need("partitions")}
    if not s.portal.partitions:
        raise Unseen("portal: no partitions")
    return [(one, facts.get(one.name)) for one in s.portal.partitions]


@check(
    "partitions",
    title=_("门户的分区都在集群上"),
    need=_("门户登记的每个分区存在并且 UP"),
    fix=_("在门户关闭该分区，或在 slurm.conf 建立、scontrol update PartitionName=… State=UP"),
)
def partitions(s: Snapshot) -> Verdict:
    bad = [
        f"{one.name}: {there.state if there else '-'}" for one, there in _pairs(s) if not there or there.state != "UP"
    ]
    return grade(holds=not bad, seen="; ".join(bad or [one.name for one in s.portal.partitions]))


@check(
    "partition_time",
    title=_("分区的时限一致"),
    need=_("门户允许的时限不超过分区的 MaxTime"),
    fix=_("在门户改小分区的最长时间，或加大分区的 MaxTime"),
)
def partition_time(s: Snapshot) -> Verdict:
    bad = [
        f"{one.name}: {one.max_time_s} s > {there.max_time_s} s"
        for one, there in _pairs(s)
        if there and there.max_time_s is not None and one.max_time_s > there.max_time_s
    ]
    return grade(holds=not bad, seen="; ".join(bad) or "≤ MaxTime")


@check(
    "partition_cards",
    title=_("分区的卡一致"),
    need=_("分区有门户所说的卡型和张数"),
    fix=_("核对门户分区的卡型、张数与节点的 Gres"),
)
def partition_cards(s: Snapshot) -> Verdict:
    bad = []
    for one, there in _pairs(s):
        name = f"gres/gpu:{one.card_type}" if one.card_type else "gres/gpu"
        have = there.tres.get(name, 0) if there else 0
        if there and one.max_cards > have:
            bad.append(f"{one.name}: {name} {one.max_cards} > {have}")
    return grade(holds=not bad, seen="; ".join(bad) or "=")


@check(
    "weights",
    title=_("计费权重与价格成比例"),
    need=_("TRESBillingWeights 的卡与核之比等于门户价目的卡时与核时之比，没有价的不计"),
    fix=_("按价目写分区的 TRESBillingWeights=CPU=核时价,GRES/gpu=卡时价，scontrol reconfigure；否则无法逐日对账"),
)
def weights(s: Snapshot) -> Verdict:
    bad, level = [], Level.WARNING
    for one, there in _pairs(s):
        if there is None or not any(one.prices.values()):
            continue
        core, card = one.prices.get("core_hour", 0), one.prices.get("card_hour", 0)
        typed = there.weights.get(f"gres/gpu:{one.card_type}".lower(), 0.0) if one.card_type else 0.0
        cpu_weight, card_weight = there.weights.get("cpu", 0.0), typed or there.weights.get("gres/gpu", 0.0)
        if not there.weights:
            bad.append(f"{one.name}: TRESBillingWeights=")
        elif Fraction(cpu_weight) * card != Fraction(card_weight) * core or (card and not card_weight):
            level = Level.FAULT
            bad.append(f"{one.name}: {card}:{core} ≠ {card_weight:g}:{cpu_weight:g}")
    return grade(holds=not bad, seen="; ".join(bad) or "=", otherwise=level)


@check(
    "purge",
    title=_("记账的保留期"),
    need=_("PurgeJobAfter 不设，或不少于 13 个月"),
    fix=_("在 slurmdbd.conf 去掉 PurgeJobAfter 或写 PurgeJobAfter=24months，重启 slurmdbd"),
)
def purge(s: Snapshot) -> Verdict:
    value = s.value("PurgeJobAfter", part="dbd").rstrip("*")
    number = int("".join(sign for sign in value if sign.isdigit()) or 0)
    unit = next((size for name, size in (("hour", 3600), ("day", 86_400)) if name in value.lower()), 30.4 * 86_400)
    return grade(
        holds=not number or number * unit >= YEAR_AND_A_MONTH_S,
        seen=f"PurgeJobAfter={value}",
        otherwise=Level.WARNING,
    )


@check(
    "releases",
    title=_("守护进程的版本"),
    need=_("slurmdbd 不旧于 slurmctld"),
    fix=_("先升级 slurmdbd，再升级 slurmctld，最后升级 slurmd"),
)
def releases(s: Snapshot) -> Verdict:
    one, other = s.value("SLURM_VERSION"), s.value("SLURMDBD_VERSION", part="dbd")
    if not (one and other):
        raise Unseen("SLURM_VERSION")
    older = [int(part) for part in other.split(".")[:2]] < [int(part) for part in one.split(".")[:2]]
    return grade(holds=not older, seen=f"slurmctld {one}, slurmdbd {other}")
