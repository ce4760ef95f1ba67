"""The registry of personal data against what there is: the schema that PostgreSQL has, and the code that writes files."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

import phorest_ghl
from phorest_ghl.phorest.retention import TABLES
from phorest_ghl.privacy.registry import ERASED, EXCLUDED, FILES, KEPT

if TYPE_CHECKING:
    from phorest_ghl_tests.support.databases import Database

PACKAGE = Path(phorest_ghl.__file__).parent
_WRITERS = {"write_text", "write_bytes", "mkdir", "TemporaryDirectory", "NamedTemporaryFile", "mkdtemp", "mkstemp"}
_COPIERS = {"copyfile", "copy", "copy2", "copytree", "move"}
_TRACES = "privacy/traces.py"
"""It writes no file, it replaces ids in those there are."""


def schema(connection: sa.Connection) -> dict[str, set[str]]:
    """Every column of every table; views hold nothing by themselves, and there are no materialized ones."""
    found: dict[str, set[str]] = {}
    assert connection.execute(sa.text("select count(*) from pg_matviews")).scalar_one() == 0
    rows = connection.execute(
        sa.text("""select table_name, column_name from information_schema.columns
                   join information_schema.tables using (table_schema, table_name)
                   where table_schema = current_schema() and table_type = 'BASE TABLE'""")
    )
    for table, column in rows:
        found.setdefault(table, set()).add(column)
    return found


def decided_on() -> dict[str, set[str]]:
    """Every column that the registry has decided on, by table."""
    found: dict[str, set[str]] = {}
    for one in ERASED:
        found.setdefault(one.table, set()).update(one.columns.split())
    for kept in KEPT:
        found.setdefault(kept.table, set()).update(kept.columns.split(), kept.changed)
    return found


def undecided(connection: sa.Connection) -> list[str]:
    decided = decided_on()
    return sorted(
        f"{table}.{column}"
        for table, columns in schema(connection).items()
        if table not in EXCLUDED
        for column in columns - decided.get(table, set())
    )


def writers(source: str) -> Iterator[str]:
    """Calls in a module that write a file or make a folder."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        of = (
            node.func.value.id if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) else ""
        )
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        words = [value.value for value in given if isinstance(value, ast.Constant)]
        modes = [
            word for word in words if isinstance(word, str) and set(word) <= set("rwaxbt+") and set(word) & set("wax+")
        ]
        if name in _WRITERS or (name == "open" and (modes or of == "os")) or (of == "shutil" and name in _COPIERS):
            yield name


def test_every_column_that_postgresql_has_is_decided_on(database: "Database") -> None:
    with database.engine.connect() as connection:
        assert undecided(connection) == [], "say in privacy/registry.py what forget does with them, or why nothing"


@pytest.mark.parametrize(
    "change",
    [
        "alter table ghl_contacts add column nickname text",
        "alter table suppressions add column address jsonb",
        "create table diary (id int, client_name text)",
    ],
)
def test_a_new_column_is_noticed_until_somebody_has_decided_on_it(database: "Database", change: str) -> None:
    with database.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(sa.text(change))
        assert undecided(connection)
        transaction.rollback()


def test_the_registry_names_no_table_and_no_column_that_is_not_there(database: "Database") -> None:
    with database.engine.connect() as connection:
        there = schema(connection)
    named = decided_on()
    assert not [f"{table}.{column}" for table, columns in named.items() for column in columns - there.get(table, set())]
    assert set(EXCLUDED) <= set(there)
    assert not set(EXCLUDED) & set(named), "excluded and registered"
    assert all(EXCLUDED.values()), "an exclusion has a reason"
    assert all(kept.why for kept in KEPT)


def test_every_module_that_writes_files_belongs_to_a_kind_of_file_that_was_decided_on() -> None:
    modules = {
        str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob("*.py"))
        if "sandbox" not in path.parts and any(writers(path.read_text(encoding="utf-8")))
    }
    known = Counter(module for kind in FILES for module in kind.modules)
    assert modules - {_TRACES} == set(known), "say in privacy/registry.py what the files hold and what forget does"
    assert all(kind.holds for kind in FILES)


@pytest.mark.parametrize(
    "source",
    [
        "Path('x').write_text(name)",
        "open('x', 'w')",
        "path.open('ab')",
        "os.open(path, flags)",
        "shutil.copyfile(a, b)",
    ],
)
def test_a_module_that_begins_to_write_files_is_noticed(source: str) -> None:
    assert list(writers(source))
    assert not list(writers("path.open('rb'); open('salon.toml'); folder.glob('*')"))


def test_whatever_retention_prunes_forget_erases() -> None:
    """What is kept for a while is personal: both know the same tables, but for those that are the salon's own."""
    erased = {one.table for one in ERASED}
    assert {table for table in TABLES if table not in EXCLUDED} == erased & set(TABLES)
    assert "phorest_versions" in erased
    assert set(TABLES) <= erased | set(EXCLUDED)
