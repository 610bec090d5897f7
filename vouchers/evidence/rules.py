"""Which files may be kept as evidence, judged by their content and not by their name. Pure.

What is accepted: PDF, PNG, JPEG, xlsx, docx, OFD (GB/T 33190, the format of electronic invoices) and plain text or CSV. What
carries a program (macros), what unpacks to far more than it weighs, and what is cut short is refused with the reason.
"""

from __future__ import annotations

import hashlib
import io
import re
import unicodedata
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from defusedxml.ElementTree import fromstring

from portal.kernel.errors import Conflict, Reason, Refused, noop

__all__ = [
    "INLINE",
    "KINDS",
    "MAX_BYTES",
    "MAX_FILES",
    "OFD",
    "PDF",
    "XML",
    "BadFile",
    "Kind",
    "TooManyFiles",
    "Upload",
    "clean_name",
    "digest",
    "recognise",
]

_ = noop

MAX_BYTES: Final = 20 * 1024 * 1024
"""Largest file, bytes."""
MAX_FILES: Final = 60
"""Most files one case may hold."""
MAX_UNPACKED: Final = 200 * 1024 * 1024
MAX_RATIO: Final = 100
"""A container that unpacks to more than this many times its size is no document."""
MAX_MEMBERS: Final = 5000
MAX_NAME: Final = 120
TAIL: Final = 4096


class BadFile(Refused):
    """The file cannot be kept. `reasons` hold every ground, each with its remedy."""

    code = "evidence.bad_file"
    message = _("文件不能上传，原因如下。")


class TooManyFiles(Conflict):
    code = "evidence.too_many"
    message = _("每个案件至多可保存 %(limit)s 个文件。请合并后再上传。")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it arrived: the name its sender gave it, and its bytes."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: what the browser is told it is, and which extensions go with it."""

    media_type: str
    extensions: tuple[str, ...]


PDF = Kind("application/pdf", ("pdf",))
PNG = Kind("image/png", ("png",))
JPEG = Kind("image/jpeg", ("jpg", "jpeg"))
XLSX = Kind("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ("xlsx",))
DOCX = Kind("application/vnd.openxmlformats-officedocument.wordprocessingml.document", ("docx",))
OFD = Kind("application/ofd", ("ofd",))
TEXT = Kind("text/plain", ("txt", "csv", "log"))
XML = Kind("application/xml", ("xml",))
"""Only where it is asked for (tax invoices come so): data, never shown by a browser."""

KINDS: Final = (PDF, PNG, JPEG, XLSX, DOCX, OFD, TEXT)
INLINE: Final = frozenset({PDF.media_type, PNG.media_type, JPEG.media_type})
"""Kinds a browser may show beside a case; everything else is only ever downloaded."""

CONTAINERS: Final[Mapping[str, Kind]] = MappingProxyType(
    {"xl/workbook.xml": XLSX, "word/document.xml": DOCX, "OFD.xml": OFD}
)
CUT_SHORT = Reason(
    "evidence.cut_short", _("文件不完整，可能在传输中被截断。"), _("请重新导出或重新扫描后上传。"), field="file"
)
UNKNOWN = Reason(
    "evidence.unknown_type",
    _("不支持这种文件：按内容判断，它不是 PDF、PNG、JPEG、xlsx、docx、OFD 或文本。"),
    _("请转换为 PDF 后上传。"),
    field="file",
)


def digest(content: bytes) -> str:
    """Return the SHA-256 of the content, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def clean_name(name: str) -> str:
    """Return a name fit to show and to offer for download: no path, no control characters, at most 120 characters.

    The extension survives shortening.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    shown = "".join(letter for letter in last if unicodedata.category(letter)[0] != "C").strip(" .")
    stem, dot, extension = shown.rpartition(".")
    if dot and stem and len(extension) <= 8:
        return f"{stem[: MAX_NAME - len(extension) - 1]}.{extension}"
    return shown[:MAX_NAME] or "file"


def recognise(upload: Upload, *, kinds: Sequence[Kind] = KINDS) -> Kind:
    """Return what kind of file it is, by content, one of `kinds`. Raises BadFile with every ground.

    The extension must agree with the content: a picture named ``.pdf`` misleads whoever opens it.
    """
    content, name = upload.content, clean_name(upload.name)
    if not content:
        raise BadFile([Reason("evidence.empty", _("文件是空的。"), _("请选择有内容的文件。"), field="file")])
    if len(content) > MAX_BYTES:
        limit = MAX_BYTES // 1024 // 1024
        raise BadFile(
            [
                Reason(
                    "evidence.too_large",
                    _("文件超过上限 %(limit)s MB。"),
                    _("请压缩扫描分辨率或拆分后上传。"),
                    field="file",
                    params={"limit": limit},
                )
            ]
        )
    kind, reasons = _judged(content)
    if kind is None:
        raise BadFile(reasons or [UNKNOWN])
    if kind not in kinds:
        raise BadFile([UNKNOWN if kind is XML else _not_wanted(kind, kinds)])
    extension = name.rpartition(".")[2].lower() if "." in name else ""
    if extension not in kind.extensions:
        reasons.append(
            Reason(
                "evidence.wrong_extension",
                _("文件名以“%(extension)s”结尾，但内容是 %(kind)s。"),
                _("请把扩展名改为 %(right)s 后上传。"),
                field="file",
                params={"extension": extension or "-", "kind": kind.extensions[0], "right": kind.extensions[0]},
            )
        )
    if reasons:
        raise BadFile(reasons)
    return kind


def _not_wanted(kind: Kind, kinds: Sequence[Kind]) -> Reason:
    params = {"kind": kind.extensions[0], "kinds": "、".join(one.extensions[0] for one in kinds)}
    text, remedy = _("这里不接受 %(kind)s 文件。"), _("请上传 %(kinds)s 文件。")
    return Reason("evidence.not_wanted", text, remedy, field="file", params=params)


def _judged(content: bytes) -> tuple[Kind | None, list[Reason]]:
    for start, judge in SIGNATURES:
        if content.startswith(start):
            return judge(content)
    return (TEXT, []) if _is_text(content) else (None, [])


def _pdf(content: bytes) -> tuple[Kind | None, list[Reason]]:
    return PDF, [] if b"%%EOF" in content[-TAIL:] else [CUT_SHORT]


def _xml(content: bytes) -> tuple[Kind | None, list[Reason]]:
    """Judge XML by reading it; what declares entities of its own is refused."""
    try:
        fromstring(content, forbid_dtd=True)
    except Exception:
        # Broken, in an unknown encoding, or with a document type: each in the words of another library.
        return None, [
            Reason("evidence.bad_xml", _("XML 文件不完整，或含有不允许的声明。"), _("请重新导出后上传。"), field="file")
        ]
    return XML, []


def _png(content: bytes) -> tuple[Kind | None, list[Reason]]:
    return PNG, [] if b"IEND" in content[-TAIL:] else [CUT_SHORT]


def _jpeg(content: bytes) -> tuple[Kind | None, list[Reason]]:
    return JPEG, [] if b"\xff\xd9" in content[-TAIL:] else [CUT_SHORT]


def _container(content: bytes) -> tuple[Kind | None, list[Reason]]:
    """Judge a ZIP container by its table of contents; nothing is unpacked before it is known to be small."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            kind = next((CONTAINERS[item.filename] for item in members if item.filename in CONTAINERS), None)
            if kind is None:
                return None, []
            if reasons := _container_reasons(members, len(content)):
                return kind, reasons
            return kind, [CUT_SHORT] if archive.testzip() is not None else []
    except Exception:
        # Whatever a broken or forged container makes the unpackers say (zlib, bz2 and lzma each in their own words).
        return None, [CUT_SHORT]


def _container_reasons(members: list[zipfile.ZipInfo], size: int) -> list[Reason]:
    reasons = []
    unpacked = sum(item.file_size for item in members)
    if unpacked > MAX_UNPACKED or unpacked > size * MAX_RATIO or len(members) > MAX_MEMBERS:
        reasons.append(
            Reason(
                "evidence.unpacks_too_large",
                _("文件解压后过大，可能是压缩炸弹。"),
                _("请删去多余的工作表或图片，另存后上传。"),
                field="file",
            )
        )
    if any(item.flag_bits & 1 for item in members):
        reasons.append(Reason("evidence.encrypted", _("文件有密码，无法审阅。"), _("请去除密码后上传。"), field="file"))
    if any(item.filename.lower().endswith("vbaproject.bin") for item in members):
        reasons.append(
            Reason("evidence.macros", _("文件带有宏程序。"), _("请另存为不含宏的 xlsx 或 docx 后上传。"), field="file")
        )
    return reasons


def _is_text(content: bytes) -> bool:
    """Say whether it reads as text, in UTF-8 or GB 18030, and is not markup a browser would run."""
    if b"\0" in content or content.lstrip()[:1] == b"<":
        return False
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return not any(ord(letter) < 32 and letter not in "\t\r\n\f" for letter in text)
    return False


SIGNATURES: Final[tuple[tuple[bytes, Callable[[bytes], tuple[Kind | None, list[Reason]]]], ...]] = (
    (b"%PDF-", _pdf),
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8\xff", _jpeg),
    (b"PK\x03\x04", _container),
    (b"<?xml", _xml),
    (b"\xef\xbb\xbf<?xml", _xml),
)
