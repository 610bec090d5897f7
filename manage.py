#!/usr/bin/env python
"""Django's command line. Where nothing says which database is meant, the running portal's is (``make run``)."""

import os
import sys
from pathlib import Path


def meet_running_portal() -> None:
    """Take over the environment of a running ``make run``, unless one is given already."""
    if "DATABASE_URL" in os.environ:
        return
    from portal.launch.state import State

    default = Path(__file__).resolve().parent / ".state"
    state = State(Path(os.environ.get("GONGXIANG_STATE_DIR", default)))
    for name, value in state.read_environment().items():
        os.environ.setdefault(name, value)


def main() -> None:
    meet_running_portal()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
