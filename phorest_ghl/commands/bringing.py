"""What a command reads from Phorest before it plans an entity.

Belongs here: which import goes with which entity, and what is said of it. Does not: importing (`phorest_ghl.phorest`).
"""

from collections.abc import Sequence

from phorest_ghl.assembly import Runtime
from phorest_ghl.commands.console import Out
from phorest_ghl.commands.progress import pages_shown
from phorest_ghl.phorest.importer import Importer, ImportResult
from phorest_ghl.sync.clients import new_batch_id


def import_clients(runtime: Runtime, out: Out, *, full: bool = False) -> ImportResult:
    """Import what the clients cron brings; the clients' own result."""
    with pages_shown(out) as seen:
        result = runtime.importer(new_batch_id(), seen=seen).clients(full=full)["client"]
    _say(result, "clients", out)
    return result


def bring(runtime: Runtime, out: Out, entity: str, *, full: bool = False) -> bool:
    """Import what the cron of an entity brings; whether all of it was read.

    Points change without a trace, so loyalty reads every client (facts/phorest-api §7.4). Raises ExportFailed, ApiError.
    """
    if entity in ("clients", "loyalty"):
        return import_clients(runtime, out, full=full or entity == "loyalty").complete
    with pages_shown(out) as seen:
        importer = runtime.importer(new_batch_id(), seen=seen)
        results = importer.appointments(full=full) if entity == "bookings" else _sales(runtime, importer, full=full)
    what = "appointments" if entity == "bookings" else "records of products and sales"
    out.say(f"Imported from Phorest: {sum(result.seen for result in results)} {what} seen.")
    for result in results:
        _say_failed(result, what, out)
    return all(result.complete for result in results)


def _sales(runtime: Runtime, importer: Importer, *, full: bool) -> Sequence[ImportResult]:
    from phorest_ghl.phorest.purchases import PurchaseImporter  # noqa: PLC0415 - its pandas costs half a second

    catalogue = importer.catalogue()
    runner = PurchaseImporter(runtime.engine, runtime.phorest(), runtime.keyring(), batch_id=new_batch_id())
    return [*catalogue.values(), runner.run(importer.branches(), full=full)]


def _say(result: ImportResult, what: str, out: Out) -> None:
    out.say(
        f"Imported from Phorest: {result.seen} {what} seen, {result.inserted} new, {result.updated} changed, "
        f"{len(result.set_aside)} set aside."
    )
    _say_failed(result, what, out)


def _say_failed(result: ImportResult, what: str, out: Out) -> None:
    for page, reason in result.failed_pages.items():
        out.say(
            f"Page {page} of the {what} could not be read: {reason}. The next run reads everything again from here."
        )
