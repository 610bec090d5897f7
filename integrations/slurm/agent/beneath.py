"""Files beneath one directory, as one user: no symlink, no ``..``, no magic link leads out.

The kernel resolves the whole path at once (openat2 with RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and
RESOLVE_NO_MAGICLINKS, Linux 5.6), so a job that swaps a directory for a link in the midst of it wins nothing. What
runs here runs in a forked child that has become the user for good.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import errno
import json
import os
import pwd
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, NoReturn

__all__ = ["MAX_CHUNK", "MAX_FILES", "Outside", "as_user", "listing", "prepare", "put", "read", "remove"]

MAX_CHUNK = 1 << 20
MAX_FILES = 1000
MAX_DEPTH = 16
MAX_LOOKED = 20_000
MAX_FILE = 64 << 30

_OPENAT2 = 437
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_libc = ctypes.CDLL(None, use_errno=True)


class Outside(Exception):
    """The path, file or offset is not one this may touch; nothing was changed."""


def words(path: str) -> tuple[str, ...]:
    """Return the parts of a relative path. Raises Outside for anything but plain names."""
    parts = tuple(path.split("/"))
    if not path or len(path.encode("utf-8", "surrogatepass")) > 1024 or len(parts) > MAX_DEPTH:
        raise Outside("path: empty, too long or too deep")
    for part in parts:
        unprintable = any(ord(sign) < 32 or ord(sign) == 127 or 0xD800 <= ord(sign) <= 0xDFFF for sign in part)
        if part in {"", ".", ".."} or "\\" in part or unprintable or len(part.encode(errors="replace")) > 255:
            raise Outside("path: not a plain relative name")
    return parts


def _open(folder: int, path: str, flags: int, mode: int = 0) -> int:
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, mode, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)
    handle = int(_libc.syscall(_OPENAT2, folder, path.encode(), how, len(how)))
    if handle < 0:
        number = ctypes.get_errno()
        if number == errno.ENOENT:
            raise FileNotFoundError(path)
        if number in (errno.ELOOP, errno.EXDEV, errno.ENOTDIR, errno.EISDIR, errno.ENXIO):
            raise Outside(f"path: {os.strerror(number)}")
        raise OSError(number, os.strerror(number))
    return handle


def _folder(root: str, parts: tuple[str, ...], *, create: bool = False) -> int:
    """Open ``root/parts…`` as a directory, level by level where it may have to be made."""
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for part in parts:
        below = handle
        try:
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=below)
            handle = _open(below, part, os.O_RDONLY | os.O_DIRECTORY)
        finally:
            os.close(below)
    return handle


def _regular(handle: int) -> os.stat_result:
    """Refuse whatever is no plain file with one name: a hard link could be somebody else's file."""
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise Outside("path: not a plain file")
    return status


def prepare(root: str, home: tuple[str, ...]) -> dict[str, Any]:
    """Make the job's directory below the user's own, which must be there."""
    os.close(_folder(root, home[:1]))
    os.close(_folder(root, home, create=True))
    return {"path": str(PurePosixPath(root, *home))}


def put(root: str, home: tuple[str, ...], path: str, offset: int, data: bytes) -> dict[str, Any]:
    """Write `data` at `offset` (not beyond the end), for its user alone, and end the file there; return the size.

    Pieces come in order. The last one again changes nothing.
    """
    parts = words(path)
    if len(data) > MAX_CHUNK or not 0 <= offset <= MAX_FILE:
        raise Outside("offset or length")
    prepare(root, home)
    folder = _folder(root, home + parts[:-1], create=True)
    try:
        handle = _open(folder, parts[-1], os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o600)
    finally:
        os.close(folder)
    try:
        if offset > _regular(handle).st_size:
            raise Outside("offset beyond the end")
        done = 0
        while done < len(data):
            done += os.pwrite(handle, data[done:], offset + done)
        os.ftruncate(handle, offset + len(data))  # what an older, longer file had here is none of this one
        return {"size": os.fstat(handle).st_size}
    finally:
        os.close(handle)


def read(root: str, home: tuple[str, ...], path: str, offset: int, limit: int) -> dict[str, Any]:
    """Read at most `limit` bytes from `offset`, in base64. A file that is not there reads as empty, with size -1."""
    parts = words(path)
    if not 0 <= offset <= MAX_FILE or not 1 <= limit <= MAX_CHUNK:
        raise Outside("offset or limit")
    try:
        folder = _folder(root, home)
    except FileNotFoundError:
        return {"data": "", "size": -1, "modified_at": 0.0}
    try:
        handle = _open(folder, "/".join(parts), os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return {"data": "", "size": -1, "modified_at": 0.0}
    finally:
        os.close(folder)
    try:
        _regular(handle)
        data = os.pread(handle, limit, offset)
        status = os.fstat(handle)
        return {"data": base64.b64encode(data).decode(), "size": status.st_size, "modified_at": status.st_mtime}
    finally:
        os.close(handle)


def remove(root: str, home: tuple[str, ...], path: str) -> dict[str, Any]:
    """Remove a file, or a link and not what it leads to; say whether there was one."""
    parts = words(path)
    try:
        folder = _folder(root, home + parts[:-1])
    except FileNotFoundError:
        return {"removed": False}
    try:
        os.unlink(parts[-1], dir_fd=folder)
    except FileNotFoundError:
        return {"removed": False}
    except (IsADirectoryError, PermissionError) as error:
        raise Outside(f"path: {os.strerror(error.errno or 0)}") from error
    finally:
        os.close(folder)
    return {"removed": True}


def listing(root: str, home: tuple[str, ...]) -> dict[str, Any]:
    """Return plain files below the job's directory, at most 1,000; links, special files and unprintable names are left out.

    No more than `MAX_LOOKED` names are looked at: what a job leaves behind may be a million links.
    """
    try:
        folder = _folder(root, home)
    except FileNotFoundError:
        return {"files": []}
    found = []
    for entry in _walk(folder, "", 0, iter(range(MAX_LOOKED))):
        found.append(entry)
        if len(found) >= MAX_FILES:
            break
    return {"files": sorted(found)}


def _walk(folder: int, before: str, depth: int, looks: Iterator[int]) -> Iterator[tuple[str, int, float]]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry, _look in zip(entries, looks, strict=False))
        for name in names:
            if not name.isprintable():
                continue
            try:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                yield f"{before}{name}", status.st_size, status.st_mtime
            elif stat.S_ISDIR(status.st_mode) and depth < MAX_DEPTH:
                try:
                    below = _open(folder, name, os.O_RDONLY | os.O_DIRECTORY)
                except (OSError, Outside):
                    continue
                yield from _walk(below, f"{before}{name}/", depth + 1, looks)
    finally:
        os.close(folder)


def as_user(user: str, act: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    """Do `act` in a child that is `user` and nobody else, without its groups. Raises Outside, OSError.

    For a process with one thread. `user` must be an ordinary one (uid ≥ 1000).
    """
    entry = pwd.getpwnam(user)
    if entry.pw_uid < 1000:
        raise Outside(f"{user} is a system account")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be(entry, act, args, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as answers:
        raw = answers.read()
    os.waitpid(child, 0)
    kind, value = json.loads(raw or b'["error", "the child ended"]')
    if kind == "outside":
        raise Outside(value)
    if kind == "error":
        raise OSError(value)
    return dict(value)


def _be(entry: pwd.struct_passwd, act: Callable[..., dict[str, Any]], args: tuple[Any, ...], writing: int) -> NoReturn:
    """Become the user and answer through the pipe. Never returns."""
    answer: tuple[str, Any]
    try:
        if os.getuid() == 0:
            os.setgroups([])
            os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
            os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
        if os.getuid() != entry.pw_uid:
            raise PermissionError("cannot become the user")
        os.umask(0o077)
        answer = ("done", act(*args))
    except Outside as error:
        answer = ("outside", str(error))
    except BaseException as error:
        answer = ("error", f"{type(error).__name__}: {error}"[:300])
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(json.dumps(answer).encode())
    finally:
        sys.stderr.flush()
        os._exit(0)
