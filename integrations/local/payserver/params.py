"""Reads the form-encoded parameters of a request: ``line_items[0][price_data][currency]=cny``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from integrations.local.payserver.errors import Problem, bad_choice, bad_number, missing, unknown

__all__ = ["Params", "decode"]

KEY = re.compile(r"\[([^\[\]]*)\]")
DEEPEST = 8


def decode(query: str) -> dict[str, Any]:
    """Return nested mappings and lists. Raises Problem for a key that makes no sense."""
    top: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        head, bracket, rest = key.partition("[")
        parts = [head, *KEY.findall(bracket + rest)]
        if not head or len(parts) > DEEPEST or head + "".join(f"[{part}]" for part in parts[1:]) != key:
            raise unknown(key[:80])
        node = top
        for part in parts[:-1]:
            below = node.setdefault(part, {})
            if not isinstance(below, dict):
                raise unknown(key[:80])
            node = below
        last = parts[-1] or str(len(node))
        if last in node and parts[-1]:
            raise Problem(400, "invalid_request_error", f"Repeated parameter: {key[:80]}", param=key[:80])
        node[last] = value
    return {name: _listed(value) for name, value in top.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(name.isdecimal() for name in value):
        return [_listed(value[name]) for name in sorted(value, key=int)]
    return {name: _listed(part) for name, part in value.items()}


class Params:
    """One level of parameters; every reader names the parameter it refuses as the caller wrote it."""

    def __init__(self, values: dict[str, Any], prefix: str = "") -> None:
        self.values, self.prefix = values, prefix

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def name(self, name: str) -> str:
        return f"{self.prefix}[{name}]" if self.prefix else name

    def allow(self, names: Iterable[str]) -> None:
        """Refuse whatever is not among `names`."""
        for extra in sorted(set(self.values) - set(names)):
            raise unknown(self.name(extra))

    def text(self, name: str, *, required: bool = False, longest: int = 5_000) -> str:
        value = self.values.get(name, "")
        if not isinstance(value, str):
            raise Problem(400, "invalid_request_error", f"Invalid string: {self.name(name)}", param=self.name(name))
        if required and not value:
            raise missing(self.name(name))
        if len(value) > longest:
            raise bad_number(
                self.name(name), f"{self.name(name)} is longer than {longest} characters.", "parameter_invalid_string"
            )
        return value

    def whole(self, name: str, *, required: bool = False, smallest: int = 0) -> int | None:
        text = self.text(name, required=required)
        if not text:
            return None
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise bad_number(self.name(name), f"Invalid integer: {text[:40]}")
        value = int(text)
        if value < smallest:
            raise bad_number(
                self.name(name),
                f"This value must be greater than or equal to {smallest}.",
                "parameter_invalid_integer",
            )
        return value

    def flag(self, name: str) -> bool:
        text = self.text(name)
        if text not in {"", "true", "false"}:
            raise bad_choice(self.name(name), text, ("true", "false"))
        return text == "true"

    def choice(self, name: str, choices: tuple[str, ...], default: str = "") -> str:
        text = self.text(name) or default
        if text and text not in choices:
            raise bad_choice(self.name(name), text, choices)
        return text

    def sub(self, name: str, allowed: Iterable[str]) -> Params:
        """Return the mapping `name`, empty where it is not given."""
        value = self.values.get(name) or {}
        if not isinstance(value, dict):
            raise Problem(400, "invalid_request_error", f"Invalid object: {self.name(name)}", param=self.name(name))
        below = Params(value, self.name(name))
        below.allow(allowed)
        return below

    def items(self, name: str, allowed: Iterable[str]) -> list[Params]:
        value = self.values.get(name) or []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise Problem(400, "invalid_request_error", f"Invalid array: {self.name(name)}", param=self.name(name))
        found = [Params(one, f"{self.name(name)}[{number}]") for number, one in enumerate(value)]
        for one in found:
            one.allow(allowed)
        return found

    def words(self, name: str) -> list[str]:
        """Return a list of strings."""
        value = self.values.get(name) or []
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise Problem(400, "invalid_request_error", f"Invalid array: {self.name(name)}", param=self.name(name))
        return [str(one) for one in value]

    def metadata(self, before: dict[str, str] | None = None) -> dict[str, str]:
        """Return metadata laid over `before`; an empty value takes a key away. 50 keys of 40 and 500 characters."""
        given = self.values.get("metadata") or {}
        if not isinstance(given, dict):
            raise Problem(400, "invalid_request_error", "Invalid object: metadata", param=self.name("metadata"))
        for key, value in given.items():
            if len(key) > 40 or not isinstance(value, str) or len(value) > 500:
                raise Problem(
                    400,
                    "invalid_request_error",
                    f"Metadata keys can have up to 40 characters and values up to 500: {key[:60]}",
                    param=f"{self.name('metadata')}[{key[:60]}]",
                )
        merged = {**(before or {}), **given}
        if len(merged) > 50:
            raise Problem(400, "invalid_request_error", "At most 50 keys of metadata", param=self.name("metadata"))
        return {key: value for key, value in merged.items() if value}
