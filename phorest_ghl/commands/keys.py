"""`init`: a .env with both keys in it, made once and never overwritten.

Belongs here: making keys and the file. Does not: what the settings mean.
"""

import base64
import os
import secrets
from pathlib import Path

from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.settings import env_example

HASH_KEY, SECRET_KEY = "PHOREST_GHL_HASH_KEY", "PHOREST_GHL_SECRET_KEY"


def new_key() -> str:
    """32 random bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def init(env_file: Path, out: Out) -> Exit:
    """Write `.env` from the example, or put missing keys into the one there is; nothing in it is changed."""
    present = env_file.read_text(encoding="utf-8") if env_file.exists() else env_example()
    lines = present.splitlines()
    made: list[str] = []
    for name in (HASH_KEY, SECRET_KEY):
        if any(line.startswith(f"{name}=") and line != f"{name}=" for line in lines):
            continue
        lines = [line for line in lines if line != f"{name}="] + [f"{name}={new_key()}"]
        made.append(name)
    if made or not env_file.exists():
        _write_private(env_file, "\n".join(lines) + "\n")
    out.say(
        f"{env_file}: {'made ' + ' and '.join(made) if made else 'both keys are there'}. Keep this file with every backup."
    )
    out.say("Fill in the Phorest and GoHighLevel settings there, then run `phorest-ghl plan`.")
    out.result({"env_file": str(env_file), "made": made})
    return Exit.WELL


def replace_line(env_file: Path, name: str, value: str) -> None:
    """Change one setting in a file at once, and nothing else in it."""
    lines = env_file.read_text(encoding="utf-8").splitlines()
    changed = [f"{name}={value}" if line.startswith(f"{name}=") else line for line in lines]
    _write_private(env_file, "\n".join(changed) + "\n")


def _write_private(path: Path, content: str) -> None:
    """Replace a file at once, readable by its owner alone."""
    fresh = path.with_name(path.name + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(content)
    fresh.replace(path)
