"""What a job's process gives up before it becomes the user's script. Called between fork and exec.

Four fences, each as far as the host allows: as root a user id of its own per job; without root a view of the file system
in which given directories are empty, for Landlock does not keep anybody from a socket; Landlock (Linux ≥ 5.13, needs no
privilege), which leaves it the system's programs to read and its own directory to write; resource limits.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "become_subreaper",
    "can_hide",
    "die_with_parent",
    "drop_user",
    "fence",
    "hide",
    "landlock_version",
    "limit",
    "own_ipc",
]

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_CHILD_SUBREAPER = 1, 38, 36
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446

_NEWNS, _NEWUSER, _NEWIPC = 0x20000, 0x10000000, 0x08000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REC, _PRIVATE = 1, 2, 4, 8, 0x4000, 0x40000

# linux/landlock.h: EXECUTE 0, WRITE_FILE 1, READ_FILE 2, READ_DIR 3, …, MAKE_SYM 12, REFER 13, TRUNCATE 14, IOCTL_DEV 15
_READ = 1 << 0 | 1 << 2 | 1 << 3
_DEVICE = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 14 | 1 << 15
_FILE_ONLY = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_SCOPES = 1 << 0 | 1 << 1
"""From version 6: no abstract sockets of, and no signals to, processes outside the job."""

SHARED = frozenset({"shm", "mqueue", "hugepages"})
"""What lies in /dev and is no device: memory that others of the same user, a database say, share among themselves."""
READABLE = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/opt", "/proc", "/sys")


def become_subreaper() -> None:
    """Inherit every orphan among this process's descendants (prctl(2)), so none can leave its sight."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends. After `drop_user`: a change of user clears it."""
    _libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)


def landlock_version() -> int:
    """Return the host's Landlock ABI version, 0 where it has none."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, 0, 1)))


def drop_user(uid: int | None) -> None:
    """Become `uid` with no groups but its own, for good. None stays as it is (the runner is not root)."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def own_ipc() -> None:
    """As root, give the job System V memory and queues of its own: they go with it, its user id is another's later.

    Nothing where the host refuses (a container without CAP_SYS_ADMIN).
    """
    if os.getuid() == 0:
        _libc.unshare(_NEWIPC)


def hide(paths: Iterable[str]) -> None:
    """Lay an empty directory over each of `paths`, for this process and its children (user_namespaces(7)).

    Not as root. `fence` must follow: it is what keeps the job from taking them away again. Raises OSError.
    """
    uid, gid = os.getuid(), os.getgid()
    _done(_libc.unshare(_NEWUSER | _NEWNS | _NEWIPC), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        Path("/proc/self", name).write_text(text)
    _done(_libc.mount(b"none", b"/", None, _REC | _PRIVATE, None), "mount")
    for path in filter(os.path.isdir, paths):
        flags = _RDONLY | _NOSUID | _NODEV | _NOEXEC
        _done(_libc.mount(b"none", os.fsencode(path), b"tmpfs", flags, b"size=4k,mode=000"), path)


def _done(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def can_hide() -> bool:
    """Try `hide` in a child: some hosts do not let users have namespaces of their own. Without Landlock it is no fence."""
    if not landlock_version():
        return False
    child = os.fork()
    if child == 0:
        try:
            hide(["/usr"])
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def limit(*, memory_mb: int, alone: bool) -> None:
    """Bound core files, open files, file size and data segment; processes too where the user id is the job's own."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 30, 2 << 30))
    # The shim measures real use; this only stops what would outrun its one-second look.
    ceiling = (2 * memory_mb + 1024) << 20
    resource.setrlimit(resource.RLIMIT_DATA, (ceiling, ceiling))
    if alone:
        resource.setrlimit(resource.RLIMIT_NPROC, (512, 512))


def fence(writable: Path, readable: Iterable[str] = READABLE, *, alone: bool = True) -> None:
    """Confine this process and its children to `writable`, devices and, for reading, `readable`. Nothing without Landlock.

    `alone`: the user id is the job's own, and so are its terminals.
    """
    version = landlock_version()
    if not version:
        return
    rights = (1 << _RIGHTS.get(version, 16)) - 1
    attributes = struct.pack("QQQ", rights, 0, _SCOPES if version >= 6 else 0)[: 8 if version < 4 else 24]
    if version in (4, 5):
        attributes = attributes[:16]
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock")
    for path in readable:
        _allow(ruleset, path, _READ & rights)
    for device in os.scandir("/dev"):
        if device.name not in SHARED and not device.is_symlink() and (alone or device.name != "pts"):
            _allow(ruleset, device.path, _DEVICE & rights)
    _allow(ruleset, str(writable), rights)
    # Scripts reopen their output as /dev/stdout; the magic link leads to the file without a look at its directories.
    _allow(ruleset, "/proc/self/fd/1", rights)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if _libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
        raise OSError(ctypes.get_errno(), "landlock")
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not Path(path).is_dir():
        rights &= _FILE_ONLY
    # struct landlock_path_beneath_attr is packed: u64 rights, s32 file descriptor
    if _libc.syscall(_ADD_RULE, ruleset, 1, struct.pack("=Qi", rights, handle), 0) != 0:
        raise OSError(ctypes.get_errno(), f"landlock {path}")
    os.close(handle)
