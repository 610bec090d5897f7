"""Keep the English catalogue complete: `python -m portal.launch.translations update|check|compile`.

Chinese is the source language: message ids are Chinese, and the only catalogue is ``portal/locale/en``.
"""

import re
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

__all__ = ["check", "compile_catalogue", "extract", "faults", "update"]

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "portal" / "locale" / "en" / "LC_MESSAGES" / "django.po"
SOURCES = ("portal", "vouchers", "scheduler", "integrations")
TEMPLATE = "portal.launch.messages:extract_template"
METHODS = [("**/migrations/**", "ignore"), ("**.py", "python"), ("**.html", TEMPLATE), ("**.txt", TEMPLATE)]
KEYWORDS = {
    **DEFAULT_KEYWORDS,
    "noop": None,
    "gettext_noop": None,
    "gettext_lazy": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
SHOWN = 30
Texts = str | Sequence[str] | None
HAN = re.compile(r"[\u3400-\u9fff]")


def main() -> int:
    """Do what the argument says and return the exit status."""
    return {"update": update, "check": check, "compile": compile_catalogue}[sys.argv[1]]()


def extract() -> Catalog:
    """Collect every translatable text of the Python sources and the templates."""
    catalogue = Catalog()
    for package in SOURCES:
        found = extract_from_dir(
            ROOT / package,
            method_map=METHODS,
            keywords=KEYWORDS,
        )
        for path, line, text, comments, context in found:
            catalogue.add(text, locations=[(f"{package}/{path}", line)], auto_comments=comments, context=context)
    return catalogue


def update() -> int:
    """Bring the catalogue up to date: new texts come in empty, vanished ones go; translations stay."""
    catalogue = _read()
    catalogue.update(extract(), no_fuzzy_matching=True, update_creation_date=False)
    catalogue.obsolete.clear()
    CATALOGUE.parent.mkdir(parents=True, exist_ok=True)
    with CATALOGUE.open("wb") as stream:
        write_po(stream, catalogue, width=120, sort_output=True, omit_header=False, include_lineno=False)
    missing = sum(1 for message in catalogue if message.id and not _translated(message))
    print(f"{len(catalogue)} texts, {missing} without English")  # noqa: T201
    return 0


def check() -> int:
    """Print every fault of the catalogue; status 1 if there is one."""
    found = faults(_read(), extract())
    for fault in found:
        print(fault)  # noqa: T201
    print(f"translations: {len(found)} faults" + (" (make messages brings new texts in)" if found else ""))  # noqa: T201
    return 1 if found else 0


def faults(catalogue: Catalog, sources: Catalog) -> list[str]:
    """List what keeps the English from being complete: missing, fuzzy, vanished, Chinese left in, placeholders broken."""
    found = [
        f"missing: {_name(message)}"
        for message in sources
        if message.id and catalogue.get(message.id, message.context) is None
    ]
    for message in catalogue:
        if not message.id:
            continue
        if sources.get(message.id, message.context) is None:
            found.append(f"no longer in the sources: {_name(message)}")
        elif not _translated(message):
            found.append(f"without English: {_name(message)}")
        elif message.fuzzy:
            found.append(f"fuzzy: {_name(message)}")
        elif any(HAN.search(text) for text in _texts(message.string)):
            found.append(f"Chinese in the English: {_name(message)}")
        elif placeholders(message.id) != placeholders(message.string):
            found.append(f"other placeholders: {_name(message)}")
    return found


def placeholders(texts: Texts) -> set[str]:
    """Collect the ``%(name)s`` and ``{name}`` placeholders of a text, of all forms of a plural together."""
    return {found for text in _texts(texts) for found in re.findall(r"%\(\w+\)[sd]|\{\w*(?:[.!:][^{}]*)?\}", text)}


def compile_catalogue() -> int:
    """Write the binary catalogue Django loads, beside the source, in one step so that no reader meets half a file.

    Two portals of one checkout may start at once: each writes a file of its own before it takes the place.
    """
    if CATALOGUE.exists():
        new = CATALOGUE.with_name(f"new-{secrets.token_hex(4)}.mo")
        with new.open("wb") as stream:
            write_mo(stream, _read())
        new.replace(CATALOGUE.with_suffix(".mo"))
    return 0


def _read() -> Catalog:
    if not CATALOGUE.exists():
        return Catalog(locale="en", project="gongxiang")
    with CATALOGUE.open("rb") as stream:
        return read_po(stream, locale="en")


def _texts(texts: Texts) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts or ())


def _translated(message: Message) -> bool:
    return bool(message.string) and all(_texts(message.string))


def _name(message: Message) -> str:
    first = _texts(message.id)[0]
    where = f" ({message.locations[0][0]})" if message.locations else ""
    return f"{first!r}{where}"


if __name__ == "__main__":
    sys.exit(main())
