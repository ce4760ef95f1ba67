"""A record's document by its kind, the same for the command line and for Dagster: looked up live first where that is asked for.

Belongs here: the order of these steps. Does not: any of them.
"""

from typing import Any, Literal

from phorest_ghl.assembly import Runtime
from phorest_ghl.explain.document import appointment_document, client_document
from phorest_ghl.explain.live import look_at_contact, look_at_event
from phorest_ghl.sync.clients import new_batch_id

Entity = Literal["client", "appointment"]


def document_of(
    runtime: Runtime, entity: Entity, phorest_id: str, *, live: bool = False, values: bool = False
) -> dict[str, Any]:
    """Explain a client or an appointment. Raises NotKnown, SettingsError, KeyMismatch; ApiError where it looks live."""
    if entity == "client":
        return _client(runtime, phorest_id, live=live, values=values)
    explainer = runtime.appointment_explainer()
    with runtime.engine.connect() as connection:
        explained = explainer.explain(connection, phorest_id)
    if live and explained.event is not None:
        look_at_event(runtime.engine, runtime.calendar_reader(), explained.event)
        with runtime.engine.connect() as connection:
            explained = explainer.explain(connection, phorest_id)
    return appointment_document(explained, values=values)


def _client(runtime: Runtime, phorest_id: str, *, live: bool, values: bool) -> dict[str, Any]:
    explainer = runtime.client_explainer()
    with runtime.engine.connect() as connection:
        contact = explainer.contact_of(connection, phorest_id)
    if live and contact is not None:
        look_at_contact(runtime.engine, runtime.ghl_reader(), runtime.keyring(), contact, batch_id=new_batch_id())
    with runtime.engine.connect() as connection:
        explained = explainer.explain(connection, phorest_id)
    return client_document(explained, values=values)
