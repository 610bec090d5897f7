"""The options few jobs need, between what people type and what the domain takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scheduler.jobs.directives import Form
from scheduler.jobs.options import Options, WaitFor

__all__ = ["further_of", "stated", "typed"]


def waits_of(text: str) -> list[tuple[str, str]]:
    """Return (kind, number) of each job in a text, parted by commas of either language, spaces or new lines.

    A bare number is to end well; ``notok:J…`` and ``any:J…`` say otherwise.
    """
    words = [word for word in re.split(r"[,，、;；\s]+", text) if word]
    parts = [word.rpartition(":") for word in words]
    return [(kind or "ok", number) for kind, _colon, number in parts]


def environment_of(text: str) -> dict[str, str]:
    """Return ``NAME=value`` lines as a mapping; a line without ``=`` is a name the domain will refuse."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if line.strip():
            found[name.strip() if equals else line.strip()] = value.strip()
    return found


def further_of(values: Mapping[str, Any]) -> Options:
    """Return a form's options as the domain takes them."""
    return Options(
        array=values.get("array") or "",
        after=[WaitFor(number, kind) for kind, number in waits_of(values.get("after") or "")],
        requeue=values.get("requeue") or False,
        environment=environment_of(values.get("environment") or ""),
    )


def stated(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options a form states, for comparing with a script's; what is empty is left open."""
    said = {
        "array": str(data.get("array") or "").strip() or None,
        "after": tuple(waits_of(str(data.get("after") or ""))) or None,
        "requeue": True if data.get("requeue") else None,
        "environment": environment_of(str(data.get("environment") or "")) or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def typed(sent: Form) -> dict[str, Any]:
    """Return a script's options as the form holds them."""
    return {
        "array": sent.array,
        "after": None
        if sent.after is None
        else ", ".join(number if kind == "ok" else f"{kind}:{number}" for kind, number in sent.after),
        "requeue": sent.requeue or None,
        "environment": None
        if sent.environment is None
        else "\n".join(f"{name}={value}" for name, value in sent.environment.items()),
    }
