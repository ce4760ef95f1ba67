"""Whether anything personal or secret stands where it must not: in all that a demo has said, logged and stored.

Belongs here: what to look for, where, and looking. Does not: tests. Left out are the tables that hold people's data because
that is their job, which `privacy/registry.py` names, and PostgreSQL's own files, whose rows are read in SQL instead.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import sqlalchemy as sa

from phorest_ghl.assembly import DAGSTER_DATABASE, DATABASE
from phorest_ghl.db.embedded import EmbeddedServer

HOLDERS = frozenset({
    "phorest_clients", "phorest_versions", "phorest_appointments", "phorest_purchases", "phorest_staff",
    "phorest_branches", "ghl_contacts", "ghl_events",
})  # fmt: skip
"""Tables whose job it is to hold people's data, and the salon's own addresses."""
SECRETS = ("PHOREST_CLIENT_SECRET", "GHL_PRIVATE_TOKEN", "PHOREST_GHL_HASH_KEY", "PHOREST_GHL_SECRET_KEY")
_LEAST_NAME = 6
"""Letters that a name has at least to be looked for by itself: shorter ones are words, or parts of ids."""


def secrets_of_processes_in(folder: Path) -> set[str]:
    """The secrets in the environments of the processes that work in a folder."""
    found: set[str] = set()
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or not (entry / "cwd").readlink().is_relative_to(folder):
                continue
            lines = [line.partition("=") for line in _text(entry / "environ").split("\0")]
        except OSError:
            continue
        found |= {value for name, _, value in lines if name in SECRETS and value}
    return found


def leaks_of(folder: Path, said: str, *, secrets: Iterable[str]) -> list[str]:
    """Where people's data or secrets stand, by kind and place; the values themselves are not repeated."""
    server = EmbeddedServer(folder)
    server.start()
    try:
        ours, dagster = _rows(server.url(DATABASE)), _rows(server.url(DAGSTER_DATABASE))
        patterns = {**_people(server.url(DATABASE)), "secret": _any_of(secrets)}
    finally:
        server.stop()
    places = {
        "what was said": said,
        **{f"table {name}": held for name, held in ours.items() if name not in HOLDERS},
        **{f"Dagster's table {name}": held for name, held in dagster.items()},
        **{str(path.relative_to(folder)): _text(path) for path in _files(folder)},
    }
    assert {"table sync_logs", "Dagster's table event_logs", "Dagster's table run_tags"} <= set(places)
    return [
        f"{kind} in {place}" for place, held in places.items() for kind, one in patterns.items() if one.search(held)
    ]


def _people(url: str) -> Mapping[str, re.Pattern[str]]:
    """Addresses and names of everybody: clients, staff, and the contacts that somebody made in GHL.

    A number of digits alone could stand in an id or a time by chance, so a phone is looked for as it is written with a plus
    or with gaps. A name that the salon itself uses, for a service or a street, is a word.
    """
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        people = connection.execute(
            sa.text("""select first_name, last_name, email, mobile as phone from phorest_clients
                       union select first_name, last_name, email, mobile from phorest_staff
                       union select first_name, last_name, email, phone from ghl_contacts""")
        ).all()
        words = " ".join(
            connection.execute(
                sa.text("""select name from phorest_services union select name from phorest_products
                           union select b::text from phorest_branches b""")
            ).scalars()
        ).lower()
    engine.dispose()
    names = {name for row in people for name in (row.first_name, row.last_name) if name and len(name) >= _LEAST_NAME}
    emails = {row.email.strip() for row in people if row.email and "@" in row.email}
    phones = {row.phone.strip() for row in people if row.phone and re.search(r"^\+|\d[ /-]\d", row.phone.strip())}
    found = {"name": {name for name in names if name.lower() not in words}, "email": emails, "phone": phones}
    assert all(len(values) > 10 for values in found.values()), {kind: len(values) for kind, values in found.items()}
    return {kind: _any_of(values) for kind, values in found.items()}


def _any_of(values: Iterable[str]) -> re.Pattern[str]:
    """Any of the values as a word of its own."""
    some = sorted(set(values))
    assert some, "nothing to look for proves nothing"
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, some))})(?!\w)")


def _rows(url: str) -> Mapping[str, str]:
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            return {
                name: "\n".join(connection.execute(sa.text(f'select t::text from "{name}" t')).scalars())  # noqa: S608 - a table's name
                for name in sa.inspect(connection).get_table_names()
            }
    finally:
        engine.dispose()


def _files(folder: Path) -> Iterable[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "postgres"]
        yield from (Path(root) / name for name in names)


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")
