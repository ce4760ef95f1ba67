"""The one resource: a salon's working parts, opened for a run and closed after it.

Belongs here: from Dagster's config to `phorest_ghl.assembly`. Does not: making the parts.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field

from phorest_ghl.assembly import Runtime, open_runtime
from phorest_ghl.defs.failures import failures_as_sentences
from phorest_ghl.settings import load_settings


class SalonResource(dg.ConfigurableResource[Runtime]):
    """One salon. It holds no credential: those are read from the environment and the file when a run starts."""

    env_file: str = Field(
        default=".env",
        description="File that settings are read from besides the environment, relative to the working directory.",
    )

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[Runtime]:  # noqa: ARG002 - the signature is Dagster's
        """The runtime of one run. A wrong or missing setting, or a database that is away, fails the run with its sentence."""
        with failures_as_sentences(), open_runtime(load_settings(env_file=Path(self.env_file))) as runtime:
            yield runtime
