"""`staff-map`: propose which user of GHL each member of the staff is, in salon.toml, for a person to review.

Belongs here: the command's flow. Does not: the proposal, the file.
"""

from pathlib import Path

from rich.table import Table

from phorest_ghl.assembly import open_runtime
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.phorest.specs import STAFF
from phorest_ghl.salon_file import StaffUser, add_staff_users
from phorest_ghl.settings import Settings
from phorest_ghl.sync.clients import new_batch_id
from phorest_ghl.sync.source import load_names
from phorest_ghl.sync.staff.humans import PSEUDO, humans, is_pseudo, load_staff
from phorest_ghl.sync.staff.user_map import Proposal, propose


def staff_map(settings: Settings, out: Out, *, file: Path) -> Exit:
    """Import the staff, read GHL's users, add what is new to the file. Nothing is written to GHL."""
    with open_runtime(settings) as runtime:
        runtime.importer(new_batch_id()).of_branches(STAFF)
        reader = runtime.users_reader()
        users = reader.users(reader.location().company_id)
        with runtime.engine.connect() as connection:
            rows = load_staff(connection, load_names(connection).countries)
    words = (*PSEUDO, *settings.pseudo_staff_words)
    pseudo = [row for row in rows if is_pseudo(row, words)]
    found = propose(humans(row for row in rows if row not in pseudo), users)
    added = add_staff_users(file, [line for proposal in found for line in _lines(proposal)])
    table = Table("staff", "user", "found by", title="Staff and users", title_justify="left")
    for proposal in found:
        table.add_row(proposal.human.key, proposal.user.id if proposal.user else "", proposal.by)
    out.text.print(table)
    out.say(f"{len(pseudo)} columns of the diary are nobody: rooms, machines and the like.")
    out.say(
        f"{added} lines were added to {file}. Look through them and set reviewed = true in its section staff_users."
    )
    out.result(
        {
            "added": added,
            "pseudo_staff": [row.staff_id for row in pseudo],
            "proposals": [
                {
                    "staff": [row.staff_id for row in proposal.human.rows],
                    "user": proposal.user.id if proposal.user else None,
                    "by": proposal.by,
                }
                for proposal in found
            ],
        }
    )
    return Exit.WELL if all(proposal.user for proposal in found) else Exit.NEEDS_A_PERSON


def _lines(proposal: Proposal) -> list[StaffUser]:
    user = proposal.user
    name = proposal.human.name or "without a name"
    note = f"{name}: found by {proposal.by}" if user else f"{name}: no user has this email or name"
    return [StaffUser(row.staff_id, user.id if user else None, note) for row in proposal.human.rows]
