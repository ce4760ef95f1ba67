"""Phorest's CSV export jobs: asked for, waited for, downloaded to a file (facts/phorest-api §8.5).

Belongs here: the life of a job. Does not: what is in the file (`purchases`).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import httpx
from pydantic import ValidationError

from phorest_ghl.phorest.client import PhorestClient, wire_instant
from phorest_ghl.phorest.models import ExportJob

TRANSACTIONS = "TRANSACTIONS_CSV"
_LINK_TRIES = 3
_DOWNLOAD = httpx.Timeout(connect=10.0, read=60.0, write=10.0, pool=10.0)
_CHUNK = 1 << 18


class ExportFailed(Exception):
    """Phorest did not make the file, or it could not be fetched: a sentence says why, for which branch."""


@dataclass(frozen=True)
class ExportQuestion:
    """What is asked for: sales of local dates from `first` to `last`, changed between two instants."""

    branch_id: str
    first: date
    last: date
    changed_after: datetime | None
    changed_before: datetime

    @property
    def body(self) -> dict[str, str]:
        """The request; the upper bound comes first in the filter, as a live system sends it."""
        bounds = [f"updated=<{wire_instant(self.changed_before)}"]
        if self.changed_after is not None:
            bounds.append(f"updated=>{wire_instant(self.changed_after)}")
        return {
            "jobType": TRANSACTIONS,
            "startFilter": self.first.isoformat(),
            "finishFilter": self.last.isoformat(),
            "filterExpression": "&".join(bounds),
        }


@dataclass(frozen=True)
class Pace:
    """How often a job is looked at, and for how long, in seconds."""

    every_s: float = 3.0
    patience_s: float = 300.0
    sleep: Callable[[float], object] = time.sleep


class Exports:
    """Runs export jobs of one business."""

    def __init__(self, client: PhorestClient, pace: Pace | None = None) -> None:
        self._client = client
        self._pace = pace or Pace()

    def run(self, question: ExportQuestion, use: Callable[[Path, ExportJob], None]) -> ExportJob:
        """Have a file made and hand it to `use`, which is not called where there is nothing; the file is gone afterwards.

        Raises ExportFailed where Phorest fails, takes longer than the patience, or the file cannot be fetched; ApiError
        for calls that fail.
        """
        job = self._wait(question, self._create(question))
        if job.nothing_found:
            return job
        with TemporaryDirectory(prefix="phorest-export-") as folder:
            path = Path(folder) / "export.csv"
            self._download(question, job, path)
            use(path, job)
        return job

    def _create(self, question: ExportQuestion) -> ExportJob:
        return _job(self._client.create_export(question.branch_id, question.body), question)

    def _wait(self, question: ExportQuestion, job: ExportJob) -> ExportJob:
        waited = 0.0
        while job.jobStatus not in {"DONE", "FAILED"}:
            if waited >= self._pace.patience_s:
                raise ExportFailed(
                    f"Phorest's export {job.jobId} of sales of branch {question.branch_id} was not ready after "
                    f"{self._pace.patience_s:g} seconds. Nothing was imported; run it again later."
                )
            self._pace.sleep(self._pace.every_s)
            waited += self._pace.every_s
            job = self._read(question, job)
        if job.jobStatus == "FAILED" and not job.nothing_found:
            raise ExportFailed(
                f"Phorest could not export the sales of branch {question.branch_id} (job {job.jobId}). Nothing was "
                "imported; run it again, and if it fails again send the job's id to Phorest's support."
            )
        return job

    def _read(self, question: ExportQuestion, job: ExportJob) -> ExportJob:
        return _job(self._client.read_export(question.branch_id, job.jobId), question)

    def _download(self, question: ExportQuestion, job: ExportJob, path: Path) -> None:
        """Fetch the file, with a new link where one does not work: links live a short time only.

        Without credentials: the link carries its own, and object stores refuse a request with two.
        """
        problem = "the job names no file"
        for attempt in range(_LINK_TRIES):
            if attempt:
                self._pace.sleep(self._pace.every_s)
                job = self._read(question, job)
            if not job.tempCsvExternalUrl:
                continue
            with path.open("wb") as file:
                failed = _fetch(job.tempCsvExternalUrl, file)
            if failed is None:
                return
            problem = failed
        raise ExportFailed(
            f"The file of Phorest's export {job.jobId} of sales of branch {question.branch_id} could not be fetched "
            f"({problem}; tried {_LINK_TRIES} times). Nothing was imported; run it again later."
        )


def _job(body: bytes, question: ExportQuestion) -> ExportJob:
    try:
        return ExportJob.model_validate_json(body)
    except ValidationError:
        raise ExportFailed(
            f"Phorest's answer about an export of sales of branch {question.branch_id} is no export job. Nothing was "
            "imported; run it again later."
        ) from None


def _fetch(url: str, file: IO[bytes]) -> str | None:
    """Stream a link into a file; what went wrong, without the link, which is a credential; None if nothing did."""
    try:
        with httpx.stream("GET", url, timeout=_DOWNLOAD, follow_redirects=True) as response:
            if response.status_code != 200:
                return f"status {response.status_code}"
            for chunk in response.iter_bytes(_CHUNK):
                file.write(chunk)
    except httpx.HTTPError as error:
        return type(error).__name__
    return None
