"""What the log leaves out: secrets that are part of an address, and the query, which holds what people look for."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any, Final

__all__ = ["without_secrets"]

SECRET: Final = re.compile(r"(/calendar/|/feeds/|/accounts/password/reset/key/|/accounts/confirm-email/)[^/\s'\"]+")
QUERY: Final = re.compile(r"\?\S*")
LINES: Final = ("event", "request", "exception")


def without_secrets(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask addresses' secrets in a log line and cut requests before their query; a structlog processor."""
    for name in LINES:
        if isinstance(text := line.get(name), str):
            line[name] = SECRET.sub(r"\1***", text)
    if isinstance(request := line.get("request"), str):
        line["request"] = QUERY.sub("", request)
    return line
