"""The format of a programme file as JSON Schema, draft 2020-12. Built from the readers, so the two cannot part.

The schema says what a file may look like; what keys must say together (shares that add up, ascending bounds, names given
once) only the readers know. ``schema/programme-1.json`` holds it as text: ``manage.py programme_schema``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from vouchers.programmes.keys import FACT_NAME, KEYS, REQUIRED
from vouchers.programmes.parsing import shape_of
from vouchers.programmes.predicates import LISTED, ORDERED, SECTIONS, Operator
from vouchers.programmes.schema_words import TITLES

__all__ = ["FILE", "VERSION", "programme_schema"]

VERSION: Final = 1
FILE: Final = Path(__file__).parent / "schema" / "programme-1.json"
"""The published text of the schema."""

PLAIN_NUMBER: Final = r"^-?[0-9]{1,20}(\.[0-9]{1,12})?$"
DAY: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
PATH: Final = rf"^({'|'.join(SECTIONS)})(\.[^.\s]+)+$"


def programme_schema() -> dict[str, Any]:
    """Return the schema as plain JSON; titles in Chinese, ``x-title-en`` in English."""
    properties = {key: _titled(shape_of(reader), key) for key, reader in KEYS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:gongxiang:programme:1",
        "title": "支持政策文件",
        "x-title-en": "Programme file",
        "description": (
            "一份支持政策的规则。金额为人民币元，数字或十进制文本，最多两位小数；比例为 0 到 1 的十进制文本；日期为 YYYY-MM-DD，北京时间。"
        ),
        "x-description-en": (
            "The rules of one benefit scheme. Amounts are yuan, numbers or decimal text of at most two decimals; rates are "
            "decimal text from 0 to 1; dates are YYYY-MM-DD in Beijing time."
        ),
        "type": "object",
        "properties": properties,
        "required": list(REQUIRED),
        "additionalProperties": False,
        "$defs": {"predicate": _predicate(), "name": shape_of(FACT_NAME)},
    }


def _titled(shape: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return `shape` with the titles of its keys, all the way down."""
    titled: dict[str, Any] = {}
    if path in TITLES:
        titled |= {"title": TITLES[path].zh, "x-title-en": TITLES[path].en}
    return titled | _below(shape, path)


def _below(shape: Mapping[str, Any], path: str) -> dict[str, Any]:
    found = dict(shape)
    if "properties" in found:
        found["properties"] = {key: _titled(part, f"{path}.{key}") for key, part in found["properties"].items()}
    if isinstance(found.get("items"), Mapping):
        found["items"] = _below(found["items"], path)
    if "anyOf" in found:
        found["anyOf"] = [_below(part, path) for part in found["anyOf"]]
    return found


def _predicate() -> dict[str, Any]:
    inner = {"$ref": "#/$defs/predicate"}
    several = {"type": "array", "items": inner, "minItems": 1}
    scalar = {"type": ["string", "number", "boolean"], "minLength": 1}
    ordered = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": f"({PLAIN_NUMBER})|({DAY})"}]}
    listed = {"type": "array", "items": scalar, "minItems": 1}
    plain = [word for word in Operator if word not in ORDERED | LISTED | {Operator.EXISTS}]
    leaves = [
        _leaf([word for word in Operator if word in ORDERED], ordered),
        _leaf([word for word in Operator if word in LISTED], listed),
        _leaf(plain, scalar),
        _leaf([Operator.EXISTS], {"type": "boolean"}),
        _leaf([Operator.EXISTS]),
    ]
    return {
        "title": "条件",
        "x-title-en": "condition",
        "description": "all / any / not，或 [事实路径, 运算符, 值]；没有提供的事实为未知",
        "x-description-en": "all, any, not, or [path of a fact, operator, value]; a fact not stated is unknown",
        "anyOf": [
            *leaves,
            *(
                {"type": "object", "properties": {word: part}, "required": [word], "additionalProperties": False}
                for word, part in (("all", several), ("any", several), ("not", inner))
            ),
        ],
    }


def _leaf(operators: list[Operator], value: Mapping[str, Any] | None = None) -> dict[str, Any]:
    path = {"type": "string", "maxLength": 200, "pattern": PATH}
    items = [path, {"enum": [word.value for word in operators]}, *([value] if value else [])]
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
