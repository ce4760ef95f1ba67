"""The floor of an import: the shortest program that brings all clients into PostgreSQL, by hand and for this one list.

Belongs here: that program. It parses with orjson, validates nothing, keeps no history and no cursor, survives no fault:
what the product does on top is what the ratio prices. Does not belong here: comparing.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, LiteralString

import orjson
import psycopg
from psycopg import sql

from benchmarks.peers import peer
from benchmarks.report import BenchError

COLUMNS: dict[str, LiteralString] = {
    "clientId": "text primary key", "version": "int", "firstName": "text", "lastName": "text", "email": "text",
    "mobile": "text", "linkedClientMobile": "text", "landLine": "text", "gender": "text", "birthDate": "text",
    "address": "jsonb", "clientCategoryIds": "jsonb", "notes": "text", "archived": "bool", "banned": "bool",
    "deleted": "bool", "clientSince": "text", "createdAt": "text", "updatedAt": "text", "firstVisit": "text",
    "lastVisit": "text", "externalId": "text", "preferredStaffId": "text", "creatingBranchId": "text",
    "mergedToClientId": "text", "smsMarketingConsent": "bool", "emailMarketingConsent": "bool",
    "smsReminderConsent": "bool", "emailReminderConsent": "bool", "creditAccount": "jsonb", "loyaltyCard": "jsonb",
}  # fmt: skip
_NAMES = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
_CREATE = sql.SQL("create table if not exists bare_clients ({})").format(
    sql.SQL(", ").join(sql.Identifier(name) + sql.SQL(" ") + sql.SQL(kind) for name, kind in COLUMNS.items())
)
_STAGE = "create temporary table stage (like bare_clients) on commit drop"
_UPSERT = sql.SQL("""
    insert into bare_clients select distinct on ("clientId") * from stage
    on conflict ("clientId") do update set ({columns}) = row ({new})
    where bare_clients.* is distinct from excluded.*
""").format(columns=_NAMES, new=sql.SQL(", ").join(sql.SQL("excluded.{}").format(sql.Identifier(n)) for n in COLUMNS))
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the list is and how it is read: `in_flight` requests at once, `size` rows a page."""

    url: str
    headers: dict[str, str]
    size: int
    in_flight: int


@dataclass(frozen=True)
class Loaded:
    """Seconds from the first request to the commit, rows read, rows written."""

    seconds: float
    rows: int
    written: int


def load(source: Source, dsn: str) -> Loaded:
    """Read the whole list and upsert it in one transaction.

    Raises:
        BenchError: a request failed; it is not repeated.
    """
    lost: type[Exception] = peer("aiohttp").ClientError
    try:
        return peer("uvloop").run(_load(source, dsn))
    except (lost, ExceptionGroup, OSError) as failed:
        # Without its cause: that names the whole URL.
        raise BenchError(f"The bare loop could not read the sandbox's clients ({type(failed).__name__}).") from None


async def _load(source: Source, dsn: str) -> Loaded:
    aiohttp = peer("aiohttp")
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await connection.execute(_CREATE)
        await connection.execute(_STAGE)
        connector = aiohttp.TCPConnector(limit=source.in_flight)
        async with aiohttp.ClientSession(connector=connector, headers=source.headers, raise_for_status=True) as session:
            started = time.perf_counter()
            async with connection.cursor().copy("copy stage from stdin") as copy:
                rows = await _copy_pages(session, source, copy)
        written = (await connection.execute(_UPSERT)).rowcount
        await connection.commit()
        return Loaded(time.perf_counter() - started, rows, written)


async def _copy_pages(session: Any, source: Source, copy: psycopg.AsyncCopy) -> int:
    async def fetch(number: int) -> Row:
        query = {"page": number, "size": source.size, "includeArchived": "true", "includeDeleted": "true"}
        async with session.get(source.url, params=query) as answer:
            return orjson.loads(await answer.read())

    async def write(page: Row) -> int:
        rows: list[Row] = page["_embedded"]["clients"]
        await copy.write("".join(map(_line, rows)))
        return len(rows)

    first = await fetch(0)
    total: int = first["page"]["totalPages"]
    numbers = iter(range(1, total))
    # Room for a few pages that came sooner than they can be written; requests in flight are what is limited.
    ready = asyncio.Queue[Row](4 * source.in_flight)

    async def work() -> None:
        for number in numbers:
            await ready.put(await fetch(number))

    written = await write(first)
    async with asyncio.TaskGroup() as workers:
        for _ in range(source.in_flight):
            workers.create_task(work())
        for _ in range(1, total):
            written += await write(await ready.get())
    return written


def _line(row: Row) -> str:
    return "\t".join([_field(row.get(name)) for name in COLUMNS]) + "\n"


def _field(value: object) -> str:
    if value is None:
        return "\\N"
    if value is True:
        return "t"
    if value is False:
        return "f"
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    return orjson.dumps(value).decode().translate(_ESCAPES) if isinstance(value, dict | list) else str(value)
