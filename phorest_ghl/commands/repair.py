"""`repair`: single clients, read from Phorest now and brought onto their contacts. Belongs here: the command's flow."""

from collections.abc import Sequence
from datetime import UTC, datetime

from phorest_ghl.assembly import open_runtime
from phorest_ghl.commands import reports
from phorest_ghl.commands.console import Exit, Out
from phorest_ghl.settings import Settings
from phorest_ghl.sync.client_repair import AT_ONCE
from phorest_ghl.sync.clients import new_batch_id


def repair(settings: Settings, out: Out, *, client_ids: Sequence[str]) -> Exit:
    """Bring these clients, also those whom runs have given up; what is still without contact is said with its reason."""
    started = datetime.now(UTC)
    wanted = list(dict.fromkeys(client_ids))
    with open_runtime(settings) as runtime:
        brought = runtime.client_repair(batch_id=new_batch_id(started), writing=True).run(
            wanted, started_at=started, by_hand=True
        )
    entities = {} if brought.result is None else {"clients": reports.run_document(brought.result)}
    if entities:
        out.text.print(reports.outcomes_table(entities))
    for client_id, outcome in brought.left.items():
        out.say(f"Client {client_id} has no contact: {outcome.reason}.")
    if len(wanted) > AT_ONCE:
        out.say(f"One run brings {AT_ONCE} clients; name the others again, or run `phorest-ghl sync clients`.")
    ended_early = brought.result is not None and brought.result.error is not None
    if ended_early and brought.result is not None:
        out.say(f"The run ended early: {brought.result.error}")
    needs_a_person = bool(brought.left) or (brought.result is not None and brought.result.needs_a_person)
    left = {client_id: outcome.reason for client_id, outcome in brought.left.items()}
    out.result({"ok": not needs_a_person, "entities": entities, "without_contact": left})
    return Exit.NEEDS_A_PERSON if needs_a_person else Exit.WELL
