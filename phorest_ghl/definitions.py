"""The composition root: every definition that Dagster loads, with the one resource and the executor bound here.

Belongs here: putting together. Does not: any definition.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from phorest_ghl.defs import schedules
from phorest_ghl.defs.resources import SalonResource
from phorest_ghl.settings import Settings, load_settings


def build_defs(settings: Settings | None = None, resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """All definitions for a salon. Without settings: zone UTC. `resources` stands in for the salon, in tests."""
    zone = (settings or Settings()).zone
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
        dg.Definitions(
            jobs=schedules.jobs(),
            schedules=schedules.schedules(zone),
            resources=dict(resources or {"salon": SalonResource()}),
            # One process a run: a step of its own would cost seconds more than it works.
            executor=dg.in_process_executor,
        ),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What the code location serves; reads the settings, and loads with none set."""
    return build_defs(load_settings())
