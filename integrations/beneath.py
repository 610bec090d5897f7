"""Open files beneath a directory without being led out of it: every component by itself, no link followed."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from portal.kernel.errors import Rejected
from scheduler.jobs.ports import FileEntry, LogChunk

__all__ = ["MAX_CHUNK", "listed", "parts_of", "put", "read", "remove"]

MAX_CHUNK = 1 << 20
MAX_FILES = 1_000
MAX_DEPTH = 16
MAX_LOOKED = 20_000


def parts_of(path: str) -> tuple[str, ...]:
    """Return the components of a relative path. Raises Rejected for ``..``, empty ones, NUL, or what is too long."""
    parts = tuple(path.split("/"))
    if (
        len(parts) > MAX_DEPTH
        or any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts)
        or any(ord(letter) < 32 for letter in path)
    ):
        raise Rejected(reason="path: not a plain relative path")
    return parts


@contextlib.contextmanager
def _opened(root: Path, path: str, flags: int, *, make: bool = False) -> Iterator[int]:
    """Open ``root/path`` as a regular file with a single name. Raises Rejected, FileNotFoundError."""
    parts = parts_of(path)
    with contextlib.ExitStack() as stack:
        try:
            folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            stack.callback(os.close, folder)
            for part in parts[:-1]:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o700, dir_fd=folder)
                folder = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                stack.callback(os.close, folder)
            flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            handle = os.open(parts[-1], flags, 0o600, dir_fd=folder)
            stack.callback(os.close, handle)
        except (FileNotFoundError, PermissionError):
            raise
        except OSError as error:
            raise Rejected(reason=f"path: {os.strerror(error.errno or 0)}") from error
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise Rejected(reason="path: not a plain file")
        yield handle


def put(root: Path, path: str, *, offset: int, data: bytes) -> int:
    """Write `data` at `offset` of ``root/path``, made 0600 where it is not there, and end it there; return its size.

    Raises Rejected for a path that leads out, an offset beyond the end or more than 1 MiB.
    """
    if offset < 0 or len(data) > MAX_CHUNK:
        raise Rejected(reason=f"offset {offset}, {len(data)} bytes")
    with _opened(root, path, os.O_WRONLY | os.O_CREAT, make=True) as handle:
        if offset > os.fstat(handle).st_size:
            raise Rejected(reason=f"offset {offset} beyond the end {os.fstat(handle).st_size}")
        view = memoryview(data)
        while view:
            written = os.pwrite(handle, view, offset)
            view, offset = view[written:], offset + written
        os.ftruncate(handle, offset)  # what an older, longer file had here is none of this one
        return os.fstat(handle).st_size


def remove(root: Path, path: str) -> None:
    """Remove ``root/path``, a link itself and not what it leads to. One that is not there is removed. Raises Rejected."""
    parts = parts_of(path)
    with contextlib.ExitStack() as stack:
        try:
            folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            stack.callback(os.close, folder)
            for part in parts[:-1]:
                folder = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                stack.callback(os.close, folder)
            os.unlink(parts[-1], dir_fd=folder)
        except FileNotFoundError:
            return
        except PermissionError:
            raise
        except OSError as error:
            raise Rejected(reason=f"path: {os.strerror(error.errno or 0)}") from error


def read(root: Path, path: str, *, offset: int, limit: int) -> LogChunk:
    """Read at most `limit` bytes (1 … 1 MiB) of ``root/path``. Raises Rejected, FileNotFoundError, ValueError."""
    if offset < 0 or not 1 <= limit <= MAX_CHUNK:
        raise ValueError(f"offset {offset}, limit {limit}")
    with _opened(root, path, os.O_RDONLY) as handle:
        data = os.pread(handle, limit, offset)
        return LogChunk(data, offset + len(data), eof=offset + len(data) >= os.fstat(handle).st_size)


def listed(root: Path, *, hidden: frozenset[str] = frozenset()) -> list[FileEntry]:
    """List the plain files beneath `root`, at most 1,000. `hidden` are names at its top left out.

    No more than `MAX_LOOKED` names are looked at: what a job leaves behind may be a million links. Raises OSError.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return list(islice(_walk(folder, "", 1, hidden, iter(range(MAX_LOOKED))), MAX_FILES))
    finally:
        os.close(folder)


def _walk(folder: int, prefix: str, depth: int, hidden: frozenset[str], looks: Iterator[int]) -> Iterator[FileEntry]:
    """Yield a folder's files, then those of its folders, by name."""
    with os.scandir(folder) as entries:
        # The iterator of looks comes last: none is lost when a folder has no more names.
        names = sorted(entry.name for entry, _look in zip(entries, looks, strict=False))
    folders = []
    for name in names:
        path = f"{prefix}{name}"
        if path in hidden or not path.isprintable():
            continue
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                yield FileEntry(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))
            elif stat.S_ISDIR(status.st_mode) and depth < MAX_DEPTH:
                folders.append(name)
    for name in folders:
        try:
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except OSError:
            continue
        try:
            yield from _walk(below, f"{prefix}{name}/", depth + 1, hidden, looks)
        finally:
            os.close(below)
