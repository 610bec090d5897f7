"""One web process, on the socket the launcher has bound: `python -m portal.launch.serve --socket FD --gate FD`."""

import argparse
import gc
import os
import socket
import warnings
from importlib import import_module

import uvicorn
from django.conf import settings

DRAIN_S = 3  # event streams stay open for minutes: at the end they are cut after this many seconds


def main() -> None:
    """Load the application, wait for the gate to open, serve until SIGTERM.

    The gate is a pipe the launcher closes once the database is ready: loading overlaps with the migrations, serving
    does not. The socket comes ready-made so that a taken port is found before anything starts, and so that
    connections wait instead of failing while a killed web process is replaced.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--gate", type=int, required=True)
    options = parser.parse_args()
    # WhiteNoise hands files over synchronously; Django reads them in a thread, and says so for each.
    warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")
    config = uvicorn.Config(
        "portal.asgi:application",
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=DRAIN_S,
        proxy_headers=False,
        server_header=False,
    )
    # What loading makes is there for good: looking for garbage in it takes a fifth of the start.
    gc.disable()
    config.load()
    # Django reads the addresses, and with them all pages and the API, at the first request: whoever came first would wait.
    import_module(settings.ROOT_URLCONF)
    gc.freeze()
    gc.enable()
    os.read(options.gate, 1)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=options.socket)])


if __name__ == "__main__":
    main()
