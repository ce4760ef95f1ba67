"""From our exceptions to Dagster's: one place that says which failure a repeat can cure.

Belongs here: the mapping. Does not: deciding what is an error.
"""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from phorest_ghl.db.engine import DatabaseUnreachable
from phorest_ghl.db.keyed import KeyMismatch
from phorest_ghl.http.errors import ApiError, Category
from phorest_ghl.phorest.branches import UnknownZone
from phorest_ghl.phorest.exports import ExportFailed
from phorest_ghl.phorest.pages import MalformedPage
from phorest_ghl.settings import SettingsError
from phorest_ghl.sync.clients import NotConfirmed, NotImported
from phorest_ghl.sync.consent import ConsentNotHonoured
from phorest_ghl.sync.registry import ForeignField

_PASSES_BY_ITSELF = frozenset({Category.TRANSIENT, Category.UNREACHABLE, Category.RATE_LIMITED, Category.PROTOCOL})
_NEEDS_A_PERSON = (SettingsError, KeyMismatch, NotConfirmed, NotImported, ConsentNotHonoured, ForeignField, UnknownZone)
_MAY_PASS = (DatabaseUnreachable, MalformedPage, ExportFailed)


def failure(error: ApiError) -> dg.Failure:
    """A vendor's refusal as a failure of the step, with what a person needs to look it up."""
    return dg.Failure(
        description=str(error),
        metadata={
            "category": error.category.value,
            "operation": error.operation,
            "status": dg.MetadataValue.null() if error.status is None else error.status,
            "trace_id": error.trace_id or "none",
        },
        allow_retries=error.category in _PASSES_BY_ITSELF,
    )


@contextmanager
def failures_as_sentences() -> Generator[None]:
    """Turn the errors that a user can meet into failures that read as sentences; a defect keeps its traceback."""
    try:
        yield
    except ApiError as error:
        raise failure(error) from error
    except _NEEDS_A_PERSON as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except _MAY_PASS as error:
        raise dg.Failure(description=str(error), allow_retries=True) from error
