"""`explain` as a job: one client, or one appointment, with ids, rules and masked values. Writes nothing to GHL.

Belongs here: its config, and the page that it makes. Does not: finding out (`phorest_ghl.explain`).
"""

import dagster as dg
from pydantic import Field

from phorest_ghl.assembly import Runtime
from phorest_ghl.defs.failures import failures_as_sentences
from phorest_ghl.defs.ghl.assets import CONTACTS
from phorest_ghl.defs.ghl.events import EVENTS
from phorest_ghl.explain.document import markdown
from phorest_ghl.explaining import document_of


class ExplainConfig(dg.Config):
    """Which record."""

    client_id: str = Field(default="", description="A client's id in Phorest.")
    appointment_id: str = Field(default="", description="Or an appointment's, without a client's.")
    live: bool = Field(default=False, description="Read the contact or the event from GHL first, by its id.")


@dg.op
def explain_record(context: dg.OpExecutionContext, config: ExplainConfig, salon: dg.ResourceParam[Runtime]) -> None:
    """Report why a record is as it is, as an observation of ghl/contacts or ghl/appointments."""
    if bool(config.client_id) == bool(config.appointment_id):
        raise dg.Failure("Name a client_id or an appointment_id in the config, and not both.", allow_retries=False)
    of_client = bool(config.client_id)
    phorest_id = config.client_id or config.appointment_id
    with failures_as_sentences():
        document = document_of(salon, "client" if of_client else "appointment", phorest_id, live=config.live)
    context.log_event(
        dg.AssetObservation(
            CONTACTS if of_client else EVENTS,
            description=f"Why {'client' if of_client else 'appointment'} {phorest_id} is as it is",
            metadata={
                "explanation": dg.MetadataValue.md(markdown(document)),
                "work_items": dg.MetadataValue.int(len(document["work_items"])),
                "findings": dg.MetadataValue.int(len(document["findings"])),
            },
        )
    )


@dg.job(description="Why one client's contact or one appointment's event is as it is. Writes nothing to GHL.")
def explain() -> None:
    """One step."""
    explain_record()
