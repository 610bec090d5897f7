"""``python -m integrations.slurm.agent init | serve``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from integrations.slurm.agent import papers
from integrations.slurm.agent.operations import OPERATIONS, Settings
from integrations.slurm.agent.server import Agent, Server, context_for
from integrations.slurm.agent.signing import Nonces, public_key
from integrations.slurm.signer_keys import Journal


def serve(path: Path) -> int:
    """Serve until SIGTERM as the JSON file at `path` says (docs/operations.md). Raises KeyError, OSError, ValueError."""
    config = json.loads(path.read_text(encoding="utf-8"))
    folder = Path(config["dir"])
    agent = Agent(
        settings=Settings(
            job_root=str(Path(config["job_root"]).resolve(strict=True)),
            enrolled=Path(config["enrolled"]),
            qos_prefix=str(config.get("qos_prefix", "gx-")),
            slurm_conf=str(config.get("slurm_conf", "")),
            jwks=str(config.get("jwks", "")),
        ),
        key=public_key(folder / "requests.pub"),
        clients=frozenset(config["clients"]),
        nonces=Nonces(folder / "nonces"),
        journal=Journal(folder / "agent.log"),
    )
    context = context_for(folder / "certificate.pem", folder / "key.pem", folder / "authority.pem")
    host, port = str(config.get("host", "127.0.0.1")), int(config["port"])
    os.umask(0o077)
    with Server((host, port), agent, context) as server:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        sys.stdout.write(f"agent: {host}:{server.server_address[1]}, {', '.join(OPERATIONS)}\n")
        sys.stdout.flush()
        server.serve_forever(poll_interval=0.2)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="agent", description="Beside the cluster: what REST cannot do.")
    parser.add_argument("act", choices=["init", "serve"])
    parser.add_argument("--config", type=Path, default=Path("/etc/gongxiang/agent.json"))
    parser.add_argument("--dir", type=Path, help="with init: where to write agent/ and portal/")
    parser.add_argument("--host", default="localhost", help="with init: the name or address the portal connects to")
    parser.add_argument("--client", default="portal", help="with init: the portal's name in its certificate")
    given = parser.parse_args(argv)
    try:
        if given.act == "serve":
            return serve(given.config)
        for path in papers.make(given.dir, host=given.host, client=given.client):
            sys.stdout.write(f"{path}\n")
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"agent: {type(error).__name__}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
