"""Index of the vouchers app's routers, for ``portal/api.py`` only."""

from ninja import Router

routers: tuple[tuple[str, Router], ...] = ()
