"""`audit`: does GHL hold what Phorest says. Belongs here: the command's flow and its tables. Does not: any step of it."""

from collections import Counter
from pathlib import Path
from typing import Any

from rich.table import Table

from phorest_ghl.assembly import open_runtime
from phorest_ghl.audit.findings import Act, Finding
from phorest_ghl.audit.log import sample
from phorest_ghl.audit.report import load, report_page
from phorest_ghl.audit.run import Audited
from phorest_ghl.commands.console import Exit, Out, require_folder
from phorest_ghl.settings import Settings
from phorest_ghl.sync.clients import new_batch_id

_SHOWN = 20


def audit(settings: Settings, out: Out, *, mending: bool, html: Path | None = None) -> Exit:
    """Audit the location as it was last imported; with `mending`, mend what is ours to mend; `html` gets a page of it."""
    if html is not None:
        require_folder(html)
    with open_runtime(settings) as runtime:
        audited = runtime.audit(batch_id=new_batch_id(), writing=mending).run(mending=mending)
        if html is not None:
            with runtime.engine.connect() as connection:
                page = report_page(load(connection, str(settings.ghl_location_id)))
            html.write_text(page, encoding="utf-8")
            out.say(f"The report is {html}.")
    out.text.print(_kinds(audited))
    if audited.left:
        out.text.print(_findings(audited.left))
    for entity in audited.entities:
        if entity.reason is not None:
            out.say(f"Not checked: {entity.entity_type}. {entity.reason}")
    if audited.not_mended is not None:
        out.say(f"{'Not all' if audited.mended else 'Nothing'} was mended. {audited.not_mended}")
    for entity, result in audited.mended.items():
        if result.error:
            out.say(f"Mending {entity} ended early: {result.error}")
    out.result(document(audited))
    return Exit.NEEDS_A_PERSON if audited.needs_a_person else Exit.WELL


def document(audited: Audited) -> dict[str, Any]:
    """What an audit came to, as JSON: ids and names of fields, no values."""
    return {
        "ok": not audited.needs_a_person,
        "audit": audited.batch_id,
        "found": dict(Counter(str(one.kind) for one in audited.found)),
        "healed": audited.healed,
        "left": [{**sample(one), "advice": one.advice} for one in audited.left],
        "entities": {
            one.entity_type: {
                "local": one.local,
                "ghl": one.there,
                "match": one.match,
                "discrepancy": len(one.wrong),
                "not_checked": one.reason,
            }
            for one in audited.entities
        },
        "requests": audited.requests,
    }


def _kinds(audited: Audited) -> Table:
    """How many of each kind were found and are left, by entity."""
    table = Table("entity", "finding", "found", "left", "who acts")
    found = Counter((one.entity_type, one.kind) for one in audited.found)
    left = Counter((one.entity_type, one.kind) for one in audited.left)
    acts = {(one.entity_type, one.kind): one.act for one in (*audited.found, *audited.left)}
    for key, act in sorted(acts.items()):
        table.add_row(*key, str(found[key]), str(left[key]), act.value)
    return table


def _findings(left: tuple[Finding, ...]) -> Table:
    """The first of what is left, what a person has to do before what stands."""
    table = Table("finding", "in Phorest", "in GHL", "fields", "what to do")
    for one in sorted(left, key=lambda one: one.act is Act.STANDS)[:_SHOWN]:
        table.add_row(one.kind, one.phorest_id or "", one.ghl_id or "", ", ".join(one.fields), one.advice)
    return table
