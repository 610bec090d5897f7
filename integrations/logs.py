"""Read a growing file that a user's job writes, without being led elsewhere by it."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from pathlib import Path

from portal.kernel.errors import Rejected
from scheduler.jobs.ports import LogChunk

__all__ = ["MAX_CHUNK", "read", "size"]

MAX_CHUNK = 65_536
_SETTLED_S = 2.0


def read(root: Path, parts: tuple[str, ...], *, offset: int, limit: int) -> LogChunk:
    """Read ``root/parts…`` from `offset`, at most `limit` bytes (1 … 65,536).

    Every component is opened without following links and the file must be a regular one with a single name, so a job
    cannot make the portal show a file of somebody else. A file that is not there yet reads as empty. A chunk never
    ends inside a UTF-8 character unless the writer has left it so for two seconds. Raises Rejected for a link or a
    special file, ValueError for a bad `offset` or `limit`.
    """
    if offset < 0 or not 1 <= limit <= MAX_CHUNK:
        raise ValueError(f"offset {offset}, limit {limit}")
    with contextlib.ExitStack() as stack:
        try:
            folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, folder)
            for part in parts[:-1]:
                folder = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                stack.callback(os.close, folder)
            handle = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            stack.callback(os.close, handle)
        except FileNotFoundError:
            return LogChunk(b"", offset, eof=True)
        except OSError as error:
            raise Rejected(reason=f"log: {os.strerror(error.errno or 0)}") from error
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise Rejected(reason="log: not a plain file")
        data = os.pread(handle, limit, offset)
        size = os.fstat(handle).st_size
    eof = offset + len(data) >= size
    settled = eof and time.time() - status.st_mtime > _SETTLED_S
    if not settled:
        whole = data[: len(data) - _partial(data)]
        data = whole or (b"" if eof else data)
    return LogChunk(data, offset + len(data), eof=eof)


def size(root: Path, parts: tuple[str, ...]) -> int:
    """Return the bytes of ``root/parts…``, 0 while it is not there; a link counts as nothing."""
    try:
        status = root.joinpath(*parts).lstat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _partial(data: bytes) -> int:
    """Return how many bytes at the end begin a UTF-8 character (RFC 3629 §3) that is not finished yet."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte & 0b1100_0000 == 0b1000_0000:
            continue
        length = 2 if byte >> 5 == 0b110 else 3 if byte >> 4 == 0b1110 else 4 if byte >> 3 == 0b11110 else 1
        return back if length > back else 0
    return 0
