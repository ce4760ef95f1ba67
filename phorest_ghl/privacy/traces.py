"""Ids that were written down in passing: in files below the state folder, and in Dagster's own storage.

Belongs here: replacing them. Does not: rows of ours (`erase`). Neither place holds a name or an address; a test of a whole
demo proves that. Both are replaced in place, as long as before, for somebody else may be writing to them.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

POSTGRES = "postgres"
"""The folder below the state folder that is a database's: its rows are erased in SQL."""
_LARGEST = 64 << 20
_WORD = "forgotten-"


def scrub_files(folder: Path, mask: str) -> int:
    """Replace the ids in all files below a folder; in how many files there were any. Files above 64 MiB go by pieces."""
    pattern = re.compile(mask.encode())
    return sum(_scrub(path, pattern) for path in _files(folder))


def scrub_dagster(engine: Engine, mask: str) -> int:
    """Replace the ids in every text of Dagster's database; in how many rows there were any. None where it was never made."""
    try:
        connection = engine.connect()
    except OperationalError as error:
        if "does not exist" in str(error.orig):
            return 0
        raise
    with connection, connection.begin():
        columns = connection.execute(
            text("""select c.table_schema, c.table_name, c.column_name from information_schema.columns c
                    join information_schema.tables t using (table_schema, table_name)
                    where t.table_type = 'BASE TABLE' and c.table_schema not in ('pg_catalog', 'information_schema')
                          and c.data_type in ('text', 'character varying')
                    order by 1, 2, 3""")
        ).all()
        found = 0
        for schema, table, column in columns:
            found += connection.execute(
                text(f"""update "{schema}"."{table}" set "{column}" = regexp_replace("{column}", :mask, :word, 'g')
                         where "{column}" ~ :mask"""),  # noqa: S608 - names from the catalogue
                {"mask": mask, "word": _WORD.rstrip("-")},
            ).rowcount
        return found


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != POSTGRES]
        yield from (Path(root) / name for name in names)


def _scrub(path: Path, pattern: re.Pattern[bytes]) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    found = False
    with path.open("r+b") as file:
        start = 0
        while piece := file.read(_LARGEST):
            for match in pattern.finditer(piece):
                file.seek(start + match.start())
                file.write((_WORD * len(match[0])).encode()[: len(match[0])])
                found = True
            start += len(piece)
            file.seek(start)
    return found
