"""What a run stands on fails: PostgreSQL's sessions die inside a commit, its disk fills up, our clock jumps.

Afterwards the same runs finish what was begun: nothing is lost and nothing is twice.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import time_machine
from psycopg import sql

from benchmarks.chaos_truth import Verdict
from benchmarks.fuse import Boundary, Spark
from phorest_ghl.db.embedded import EmbeddedServer
from phorest_ghl_tests import killed_salon as salons
from phorest_ghl_tests.killed_salon import CONTACT, DAY, EVENT, MOVE, NOTE
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.support.session_folder import FAST
from phorest_ghl_tests.sync.rig import environment

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]
WELL = Verdict()
SMALL_MB = 64
LEFT_BYTES = 300_000
"""What the disk has left when the load begins: less than what the load would write."""


def test_a_load_whose_postgresql_dies_inside_a_commit_is_whole_in_the_end(state_dir: Path, tmp_path: Path) -> None:
    # A server of its own: where one session dies by kill -9, PostgreSQL ends all the others and starts again.
    server = EmbeddedServer(state_dir, settings={**FAST, "fsync": "on", "synchronous_commit": "on"})
    server.start()
    server.ensure_database("salon")
    with salons.killed_salon(server.url("salon"), tmp_path) as salon:
        assert salon.finish("short load", *DAY) == WELL
        for operation in (CONTACT, EVENT, MOVE, NOTE):
            salon.busy_hour()
            salon.forget_crossings()
            spark = Spark(boundary=Boundary.IN_COMMIT, operation=operation, backend=True)
            assert not salon.kill(spark, *DAY), "the session was to die, and not the process"
            assert salon.burnt() == operation
        assert salon.finish(*DAY) == WELL


@contextmanager
def small_disk(server: EmbeddedServer, place: Path) -> Iterator[Database]:
    """A database on a disk of its own that is small."""
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MB}m,mode=0755", "tmpfs", place], capture_output=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip("mounting a small disk takes root, and a container that lets it")
    owner = (server.home / "data").stat()
    folder = place / "tablespace"
    folder.mkdir()
    shutil.chown(folder, owner.st_uid, owner.st_gid)
    name = "on_a_small_disk"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("create tablespace small location {}").format(sql.Literal(str(folder))))
        try:
            admin.execute(sql.SQL("create database {} tablespace small").format(sql.Identifier(name)))
            yield Database(name, server.url(name), server.dsn(name))
        finally:
            admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
            admin.execute("drop tablespace small")
            subprocess.run(["umount", place], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="the small disk is a tmpfs")
def test_a_load_that_fills_the_disk_says_so_and_goes_on_when_there_is_room(state_dir: Path, tmp_path: Path) -> None:
    # A server of its own: no checkpoint succeeds while a disk is full, and others' databases could not be made.
    server = EmbeddedServer(state_dir, settings=FAST)
    server.start()
    place = server.home / "small-disk"  # where the server's user can go
    try:
        with (
            small_disk(server, place) as database,
            salons.killed_salon(database.url, tmp_path) as salon,
        ):
            filler = place / "filler"
            filler.write_bytes(b"x" * (shutil.disk_usage(place).free - LEFT_BYTES))
            for _ in range(2):  # and it says so again
                command = [sys.executable, "-m", "phorest_ghl", "backfill", "--from", "2026-03", "--workflows-paused"]
                env = {**environment(salon.rig.sandbox, database.url), "PYTHONPATH": ":".join(sys.path)}
                run = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
                assert run.returncode == 3, run.stderr
                assert "Traceback" not in run.stderr
                assert "disk of PostgreSQL is full" in run.stderr
                filler.write_bytes(b"x" * (filler.stat().st_size - LEFT_BYTES))
            filler.unlink()
            assert salon.finish("short load", *DAY) == WELL
    finally:
        place.rmdir()


def test_runs_between_which_our_clock_jumps_by_hours_do_each_thing_once(database: Database, tmp_path: Path) -> None:
    with salons.killed_salon(database.url, tmp_path, apart=True) as salon:
        assert salon.finish("short load", *DAY) == WELL
        for hours in (6, -6):
            with time_machine.travel(datetime.now(UTC) + timedelta(hours=hours), tick=True):
                salon.busy_hour()
                salon.busy_hour()
                assert salon.finish(*DAY) == WELL
        salon.busy_hour()
        salon.busy_hour()
        began = datetime.now(UTC)
        assert salon.finish(*DAY) == WELL
        # What was reserved or leased by a clock that was ahead holds nobody up for hours.
        assert datetime.now(UTC) - began < timedelta(hours=1)
