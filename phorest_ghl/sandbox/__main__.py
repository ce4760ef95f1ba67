"""`python -m phorest_ghl.sandbox`.

A sandbox as a process, whose first lines are the settings that point the product at it.
"""

import argparse
import json
import os
import socket
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import FrameType

import uvicorn

from phorest_ghl.sandbox.app import SandboxApp
from phorest_ghl.sandbox.options import REAL_SALON_CLIENTS, SandboxOptions
from phorest_ghl.sandbox.server import HOST, listen, server_config
from phorest_ghl.sandbox.settings import settings_for
from phorest_ghl.sandbox.world import World


class _Server(uvicorn.Server):
    """Says when it is ready, and ends at once when told to: the journal is written before each answer."""

    def __init__(self, config: uvicorn.Config, greeting: str) -> None:
        super().__init__(config)
        self._greeting = greeting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Print the settings once requests are answered."""
        await super().startup(sockets)
        sys.stdout.write(self._greeting)
        sys.stdout.flush()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM and SIGINT."""
        del sig, frame
        os._exit(0)


def read_options(arguments: Sequence[str]) -> SandboxOptions:
    """Options from a command line.

    Raises:
        ValueError: a value is out of range; argparse itself exits with 2 for what it cannot read.
    """
    parser = argparse.ArgumentParser(
        prog="python -m phorest_ghl.sandbox", description="Phorest and GoHighLevel, simulated on this machine."
    )
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--clients", type=int, default=REAL_SALON_CLIENTS, help="clients of the salon (%(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="the same seed makes the same salon")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="waiting time per request")
    parser.add_argument("--rate-window-s", type=float, default=10.0, help="length of GHL's burst window (%(default)s)")
    parser.add_argument("--branches", type=int, default=1, help="branches: Dublin, then Toronto, in turn")
    parser.add_argument("--months", type=int, default=12, help="months of appointments before today")
    parser.add_argument(
        "--crm-contacts", type=int, default=0, help="contacts that people made in GHL before the first sync"
    )
    parser.add_argument(
        "--agency-contacts", type=int, default=0, help="an agency's own contacts in GHL, with fields, tags and opt-outs"
    )
    parser.add_argument("--state", type=Path, default=None, help="folder where the truth survives stop and kill -9")
    parser.add_argument(
        "--now", type=datetime.fromisoformat, default=None, help="the salon's clock at the start, with a zone"
    )
    parser.add_argument("--switches", type=json.loads, default={}, help="a JSON object of switches (see the README)")
    return SandboxOptions(**vars(parser.parse_args(arguments)))


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT; 2 when the options make no sandbox, 1 when the port is taken."""
    try:
        world = World(read_options(arguments))
        listener = listen(world.options.port)
    except ValueError as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    except OSError as problem:
        sys.stderr.write(
            f"The sandbox cannot listen or keep its state there: {problem.strerror}. Choose another --port or --state.\n"
        )
        return 1
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    lines = "".join(f"{name}={value}\n" for name, value in settings_for(world, url).items())
    _Server(server_config(SandboxApp(world)), f"{lines}\n").run(sockets=[listener])
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
