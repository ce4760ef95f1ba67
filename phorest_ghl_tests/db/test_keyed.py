"""Hashes of personal values: keyed, alike in Python and in SQL, and under one key for the life of a database."""

import hashlib
import hmac

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phorest_ghl.db.keyed import KeyMismatch, Keyring
from phorest_ghl.sync.clients import ClientsSync, new_batch_id
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import LAG_S, Rig, installation

KEY = b"sixteen bytes or more of a key"
texts = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=30)
lists = st.lists(st.text(st.sampled_from("a\x1e\x1f"), max_size=4), min_size=1, max_size=4)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.binary(min_size=16, max_size=130), value=texts)
def test_sql_and_python_agree_on_every_hash(scratch_database: Database, key: bytes, value: str) -> None:
    inner, outer = Keyring(key).pads()
    statement = sa.text("select encode(sha256(:outer || sha256(:inner || convert_to(:value, 'UTF8'))), 'hex')")
    with scratch_database.engine.connect() as connection:
        found = connection.execute(statement, {"inner": inner, "outer": outer, "value": value}).scalar_one()
    assert found == hmac.new(key, value.encode(), hashlib.sha256).hexdigest()
    if not set(value) & {"\x1e", "\x1f"}:
        assert found == Keyring(key).digest(value)


@settings(max_examples=100)
@given(lists, lists)
def test_two_lists_of_parts_have_one_hash_only_if_they_are_the_same(first: list[str], second: list[str]) -> None:
    keyring = Keyring(KEY)
    assert (keyring.digest(*first) == keyring.digest(*second)) is (first == second)


def test_parts_are_told_apart_whatever_they_hold() -> None:
    keyring = Keyring(KEY)
    hashes = {
        keyring.digest(*parts)
        for parts in (["a", "b"], ["a\x1fb"], ["a\x1e", "b"], ["a\x1e\x1fb"], ["ab"], ["a", "", "b"])
    }
    assert len(hashes) == 6


def test_another_key_gives_other_hashes() -> None:
    assert Keyring(KEY).digest("a@example.com") != Keyring(KEY + b"x").digest("a@example.com")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="needs at least 16 bytes"):
        Keyring(b"too short")


def test_the_first_key_stays_and_another_one_is_refused_with_what_to_do(database: Database) -> None:
    first, other = Keyring(KEY), Keyring(KEY + b"x")
    with database.engine.begin() as connection:
        first.require_same(connection)
        first.require_same(connection)
    with pytest.raises(KeyMismatch) as raised, database.engine.begin() as connection:
        other.require_same(connection)
    said = str(raised.value)
    assert f"its fingerprint is {first.fingerprint()}" in said
    assert "nothing is planned or applied" in said
    assert "Put the first key back" in said
    assert KEY.decode() not in said
    with database.engine.begin() as connection:
        first.require_same(connection)


def test_nothing_is_planned_under_another_key(database: Database) -> None:
    with installation(database.url, clients=5) as rig:
        rig.run()
        made = len(rig.contacts())
        sync = stranger(rig)
        with pytest.raises(KeyMismatch):
            sync.prepare()
        assert len(rig.contacts()) == made


def stranger(rig: Rig) -> ClientsSync:
    """A run whose key is another one."""
    other = Keyring(KEY + b"x")
    return ClientsSync(rig.engine, rig.runtime.ghl(), other, batch_id=new_batch_id(), lag_s=LAG_S)
