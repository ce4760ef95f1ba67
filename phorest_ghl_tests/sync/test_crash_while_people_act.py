"""kill -9 while the salon lives: clients opt out, move, are banned and deleted between the kills.

What must hold in the end is what people are promised: nobody on two contacts, nobody forgotten, nobody reachable on a
channel that anybody at the address has closed.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from phorest_ghl.sandbox.server import SandboxProcess
from phorest_ghl_tests.support.databases import Database
from phorest_ghl_tests.sync.rig import LAG_S, Rig, Row, environment, opened, options
from phorest_ghl_tests.sync.victim import victim

pytestmark = pytest.mark.crash

KILLS = int(os.environ.get("CRASH_KILLS", "14"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
"""Another salon, other people's acts, other moments."""
BY_PHONE = ("SMS", "Call", "WhatsApp")


def alone(rows: list[Row], row: Row) -> bool:
    """Whether a client shares its household with nobody: a banned client keeps its address, so a family would wait."""
    return sum(other["truth"]["household"] == row["truth"]["household"] for other in rows) == 1


def live(rig: Rig, rng: random.Random, numbers: Iterator[int]) -> None:
    """A few things that happen at the desk within minutes, most of them to those whose create is unsettled."""
    rows = rig.clients()
    syncable = [row for row in rows if row["truth"]["syncable"]]
    unsettled = {
        row["phorest_id"] for row in rig.rows("select phorest_id from sync_intents where state in ('sent', 'unknown')")
    }
    touched = [row for row in syncable if row["clientId"] in unsettled]
    for row in [*touched, *rng.sample([row for row in syncable if row not in touched], 6)]:
        act = rng.choice(["opt out", "opt out", "opt in", "move", "move", "ban", "delete"])
        if act in ("opt out", "opt in"):
            agrees = act == "opt in"
            rig.edit_client(row["clientId"], smsMarketingConsent=agrees, emailMarketingConsent=agrees)
        elif act == "move":
            rig.edit_client(row["clientId"], mobile=f"+353 85 700 {next(numbers):04d}")
        elif alone(rows, row):
            rig.edit_client(row["clientId"], **{"ban": {"banned": True}, "delete": {"deleted": True}}[act])


def check_promises(rig: Rig) -> None:
    """Nobody twice, nobody forgotten, nobody open who closed."""
    clients = {row["clientId"]: row for row in rig.clients()}
    contacts = rig.contacts()
    carried = [value for contact in contacts for value in contact["customFields"].values() if value in clients]
    assert len(carried) == len(set(carried)) == len(contacts), "a client on two contacts, or a contact without a client"
    held = [clients[key]["truth"]["household"] for key in carried]
    assert len(held) == len(set(held)), "a household on two contacts"
    wanted = {row["truth"]["household"] for row in clients.values() if row["truth"]["syncable"]}
    assert wanted <= set(held), "a household on no contact"
    for contact in contacts:
        blocked = {name for name, setting in contact["dndSettings"].items() if setting["status"] == "active"}
        for address, flag, channels in (
            ("email", "emailMarketingConsent", ("Email",)),
            ("phone", "smsMarketingConsent", BY_PHONE),
        ):
            holders = [
                row for row in clients.values() if contact.get(address) and row["truth"][address] == contact[address]
            ]
            if any(row.get(flag) is not True or row["banned"] or row["deleted"] for row in holders):
                assert blocked.issuperset(channels), f"contact {contact['id']} can be reached by {address}"


@pytest.mark.timeout(max(240, 20 * KILLS))
@pytest.mark.parametrize("duplicates", [False, True], ids=["refusing duplicates", "allowing duplicates"])
def test_what_people_are_promised_holds_whenever_the_run_is_killed(
    database: Database, duplicates: bool  # noqa: FBT001
) -> None:  # fmt: skip
    rng = random.Random(1000 * SEED + KILLS)
    numbers = iter(range(10_000))
    switches = {"ghl_allow_duplicate_contact": duplicates}
    with ExitStack() as stack:
        sandbox = stack.enter_context(SandboxProcess(options(clients=300, seed=SEED, latency_ms=6, switches=switches)))
        if duplicates:  # everybody has a contact of their own there, so a household is one client
            apart(sandbox, numbers)
        rig = stack.enter_context(opened(sandbox, database.url))
        rig.load()
        environ = environment(sandbox, database.url, GHL_RATE_LIMIT="12", GHL_BUDGET_SHARE="0.9")
        for _ in range(KILLS):
            live(rig, rng, numbers)
            sandbox.control("POST", "/clock", {"advance_s": 2})
            rig.fault("timeout_after_commit", "POST /contacts/", rate=0.3, ms=5)
            with victim(environ, "import", "sync") as process:
                time.sleep(rng.uniform(0.1, 0.6))
                assert process.exitcode in (None, 0)
            rig.calm()
        for _ in range(2):
            rig.run()
            time.sleep(2 * LAG_S)  # what was written shows in search, as it does hours later
        check_promises(rig)
        assert rig.plan().changes == ()
        assert rig.rows("select state from sync_intents where state in ('planned', 'sent', 'unknown')") == []


def apart(sandbox: SandboxProcess, numbers: Iterator[int]) -> None:
    """Give everybody who shares an address one of their own."""
    rows = sandbox.truth("phorest/clients")
    for row in rows:
        if row["truth"]["household"] and not alone(rows, row):
            changed = {"mobile": f"+353 85 700 {next(numbers):04d}", "email": None}
            sandbox.control("PATCH", f"/phorest/clients/{row['clientId']}", changed)
