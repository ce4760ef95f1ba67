"""The configuration file of the embedded server.

Belongs here: settings and how they are written. Does not belong here: time-outs of our sessions (`engine`).
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from phorest_ghl.db.embedded_place import PORT, Place

FILE_NAME = "phorest_ghl.conf"

DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        "max_connections": "200",
        "shared_buffers": "128MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # Our statements are short: compiling them or planning workers for them costs more than it saves.
        "jit": "off",
        "max_parallel_workers_per_gather": "0",
        # Among the data: containers keep /dev/shm to 64 MB, and a killed server would leave its segments there.
        "dynamic_shared_memory_type": "mmap",
        # Nobody replicates this server, and bulk loads into new tables then skip the log.
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_logical_replication_workers": "0",
        "max_wal_size": "1GB",
        # Errors and the statements that caused them hold clients' names and addresses: the log gets neither.
        # Applications get them as exceptions anyway.
        "log_min_messages": "log",
        "log_min_error_statement": "panic",
        "log_checkpoints": "off",
        "log_line_prefix": "%m [%p] ",
    }
)


def render(place: Place, settings: Mapping[str, str]) -> str:
    """Return the text of the configuration file: our defaults, then `settings`, then what the launcher relies on."""
    fixed = {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": str(place.sockets),
        "unix_socket_permissions": "0700",
    }
    lines = [f"{name} = '{_quoted(value)}'" for name, value in {**DEFAULTS, **settings, **fixed}.items()]
    return "\n".join(["# Written at each start of the embedded server.", *lines, ""])


def check(settings: Mapping[str, str]) -> None:
    """Check that `settings` are names and values that a line of the file can hold.

    Raises:
        ValueError: one is not.
    """
    for name, value in settings.items():
        if not re.fullmatch(r"[a-z_][a-z0-9_.]*", name):
            message = f"{name!r} is not the name of a PostgreSQL setting."
            raise ValueError(message)
        if "\n" in value or "\0" in value:
            message = f"The value of setting {name} cannot hold a line break."
            raise ValueError(message)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
