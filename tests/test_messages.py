"""Whatever a message leaves open is filled where it is said: no reader ever sees ``%(name)s``."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from portal.kernel.errors import PortalError, Reason

ROOT = Path(__file__).resolve().parents[1]
OPEN = re.compile(r"%\((\w+)\)")
FILES = sorted(
    path
    for package in ("portal", "vouchers", "scheduler", "integrations")
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts
)


def calls(source: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))


def module_of(path: Path) -> ModuleType:
    return importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def meant(node: ast.expr, module: ModuleType) -> object:
    """Return what a dotted name means in a module, or None."""
    if isinstance(node, ast.Name):
        return getattr(module, node.id, None)
    if isinstance(node, ast.Attribute):
        return getattr(meant(node.value, module), node.attr, None)
    return None


def texts(node: ast.expr) -> str:
    """Return every text written within an expression."""
    found = (each for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str))
    return " ".join(str(each.value) for each in found)


def unfilled_errors(source: str, module: ModuleType) -> Iterator[str]:
    """Find errors made without a value their class's message asks for."""
    for call in calls(source):
        kind = meant(call.func, module)
        if not (inspect.isclass(kind) and issubclass(kind, PortalError)) or kind.__init__ is not PortalError.__init__:
            continue
        given = {keyword.arg for keyword in call.keywords}
        missing = set(OPEN.findall(kind.message)) - given
        if missing and None not in given:
            yield f"{module.__name__}:{call.lineno} {kind.__name__}: {sorted(missing)}"


def unfilled_reasons(source: str, module: ModuleType) -> Iterator[str]:
    """Find reasons whose texts, where they are written out, ask for a value that `params`, written out, lacks.

    One kept under a name of its module is filled where it is used.
    """
    kept = {node.value.lineno for node in ast.parse(source).body if isinstance(node, ast.Assign)}
    for call in calls(source):
        if meant(call.func, module) is not Reason or call.lineno in kept:
            continue
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        said = [*call.args[1:3], *(named[name] for name in ("message", "remedy") if name in named)]
        params = named.get("params", call.args[4] if len(call.args) > 4 else None)
        if params is not None and not (isinstance(params, ast.Dict) and None not in params.keys):
            continue
        given = {key.value for key in params.keys if isinstance(key, ast.Constant)} if params is not None else set()
        missing = {name for node in said for name in OPEN.findall(texts(node))} - given
        if missing:
            yield f"{module.__name__}:{call.lineno}: {sorted(missing)}"


def test_every_value_a_message_asks_for_is_given() -> None:
    faults = []
    for path in FILES:
        source = path.read_text(encoding="utf-8")
        if "errors import" in source or "raise " in source:
            module = module_of(path)
            faults += [*unfilled_errors(source, module), *unfilled_reasons(source, module)]
    assert not faults, "\n".join(faults)


def test_a_value_left_out_is_found() -> None:
    from scheduler.jobs import arrays, rules

    assert list(unfilled_errors('BadArray(field="array", text="x")', arrays)) == [
        "scheduler.jobs.arrays:1 BadArray: ['most']"
    ]
    left_out = 'Reason("a", _("至多 %(most)s 个"), _("请减到 %(least)s。"), field="x", params={"most": 1})'
    assert list(unfilled_reasons(left_out, rules)) == ["scheduler.jobs.rules:1: ['least']"]
