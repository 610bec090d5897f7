"""A template to test with: it prints what each parameter came to."""

from __future__ import annotations

from typing import Any

from portal.kernel.actors import Actor
from scheduler.templates import services
from scheduler.templates.models import JobTemplateVersion
from tests import make


def document(code: str = "echo-words", **changes: Any) -> dict[str, Any]:
    """Return a document with a parameter of each kind."""
    return {
        "code": code,
        "name": {"zh": "回显参数", "en": "Echo parameters"},
        "summary": {"zh": "打印每个参数。", "en": "Print each parameter."},
        "category": "data",
        "parameters": [
            {
                "name": "EPOCHS",
                "kind": "integer",
                "label": {"zh": "轮数", "en": "Epochs"},
                "least": 1,
                "most": 99,
                "default": 3,
            },
            {
                "name": "MODEL",
                "kind": "choice",
                "label": {"zh": "模型", "en": "Model"},
                "choices": [{"value": "small"}, {"value": "large", "label": {"zh": "大", "en": "Large"}}],
                "default": "small",
            },
            {"name": "NOTE", "kind": "text", "label": {"zh": "备注", "en": "Note"}, "required": False},
            {"name": "DATA", "kind": "file", "label": {"zh": "数据", "en": "Data"}, "default": "data/train.csv"},
            {"name": "KEY_FILE", "kind": "secret", "label": {"zh": "密钥文件", "en": "Key file"}, "required": False},
        ],
        "resources": {"cards": 1, "cpus": 2, "memory_mb": 2000, "time_limit_min": 30},
        "script": "#!/bin/bash\nset -euo pipefail\nprintf '%s' \"$NOTE\"\n",
        **changes,
    }


def published(actor: Actor, code: str = "echo-words", **changes: Any) -> JobTemplateVersion:
    """Import and publish a template."""
    version = services.import_document(actor=actor, document=document(code, **changes), now=make.NOW)
    return services.publish(actor=actor, version=version, now=make.NOW)
