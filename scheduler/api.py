"""Index of the scheduler's routers, for ``portal/api.py`` only."""

from ninja import Router

routers: tuple[tuple[str, Router], ...] = ()
