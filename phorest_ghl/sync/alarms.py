"""When a failed job is worth a person's evening: once for each cause, until the job has succeeded again.

Belongs here: what is expected, what is told, and when. Does not: finding out why a job failed (`defs.run_watch`).

A record that GHL refuses never fails a job: it is counted, and waits under `phorest-ghl review`. What fails one and needs
nobody (the day's quota is used up) is expected. What ends by itself (an outage, somebody at work on the location) is told at
its third time in a row. All else is told at once, and once.
"""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, text

KIND = "a job failed"
_ENTITY = "job"
PATIENCE = 3


class Urgency(StrEnum):
    """What a cause asks of people."""

    EXPECTED = "expected"
    """Nothing: it is over by itself, and nothing is lost."""
    PASSING = "passing"
    """Nothing yet: the other side, or the database, is away."""
    NOW = "now"
    """A look: a setting, a decision, or a defect."""


@dataclass(frozen=True)
class Failure:
    """Why a job failed. `cause` tells causes apart, and `sentence` is for people; neither holds personal values."""

    job: str
    cause: str
    sentence: str
    urgency: Urgency
    run_id: str


def note(connection: Connection, location_id: str, failure: Failure) -> bool:
    """Keep a failure; whether it is to be told now. A run counts once, however often it is noted."""
    if failure.urgency is Urgency.EXPECTED:
        return False
    key = {"location": location_id, "entity": _ENTITY, "kind": KIND, "job": failure.job, "cause": failure.cause}
    times = connection.execute(
        text("""update audit_findings
                set detail = detail || jsonb_build_object('times', (detail ->> 'times')::int + 1,
                                                          'run', cast(:run as text))
                where location_id = :location and entity_type = :entity and kind = :kind and resolved_at is null
                      and detail ->> 'job' = :job and detail ->> 'cause' = :cause and detail ->> 'run' <> :run
                returning (detail ->> 'times')::int"""),
        {**key, "run": failure.run_id},
    ).scalar_one_or_none()
    if times is None:
        times = connection.execute(
            text("""insert into audit_findings (location_id, entity_type, kind, detail, batch_id)
                    select :location, :entity, :kind,
                           jsonb_build_object('job', cast(:job as text), 'cause', cast(:cause as text),
                                              'sentence', cast(:sentence as text), 'times', 1, 'run', cast(:run as text)),
                           cast(:run as text)
                    where not exists (select from audit_findings
                                      where location_id = :location and entity_type = :entity and kind = :kind
                                            and resolved_at is null and detail ->> 'job' = :job
                                            and detail ->> 'cause' = :cause)
                    returning (detail ->> 'times')::int"""),
            {**key, "run": failure.run_id, "sentence": failure.sentence},
        ).scalar_one_or_none()
    return times == (PATIENCE if failure.urgency is Urgency.PASSING else 1)


def recovered(connection: Connection, location_id: str, job: str) -> int:
    """The job has succeeded: what it failed of is over; how many causes that were."""
    return connection.execute(
        text("""update audit_findings set resolved_at = now(), resolution = 'the job succeeded'
                where location_id = :location and entity_type = :entity and kind = :kind and resolved_at is null
                      and detail ->> 'job' = :job"""),
        {"location": location_id, "entity": _ENTITY, "kind": KIND, "job": job},
    ).rowcount
