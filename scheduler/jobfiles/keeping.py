"""Where the bytes of uploads lie: incomplete ones under their number, whole ones under their SHA-256; and how secrets are sealed."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.files.storage import FileSystemStorage, storages

from scheduler.jobfiles.rules import FileGone

__all__ = ["append", "digest", "drop", "drop_part", "finish", "opened", "seal", "unseal"]


def _root() -> Path:
    storage = storages["jobfiles"]
    assert isinstance(storage, FileSystemStorage), "pieces are written at offsets: a local file system is needed"
    return Path(storage.path(""))


def _part(number: str) -> Path:
    return _root() / "parts" / number


def _whole(sha256: str) -> Path:
    return _root() / sha256[:2] / sha256


def append(number: str, *, offset: int, data: bytes) -> None:
    """Write a piece at `offset`, cutting off what a lost attempt may have left behind it."""
    path = _part(number)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(handle, offset)
        view = memoryview(data)
        while view:
            written = os.pwrite(handle, view, offset)
            view, offset = view[written:], offset + written
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(number: str) -> str:
    """Return the SHA-256 of the pieces. It may take seconds: nobody else should have to wait for it."""
    with _part(number).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def finish(number: str, sha256: str) -> None:
    """Give the pieces their name by content."""
    _whole(sha256).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _part(number).replace(_whole(sha256))


def drop_part(number: str) -> None:
    _part(number).unlink(missing_ok=True)


def drop(sha256: str) -> None:
    """Remove a file no upload has any more."""
    _whole(sha256).unlink(missing_ok=True)


@contextlib.contextmanager
def opened(sha256: str) -> Iterator[int]:
    """Open a whole file for reading and give its descriptor. Raises FileGone."""
    try:
        handle = os.open(_whole(sha256), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise FileGone from error
    try:
        yield handle
    finally:
        os.close(handle)


def _box() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.JOB_SECRET_KEYS])


def seal(value: bytes) -> bytes:
    """Encrypt a secret (AES-128-CBC and HMAC-SHA256, the Fernet format) with the first of ``JOB_SECRET_KEYS``."""
    return _box().encrypt(value)


def unseal(sealed: bytes) -> bytes:
    """Return a secret's value. Raises FileGone when it was erased or none of the keys opens it."""
    try:
        return _box().decrypt(bytes(sealed))
    except InvalidToken as error:
        raise FileGone from error
