"""What the tests need of the machine, and how to get it: Debian packages where this is root, one line to type elsewhere."""

import ctypes.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from portal.launch.console import LaunchError, say
from portal.launch.engines import find_postgres, find_redis

__all__ = ["FONTS", "NEEDS", "Need", "provide", "provide_fonts", "provide_readers", "pytest_command"]

POLICY = Path("/usr/sbin/policy-rc.d")
READERS = Path(__file__).resolve().parents[2] / "tests" / "readers"


@dataclass(frozen=True, slots=True)
class Need:
    """A group of tests (`mark`; empty where only CI insists), what it needs in words, and how to tell."""

    mark: str
    words: str
    packages: tuple[str, ...]
    present: Callable[[], bool]


def _programs(*names: str) -> bool:
    return all(shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") for name in names)


def _files(*patterns: str) -> bool:
    return all(any(Path("/usr").glob(pattern)) for pattern in patterns)


FONTS = Need(
    "",
    "中文字体 · CJK fonts",
    ("fonts-noto-cjk",),
    lambda: _files("share/fonts/**/Noto*CJK*") or _files("share/fonts/**/[Ww]qy*"),
)
"""What voucher certificates are set in."""
NEEDS = (
    Need(
        "",
        "PostgreSQL ≥ 15, Redis",
        ("postgresql", "redis-server"),
        lambda: bool(find_postgres()[0] and find_redis()[0]),
    ),
    FONTS,
    Need(
        "browser",
        "Chromium, 中文字体 · CJK fonts",
        ("chromium", "fonts-noto-cjk"),
        lambda: _programs("chromium") and _files("share/fonts/**/NotoSansCJK*"),
    ),
    Need(
        "slurm",
        "Slurm 22.05, root",
        (
            *("slurmctld", "slurmd", "slurm-client", "slurmrestd", "slurmdbd"),
            *("slurm-wlm-jwt-plugin", "slurm-wlm-mysql-plugin", "munge", "mariadb-server"),
        ),
        lambda: (
            os.geteuid() == 0
            and _programs("slurmctld", "slurmd", "slurmrestd", "slurmdbd", "sbatch", "munged", "mariadbd")
            and _files("lib/*/slurm-wlm/auth_jwt.so", "lib/*/slurm-wlm/accounting_storage_mysql.so")
        ),
    ),
    Need("libical", "libical 3", ("libical3",), lambda: bool(ctypes.util.find_library("ical"))),
    Need("", "Node.js, npm", ("nodejs", "npm"), lambda: _programs("node", "npm")),
)


def provide() -> list[Need]:
    """Install what is missing where this is root on Debian; return, and say, what tests have to be left out.

    Raises `LaunchError` in CI (``CI`` set), where nothing may be left out.
    """
    missing = [need for need in NEEDS if not need.present()]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = [package for need in missing for package in need.packages]
        say(f"安装 {' '.join(packages)} · installing")
        with services_kept_down():
            _apt("update")
            _apt("install", "--yes", "--no-install-recommends", *packages)
        missing = [need for need in missing if not need.present()]
    if missing and os.environ.get("CI"):
        names = "; ".join(need.words for need in missing)
        raise LaunchError(f"CI 中不得省略测试，缺少：{names} · nothing may be left out in CI")
    left_out = [need for need in missing if need.mark]
    for need in left_out:
        say(
            f"省略标记为 {need.mark} 的测试，缺 {need.words} · left out, missing; to bring them in: "
            f"sudo apt-get install {' '.join(need.packages)} && sudo make test"
        )
    return left_out


def provide_fonts() -> None:
    """Install a Chinese font where none is and this is root on Debian; elsewhere say how, and go on without.

    Without one, everything works but the certificates of vouchers, which say what is missing.
    """
    if FONTS.present():
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say("安装 fonts-noto-cjk · installing")
        try:
            _apt("update")
            _apt("install", "--yes", "--no-install-recommends", *FONTS.packages)
        except LaunchError as error:
            say(f"未能安装中文字体，券凭证暂不可用 · no CJK font, certificates will not work: {error}")
    else:
        say("缺少中文字体，券凭证暂不可用 · certificates need a CJK font: sudo apt-get install fonts-noto-cjk")


def provide_readers() -> None:
    """Install the calendar programs that judge our calendars, as their lock says; without them their tests fail."""
    wanted = json.loads((READERS / "package-lock.json").read_text())["packages"]
    try:
        found = json.loads((READERS / "node_modules" / ".package-lock.json").read_text())["packages"]
    except (OSError, ValueError, KeyError):
        found = {}
    if all(found.get(name, {}).get("integrity") == package["integrity"] for name, package in wanted.items() if name):
        return
    npm = shutil.which("npm")
    say("安装 tests/readers · installing")
    command = [str(npm), "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
    if npm is None or subprocess.run(command, cwd=READERS, check=False).returncode != 0:  # noqa: S603
        say(
            "未能安装日历阅读程序，相应测试将失败 · calendar readers could not be installed, their tests will fail",
            error=True,
        )


def pytest_command(left_out: Sequence[Need], words: Sequence[str]) -> list[str]:
    """Return the pytest command without the tests that cannot run here; `words` are the caller's own arguments."""
    marks = " and ".join(f"not {need.mark}" for need in left_out)
    return [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", *(["-m", marks] if marks else []), *words]


@contextmanager
def services_kept_down() -> Iterator[None]:
    """Let packages install their servers without starting them: the tests start their own, privately."""
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink()


def _apt(*words: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0", "-o", "Acquire::Retries=3", *words]
    done = subprocess.run(  # noqa: S603
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
        raise LaunchError(f"apt-get {words[0]} 失败 · failed\n{last}")
