"""From our exceptions to Dagster's: a sentence, and whether a step may be repeated.

Belongs here: the mapping. Does not: what cures which error (`phorest_ghl.cures`).
"""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from phorest_ghl.cures import MET, Cure, cure_of, sentence
from phorest_ghl.http.errors import ApiError
from phorest_ghl.sync.alarms import Urgency

CAUSE, URGENCY = "cause", "urgency"
"""Metadata of a failure that `run_watch` reads."""
_URGENCY = {Cure.REPEAT: Urgency.PASSING, Cure.RETURN: Urgency.PASSING, Cure.TOMORROW: Urgency.EXPECTED}
_WORTH_A_RETRY = frozenset({Cure.REPEAT, Cure.RETURN})


def failure(error: ApiError) -> dg.Failure:
    """A vendor's refusal as a failure of the step, with what a person needs to look it up."""
    return dg.Failure(
        description=str(error),
        metadata={
            "category": error.category.value,
            "operation": error.operation,
            "status": dg.MetadataValue.null() if error.status is None else error.status,
            "trace_id": error.trace_id or "none",
            **_for_alarms(f"{error.api} {error.category.value} {error.operation}", error),
        },
        allow_retries=cure_of(error) in _WORTH_A_RETRY,
    )


@contextmanager
def failures_as_sentences() -> Generator[None]:
    """Turn the errors that a user can meet into failures that read as sentences; a defect keeps its traceback."""
    try:
        yield
    except ApiError as error:
        raise failure(error) from error
    except MET as error:
        raise dg.Failure(
            description=sentence(error),
            metadata=_for_alarms(type(error).__name__, error),
            allow_retries=cure_of(error) in _WORTH_A_RETRY,
        ) from error


def _for_alarms(cause: str, error: Exception) -> dict[str, str]:
    """What tells this failure's cause from others, and what it asks of people."""
    return {CAUSE: cause, URGENCY: _URGENCY.get(cure_of(error), Urgency.NOW).value}
