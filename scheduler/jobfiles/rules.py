"""How large, how many and under which names files for jobs may be. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from portal.kernel.errors import Conflict, Invalid, Reason, noop

__all__ = [
    "CHUNK_BYTES",
    "MAX_BYTES",
    "MAX_FILES",
    "MAX_SECRET_BYTES",
    "MAX_TOTAL_BYTES",
    "MAX_UPLOADS",
    "TRANSITIONS",
    "Attachment",
    "BadChunk",
    "ChecksumDiffers",
    "FileGone",
    "NoRoom",
    "Thing",
    "TooLarge",
    "UploadAction",
    "UploadInUse",
    "UploadState",
    "WrongOffset",
    "path_is_plain",
    "refusals",
]

_ = noop

CHUNK_BYTES: Final = 4 * 1024 * 1024
"""Largest piece of an upload, bytes."""
MAX_BYTES: Final = 2 * 1024**3
"""Largest file, bytes."""
MAX_TOTAL_BYTES: Final = 20 * 1024**3
"""What one organisation may keep at a time, bytes."""
MAX_UPLOADS: Final = 200
"""How many files one organisation may keep at a time."""
MAX_FILES: Final = 50
"""Most files and secrets of one job."""
MAX_SECRET_BYTES: Final = 64 * 1024

SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_PATH: Final = 200
MAX_DEPTH: Final = 16
TAKEN: Final = frozenset({"script", "tmp"})
"""Names at the top of a job's directory that the cluster uses itself."""


class UploadState(StrEnum):
    """Whether a file is all there."""

    RECEIVING = "receiving"
    COMPLETE = "complete"
    DISCARDED = "discarded"


class UploadAction(StrEnum):
    FINISH = "finish"
    DISCARD = "discard"


TRANSITIONS: Final = {
    (UploadState.RECEIVING, UploadAction.FINISH): UploadState.COMPLETE,
    (UploadState.RECEIVING, UploadAction.DISCARD): UploadState.DISCARDED,
    (UploadState.COMPLETE, UploadAction.DISCARD): UploadState.DISCARDED,
}


class TooLarge(Invalid):
    code = "jobfile.too_large"
    message = _("文件太大：每个文件至多 %(limit_mb)s MB。请拆分或压缩后上传。")


class NoRoom(Conflict):
    code = "jobfile.no_room"
    message = _("贵单位的作业文件已满：至多 %(files)s 个、共 %(gb)s GB。请先删除不再使用的文件。")


class BadChunk(Invalid):
    code = "jobfile.bad_chunk"
    message = _("每次上传的内容须为 1 字节到 %(limit_mb)s MB，且不超出文件大小。")


class WrongOffset(Conflict):
    """`offset` in the data says where to go on."""

    code = "jobfile.offset"
    message = _("已收到 %(offset)s 字节，请从这里继续上传。")

    @property
    def data(self) -> dict[str, Any]:
        return {"offset": self.params["offset"]}


class ChecksumDiffers(Conflict):
    code = "jobfile.checksum"
    message = _("收到的内容与 SHA-256 校验值不符，已清空，请从头重新上传。")


class UploadInUse(Conflict):
    code = "jobfile.in_use"
    message = _("文件还有作业要用，作业结束后才能删除。")


class FileGone(Conflict):
    """The stored bytes are missing or are not those that were uploaded."""

    code = "jobfile.gone"
    message = _("文件已不在平台上，或与上传时不一致。请重新上传。")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file or secret by its number, and where in the job's directory it goes; "" is its own name."""

    number: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Thing:
    """What an attachment turned out to be: where it goes, how large it is and whether it can be sent now."""

    number: str
    path: str
    size: int
    is_ready: bool


def path_is_plain(path: str) -> bool:
    """Say whether `path` stays inside a job's directory: relative, without ``..``, controls or the cluster's own names."""
    parts = path.split("/")
    return (
        0 < len(path) <= MAX_PATH
        and len(parts) <= MAX_DEPTH
        and all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts)
        and path.isprintable()
        and "\\" not in path
        and parts[0] not in TAKEN
    )


def refusals(things: Sequence[Thing], *, takes_files: bool = True) -> list[Reason]:
    """Return every ground against giving a job these files."""
    reasons = []
    if things and not takes_files:
        reasons.append(
            Reason("jobfile.unsupported", _("该集群不接收作业文件。"), _("请选择其他分区，或不附文件。"), field="files")
        )
    if len(things) > MAX_FILES:
        text = _("每个作业至多附 %(limit)s 个文件。")
        reasons.append(
            Reason("jobfile.too_many", text, _("请打包后上传。"), field="files", params={"limit": MAX_FILES})
        )
    seen: set[str] = set()
    folders = {
        "/".join(parts[:at]) for thing in things for parts in [thing.path.split("/")] for at in range(1, len(parts))
    }
    for thing in things:
        said = {"path": thing.path or "—", "number": thing.number}
        if not path_is_plain(thing.path):
            text = _("文件路径“%(path)s”不可用。")
            remedy = _("请用作业目录下的相对路径，不含 ..、反斜杠或控制字符，且不叫 script 或 tmp。")
            reasons.append(Reason("jobfile.path", text, remedy, field="files", params=said))
        elif thing.path in seen or thing.path in folders:
            text = _("文件路径“%(path)s”重复，或与目录同名。")
            reasons.append(Reason("jobfile.path_twice", text, _("请换一个路径。"), field="files", params=said))
        if not thing.is_ready:
            text = _("文件 %(number)s 还没有传完，或已删除、已用过。")
            reasons.append(Reason("jobfile.not_ready", text, _("请传完或重新上传。"), field="files", params=said))
        seen.add(thing.path)
    return reasons
