"""The steps between empty and ready: `python -m portal.launch.prepare assets|database`.

Two processes, so that static files are laid out while the database is being made; each pays for loading Django once.
"""

import sys
import time

import django
import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from portal.launch import translations

DATABASE_S = 120


def main() -> None:
    """Do what the argument says; every step may be repeated."""
    django.setup()
    {"assets": assets, "database": database}[sys.argv[1]]()


def assets() -> None:
    """Compile the English catalogue and collect the static files anew."""
    translations.compile_catalogue()
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)


def database() -> None:
    """Wait for the database, migrate it, write open time it lacks and, for a demonstration, seed it once."""
    deadline = time.monotonic() + DATABASE_S
    while True:
        try:
            psycopg.connect(**connection.get_connection_params()).close()
            break
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    call_command("migrate", interactive=False, verbosity=1)
    call_command("open_time")
    if settings.DEMO:
        call_command("seed", "--once")
    connection.close()


if __name__ == "__main__":
    main()
