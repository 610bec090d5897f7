"""One key, one effect: the same key with another body is an error, never a second effect."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from portal.kernel.errors import Conflict, Invalid, noop

__all__ = ["BadKey", "KeyReused", "check_key", "check_replay", "fingerprint"]

_ = noop

KEY = re.compile(r"[A-Za-z0-9._:-]{8,80}")


class BadKey(Invalid):
    code = "idempotency.bad_key"
    message = _(
        "请求头 Idempotency-Key 须为 8 到 80 个字母、数字或 . _ : - 字符；每次新操作换一个新值，重试时保持不变。"
    )


class KeyReused(Conflict):
    code = "idempotency.mismatch"
    message = _("同一个 Idempotency-Key 已用于内容不同的请求。新的操作请换一个新的键。")


def check_key(key: str) -> str:
    """Return `key` when well-formed. Raises BadKey."""
    if not KEY.fullmatch(key):
        raise BadKey(field="Idempotency-Key")
    return key


def fingerprint(request: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a request's canonical JSON; values must be JSON or have a stable `str`."""
    text = json.dumps(request, sort_keys=True, ensure_ascii=False, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def check_replay(*, stored: str, asked: str) -> None:
    """Raises KeyReused unless the stored request and the present one are the same."""
    if stored != asked:
        raise KeyReused(field="Idempotency-Key")
