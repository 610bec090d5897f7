"""What the machine beside the cluster must look like: slurmrestd, keys, directories, users, zone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from integrations.slurm.doctor.checking import Level, Verdict, check, grade
from integrations.slurm.doctor.snapshot import Snapshot, Unseen
from portal.kernel.errors import noop as _

LOOPBACK = ("127.", "localhost", "::1", "[::1]")


@check(
    "address",
    title=_("slurmrestd 的地址"),
    need=_("门户经本机回环、Unix 套接字或 https 访问它"),
    fix=_("让 slurmrestd 只听回环或 Unix 套接字，前面放双向认证的 TLS 代理，集群配置写 https://"),
)
def address(s: Snapshot) -> Verdict:
    where = urlsplit(s.portal.url)
    holds = where.scheme == "https" or (where.hostname or "").startswith(LOOPBACK)
    return grade(holds=holds, seen=s.portal.url)


@check(
    "rest_bind",
    title=_("slurmrestd 监听之处"),
    need=_("只听回环或 Unix 套接字，不听 0.0.0.0"),
    fix=_("slurmrestd 的参数写 127.0.0.1:6820 或 unix:/run/slurmrestd/socket"),
)
def rest_bind(s: Snapshot) -> Verdict:
    running = _running(s)
    places = [word for one in running for word in one["argv"][1:] if ":" in word]
    bad = [word for word in places if not word.startswith((*LOOPBACK, "unix:"))]
    return grade(holds=bool(places) and not bad, seen=", ".join(bad or places) or "-", otherwise=Level.WARNING)


@check(
    "rest_user",
    title=_("slurmrestd 的账号"),
    need=_("用自己的账号运行：不是 root，不是 SlurmUser"),
    fix=_("在 slurmrestd.service 写 User=slurmrestd、Group=slurmrestd，systemctl restart slurmrestd"),
)
def rest_user(s: Snapshot) -> Verdict:
    slurm_user = s.value("SlurmUser").partition("(")[0] if s.conf else "slurm"
    users = {one["user"] for one in _running(s)}
    return grade(holds=not users & {"root", slurm_user}, seen=", ".join(sorted(users)))


@check(
    "rest_auth",
    title=_("slurmrestd 的认证方式"),
    need=_("以 -a rest_auth/jwt 运行，没有 rest_auth/local"),
    fix=_("slurmrestd 的参数写 -a rest_auth/jwt，环境写 SLURM_JWT=daemon"),
)
def rest_auth(s: Snapshot) -> Verdict:
    argvs = [" ".join(one["argv"]) for one in _running(s)]
    holds = all("rest_auth/jwt" in argv and "rest_auth/local" not in argv for argv in argvs)
    return grade(holds=holds, seen="; ".join(argvs)[:200])


def _running(s: Snapshot) -> list[Mapping[str, Any]]:
    running = s.need("host").rest
    if not running:
        raise Unseen("no slurmrestd on this host")
    return list(running)


@check(
    "jwks_form",
    title=_("公钥文件的内容"),
    need=_("每个公钥有 kid、alg=RS256、kty=RSA，没有私钥的部分"),
    fix=_("用签发进程的 rotate 写出的 jwks.json 替换集群上的文件"),
)
def jwks_form(s: Snapshot) -> Verdict:
    keys = _keys(s)
    bad = [
        str(key.get("kid", "?"))
        for key in keys
        if not key.get("kid") or key.get("alg") != "RS256" or key.get("kty") != "RSA" or "d" in key or "k" in key
    ]
    return grade(holds=bool(keys) and not bad, seen=", ".join(bad or [key["kid"] for key in keys]) or "-")


@check(
    "jwks_current",
    title=_("当前的签名密钥已公布"),
    need=_("门户所用的 kid 在集群的 jwks.json 里"),
    fix=_("把新的 jwks.json 放到集群并重启 slurmctld 与 slurmdbd，之后才启用新密钥"),
)
def jwks_current(s: Snapshot) -> Verdict:
    if not s.portal.key_id:
        raise Unseen("config: key_id")
    kids = [key.get("kid", "") for key in _keys(s)]
    return grade(holds=s.portal.key_id in kids, seen=f"{s.portal.key_id}: {', '.join(kids)}")


def _keys(s: Snapshot) -> list[dict[str, str]]:
    keys = s.need("host").jwks
    if keys is None:
        raise Unseen("jwks.json")
    return [dict(key) for key in keys]


@check(
    "job_root",
    title=_("作业根目录"),
    need=_("job_root 存在，是目录"),
    fix=_("在共享存储上建立 job_root，全部节点与门户都挂载"),
)
def job_root(s: Snapshot) -> Verdict:
    root = s.need("host").job_root
    return grade(holds=bool(root.get("is_dir")), seen=str(root.get("path")))


@check(
    "job_folders",
    title=_("作业账号的目录"),
    need=_("job_root/账号 属于该账号，别人不可写，其他人不可读"),
    fix=_("install -d -m 2750 -o 账号 -g 门户组 job_root/账号"),
)
def job_folders(s: Snapshot) -> Verdict:
    found = s.need("host").job_root.get("users", {})
    bad = []
    for name in s.portal.users:
        one = found.get(name, {})
        if not one.get("is_dir") or one.get("owner") != name or one.get("mode", 0) & 0o027:
            bad.append(f"{name}: {one.get('owner', '-')} {one.get('mode', 0):o}")
    return grade(holds=not bad, seen="; ".join(bad or s.portal.users))


@check(
    "posix_users",
    title=_("作业账号是普通账号"),
    need=_("每个作业账号在集群上存在，uid ≥ 1000"),
    fix=_("useradd --uid 10001 --shell /usr/sbin/nologin 账号，全部节点一致"),
)
def posix_users(s: Snapshot) -> Verdict:
    uids = s.need("host").uids
    bad = [f"{name}: {uids.get(name)}" for name in s.portal.users if (uids.get(name) or 0) < 1000]
    return grade(holds=not bad, seen="; ".join(bad or [f"{name}: {uids[name]}" for name in s.portal.users]))


@check(
    "zone",
    title=_("时区"),
    need=_("集群的时区与门户相同，日志才对得上；接口本身只用纪元秒"),
    fix=_("timedatectl set-timezone Asia/Shanghai，重启 Slurm 的守护进程"),
)
def zone(s: Snapshot) -> Verdict:
    there, here = s.need("host").zone_offset_s, s.portal.zone_offset_s
    return grade(holds=there == here, seen=f"UTC{there / 3600:+g} / UTC{here / 3600:+g}", otherwise=Level.WARNING)
