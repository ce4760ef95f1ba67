"""The entities by the names that commands, tables and the cron table have for them, and how old each may be.

Belongs here: that table. Does not: the cron table (`defs.schedules`), which a test holds this one against.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True)
class Entity:
    """One entity.

    Attributes:
        name: what commands call it; its cron line has the same name with `_`.
        entity_type: what tables call it.
        imports: what its runs import from Phorest, as `import_cursors` names it; empty where others import for it.
        late: after so long without a good run somebody should know.
        too_late: after so long something is broken.
    """

    name: str
    entity_type: str
    imports: str
    late: timedelta
    too_late: timedelta

    @property
    def schedule(self) -> str:
        """The line of the cron table that runs it."""
        return self.name.replace("-", "_")


def _every(hours: float, *names: str) -> Entity:
    """Late when a run was missed, too late when three were."""
    name, entity_type, imports = names
    return Entity(
        name=name,
        entity_type=entity_type,
        imports=imports,
        late=timedelta(hours=hours * 1.5 + 0.25),
        too_late=timedelta(hours=hours * 3.5 + 0.25),
    )


ENTITIES = (
    _every(2, "clients", "client", "client"),
    _every(1 / 6, "appointments", "appointment", "appointment"),
    _every(2, "bookings", "booking", ""),
    _every(0.5, "check-ins", "checkin", ""),
    _every(12, "loyalty", "loyalty", ""),
    _every(24, "products", "product", "purchase"),
    _every(24, "staff", "staff", "staff"),
)
BY_NAME = {entity.name: entity for entity in ENTITIES}
BY_TYPE = {entity.entity_type: entity for entity in ENTITIES}
EVERYTHING_ELSE = ("repair", "audit")
"""Lines and sensors that write besides the entities' own; they are paused with everything."""
