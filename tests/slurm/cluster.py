"""Run a private, real Slurm on loopback for tests: munge, MariaDB, slurmdbd, slurmctld, three slurmd, slurmrestd.

``join()`` gives a test process the one cluster of its test run, starting it on first use. A guard process
(``python tests/slurm/cluster.py serve --dir DIR``) owns the daemons: it ends them, by the pids it started, when no
process that joined is alive any more, so neither a killed test run nor a killed guard leaves anything behind.

Needs root (slurmd starts jobs as other users) and the Debian packages in ``PACKAGES``.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import fcntl
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PACKAGES = (
    "slurmctld slurmd slurm-client slurmrestd slurmdbd slurm-wlm-jwt-plugin slurm-wlm-mysql-plugin munge mariadb-server"
)
COMMANDS = "munged mariadbd mariadb-install-db mariadb slurmdbd slurmctld slurmd slurmrestd sacctmgr scontrol setpriv"
CONFIG = Path(__file__).with_name("config")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
NODES = ("n1", "n2", "n3")
KEY_ID = "k20260101-7e57ed"
ACCOUNTS = ("e-optics", "e-pharma")


@dataclass(frozen=True)
class Info:
    """What a test needs to know about the running cluster. `users` are POSIX users made for it."""

    dir: str
    url: str
    users: tuple[str, ...]
    reader: str
    operator: str
    accounts: tuple[str, ...]
    ports: dict[str, int]

    @property
    def private_key(self) -> Path:
        return Path(self.dir) / "keys" / "portal.pem"

    @property
    def shared_key(self) -> Path:
        return Path(self.dir) / "keys" / "hs256.key"

    @property
    def job_root(self) -> Path:
        return Path(self.dir) / "jobs"

    @property
    def socket(self) -> Path:
        return Path(self.dir) / "rest" / "socket"

    def environment(self) -> dict[str, str]:
        """Return the environment in which Slurm's own commands talk to this cluster as root."""
        return {"PATH": PATH, "LC_ALL": "C", "SLURM_CONF": f"{self.dir}/conf/slurm.conf"}

    def command(self, *argv: str) -> str:
        return subprocess.run(
            argv, env=self.environment(), cwd=self.dir, check=True, capture_output=True, text=True, timeout=30
        ).stdout

    @contextlib.contextmanager
    def without(self, daemon: str) -> Iterator[None]:
        """Keep `daemon` down for the length of the block; it is up and answering again afterwards."""
        flag = Path(self.dir) / "down" / daemon
        flag.touch()
        pid_file = Path(self.dir) / "run" / f"{daemon}.pid"
        try:
            wait_until(lambda: not pid_file.exists(), seconds=20, what=f"{daemon} to stop")
            yield
        finally:
            flag.unlink()
            wait_until(pid_file.exists, seconds=20, what=f"{daemon} to start")
            if daemon == "slurmdbd":
                wait_until(lambda: self._answers("sacctmgr", "-n", "list", "cluster"), seconds=20, what="slurmdbd")

    def _answers(self, *argv: str) -> bool:
        try:
            self.command(*argv)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return False
        return True


def missing() -> str:
    """Say in one line what this machine lacks to run the cluster; "" when nothing."""
    if os.getuid() != 0:
        return "a private Slurm needs root"
    lacking = [name for name in COMMANDS.split() if shutil.which(name, path=PATH) is None]
    if not list(Path("/usr/lib").glob("*/slurm-wlm/auth_jwt.so")):
        lacking.append("auth_jwt.so")
    if lacking:
        return f"missing {' '.join(lacking)}: apt-get install -y --no-install-recommends {PACKAGES}"
    return ""


def identity(pid: int) -> str | None:
    """Return ``pid-starttime`` of a live process, None when there is none (a zombie is not alive)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else f"{pid}-{fields[19]}"


def wait_until(test: Any, *, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not test():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.05)


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


# --- what a test process calls


def join(meeting: Path) -> Info:
    """Return the cluster of this test run, starting it when there is none. `meeting` is shared by all its processes."""
    with locked(meeting / "slurm.lock"):
        pointer = meeting / "slurm.dir"
        if pointer.exists():
            folder = Path(pointer.read_text())
            with contextlib.suppress(FileNotFoundError), locked(folder / "join.lock"):
                if (folder / "ready.json").exists():
                    return _register(folder)
        folder = Path(tempfile.mkdtemp(prefix="gx-slurm-", dir="/tmp"))
        folder.chmod(0o755)
        (folder / "members").mkdir()
        pointer.write_text(str(folder))
        (folder / "members" / str(identity(os.getpid()))).touch()
        with (folder / "guard.log").open("w") as log:
            guard = subprocess.Popen(
                [sys.executable, __file__, "serve", "--dir", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        guard.returncode = 0  # it outlives this process on purpose; nobody waits for it here
        ready, failed = folder / "ready.json", folder / "failed"
        wait_until(lambda: ready.exists() or failed.exists(), seconds=90, what="Slurm to start")
        if failed.exists():
            raise RuntimeError(f"Slurm did not start: {failed.read_text()}")
        return _register(folder)


def leave(info: Info) -> None:
    """Say that this process needs the cluster no more; the last to leave waits until it has ended. Idempotent."""
    folder = Path(info.dir)
    (folder / "members" / str(identity(os.getpid()))).unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):  # it may have ended since
        if any((folder / "members").iterdir()):
            return
        guard = (folder / "guard").read_text()
        wait_until(
            lambda: not folder.exists() or identity(int(guard.partition("-")[0])) != guard,
            seconds=60,
            what="Slurm to stop",
        )


def _register(folder: Path) -> Info:
    (folder / "members" / str(identity(os.getpid()))).touch()
    data = json.loads((folder / "ready.json").read_text())
    return Info(**{**data, "users": tuple(data["users"]), "accounts": tuple(data["accounts"])})


# --- the guard


class Guard:
    """Starts the daemons in order, restarts what a test took down, ends everything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.made_users: list[str] = []
        with contextlib.ExitStack() as stack:
            names = ["rest", "ctld", "dbd", "sql", *NODES]
            sockets = [stack.enter_context(socket.socket()) for _ in names]
            for one in sockets:
                one.bind(("127.0.0.1", 0))
            self.ports = {name: one.getsockname()[1] for name, one in zip(names, sockets, strict=True)}
        tag = secrets.token_hex(2)
        self.users = (f"gx-{tag}-optics", f"gx-{tag}-pharma")
        self.reader = f"gx-{tag}-reader"
        self.operator = f"gx-{tag}-ops"
        self.info = Info(
            str(folder),
            f"http://127.0.0.1:{self.ports['rest']}",
            self.users,
            self.reader,
            self.operator,
            ACCOUNTS,
            self.ports,
        )

    # preparation

    def prepare(self) -> None:
        for name in ("conf", "run", "log", "munge", "mysql", "state", "spool", "keys", "dev", "jobs", "down"):
            (self.folder / name).mkdir()
        for user in (*self.users, self.reader, self.operator):
            subprocess.run(["useradd", "--no-create-home", "--user-group", "--shell", "/bin/bash", user], check=True)
            self.made_users.append(user)
            (self.folder / "jobs" / user).mkdir(mode=0o750)
            shutil.chown(self.folder / "jobs" / user, user, user)
        self.make_keys()
        self.make_configuration()
        for name in ("state", "log"):
            shutil.chown(self.folder / name, "slurm", "slurm")
        shutil.chown(self.folder / "mysql", "mysql", "mysql")
        (self.folder / "rest").mkdir()
        shutil.chown(self.folder / "rest", "nobody", "nogroup")

    def make_keys(self) -> None:
        munge = self.folder / "munge" / "munge.key"
        munge.write_bytes(secrets.token_bytes(128))
        munge.chmod(0o400)
        for path in (munge, munge.parent):
            shutil.chown(path, "munge", "munge")
        keys = self.folder / "keys"
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = key.public_key().public_numbers()

        def text(number: int) -> str:
            return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8, "big")).decode().rstrip("=")

        jwk = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": text(numbers.n), "e": text(numbers.e)}
        (keys / "jwks.json").write_text(json.dumps({"keys": [jwk]}))
        self.info.private_key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self.info.private_key.chmod(0o600)
        self.info.shared_key.write_bytes(secrets.token_bytes(32))
        self.info.shared_key.chmod(0o600)
        shutil.chown(self.info.shared_key, "slurm", "slurm")

    def make_configuration(self) -> None:
        devices = "Count=4"
        with contextlib.suppress(PermissionError):
            # Slurm sets CUDA_VISIBLE_DEVICES only for character devices: private copies of /dev/null will do.
            for number in range(4):
                os.mknod(self.folder / "dev" / f"gpu{number}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            devices = f"File={self.folder}/dev/gpu[0-3]"
        values = {
            "DIR": str(self.folder),
            "PASSWORD": secrets.token_hex(16),
            "DEVICES": devices,
            **{f"PORT_{name.upper()}": str(port) for name, port in self.ports.items()},
        }
        self.password = values["PASSWORD"]
        for template in CONFIG.glob("*.conf"):
            text = template.read_text()
            for name, value in values.items():
                text = text.replace(f"@{name}@", value)
            target = self.folder / "conf" / template.name
            target.write_text(text)
        database = self.folder / "conf" / "slurmdbd.conf"
        database.chmod(0o600)
        shutil.chown(database, "slurm", "slurm")

    # daemons

    def argv(self, name: str) -> list[str]:
        """Return the command line of one daemon. ``setpriv`` drops the user and ties its life to the guard's."""
        munge, sql = f"{self.folder}/munge", f"{self.folder}/mysql"
        if name.startswith("slurmd-"):
            return [*_as("root"), "slurmd", "-D", "-N", name.removeprefix("slurmd-")]
        return {
            "munged": [
                *_as("munge"), "munged", "--foreground", "--num-threads=2", f"--socket={munge}/munge.sock",
                f"--key-file={munge}/munge.key", f"--pid-file={munge}/pid", f"--seed-file={munge}/seed",
                f"--log-file={munge}/log",
            ],
            "mariadbd": [
                *_as("mysql"), "mariadbd", "--no-defaults", f"--datadir={sql}/data", f"--socket={sql}/sock",
                f"--pid-file={sql}/pid", "--bind-address=127.0.0.1", f"--port={self.ports['sql']}",
                "--skip-name-resolve", "--skip-log-bin", "--innodb-buffer-pool-size=64M",
                "--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=2",
            ],
            "slurmdbd": [*_as("slurm"), "slurmdbd", "-D"],
            "slurmctld": [*_as("slurm"), "slurmctld", "-D", "-i"],
            "slurmrestd": [
                *_as("nobody", "nogroup"), "slurmrestd", "-a", "rest_auth/jwt", "-t", "8",
                f"127.0.0.1:{self.ports['rest']}", f"unix:{self.info.socket}",
            ],
        }[name]  # fmt: skip

    def launch(self, name: str) -> None:
        environment = self.info.environment()
        if name == "slurmrestd":
            self.info.socket.unlink(missing_ok=True)
            environment["SLURM_JWT"] = "daemon"
        with (self.folder / "log" / f"{name}.err").open("ab") as log:
            process = subprocess.Popen(
                self.argv(name),
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes[name] = process
        (self.folder / "run" / f"{name}.pid").write_text(str(process.pid))

    def until(self, name: str, *test: str, seconds: float = 30) -> None:
        """Wait until the command `test` succeeds, or say why the daemon did not get ready."""

        def ready() -> bool:
            if self.processes[name].poll() is not None:
                raise RuntimeError(f"{name} exited:\n{self.tail(name)}")
            return subprocess.run(test, check=False, env=self.info.environment(), capture_output=True).returncode == 0

        try:
            wait_until(ready, seconds=seconds, what=name)
        except TimeoutError as error:
            raise RuntimeError(f"{error}\n{self.tail(name)}") from None

    def tail(self, name: str) -> str:
        logs = [self.folder / "log" / f"{name}.err", self.folder / "log" / f"{name}.log"]
        return "\n".join(log.read_text(errors="replace")[-2000:] for log in logs if log.exists())

    def start(self) -> None:
        folder, sql = self.folder, f"{self.folder}/mysql"
        self.launch("munged")
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={sql}/data", "--skip-test-db"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        self.launch("mariadbd")
        client = ("mariadb", "--no-defaults", f"--socket={sql}/sock", "-uroot", "--batch", "-e")
        self.until("mariadbd", *client, "select 1")
        grant = (
            f"create user slurm@127.0.0.1 identified by '{self.password}'; grant all on accounting.* to slurm@127.0.0.1"
        )
        subprocess.run([*client, f"create database accounting; {grant}"], check=True)
        self.until("munged", "munge", "-S", f"{folder}/munge/munge.sock", "-n")
        self.launch("slurmdbd")
        self.until("slurmdbd", "sacctmgr", "-n", "list", "cluster")
        self.info.command("sacctmgr", "-iQ", "add", "cluster", "gongxiang")
        self.info.command("sacctmgr", "-iQ", "add", "account", *ACCOUNTS)
        for user in (*self.users, self.reader):
            self.info.command("sacctmgr", "-iQ", "add", "user", user, f"Account={','.join(ACCOUNTS)}")
        self.info.command("sacctmgr", "-iQ", "add", "user", self.operator, "Account=root", "AdminLevel=Operator")
        self.launch("slurmctld")
        self.until("slurmctld", "scontrol", "ping")
        for node in NODES:
            (folder / "spool" / node).mkdir()
            self.launch(f"slurmd-{node}")
        self.launch("slurmrestd")
        self.until("slurmrestd", "bash", "-c", f": < /dev/tcp/127.0.0.1/{self.ports['rest']}")
        wait_until(self.nodes_are_idle, seconds=30, what="nodes to be idle")
        (folder / "ready.new").write_text(json.dumps(asdict(self.info)))
        (folder / "ready.new").rename(folder / "ready.json")

    def nodes_are_idle(self) -> bool:
        return set(self.info.command("sinfo", "-hN", "-o", "%T").split()) == {"idle"}

    # life

    def serve(self) -> None:
        lonely_since: float | None = None
        while lonely_since is None or time.monotonic() - lonely_since < 1:
            time.sleep(0.1)
            self.follow_flags()
            members = list((self.folder / "members").iterdir())
            if any(identity(int(one.name.partition("-")[0])) == one.name for one in members):
                lonely_since = None
            elif lonely_since is None:
                lonely_since = time.monotonic()
        with locked(self.folder / "join.lock"):
            (self.folder / "ready.json").unlink()

    def follow_flags(self) -> None:
        wanted_down = {path.name for path in (self.folder / "down").iterdir()}
        for name in wanted_down:
            if name in self.processes:
                self.end(name)
        for name in ("slurmdbd", "slurmctld", "slurmrestd"):
            if name not in wanted_down and (name not in self.processes or self.processes[name].poll() is not None):
                self.launch(name)

    def end(self, *names: str) -> None:
        """Send TERM, wait 8 s, send KILL; only to processes this guard started and has not yet reaped."""
        running = [(name, self.processes.pop(name)) for name in names if name in self.processes]
        for _name, process in running:
            process.send_signal(signal.SIGTERM)
        for name, process in running:
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            (self.folder / "run" / f"{name}.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        if "slurmctld" in self.processes:
            with contextlib.suppress(subprocess.SubprocessError):
                self.info.command("scancel", "--quiet", *[f"--user={user}" for user in self.users[:1]])
                self.info.command("scancel", "--quiet", f"--user={self.users[1]}")
                wait_until(lambda: not self.info.command("squeue", "-h", "-t", "R,CG"), seconds=4, what="jobs to end")
        self.end("slurmrestd", "slurmctld", *(f"slurmd-{node}" for node in NODES))
        self.end("slurmdbd")
        self.end("mariadbd", "munged")
        for pid in self.steps():
            os.kill(pid, signal.SIGKILL)
        for user in self.made_users:
            subprocess.run(["userdel", user], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def steps(self) -> list[int]:
        """Return left-over slurmstepd: those whose environment names our configuration."""
        ours = f"SLURM_CONF={self.folder}/conf/slurm.conf".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text().startswith("slurmstepd") and ours in (
                    entry / "environ"
                ).read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found


def _as(user: str, group: str = "") -> list[str]:
    entry = pwd.getpwnam(user)
    drop = [f"--reuid={entry.pw_uid}", f"--regid={group or entry.pw_gid}", "--clear-groups"] if entry.pw_uid else []
    return ["setpriv", *drop, "--pdeathsig=TERM", "--"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["serve", "packages", "missing"])
    parser.add_argument("--dir", type=Path)
    arguments = parser.parse_args()
    if arguments.action == "packages":
        print(PACKAGES)
        return 0
    if arguments.action == "missing":
        print(missing())
        return 1 if missing() else 0
    os.environ["PATH"] = PATH
    os.umask(0o022)
    guard = Guard(arguments.dir)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        began = time.monotonic()
        (arguments.dir / "guard").write_text(str(identity(os.getpid())))
        guard.prepare()
        guard.start()
        print(f"up in {time.monotonic() - began:.1f} s", flush=True)
        guard.serve()
    except Exception as error:
        (arguments.dir / "failed.new").write_text(f"{type(error).__name__}: {error}")
        (arguments.dir / "failed.new").rename(arguments.dir / "failed")
        time.sleep(2)  # whoever waits reads it; then the directory goes
        return 1
    finally:
        guard.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
