"""The private directory of a running job: made with what was staged for it, handed to its user and back.

Files for a job to be lie in ``staged/<marker>/`` of the spool, written by the portal. The first grant turns them into the
work directory by one rename, so a killed runner leaves either nothing or the whole.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import zlib
from pathlib import Path

__all__ = ["discard", "give", "prepare", "work_root"]


def work_root(folder: Path) -> Path:
    """Return where work directories go: in the spool, unless other users could not reach it there (a root's home)."""
    if os.getuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents)):
        return folder / "work"
    return Path("/var/tmp") / f"gongxiang-runner-{zlib.crc32(bytes(folder)):08x}"  # noqa: S108


def prepare(folder: Path, work: Path, marker: str, uid: int | None) -> None:
    """Make the work directory of a job, with what was staged for it, and give it to its user. Idempotent."""
    target, staged = work / marker, folder / "staged" / marker
    if not target.exists():
        if staged.is_dir():
            try:
                staged.rename(target)
            except OSError:  # another file system
                half = work / f".{marker}"
                shutil.rmtree(half, ignore_errors=True)
                shutil.copytree(staged, half, symlinks=True)
                half.rename(target)
        else:
            target.mkdir(mode=0o700)
    (target / "tmp").mkdir(mode=0o700, exist_ok=True)
    target.chmod(0o700)
    if uid is not None:
        give(target, uid, uid)
    discard(folder, marker)


def discard(folder: Path, marker: str) -> None:
    """Remove what is still staged for a job that has its work directory or will never run."""
    staged = folder / "staged" / marker
    if staged.is_dir():
        shutil.rmtree(staged, ignore_errors=True)


def give(target: Path, uid: int, gid: int) -> None:
    """Make everything in a work directory belong to `uid`. None of its processes may be alive.

    Nothing is followed: links change hands themselves, and a file with several names is left alone, because one of them may
    be elsewhere.
    """
    for _path, _folders, names, folder in os.fwalk(target, follow_symlinks=False):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if status.st_nlink == 1 or not stat.S_ISREG(status.st_mode):
                    os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)
        os.fchown(folder, uid, gid)
