"""What the log leaves out: secrets that are part of an address, and the query, which holds what people look for."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

__all__ = ["SHARED_LOG_PROCESSORS", "logging_of", "without_secrets"]

SECRET: Final = re.compile(r"(/calendar/|/feeds/|/accounts/password/reset/key/|/accounts/confirm-email/)[^/\s'\"]+")
QUERY: Final = re.compile(r"\?\S*")
KEY: Final = re.compile(r"\b((?:sk|rk)_(?:live|test)_|whsec_|(?:pi|cs|seti)_\w+?_secret_|Bearer )[\w.~+/=-]+")
"""Keys of payment gateways and what stands behind ``Bearer``, wherever a line holds them."""
LINES: Final = ("event", "request", "exception")


def without_secrets(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask addresses' secrets in a log line and cut requests before their query; a structlog processor."""
    for name in LINES:
        if isinstance(text := line.get(name), str):
            line[name] = SECRET.sub(r"\1***", text)
    if isinstance(request := line.get("request"), str):
        line["request"] = QUERY.sub("", request)
    for name, text in line.items():
        if isinstance(text, str):
            line[name] = KEY.sub(r"\1***", text)
    return line


SHARED_LOG_PROCESSORS: Final[list[Any]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
    without_secrets,
]


def logging_of(*, as_json: bool, level: str) -> dict[str, Any]:
    """Return Django's ``LOGGING``: one line an event on standard error, for people or as JSON."""
    renderer = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    line = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": SHARED_LOG_PROCESSORS,
        "processor": renderer,
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": line},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        # stripe-python tells at INFO every address, at DEBUG every parameter and answer.
        "loggers": {"httpx": {"level": "WARNING"}, "stripe": {"level": "WARNING"}},
        "root": {"handlers": ["console"], "level": level},
    }
