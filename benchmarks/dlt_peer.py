"""dlt as a contender: the same list by its declarative REST source as it comes, and at the best that we could tune it to.

Belongs here: those two pipelines, in a process of their own. Does not: comparing.

Its process starts with dlt imported and its credentials known; the clock runs from the first request to the end of the
load. Telemetry is off, and what it keeps on disk goes to a folder that is thrown away.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import quote

import orjson
from sqlalchemy.engine import make_url

from benchmarks.bare_loop import COLUMNS, Loaded, Source
from benchmarks.peers import peer
from benchmarks.report import BenchError

Variant = Literal["default", "best"]
_PAGES_A_TABLE = 8  # pages that a thread reads into one arrow table: fewer, larger pieces suit the rest of the pipeline
_LONGEST_S = 600
_DATASET = "dlt_clients"


def load(variant: Variant, source: Source, url: str) -> Loaded:
    """Read the whole list into the database at a libpq URL.

    Raises:
        BenchError: dlt is not installed, or its load failed.
    """
    peer("dlt")
    order = {"variant": variant, "source": vars(source)}
    with tempfile.TemporaryDirectory(prefix="phorest_ghl-dlt-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.dlt_peer"],
            input=json.dumps(order),
            env={**os.environ, **_settings(variant, source, url, folder)},
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
            check=False,
        )
    if done.returncode != 0:
        # Not what it printed, which may hold the URL.
        last = done.stderr.strip().rsplit("\n", 1)[-1].partition(":")[0]
        raise BenchError(f"dlt ({variant}) could not load the sandbox's clients ({last}).")
    return Loaded(**json.loads(done.stdout.rsplit("\n", 2)[-2]))


def _settings(variant: Variant, source: Source, url: str, folder: str) -> Mapping[str, str]:
    """What dlt is told by the environment it is run in: its configuration. Its best has our number of requests in flight."""
    common = {
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
        "DLT_DATA_DIR": folder,
        **_credentials(url),
        "OPENBLAS_NUM_THREADS": "1",
    }
    if variant == "default":
        return common
    return common | {
        "EXTRACT__WORKERS": str(source.in_flight),
        "EXTRACT__MAX_PARALLEL_ITEMS": str(source.in_flight),
        "NORMALIZE__WORKERS": "1",  # a pool of processes takes longer to start than there is to do
        "DATA_WRITER__BUFFER_MAX_ITEMS": "20000",
        "DATA_WRITER__FILE_MAX_ITEMS": "100000",
    }


def _credentials(url: str) -> Mapping[str, str]:
    """Part by part: in a URL dlt wants a host, and our server listens on a socket in a folder only."""
    parts = make_url(url)
    found = {
        "host": parts.host or quote(str(parts.query.get("host", "localhost")), safe=""),
        "port": str(parts.port or parts.query.get("port", "5432")),
        "username": parts.username or "postgres",
        "password": parts.password or "none",
        "database": parts.database or "postgres",
    }
    return {f"DESTINATION__POSTGRES__CREDENTIALS__{name.upper()}": value for name, value in found.items()}


def _run(variant: Variant, source: Source) -> Loaded:
    dlt = peer("dlt")
    data = _declared(source) if variant == "default" else _tuned(dlt, source)
    pipeline = dlt.pipeline("bench", destination="postgres", dataset_name=_DATASET, progress=None)
    options = {} if variant == "default" else {"loader_file_format": "csv"}
    started = time.perf_counter()
    pipeline.run(data, **options)
    seconds = time.perf_counter() - started
    with pipeline.sql_client() as client:
        rows = int(client.execute_sql("select count(*) from clients")[0][0])
    return Loaded(seconds, rows, rows)


def _declared(source: Source) -> Any:
    """What dlt's documentation has one write for a paged list: the resource declared, everything else its default."""
    rest_api = peer("dlt.sources.rest_api")
    base, _, path = source.url.rpartition("/")
    endpoint = {
        "path": path,
        "params": _query(source),
        "data_selector": "_embedded.clients",
        "paginator": {"type": "page_number", "base_page": 0, "page_param": "page", "total_path": "page.totalPages"},
    }
    resource = {"name": "clients", "primary_key": "clientId", "write_disposition": "merge", "endpoint": endpoint}
    return rest_api.rest_api_source(
        {
            "client": {"base_url": base, "headers": source.headers},
            "resources": [resource],
        }
    )


def _tuned(dlt: Any, source: Source) -> Any:
    """Pages in threads, arrow tables of a known schema so that nothing is inferred, CSV by COPY, merge as an upsert."""
    arrow, requests = peer("pyarrow"), peer("requests")
    session = requests.Session()
    session.headers.update(source.headers)
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=source.in_flight))
    kinds = {"int": arrow.int64(), "bool": arrow.bool_()}
    schema = arrow.schema([(name, kinds.get(kind, arrow.string())) for name, kind in COLUMNS.items()])

    def page(number: int) -> Any:
        answer = session.get(source.url, params={**_query(source), "page": number})
        answer.raise_for_status()
        return orjson.loads(answer.content)

    def clients() -> Iterator[Any]:
        @dlt.defer
        def read(numbers: tuple[int, ...]) -> Any:
            rows = [_flat(row) for number in numbers for row in page(number)["_embedded"]["clients"]]
            return arrow.Table.from_pylist(rows, schema=schema)

        for numbers in _batches(page(0)["page"]["totalPages"]):
            yield read(numbers)

    return dlt.resource(
        clients,
        name="clients",
        primary_key="clientId",
        write_disposition={"disposition": "merge", "strategy": "upsert"},
    )


def _query(source: Source) -> dict[str, Any]:
    return {"size": source.size, "includeArchived": "true", "includeDeleted": "true"}


def _batches(total: int) -> Iterator[tuple[int, ...]]:
    for first in range(0, total, _PAGES_A_TABLE):
        yield tuple(range(first, min(first + _PAGES_A_TABLE, total)))


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: orjson.dumps(value).decode() if isinstance(value, dict | list) else value for key, value in row.items()
    }


if __name__ == "__main__":
    order = json.load(sys.stdin)
    sys.stdout.write(f"\n{json.dumps(vars(_run(order['variant'], Source(**order['source']))))}\n")
