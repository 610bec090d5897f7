"""States of a programme version. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

__all__ = ["TRANSITIONS", "VersionAction", "VersionState"]


class VersionState(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"
    SUSPENDED = "suspended"
    SUPERSEDED = "superseded"


class VersionAction(StrEnum):
    PUBLISH = "publish"
    SUSPEND = "suspend"
    RESUME = "resume"
    SUPERSEDE = "supersede"


S, A = VersionState, VersionAction

TRANSITIONS: Final[Mapping[tuple[VersionState, VersionAction], VersionState]] = MappingProxyType(
    {
        (S.DRAFT, A.PUBLISH): S.PUBLISHED,
        (S.PUBLISHED, A.SUSPEND): S.SUSPENDED,
        (S.SUSPENDED, A.RESUME): S.PUBLISHED,
        (S.PUBLISHED, A.SUPERSEDE): S.SUPERSEDED,
        (S.SUSPENDED, A.SUPERSEDE): S.SUPERSEDED,
    }
)
