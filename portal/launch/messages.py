"""Read translatable texts out of Django templates, for Babel.

Django turns a template into the shape of a program with gettext calls (`templatize`), Babel reads programs: together
they need no GNU gettext on the machine.
"""

import io
from collections.abc import Collection, Iterator, Mapping
from typing import Any, BinaryIO

from babel.messages.extract import extract_python
from django.utils.translation.template import templatize

__all__ = ["extract_template"]


def extract_template(
    stream: BinaryIO,
    keywords: Mapping[str, Any],
    comment_tags: Collection[str],
    options: Mapping[str, Any],  # noqa: ARG001 - Babel passes them; a template needs none
) -> Iterator[Any]:
    """Yield (line, function, texts, comments) of each translation tag and filter; a Babel extraction method."""
    program = templatize(stream.read().decode("utf-8"))
    # What templatize leaves of the markup is no indentation Python would accept.
    flat = "\n".join(line.lstrip() for line in program.splitlines())
    yield from extract_python(io.BytesIO(flat.encode("utf-8")), keywords, comment_tags, {"encoding": "utf-8"})
