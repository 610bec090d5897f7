"""What slurm.conf and slurmdbd.conf must say."""

from __future__ import annotations

from integrations.slurm.doctor.checking import Level, Verdict, check, grade
from integrations.slurm.doctor.snapshot import Snapshot
from portal.kernel.errors import noop as _

LIMIT_LOOK_S = 30
"""How often Slurm looks at wall limits (slurmctld, ``PERIODIC_TIMEOUT``)."""


@check(
    "enforce",
    title=_("记账限额的执行"),
    need=_("AccountingStorageEnforce 含 associations、limits、qos、safe"),
    fix=_("在 slurm.conf 写 AccountingStorageEnforce=associations,limits,qos,safe，重启 slurmctld"),
)
def enforce(s: Snapshot) -> Verdict:
    has = s.words("AccountingStorageEnforce")
    needed = {"associations", "limits", "qos", "safe"}
    return grade(holds=needed <= has or "all" in has, seen=f"AccountingStorageEnforce={','.join(sorted(has))}")


@check(
    "accounting_storage",
    title=_("记账存放处"),
    need=_("AccountingStorageType=accounting_storage/slurmdbd"),
    fix=_("装 slurmdbd，在 slurm.conf 写 AccountingStorageType=accounting_storage/slurmdbd"),
)
def accounting_storage(s: Snapshot) -> Verdict:
    value = s.value("AccountingStorageType")
    return grade(holds=value == "accounting_storage/slurmdbd", seen=f"AccountingStorageType={value}")


@check(
    "priority_type",
    title=_("优先级插件"),
    need=_("PriorityType=priority/multifactor：没有它，运行分钟限额不起作用"),
    fix=_("在 slurm.conf 写 PriorityType=priority/multifactor，重启 slurmctld"),
)
def priority_type(s: Snapshot) -> Verdict:
    value = s.value("PriorityType")
    return grade(holds=value == "priority/multifactor", seen=f"PriorityType={value}")


@check(
    "decay",
    title=_("用量衰减"),
    need=_("带 GrpTRESMins 的本平台 QOS 都有 NoDecay，或 PriorityDecayHalfLife=0"),
    fix=_("sacctmgr modify qos 名称 set Flags+=NoDecay"),
)
def decay(s: Snapshot) -> Verdict:
    half_life = s.seconds("PriorityDecayHalfLife")
    ours = [one for one in s.need("qos") if one.has_minutes and one.name.startswith(s.portal.qos_prefix)]
    bad = [one.name for one in ours if "nodecay" not in one.flags] if half_life else []
    seen = f"PriorityDecayHalfLife={s.value('PriorityDecayHalfLife')}; {', '.join(bad) or len(ours)}"
    return grade(holds=not bad, seen=seen)


def _jwt(s: Snapshot, part: str) -> Verdict:
    value = s.value("AuthAltTypes", part=part)
    return grade(holds="auth/jwt" in s.words("AuthAltTypes", part=part), seen=f"AuthAltTypes={value}")


@check(
    "auth_controller",
    title=_("slurmctld 接受令牌"),
    need=_("slurm.conf 的 AuthAltTypes 含 auth/jwt"),
    fix=_("装 slurm-wlm-jwt-plugin，在 slurm.conf 写 AuthAltTypes=auth/jwt，重启 slurmctld"),
)
def auth_controller(s: Snapshot) -> Verdict:
    return _jwt(s, "conf")


@check(
    "auth_accounting",
    title=_("slurmdbd 接受令牌"),
    need=_("slurmdbd.conf 的 AuthAltTypes 含 auth/jwt"),
    fix=_("在 slurmdbd.conf 写 AuthAltTypes=auth/jwt，重启 slurmdbd"),
)
def auth_accounting(s: Snapshot) -> Verdict:
    return _jwt(s, "dbd")


def _key(s: Snapshot, part: str) -> Verdict:
    value = s.value("AuthAltParameters", part=part)
    names = {word.partition("=")[0] for word in s.words("AuthAltParameters", part=part)}
    return grade(holds="jwks" in names and "jwt_key" not in names, seen=f"AuthAltParameters={value}")


@check(
    "key_controller",
    title=_("slurmctld 只持有公钥"),
    need=_("slurm.conf 的 AuthAltParameters 用 jwks=，不用 jwt_key=（HS256 共享密钥等于集群的 root 权限）"),
    fix=_("把签发进程的 jwks.json 放到集群，写 AuthAltParameters=jwks=/etc/slurm/jwks.json，重启 slurmctld"),
)
def key_controller(s: Snapshot) -> Verdict:
    return _key(s, "conf")


@check(
    "key_accounting",
    title=_("slurmdbd 只持有公钥"),
    need=_("slurmdbd.conf 的 AuthAltParameters 用 jwks=，不用 jwt_key="),
    fix=_("在 slurmdbd.conf 写 AuthAltParameters=jwks=/etc/slurm/jwks.json，重启 slurmdbd"),
)
def key_accounting(s: Snapshot) -> Verdict:
    return _key(s, "dbd")


@check(
    "key_same",
    title=_("两个守护进程用同一份公钥"),
    need=_("slurm.conf 与 slurmdbd.conf 的 AuthAltParameters 相同"),
    fix=_("让两处指向同一份 jwks.json；一处更换密钥而另一处没换，会只有一半的请求被拒"),
)
def key_same(s: Snapshot) -> Verdict:
    one, other = s.value("AuthAltParameters"), s.value("AuthAltParameters", part="dbd")
    return grade(holds=one == other, seen=f"{one} | {other}", otherwise=Level.WARNING)


@check(
    "min_job_age",
    title=_("作业结束后的保留"),
    need=_("MinJobAge ≥ 300 秒：更早清除会丢失退出码"),
    fix=_("在 slurm.conf 写 MinJobAge=300，scontrol reconfigure"),
)
def min_job_age(s: Snapshot) -> Verdict:
    age = s.seconds("MinJobAge")
    return grade(holds=not age or age >= 300, seen=f"MinJobAge={s.value('MinJobAge')}")


@check(
    "message_timeout",
    title=_("内部通信时限"),
    need=_("MessageTimeout 的两倍小于本平台等待答复的时限"),
    fix=_("在 slurm.conf 写 MessageTimeout=10，scontrol reconfigure"),
)
def message_timeout(s: Snapshot) -> Verdict:
    timeout = s.seconds("MessageTimeout") or 0
    seen = f"MessageTimeout={timeout} s; {s.portal.read_timeout_s:.0f} s"
    return grade(holds=0 < 2 * timeout < s.portal.read_timeout_s, seen=seen)


@check(
    "kill_wait",
    title=_("超时作业的收尾"),
    need=_("检查间隔 30 秒 + KillWait + OverTimeLimit 不超过冻结时多留的时间"),
    fix=_("减小 slurm.conf 的 KillWait 或 OverTimeLimit，或在集群配置里加大 guard_s"),
)
def kill_wait(s: Snapshot) -> Verdict:
    wait, over = s.seconds("KillWait"), s.seconds("OverTimeLimit", unit=60)
    seen = f"KillWait={s.value('KillWait')}, OverTimeLimit={s.value('OverTimeLimit')}; guard {s.portal.guard_s} s"
    return grade(
        holds=wait is not None and over is not None and LIMIT_LOOK_S + wait + over <= s.portal.guard_s, seen=seen
    )


@check(
    "over_time",
    title=_("超出时限的容忍"),
    need=_("OverTimeLimit 为 0，分区也没有另设"),
    fix=_("在 slurm.conf 去掉 OverTimeLimit，分区行也去掉，scontrol reconfigure"),
)
def over_time(s: Snapshot) -> Verdict:
    own = s.seconds("OverTimeLimit", unit=60)
    partitions = {one.name: one.over_time_s for one in s.need("partitions") if one.over_time_s != 0}
    unbounded = own is None or None in partitions.values()
    level = Level.FAULT if unbounded else Level.WARNING
    return grade(holds=own == 0 and not partitions, seen=f"{s.value('OverTimeLimit')}; {partitions}", otherwise=level)


@check(
    "tres",
    title=_("记账的资源"),
    need=_("AccountingStorageTRES 含 gres/gpu 以及门户每种卡型的 gres/gpu:型号"),
    fix=_("在 slurm.conf 写 AccountingStorageTRES=gres/gpu,gres/gpu:型号,…，重启 slurmctld"),
)
def tres(s: Snapshot) -> Verdict:
    types = {one.card_type for one in s.portal.partitions if one.max_cards and one.card_type}
    needed = {f"gres/gpu:{name}".lower() for name in types}
    needed |= {"gres/gpu"} if any(one.max_cards for one in s.portal.partitions) else set()
    missing = needed - s.words("AccountingStorageTRES")
    return grade(holds=not missing, seen=f"-{','.join(sorted(missing))}" if missing else ",".join(sorted(needed)))


@check(
    "gres_types",
    title=_("卡的种类"),
    need=_("有卡的分区要求 GresTypes 含 gpu"),
    fix=_("在 slurm.conf 写 GresTypes=gpu，并为节点写 Gres= 与 gres.conf，重启全部守护进程"),
)
def gres_types(s: Snapshot) -> Verdict:
    cards = any(one.max_cards for one in s.portal.partitions)
    return grade(holds=not cards or "gpu" in s.words("GresTypes"), seen=f"GresTypes={s.value('GresTypes')}")


@check(
    "select_type",
    title=_("资源分配插件"),
    need=_("SelectType=select/cons_tres：否则不能按卡分配"),
    fix=_("在 slurm.conf 写 SelectType=select/cons_tres 与 SelectTypeParameters=CR_Core_Memory，重启全部守护进程"),
)
def select_type(s: Snapshot) -> Verdict:
    value = s.value("SelectType")
    return grade(holds=value == "select/cons_tres", seen=f"SelectType={value}")


@check(
    "select_memory",
    title=_("内存也参与分配"),
    need=_("SelectTypeParameters 含 _Memory"),
    fix=_("在 slurm.conf 写 SelectTypeParameters=CR_Core_Memory，重启全部守护进程"),
)
def select_memory(s: Snapshot) -> Verdict:
    value = s.value("SelectTypeParameters")
    return grade(holds="memory" in value.lower(), seen=f"SelectTypeParameters={value}", otherwise=Level.WARNING)


@check(
    "scheduler_type",
    title=_("回填调度"),
    need=_("SchedulerType=sched/backfill：预计开始时间由它算出"),
    fix=_("在 slurm.conf 写 SchedulerType=sched/backfill，重启 slurmctld"),
)
def scheduler_type(s: Snapshot) -> Verdict:
    value = s.value("SchedulerType")
    return grade(holds=value == "sched/backfill", seen=f"SchedulerType={value}", otherwise=Level.WARNING)


@check(
    "array_size",
    title=_("作业数组的大小"),
    need=_("MaxArraySize ≥ 1001"),
    fix=_("在 slurm.conf 写 MaxArraySize=1001 或更大，重启 slurmctld"),
)
def array_size(s: Snapshot) -> Verdict:
    size = int(s.value("MaxArraySize"))
    return grade(holds=size >= 1001, seen=f"MaxArraySize={size}", otherwise=Level.WARNING)


@check(
    "job_count",
    title=_("队列的容量"),
    need=_("MaxJobCount 在 5,000 到 50,000 之间：太小会拒收，太大则列表使 slurmrestd 耗尽内存"),
    fix=_("在 slurm.conf 写 MaxJobCount=10000，重启 slurmctld"),
)
def job_count(s: Snapshot) -> Verdict:
    count = int(s.value("MaxJobCount"))
    return grade(holds=5_000 <= count <= 50_000, seen=f"MaxJobCount={count}", otherwise=Level.WARNING)


@check(
    "job_requeue",
    title=_("默认重排"),
    need=_("JobRequeue=0：没有要求重排的作业不应再跑一次"),
    fix=_("在 slurm.conf 写 JobRequeue=0，scontrol reconfigure"),
)
def job_requeue(s: Snapshot) -> Verdict:
    value = s.value("JobRequeue")
    return grade(holds=value == "0", seen=f"JobRequeue={value}", otherwise=Level.WARNING)


@check(
    "slurmd_timeout",
    title=_("节点失联的判定"),
    need=_("SlurmdTimeout 在 30 到 600 秒之间"),
    fix=_("在 slurm.conf 写 SlurmdTimeout=300，scontrol reconfigure"),
)
def slurmd_timeout(s: Snapshot) -> Verdict:
    timeout = s.seconds("SlurmdTimeout") or 0
    return grade(holds=30 <= timeout <= 600, seen=f"SlurmdTimeout={timeout} s", otherwise=Level.WARNING)


@check(
    "job_comment",
    title=_("备注入账"),
    need=_("AccountingStoreFlags 含 job_comment"),
    fix=_("在 slurm.conf 写 AccountingStoreFlags=job_comment，重启 slurmctld"),
)
def job_comment(s: Snapshot) -> Verdict:
    flags = s.words("AccountingStoreFlags")
    seen = f"AccountingStoreFlags={s.value('AccountingStoreFlags')}"
    return grade(holds="job_comment" in flags, seen=seen, otherwise=Level.WARNING)


@check(
    "part_limits",
    title=_("分区限额在提交时执行"),
    need=_("EnforcePartLimits=ALL：否则超限的作业永远排队"),
    fix=_("在 slurm.conf 写 EnforcePartLimits=ALL，scontrol reconfigure"),
)
def part_limits(s: Snapshot) -> Verdict:
    value = s.value("EnforcePartLimits")
    return grade(
        holds=value.upper() in {"ALL", "ANY", "YES"}, seen=f"EnforcePartLimits={value}", otherwise=Level.WARNING
    )


@check(
    "proctrack",
    title=_("作业进程的看管"),
    need=_("ProctrackType=proctrack/cgroup：否则作业可能留下不计费的进程"),
    fix=_("在 slurm.conf 写 ProctrackType=proctrack/cgroup，节点配 cgroup.conf，重启 slurmd"),
)
def proctrack(s: Snapshot) -> Verdict:
    value = s.value("ProctrackType")
    return grade(holds=value == "proctrack/cgroup", seen=f"ProctrackType={value}", otherwise=Level.WARNING)


@check(
    "task_plugin",
    title=_("内存上限由 cgroup 执行"),
    need=_("TaskPlugin 含 task/cgroup：否则内存超限只显示为失败"),
    fix=_("在 slurm.conf 写 TaskPlugin=task/cgroup,task/affinity，cgroup.conf 写 ConstrainRAMSpace=yes"),
)
def task_plugin(s: Snapshot) -> Verdict:
    return grade(
        holds="task/cgroup" in s.words("TaskPlugin"),
        seen=f"TaskPlugin={s.value('TaskPlugin')}",
        otherwise=Level.WARNING,
    )


@check(
    "singleton_setting",
    title=_("同名作业不并行（设置）"),
    need=_("DependencyParameters 没有 disable_remote_singleton"),
    fix=_("在 slurm.conf 的 DependencyParameters 去掉 disable_remote_singleton，重启 slurmctld"),
)
def singleton_setting(s: Snapshot) -> Verdict:
    value = s.value("DependencyParameters")
    return grade(holds="disable_remote_singleton" not in value.lower(), seen=f"DependencyParameters={value}")


_HIDING = frozenset({"jobs", "usage", "users", "accounts", "all"})


def _hidden(s: Snapshot, part: str) -> Verdict:
    hides = s.words("PrivateData", part=part)
    level = s.need("admins").get(s.portal.reader, "unknown")
    seen = f"PrivateData={','.join(sorted(hides)) or 'none'}; {s.portal.reader}: {level}"
    if hides & _HIDING and level == "none":
        return Level.FAULT, seen
    return grade(holds=bool(hides & {"jobs", "all"}), seen=seen, otherwise=Level.WARNING)


@check(
    "private_data",
    title=_("作业互不可见（slurmctld）"),
    need=_("PrivateData 含 jobs，并且读取账号是 Operator：否则读取账号看不到别人的作业，会误判为不存在"),
    fix=_("slurm.conf 写 PrivateData=jobs,usage；sacctmgr modify user 读取账号 set AdminLevel=Operator"),
)
def private_data(s: Snapshot) -> Verdict:
    return _hidden(s, "conf")


@check(
    "private_accounting",
    title=_("作业互不可见（slurmdbd）"),
    need=_("slurmdbd.conf 的 PrivateData 同样含 jobs，并且读取账号是 Operator"),
    fix=_("slurmdbd.conf 写 PrivateData=jobs,usage；sacctmgr modify user 读取账号 set AdminLevel=Operator"),
)
def private_accounting(s: Snapshot) -> Verdict:
    return _hidden(s, "dbd")


@check(
    "query_range",
    title=_("记账查询的时间范围"),
    need=_("slurmdbd.conf 的 MaxQueryTimeRange 不小于 35 天"),
    fix=_("在 slurmdbd.conf 去掉 MaxQueryTimeRange，重启 slurmdbd"),
)
def query_range(s: Snapshot) -> Verdict:
    longest = s.seconds("MaxQueryTimeRange", part="dbd")
    seen = f"MaxQueryTimeRange={s.value('MaxQueryTimeRange', part='dbd')}"
    return grade(holds=not longest or longest >= s.portal.look_back_s, seen=seen)
